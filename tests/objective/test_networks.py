"""Models with several inputs and outputs, losses of the user's own, samples that mix, and what is refused."""

import pytest
import torch
from tests.zoo import randomise
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from orbitope.errors import DataError, InputError, ParametersError
from orbitope.landscapes import barrier
from orbitope.objective import Objective

N, T, V, D = 9, 5, 37, 6


class Encoder(nn.Module):
    """Tokens and a mask by name, a mapping out, tokens merged with samples on the way."""

    def __init__(self, tokens=True):
        super().__init__()
        self.tokens = tokens
        self.embed, self.place = nn.Embedding(V, D), nn.Embedding(8, D)
        self.qkv, self.norm, self.head = nn.Linear(D, 3 * D), nn.LayerNorm(D), nn.Linear(D, V)
        self.register_buffer("position_ids", torch.arange(8))

    def forward(self, input_ids, attention_mask=None, scale=1.0):
        n, t = input_ids.shape
        x = self.embed(input_ids) + self.place(self.position_ids[:t])
        q, k, v = self.qkv(x.reshape(n * t, D)).reshape(n, t, 3 * D).chunk(3, 2)
        scores = q @ k.transpose(1, 2) * scale
        if attention_mask is not None:
            scores = scores + (1.0 - attention_mask[:, None, :].to(scores.dtype)) * -1e9
        x = self.norm(x + scores.softmax(2) @ v)
        hidden = x if self.tokens else (x * attention_mask[:, :, None]).sum(1)
        return {"last_hidden_state": x, "logits": self.head(hidden)}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    model = Encoder().double().eval()
    randomise(model)
    return model


@pytest.fixture
def batch():
    torch.manual_seed(1)
    ids, mask = torch.randint(0, V, (N, T)), torch.ones(N, T, dtype=torch.long)
    mask[2, 3:] = mask[6, 1:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.where(mask > 0, ids.roll(1, 1), -100)}


def truth(model, batch):
    logits = model(batch["input_ids"], batch["attention_mask"])["logits"]
    return F.cross_entropy(logits.movedim(2, 1), batch["labels"])


def test_inputs_by_name(encoder, batch):
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    for data in (batch, (inputs, batch["labels"]), (tuple(inputs.values()), batch["labels"])):
        objective = Objective(encoder, "cross_entropy", data)
        assert objective.output == "logits" and not objective.whole
        assert objective.value() == pytest.approx(truth(encoder, batch).item(), rel=1e-12)
        assert objective.predictions().shape == (N, T, V)
    swapped = {"attention_mask": batch["attention_mask"], "input_ids": batch["input_ids"]}
    assert Objective(encoder, "cross_entropy", (swapped, batch["labels"])).value() == objective.value()


def test_flags_and_inputs_that_all_samples_share(encoder, batch):
    objective = Objective(encoder, "cross_entropy", ({"input_ids": batch["input_ids"], "scale": 0.5}, batch["labels"]))
    logits = encoder(batch["input_ids"], scale=0.5)["logits"].movedim(2, 1)
    assert objective.value() == pytest.approx(F.cross_entropy(logits, batch["labels"]).item(), rel=1e-12)
    torch.manual_seed(2)
    model = _Pair().eval()
    a, b = torch.randn(N, 3), torch.randn(4, 3)
    objective = Objective(model, "mse", ((a, b), torch.zeros(N, 4)))
    assert objective.value() == pytest.approx((model(a, b) ** 2).mean().item(), rel=1e-5)
    assert [*objective.data] == ["a", "target"] and objective.network.inputs == ("a",)


class _Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 5)

    def forward(self, a, b):
        return torch.tanh(self.inner(a)) @ torch.tanh(self.inner(b)).T


def test_an_output_by_name(encoder, batch):
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    y = torch.randn(N, T, D)
    objective = Objective(encoder, "mse", (inputs, y), output="last_hidden_state")
    expected = ((encoder(**inputs)["last_hidden_state"] - y) ** 2).mean().item()
    assert objective.value() == pytest.approx(expected, rel=1e-12) == objective.reference()
    assert "head.weight" not in objective.parameters
    with pytest.raises(InputError, match="no floating output of that name"):
        Objective(encoder, "mse", (inputs, y), output="loss")


