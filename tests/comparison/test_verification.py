"""Verification: true elements pass, every kind of wrong one is caught, and the model is left as it was."""

import json
import math
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from tests.zoo import ZOO, model, randomise, relu, seq
from torch import nn

from orbitope import symmetries
from orbitope.comparison import verify
from orbitope.errors import InputError, ParametersError, TrainingModeError
from orbitope.group import Element


@pytest.fixture
def mlp():
    return randomise(seq(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2)))


@pytest.fixture
def x():
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(1))


def _element(net, x, seed=1):
    return symmetries(net, (x,)).sample(seed)


@pytest.mark.parametrize("name", list(ZOO)[::3])
def test_elements_of_the_zoo_keep_the_function_and_the_control_does_not(name):
    net, inputs = randomise(ZOO[name].build()), ZOO[name].inputs()
    found = verify(net, symmetries(net, inputs).sample(5), inputs)
    assert found, str(found)
    assert found.dtype == "float64"
    assert found.max_rel <= 1e-9
    if found.entries_moved and not ZOO[name].dead:
        assert found.sensitive, str(found)


def test_an_action_that_forgets_one_parameter_is_caught(mlp, x, monkeypatch):
    g, whole = _element(mlp, x), Element.act
    monkeypatch.setattr(Element, "act", lambda self, p, **k: {**whole(self, p, **k), "2.bias": p["2.bias"]})
    found = verify(mlp, g, (x,))
    assert not found
    assert "output: relative error" in found.reason
    assert "deterministic" not in found.reason
    assert found.max_rel > 1e-3
    assert "NOT equal" in str(found)


def test_an_action_in_the_wrong_order_is_caught_in_fibres(monkeypatch):
    case, whole = ZOO["block_linear"], Element.act
    net, inputs = randomise(case.build()), case.inputs()
    g = symmetries(net, inputs).sample(2)
    assert verify(net, g, inputs)
    monkeypatch.setattr(Element, "act", lambda self, p, **k: whole(~self, p, **k) | {"w": whole(self, p, **k)["w"]})
    assert not verify(net, g, inputs)


@pytest.mark.parametrize(
    "act", [lambda x: x * torch.linspace(1, 2, 7), lambda x: x.cumsum(-1), lambda x: x.roll(1, -1)]
)
def test_a_model_that_tells_its_units_apart_is_caught(mlp, x, act):
    g = _element(mlp, x)

    class Apart(nn.Sequential):
        def forward(self, x):
            return self[4](self[3](self[2](act(self[1](self[0](x))))))

    assert not verify(Apart(*mlp).eval(), g, (x,))
    assert verify(nn.Sequential(*mlp).eval(), g, (x,))


def test_a_per_unit_constant_of_size_1e_6_is_caught_in_float64(mlp, x):
    g = _element(mlp, x)

    class Slightly(nn.Sequential):
        def forward(self, x):
            return self[4](self[3](self[2](self[1](self[0](x)) * (1 + 1e-6 * torch.arange(7)))))

    found = verify(Slightly(*mlp).eval(), g, (x,))
    assert not found
    assert "float32 arithmetic" in found.reason
    assert all(output.equal for output in found.outputs if output.run == "float32")


def test_nan_is_never_equal(mlp, x):
    g = _element(mlp, x)
    found = verify(mlp, g, (torch.full_like(x, math.nan),))
    assert not found
    assert found.reason == "output: it contains NaN before anything moves"
    broken = _Other(g.group, {**mlp.state_dict(), "4.bias": torch.full((2,), math.nan)})
    assert verify(mlp, broken, (x,)).reason == "output: it becomes NaN"
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["max_rel"] is None
    assert document["equal"] is False


def test_infinities_are_equal_only_in_the_same_places(x):
    net = randomise(
        model(
            lambda m, x: (torch.log(relu(m.out(relu(m.a(x))))), m.a(x).relu().log().amax(1)),
            a=nn.Linear(3, 7),
            out=nn.Linear(7, 2),
        )
    )
    g = symmetries(net, (x,)).sample(1)
    assert torch.isinf(net(x)[0]).any()
    assert verify(net, g, (x,))
    broken = {**net.state_dict(), "out.bias": torch.tensor([-9.0, 9.0])}
    found = verify(net, _Other(g.group, broken), (x,))
    assert not found
    assert "infinite" in found.reason


@dataclass(frozen=True)
class _Other:
    """Other parameters in the place of an element."""

    group: object
    params: dict
    is_permutation: bool = True

    def act(self, params, **_):
        return dict(self.params)


def test_the_model_and_the_parameters_are_left_as_they_were(x):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.norm = nn.Linear(3, 7), nn.Linear(7, 2), nn.BatchNorm1d(7)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            if not torch.compiler.is_compiling():
                self.calls += 1
            return self.b(relu(self.norm(self.a(x))))

    net = Counting().eval()
    randomise(net)
    g = symmetries(net, (x,)).sample(1)
    identities = {name: (id(t), t.data_ptr()) for name, t in net.state_dict(keep_vars=True).items()}
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    given = {name: tensor.clone() for name, tensor in state.items()}
    assert verify(net, g, (x,))
    assert verify(net, g, (x,), params=given)
    assert {name: (id(t), t.data_ptr()) for name, t in net.state_dict(keep_vars=True).items()} == identities
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[name]), name
        assert torch.equal(given[name], state[name]), name
    assert torch.get_default_dtype() == torch.float32
    assert all(p.requires_grad for p in net.parameters())


