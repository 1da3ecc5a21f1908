"""Groups with a continuous part, written out by hand for small networks."""

from dataclasses import replace
from itertools import pairwise

import torch
from torch import nn

from orbitope.group import Axis, Fixed, Moving, Placement, Segments, SymmetryGroup, Units, places
from orbitope.group.continuous import (
    Continuous,
    Factor,
    Flips,
    Matrices,
    Rotations,
    Scaling,
    Spot,
    Term,
    Translation,
)

M = Moving


def group_of(
    parameters: dict[str, tuple[Axis, ...]],
    units: dict[str, int],
    *,
    frames: dict[str, tuple[Axis, ...]] | None = None,
    **parts: tuple,
) -> SymmetryGroup:
    """A group from the axes of each parameter and the families that act; frames are the axes unless they are given."""
    placements = {n: Placement((n,), tuple(axis.size for axis in axes), axes) for n, axes in parameters.items()}
    acts = places(placements)
    return SymmetryGroup(
        tuple(Units(name, size, acts_on=acts.get(name, ())) for name, size in units.items()),
        placements,
        continuous=Continuous({**parameters, **(frames or {})}, **parts),
    )


def mlp(*widths: int, activations: list[nn.Module], seed: int = 0) -> nn.Sequential:
    """A perceptron in float64, with biases far from zero."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for k, (n, m) in enumerate(pairwise(widths)):
        layers += [nn.Linear(n, m), *activations[k : k + 1]]
    net = nn.Sequential(*layers).double().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def layers(*widths: int, hidden: tuple[str, ...]) -> dict[str, tuple[Axis, ...]]:
    """The axes of the parameters of such a perceptron; its hidden layers have names."""
    axes: list[Axis] = [Fixed(widths[0]), *(M(n, w) for n, w in zip(hidden, widths[1:-1], strict=True))]
    axes.append(Fixed(widths[-1]))
    found: dict[str, tuple[Axis, ...]] = {}
    for k, (before, after) in enumerate(pairwise(axes)):
        found[f"{2 * k}.weight"], found[f"{2 * k}.bias"] = (after, before), (after,)
    return found


def around(layer: int, power_out: int = -1) -> tuple[Spot, ...]:
    """Where a hidden layer's numbers act: rows and bias before it, columns after it."""
    before, after = 2 * layer, 2 * layer + 2
    return (
        Spot(f"{before}.weight", 0, (0,), 1),
        Spot(f"{before}.bias", 0, (0,), 1),
        Spot(f"{after}.weight", 0, (1,), power_out),
    )


def relu() -> tuple[nn.Module, SymmetryGroup]:
    """3-5-4-2 with ReLU: a scale for each hidden unit."""
    net = mlp(3, 5, 4, 2, activations=[nn.ReLU(), nn.ReLU()])
    scalings = (Scaling("s0", ("h",), (5,), around(0)), Scaling("s1", ("k",), (4,), around(1)))
    return net, group_of(layers(3, 5, 4, 2, hidden=("h", "k")), {"h": 5, "k": 4}, scalings=scalings)


def tanh() -> tuple[nn.Module, SymmetryGroup]:
    """3-5-4-2 with tanh: a sign for each hidden unit."""
    net = mlp(3, 5, 4, 2, activations=[nn.Tanh(), nn.Tanh()])
    flips = (Flips("f0", ("h",), (5,), around(0)), Flips("f1", ("k",), (4,), around(1)))
    return net, group_of(layers(3, 5, 4, 2, hidden=("h", "k")), {"h": 5, "k": 4}, flips=flips)


def _carried(layer: int, factor: float) -> tuple[Term, ...]:
    after = 2 * layer + 2
    return (Term(f"{after}.bias", 0, "o", "h", (Factor(f"{after}.weight", 0, "oh"),), factor),)


def sigmoid() -> tuple[nn.Module, SymmetryGroup]:
    """3-5-4-2 with sigmoids: σ(−z) = 1 − σ(z), so that the next bias takes up what a flip loses."""
    net = mlp(3, 5, 4, 2, activations=[nn.Sigmoid(), nn.Sigmoid()])
    flips = (
        Flips("f0", ("h",), (5,), around(0), _carried(0, 1.0)),
        Flips("f1", ("k",), (4,), around(1), _carried(1, 1.0)),
    )
    return net, group_of(layers(3, 5, 4, 2, hidden=("h", "k")), {"h": 5, "k": 4}, flips=flips)