def test_loaders_of_mappings(encoder, batch):
    rows = [{name: tensor[k] for name, tensor in batch.items()} for k in range(N)]
    objective = Objective(encoder, "cross_entropy", DataLoader(rows, batch_size=4))
    assert objective.samples == N and objective.value() == pytest.approx(truth(encoder, batch).item(), rel=1e-12)
    with pytest.raises(DataError, match="larger than what is read") as error:
        Objective(encoder, "cross_entropy", DataLoader(rows, batch_size=4), budget=300)
    assert "Subset" in str(error.value)
    uneven = [rows[0], {name: tensor[:-1] for name, tensor in rows[1].items()}]
    with pytest.raises(DataError, match="different shapes"):
        Objective(encoder, "cross_entropy", DataLoader(uneven, batch_size=1))


# the program ------------------------------------------------------------------------------------------------------
def followed(graph):
    """The nodes that a parameter decides."""
    found = set()
    for node in graph:
        if node.op == "parameter" or not found.isdisjoint(node.inputs):
            found.add(node.name)
    return found


@pytest.mark.parametrize("size", [1, 2, 4, N])
def test_what_data_decide_is_computed_beforehand(encoder, batch, size):
    from orbitope.arithmetic import TorchArithmetic
    from orbitope.primitives import evaluate

    objective = Objective(encoder, "cross_entropy", batch)
    graph, data = objective.program(size)
    left = [node for node in graph if node.name not in followed(graph)]
    assert {node.op for node in left} <= {"input", "constant", "broadcast", "reshape", "transpose"}
    assert all(node.op != "parameter" or node.dtype != "int64" for node in graph)
    assert len(graph.nodes) < len(objective.graph_for(size).nodes)
    assert all(len(tensor) == N for tensor in data.values()) and {*data} == {*graph.inputs}
    arithmetic = TorchArithmetic(torch.float64)
    parts = []
    for start in range(0, N - size + 1, size):
        inputs = {name: arithmetic.lift(tensor[start : start + size]) for name, tensor in data.items()}
        parts.append(evaluate(graph, arithmetic, objective.parameters, inputs)[0])
    losses = torch.cat(parts)
    assert torch.allclose(losses, objective.losses()[: len(losses)], rtol=1e-13, atol=0)


def test_samples_that_are_not_first_are_brought_there():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x):
            steps = (2 * x).transpose(0, 1)  # [T, N, 4]
            return self.inner(steps).transpose(0, 1)

    torch.manual_seed(0)
    model, x = Turned().double().eval(), torch.randn(N, T, 4, dtype=torch.float64)
    objective = Objective(model, "mse", (x, torch.zeros(N, T, 3)))
    graph, data = objective.program(2)
    (name,) = (name for name in data if name != "target")
    assert torch.equal(data[name], 2 * x) and "transpose" in {node.op for node in graph}
    assert objective.value() == pytest.approx((model(x) ** 2).mean().item(), rel=1e-12)


# samples that mix, and losses of the user's own ---------------------------------------------------------------------
class Meets(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x):
        return self.inner(x - x.mean(0, keepdim=True))


class PerSample(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(N, 3))

    def forward(self, x):
        return x[:, :3] + self.shift