def test_parameters_other_than_the_models_own(mlp, x):
    g = _element(mlp, x)
    other = {name: torch.full_like(t, 0.5) for name, t in mlp.state_dict().items()}
    found = verify(mlp, g, (x,), params=other)
    assert found.equal
    assert found.entries_moved == 0
    assert found.control is None
    assert any("moves no entry" in note for note in found.notes)
    broken = _Other(g.group, {**other, "0.bias": torch.ones(7)})
    assert verify(mlp, broken, (x,), params=other).parameters_moved == ("0.bias",)
    assert not verify(mlp, broken, (x,), params=other)


def test_casts_inside_the_model_do_not_round_in_float64(mlp, x):
    g = _element(mlp, x)

    class Casting(nn.Sequential):
        def forward(self, x):
            h = self[2](self[1](self[0](x)).float().to(torch.float32) + torch.zeros(7))
            return self[4](torch.softmax(h, -1, dtype=torch.float32).to(x.dtype))

    found = verify(Casting(*mlp).eval(), g, (x,))
    assert found
    assert found.max_rel < 1e-12


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_floating_dtype_runs_in_its_own_and_in_float64(mlp, x, dtype):
    g = _element(mlp, x)
    found = verify(mlp.to(dtype), g, (x.to(dtype),))
    assert found
    assert {output.run for output in found.outputs} == {str(dtype).removeprefix("torch."), "float64"}
    assert found.max_rel < 1e-12


def test_a_model_that_cannot_run_in_float64_is_judged_in_its_own_dtype(mlp, x):
    g = _element(mlp, x)

    class Narrow(nn.Sequential):
        def forward(self, x):
            if x.dtype != torch.float32:
                raise TypeError("float32 only")
            return super().forward(x)

    found = verify(Narrow(*mlp).eval(), g, (x,))
    assert found
    assert found.dtype == "float32"
    assert any("does not run in float64" in note for note in found.notes)
    assert 1e-9 < found.tolerance < 1e-3
    swapped = g.group.swap(g.group.units[0], 0, 1)
    halved = {**swapped.act(mlp.state_dict()), "0.bias": mlp.state_dict()["0.bias"]}
    assert not verify(Narrow(*mlp).eval(), _Other(g.group, halved), (x,))


Pair = namedtuple("Pair", "left right")


@dataclass
class Output:
    logits: torch.Tensor
    steps: int
    hidden: None = None
    label: str = "a"


def test_nested_outputs_are_compared_one_by_one(mlp, x):
    g = _element(mlp, x)

    class Nested(nn.Sequential):
        def forward(self, x):
            y = super().forward(x)
            return {"a": [y, (y.argmax(1), 3)], "b": Pair(y.sum(), Output(y > 0, 5))}

    found = verify(Nested(*mlp).eval(), g, (x,))
    assert found
    names = [output.output for output in found.outputs if output.run == "float64"]
    assert names == [
        "output.a[0]",
        "output.a[1][0]",
        "output.a[1][1]",
        "output.b.left",
        "output.b.right.logits",
        "output.b.right.steps",
    ]
    assert any("output.b.right.label" in note for note in found.notes)


def test_integers_must_be_equal(mlp, x):
    g = _element(mlp, x)

    class Classes(nn.Sequential):
        def forward(self, x):
            return (super().forward(x) * 1e4).long()

    other = {name: tensor + 0.1 for name, tensor in mlp.state_dict().items()}
    assert not verify(Classes(*mlp).eval(), _Other(g.group, other), (x,))


def test_a_random_model_is_named(mlp, x):
    g = _element(mlp, x)

    class Noisy(nn.Sequential):
        def forward(self, x):
            return super().forward(x) + torch.rand(())

    assert "not deterministic" in verify(Noisy(*mlp).eval(), g, (x,)).reason


def test_outputs_that_do_not_depend_on_what_moved_make_the_test_worthless(mlp, x):
    g = _element(mlp, x)
    dead = {**mlp.state_dict(), "4.weight": torch.zeros(2, 5)}
    found = verify(mlp, g, (x,), params=dead)
    assert found.equal
    assert not found.sensitive
    assert "says little" in str(found)


def test_tied_parameters_move_once_and_together():
    case = ZOO["tied_embeddings"]
    net, inputs = randomise(case.build()), case.inputs()
    g = symmetries(net, inputs).sample(1)
    whole = dict(net.state_dict())
    assert verify(net, g, inputs)
    apart = {name: tensor.clone() for name, tensor in whole.items()}
    assert verify(net, g, inputs, params=apart)
    one = {name: tensor for name, tensor in whole.items() if name != "head.weight"}
    found = verify(net, g, inputs, params=one)
    assert found
    assert found.entries == sum(tensor.numel() for tensor in one.values())


def test_exported_programs(mlp, x):
    g = _element(mlp, x)
    found = verify(torch.export.export(mlp, (x,)), g, (x,))
    assert found
    assert found.sensitive


def test_bad_input_is_refused_in_words(mlp, x):
    g = _element(mlp, x)
    with pytest.raises(TrainingModeError):
        verify(nn.Sequential(*mlp, nn.Dropout()).train(), g, (x,))
    mlp.eval()
    with pytest.raises(InputError, match="does not run on these inputs"):
        verify(mlp, g, (torch.randn(4, 9),))
    state = dict(mlp.state_dict())
    with pytest.raises(ParametersError) as caught:
        verify(mlp, g, (x,), params={**state, "0.bias": torch.ones(3), "extra": torch.ones(1)})
    assert len(caught.value.details) == 2
    with pytest.raises(ParametersError, match=r"missing: 0\.bias"):
        verify(mlp, g, (x,), params={name: tensor for name, tensor in state.items() if name != "0.bias"})
    wider = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    with pytest.raises(ParametersError):
        verify(wider, g, (x,))
