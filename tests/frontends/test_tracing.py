"""Models that torch.export does not take, settings that hide parameters, and models without weights."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from tests.zoo import L, relu, seq
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from orbitope import symmetries
from orbitope.arithmetic import TorchArithmetic
from orbitope.errors import ExportError, InputError
from orbitope.frontends import graphs, lower, trace
from orbitope.frontends.fallbacks import record
from orbitope.primitives import evaluate

X = torch.linspace(-1, 2, 12).reshape(4, 3)


class Two(nn.Module):
    """Two layers of which a condition chooses one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out, self.late = L(3, 5), L(3, 5), L(5, 7), L(7, 2)
        self.limit = nn.Parameter(torch.tensor(0.5))

    def choose(self, x: torch.Tensor) -> torch.Tensor | bool:
        return x.sum() > 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = relu(self.a(x)) if self.choose(x) else relu(self.b(x))
        return self.late(relu(self.out(h)))


class ByParameter(Two):
    def choose(self, x: torch.Tensor) -> torch.Tensor | bool:
        return self.limit > 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.b(x).sum()


class Both(Two):
    """The path depends on a hidden value, and all parameters are read on it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = relu(self.a(x))
        sign = 1 if h[0, 0] > h[0, 1] else -1
        return self.late(relu(self.out(h + sign * relu(self.b(x)) * self.limit)))


class TestPaths:
    def test_a_path_is_refused_unless_it_is_asked_for(self) -> None:
        with pytest.raises(ExportError) as raised:
            symmetries(Two().eval(), (X,))
        assert "specialise=True" in str(raised.value) and "test_tracing.py:" in str(raised.value)

    def test_parameters_that_were_not_reached_hold_what_may_be_tied_to_them(self) -> None:
        """The layer b, of 5 units, may be tied to those of a and of out; nothing of 7 fits into it."""
        group = symmetries(Two().eval(), (X,), specialise=True)
        assert group.order == 5040
        assert any("one path only" in note and "test_tracing.py:" in note for note in group.notes)
        assert any("b.weight" in note and "not reached" in note for note in group.notes)
        assert any("may be tied to b.weight" in d.reason for d in group.diagnostics if d.parameter == "a.weight")

    def test_a_hidden_value_that_decides_is_fixed(self) -> None:
        """The two units that are compared are told apart; the indices 0 and 1 are taken by slices, the rest is free."""
        group = symmetries(Both().eval(), (X,), specialise=True)
        assert group.order in (5040, 5040 * 6)
        free = copy.deepcopy(Both().eval())
        params = {k: v.detach().double() for k, v in free.state_dict().items()}
        g = group.sample(3)
        moved = g.act(params)
        for x in torch.randn(20, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)):
            before = torch.func.functional_call(free, params, (x,))
            assert torch.allclose(before, torch.func.functional_call(free, moved, (x,)), rtol=1e-9, atol=1e-12)

    def test_what_only_parameters_decide_is_no_path_of_the_inputs(self) -> None:
        group = symmetries(ByParameter().eval(), (X,))
        assert group.order == 120 * 120 * 5040 and not any("path" in note for note in group.notes)

    def test_the_result_keeps_its_notes_in_json(self) -> None:
        group = symmetries(Two().eval(), (X,), specialise=True)
        assert type(group).from_json(group.to_json()).notes == group.notes != ()


class TestRecords:
    @pytest.mark.parametrize("name", ["mlp", "norm", "buffer", "inplace"])
    def test_a_record_and_an_export_compute_the_same(self, name: str) -> None:
        net = {"mlp": seq(L(3, 7), nn.GELU(), L(7, 2)), "norm": seq(L(3, 6), nn.BatchNorm1d(6), L(6, 2))}.get(name)
        net = (net or {"buffer": Running(), "inplace": Written()}[name]).eval()
        found = lower(record(net, (X,), {}))
        known = lower(trace(net, (X,)))
        params = {n: t.double() for n, t in net.state_dict().items()}
        results = [
            evaluate(graph, TorchArithmetic(), params, {graph.inputs[0]: X.double()}) for graph in (found, known)
        ]
        assert torch.equal(results[0][0], results[1][0]) or torch.allclose(*(r[0] for r in results), rtol=1e-12)
        assert found.parameters.keys() == known.parameters.keys() and found.inputs == known.inputs
        assert found.output_names == known.output_names and found.unused == known.unused

    def test_places(self) -> None:
        graph = lower(record(Two().eval(), (X,), {}))
        assert {"a", "out", "late"} <= {node.module for node in graph}
        assert any(node.source.startswith("test_tracing.py:") for node in graph)

    def test_a_buffer_that_is_overwritten_does_not_move(self) -> None:
        frozen = [n for n in lower(record(Running().eval(), (X,), {})) if n.attributes.get("frozen")]
        assert [n.attributes["parameter"] for n in frozen] == ["mean"]

    def test_tied_parameters_have_both_names(self) -> None:
        net = seq(L(3, 3), nn.ReLU(), L(3, 3))
        net[2].weight = net[0].weight
        graph = lower(record(net, (X,), {}))
        assert graph.parameters["0.weight"].names == ("0.weight", "2.weight") and graph.unused == ()


class Running(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = L(3, 5), L(5, 2)
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = relu(self.a(x))
        self.mean.mul_(0.9).add_(h.mean(0) * 0.1)
        return self.out(h - self.mean)


class Written(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = L(3, 5), L(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        h.relu_().add_(1)
        h[1:] *= 2
        return self.out(h)


class Cached(nn.Module):
    """Attention biases that are computed once in evaluation, and forgotten when training begins."""

    def __init__(self) -> None:
        super().__init__()
        self.biases = nn.Parameter(torch.randn(3, 4))
        self.qkv, self.out = L(6, 36), L(12, 6)
        self.cache: dict[str, torch.Tensor] = {}

    def train(self, mode: bool = True) -> Cached:
        super().train(mode)
        if mode:
            self.cache = {}
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if "bias" not in self.cache:
            self.cache["bias"] = self.biases[:, :, None] + self.biases[:, None]
        q, k, v = self.qkv(x).reshape(2, 4, 3, 3, 4).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2) + self.cache["bias"]).softmax(-1)
        return self.out((scores @ v).transpose(1, 2).reshape(2, 4, 12))


class TestHiddenParameters:
    def test_stale_caches_hide_nothing(self) -> None:
        x = torch.randn(2, 4, 6)
        fresh = symmetries(Cached().eval(), (x,))
        net = Cached().eval()
        with torch.no_grad():
            net(x)
        used = symmetries(net, (x,))
        assert used.unused == () and used.order == fresh.order > 6
        assert net.cache == {}

    def test_settings_are_changed_while_it_is_traced_only(self) -> None:
        class Model(Two):
            def __init__(self) -> None:
                super().__init__()
                self.config = SimpleNamespace(model_type="x", use_cache=True, _experts_implementation="eager")
                self.seen: list[object] = []

            def forward(self, x: torch.Tensor, use_cache: bool | None = None) -> torch.Tensor:
                self.seen.append((use_cache, self.config.use_cache, self.config._experts_implementation))
                return self.out(relu(self.a(x)))

        net = Model().eval()
        assert symmetries(net, (X,)).order == 120
        assert set(net.seen) == {(False, False, "batched_mm")}
        assert (net.config.use_cache, net.config._experts_implementation) == (True, "eager")


class Rotated(nn.Module):
    """A constant that was computed when the model was made, and is in no state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = L(3, 6), L(6, 2)
        self.register_buffer("scale", torch.tensor([1.0, 1, 1, 2, 2, 2]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(relu(self.a(x)) * self.scale)


class TestWithoutWeights:
    NETS = (seq(L(3, 7), nn.LayerNorm(7), nn.GELU(), L(7, 2)), seq(L(3, 6), nn.BatchNorm1d(6), nn.ReLU(), L(6, 2)))

    @pytest.mark.parametrize("net", NETS, ids=["layer", "batch"])
    @pytest.mark.parametrize("inputs", ["cpu", "meta"])
    def test_meta(self, net: nn.Module, inputs: str) -> None:
        real = symmetries(net, (X,))
        abstract = symmetries(copy.deepcopy(net).to("meta"), (X.to(inputs),))
        assert abstract.order == real.order > 1 and abstract.unused == real.unused
        assert any("without weights" in note for note in abstract.notes)
        assert any("two sizes" in note for note in abstract.notes)

    def test_constants_that_have_values_are_used(self) -> None:
        net = Rotated().eval()
        assert symmetries(net, (X,)).order == 36
        for name, parameter in list(net.named_parameters()):
            owner, _, leaf = name.rpartition(".")
            setattr(net.get_submodule(owner), leaf, nn.Parameter(parameter.detach().to("meta")))
        assert symmetries(net, (X,)).order == 36
        assert net.scale.tolist() == [1, 1, 1, 2, 2, 2]  # and they are back in their place
        assert symmetries(net.to("meta"), (X,)).order == 1

    def test_fake_tensors(self) -> None:
        with FakeTensorMode():
            net = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 2)).eval()
            x = torch.randn(4, 3)
        assert symmetries(net, (x,), also=()).order == 5040


class TestRefusals:
    def test_one_word_for_each_mistake(self) -> None:
        net = seq(L(3, 7), nn.ReLU(), L(7, 2))
        with pytest.raises(ExportError, match=r"the inputs are input \[4, 9\]"):
            symmetries(net, (torch.randn(4, 9),))
        with pytest.raises(InputError, match="training mode"):
            graphs(copy.deepcopy(net).train(), (X,))


class TestChance:
    def test_a_path_by_chance_is_one_path_too(self) -> None:
        class Random(Two):
            def choose(self, x: torch.Tensor) -> torch.Tensor | bool:
                return torch.rand(()) > 0.5

        with pytest.raises(ExportError, match="specialise=True"):
            symmetries(Random().eval(), (X,))
        assert any("one path only" in note for note in symmetries(Random().eval(), (X,), specialise=True).notes)