class Counts(nn.Module):
    """Divides by the number of samples, which no index shows."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x):
        return self.inner(x) / x.shape[0]


@pytest.mark.parametrize("make", [Meets, PerSample, Counts])
def test_samples_that_mix_are_evaluated_whole(make):
    torch.manual_seed(0)
    model, x, y = make().double().eval(), torch.randn(N, 4, dtype=torch.float64), torch.randint(0, 3, (N,))
    objective = Objective(model, "cross_entropy", (x, y))
    assert objective.whole and objective.blocks() == [slice(0, N)]
    expected = F.cross_entropy(model(x), y)
    expected.backward()
    assert objective.value() == pytest.approx(expected.item(), rel=1e-12)
    assert all(torch.allclose(g, model.get_parameter(n).grad) for n, g in objective.gradient().items())
    graph, data = objective.program(N)
    assert {*data} == {*graph.inputs}
    for ask in (objective.graph_for, objective.program):
        with pytest.raises(DataError, match="evaluated whole"):
            ask(2)
    state = {name: 2 * p for name, p in model.state_dict().items()}
    assert barrier(objective, model.state_dict(), state, points=3).losses[0] == pytest.approx(expected.item())


def _per_sample(output, target):
    return (output - target).abs().pow(3).sum(1)


def _scalar(output, target):
    return (output - target).abs().pow(3).sum(1).mean()


def _drawn(output, target):
    return ((output - target) ** 2).mean(1) + torch.rand(())


def _table(output, target):
    return output - target


class Margin(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64))

    def forward(self, output, target):
        return F.relu(self.weight * (output - target)).sum(1)


@pytest.mark.parametrize(("loss", "whole"), [(_per_sample, False), (_scalar, True), (Margin(), False)])
def test_losses_of_the_users_own(loss, whole):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double().eval()
    x, y = torch.randn(N, 4, dtype=torch.float64), torch.randn(N, 3, dtype=torch.float64)
    objective = Objective(model, loss, (x, y))
    expected = loss(model(x), y).mean()
    expected.backward()
    assert objective.whole == whole and objective.loss in ("_per_sample", "_scalar", "Margin")
    assert objective.value() == pytest.approx(expected.item(), rel=1e-12) == objective.reference()
    assert {*objective.variables} == {name for name, _ in model.named_parameters()}
    assert all(torch.allclose(g, model.get_parameter(n).grad) for n, g in objective.gradient().items())
    graph, _ = objective.program(N if whole else 2)
    assert graph.node(graph.outputs[0]).shape == (() if whole else (2,)) and {*graph.parameters} == {
        *objective.variables
    }


def test_losses_that_cannot_be():
    model, x, y = nn.Linear(4, 3).eval(), torch.randn(N, 4), torch.randn(N, 3)
    with pytest.raises(InputError, match="one number, or one for each sample"):
        Objective(model, _table, (x, y))
    with pytest.raises(DataError, match="not deterministic"):
        Objective(model, _drawn, (x, y))
    with pytest.raises(InputError, match="a name or a callable"):
        Objective(model, 3, (x, y))  # pyright: ignore
    with pytest.raises(InputError, match="no accuracy"):
        Objective(model, "mse", (x, y)).accuracy()


# refusals -----------------------------------------------------------------------------------------------------------
def test_models_that_draw_are_refused():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x):
            return F.dropout(self.inner(x), 0.5, training=True)

    with pytest.raises(DataError, match="not deterministic"):
        Objective(Noisy().eval(), "mse", (torch.randn(N, 4), torch.randn(N, 3)))


def test_outputs_that_are_none():
    class Places(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x):
            return self.inner(x).argmax(1)

    with pytest.raises(InputError, match="no floating tensor"):
        Objective(Places().eval(), "mse", (torch.randn(N, 4), torch.randn(N)))

    class Total(Places):
        def forward(self, x):
            return self.inner(x).sum(0)[:2]

    with pytest.raises(InputError, match="no axis of samples"):
        Objective(Total().eval(), "mse", (torch.randn(N, 4), torch.randn(N, 3)))


def test_parameters_that_are_not_finite_come_before_a_comparison():
    model = Meets().eval()
    with torch.no_grad():
        model.inner.weight[0, 0] = float("inf")
    with pytest.raises(ParametersError, match="not finite"):
        Objective(model, "mse", (torch.randn(N, 4), torch.randn(N, 3)))


@pytest.mark.parametrize("first", [0, 6])
def test_tokens_beyond_the_vocabulary_are_refused(first):
    model = nn.Sequential(nn.Embedding(V, D), nn.Linear(D, 4)).eval()
    ids = torch.randint(0, V, (N, T))
    ids[first, 1] = V
    with pytest.raises(DataError, match=r"do not fit the model|out of range"):
        Objective(model, "cross_entropy", (ids, torch.randint(0, 4, (N, T)))).value()