def relu6() -> tuple[nn.Module, SymmetryGroup]:
    """3-5-2 with ReLU6: w, v → −w, −v and b → 6 − b, and the next bias takes 6v."""
    net = mlp(3, 5, 2, activations=[nn.ReLU6()])
    spots = tuple(Spot(s.parameter, s.block, s.dims, 1, -3.0 if "bias" in s.parameter else 0.0) for s in around(0))
    flips = (Flips("f0", ("h",), (5,), spots, _carried(0, 6.0)),)
    return net, group_of(layers(3, 5, 2, hidden=("h",)), {"h": 5}, flips=flips)


def linear(kind: str = "general", ones: bool = False) -> tuple[nn.Module, SymmetryGroup]:
    """3-4-6 without activation: a matrix of the bottleneck, and a translation of its bias."""
    net = mlp(3, 4, 6, activations=[nn.Identity()])
    matrices = (Matrices("m", ("h",), (4,), around(0), kind, ones),)
    terms = (
        Term("0.bias", 0, "h", "h"),
        Term("2.bias", 0, "o", "h", (Factor("2.weight", 0, "oh"),), -1.0),
    )
    translations = (Translation("t", ("h",), (4,), terms),)
    return net, group_of(layers(3, 4, 6, hidden=("h",)), {"h": 4}, matrices=matrices, translations=translations)


def mixed() -> tuple[nn.Module, SymmetryGroup]:
    """3-5-4-3-2 with ReLU, sigmoid and nothing: every part at once."""
    net = mlp(3, 5, 4, 3, 2, activations=[nn.ReLU(), nn.Sigmoid(), nn.Identity()])
    terms = (
        Term("4.bias", 0, "h", "h"),
        Term("6.bias", 0, "o", "h", (Factor("6.weight", 0, "oh"),), -1.0),
    )
    return net, group_of(
        layers(3, 5, 4, 3, 2, hidden=("a", "b", "c")),
        {"a": 5, "b": 4, "c": 3},
        scalings=(Scaling("s", ("a",), (5,), around(0)),),
        flips=(Flips("f", ("b",), (4,), around(1), _carried(1, 1.0)),),
        matrices=(Matrices("m", ("c",), (3,), around(2)),),
        translations=(Translation("t", ("c",), (3,), terms),),
    )


NETWORKS = {"relu": relu, "tanh": tanh, "sigmoid": sigmoid, "relu6": relu6, "linear": linear, "mixed": mixed}


def rotary() -> tuple[nn.Module, SymmetryGroup]:
    """A bilinear form with the planes of a rotary embedding: q and k turn together, plane by plane."""

    class Rotary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = nn.Parameter(torch.randn(6, 3, dtype=torch.float64))
            self.k = nn.Parameter(torch.randn(6, 3, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            angles = torch.arange(len(x), dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.3, 0.1]).double()
            cosine, sine = angles.cos(), angles.sin()

            def turned(z: torch.Tensor) -> torch.Tensor:
                a, b = z.chunk(2, 1)
                return torch.cat([a * cosine - b * sine, a * sine + b * cosine], 1)

            return turned(x @ self.q.mT) @ turned(x @ self.k.mT).mT

    torch.manual_seed(0)
    plane, still = M("plane", 3), Fixed(3)
    axes = (Fixed(6), still)
    frame = (Segments((plane, plane)), still)
    spots = {name: tuple(Spot(name, block, (0,), 1) for block in (0, 1)) for name in ("q", "k")}
    scale = (*spots["q"], *(replace(spot, power=-1) for spot in spots["k"]))
    return Rotary().eval(), group_of(
        {"q": axes, "k": axes},
        {},
        frames={"q": frame, "k": frame},
        rotations=(Rotations("r", ("plane",), (3,), tuple(spots.values())),),
        scalings=(Scaling("s", ("plane",), (3,), scale),),
    )


NETWORKS["rotary"] = rotary
