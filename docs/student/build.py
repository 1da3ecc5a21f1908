"""Builds docs/why.md: the page that a student reads from top to bottom, with every number computed now.

    python docs/student/build.py [PAGE.md]

The text is in page.md.j2. Here is what it speaks of: a network that fits in one hand, classifiers of handwritten
digits, and what Orbitope says of them. Pictures go into a folder ``images`` beside the page.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from torch import nn

import orbitope
from orbitope.files import atomic_write
from orbitope.landscapes import barrier, directional
from orbitope.proof import check_certificate
from orbitope.proof.moves import Step
from orbitope.proof.witnesses import averaged
from orbitope.reports.chapters import power_of_ten
from orbitope.reports.curves import Path as Curve
from orbitope.reports.curves import draw_barrier, draw_segment, steepest_fall
from orbitope.reports.digits import classifier, digits, one_thread, train
from orbitope.reports.figures import save_figure
from orbitope.reports.swap_figure import Layer, draw_swap

HERE = Path(__file__).resolve().parent
Parameters = Mapping[str, torch.Tensor]

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "identity")


# a network that fits in one hand ----------------------------------------------------------------------------------
class Fork(nn.Module):
    """y = v₁·relu(w₁·x) + v₂·relu(w₂·x): two hidden nodes, one input, one output."""

    def __init__(self) -> None:
        """With the weights that make it |x|."""
        super().__init__()
        self.w, self.v = nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.w.weight.copy_(torch.tensor([[1.0], [-1.0]]))
            self.v.weight.copy_(torch.tensor([[1.0, 1.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output."""
        return self.v(torch.relu(self.w(x)))


class Sum(nn.Module):
    """y = (w₁ + w₂)·x: as symmetric, and convex under the squared error."""

    def __init__(self) -> None:
        """Some weights."""
        super().__init__()
        self.w = nn.Parameter(torch.tensor([2.0, -1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output."""
        return self.w.sum() * x


def by_hand() -> dict[str, Any]:
    """The argument on four numbers and four samples."""
    x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    model = Fork().eval()
    objective = orbitope.Objective(model, "mse", (x, x.abs()))
    group = orbitope.symmetries(model, (x,))
    swap = group.swap(group.units[0], 0, 1)
    a = objective.parameters
    b = swap.act(a)
    middle = {name: (a[name] + b[name]) / 2 for name in a}
    certificate = orbitope.prove(objective, group, claim="swap")
    verdict = check_certificate(certificate.to_bytes())
    control = orbitope.Objective(Sum().eval(), "mse", (x, x))
    return {
        "a": _row(a),
        "b": _row(b),
        "m": _row(middle),
        "loss": {key: objective.value(point) for key, point in (("a", a), ("b", b), ("m", middle))},
        "gap": verdict.gap_float,
        "statement": verdict.statement,
        "control": str(orbitope.prove(control)).splitlines()[0],
        "control_verdict": orbitope.explain(control).joint.loss.verdict,
    }


def _row(params: Parameters) -> list[float]:
    return [float(value) for tensor in params.values() for value in tensor.flatten()]


# handwritten digits ------------------------------------------------------------------------------------------------
def on_digits(images: Path) -> dict[str, Any]:
    """The same on a classifier of handwritten digits, and what follows."""
    x, y = digits()
    networks = []
    for seed in (0, 1):
        network = classifier((32, 32), "relu", seed=seed)
        train(network, x, y, seed=seed)
        networks.append(network.eval())
    objective = orbitope.Objective(networks[0], "cross_entropy", (x, y))
    group = orbitope.symmetries(networks[0], (x[:3],))
    a = {name: tensor.double() for name, tensor in objective.parameters.items()}
    midpoint = orbitope.prove(objective, group, claim="swap")
    average = orbitope.prove(objective, group, claim="orbit-average")
    name, i, j, swap = _swapped(group, midpoint)
    b = swap.act(a)
    verdicts = [check_certificate(each.to_bytes()) for each in (midpoint, average)]
    collapsed = dict(a)
    for step in average.document["steps"]:
        moves = {key: [(axis, p) for axis, p in pairs] for key, pairs in step["moves"].items()}
        collapsed = averaged(Step(step["units"], step["order"], moves), collapsed)
    copies = group.count(a)
    slope = _slope(objective, a, b, images)
    explanation = orbitope.explain(objective, certificate=midpoint)
    _draw_swap(group, name, (i, j), (a, b), objective.value(a), images)
    return {
        "accuracy": [objective.accuracy(), orbitope.Objective(networks[1], "cross_entropy", (x, y)).accuracy()],
        "parameters": sum(tensor.numel() for tensor in a.values()),
        "order": power_of_ten(group.log10_order),
        "swap": {"unit": name, "i": i, "j": j, "moved": sum(int((a[k] != b[k]).sum()) for k in a)},
        "loss": {
            "a": objective.value(a),
            "b": objective.value(b),
            "m": sum(midpoint.enclosures["average"]) / 2,
            "o": sum(average.enclosures["end"]) / 2,
        },
        "midpoint": verdicts[0],
        "average": verdicts[1],
        "collapsed_accuracy": objective.accuracy(collapsed),
        "copies": power_of_ten(copies.log10),
        "slope": slope,
        "summary": explanation.summary,
        "verdicts": explanation.verdicts,
        "align": _aligned(objective, group, a, dict(networks[1].state_dict()), images),
    }


def _swapped(group: orbitope.SymmetryGroup, certificate: Any) -> tuple[str, int, int, Any]:
    """The exchange of two units that a certificate is about."""
    move = certificate.document["steps"][0]
    unit = group.by_name[move["units"]]
    parameter, axis = unit.acts_on[0]
    order = next(p for k, p in move["moves"][parameter] if k == axis)
    i, j = (k for k, image in enumerate(order) if image != k)
    return unit.name, i, j, group.swap(unit, i, j)


def _slope(objective: orbitope.Objective, a: Parameters, b: Parameters, images: Path) -> dict[str, float]:
    t = torch.linspace(0, 1, 41, dtype=torch.float64)
    walk = barrier(objective, a, b, points=len(t))
    slopes = directional(objective, a, b, t.tolist())
    fall = steepest_fall(t.numpy(), slopes.numpy())
    ends = (walk.losses[0], walk.losses[-1])
    _save(draw_segment(t, walk.losses, ends, directional=slopes, violation=fall), images / "why-segment")
    here = objective.gradient(a)
    middle = objective.gradient({name: torch.lerp(a[name], b[name], 0.5) for name in a})
    norms = [float(torch.cat([g.flatten() for g in found.values()]).norm()) for found in (here, middle)]
    return {"t1": fall.t1, "t2": fall.t2, "s1": fall.slope1, "s2": fall.slope2, "at_a": norms[0], "at_m": norms[1]}


def _draw_swap(
    group: orbitope.SymmetryGroup,
    name: str,
    pair: tuple[int, int],
    points: tuple[Parameters, ...],
    loss: float,
    images: Path,
) -> None:
    unit = group.by_name[name]
    into = next(p for p, axis in unit.acts_on if axis == 0 and len(group.placements[p].shape) == 2)
    out = next(p for p, axis in unit.acts_on if axis == 1)
    layers = [Layer(p[into].double().numpy(), p[out].double().numpy(), loss) for p in points]
    _save(draw_swap(layers[0], layers[1], pair), images / "why-swap")


def _aligned(
    objective: orbitope.Objective, group: orbitope.SymmetryGroup, a: Parameters, other: Parameters, images: Path
) -> dict[str, float]:
    other = {name: tensor.double() for name, tensor in other.items()}
    aligned = orbitope.align(a, other, group).element.act(other)
    walks = [barrier(objective, a, end, points=25) for end in (other, aligned)]
    curves = [Curve(text, w.losses, w.accuracy) for text, w in zip(("as trained", "aligned"), walks, strict=True)]
    _save(draw_barrier(walks[0].t, curves), images / "why-barrier")
    return {
        "before": walks[0].height,
        "after": walks[1].height,
        "accuracy_before": walks[0].midpoint_accuracy,
        "accuracy_after": walks[1].midpoint_accuracy,
    }


# activations ---------------------------------------------------------------------------------------------------------
def by_activation() -> list[dict[str, Any]]:
    """One small classifier for each activation, and whether the argument goes through."""
    x, y = digits()
    rows = []
    for name in ACTIVATIONS:
        network = classifier((16,), name, seed=0)
        train(network, x, y, epochs=20)
        objective = orbitope.Objective(network.eval(), "cross_entropy", (x, y))
        found = orbitope.prove(objective, claim="swap")
        average = orbitope.prove(objective, claim="orbit-average")
        rows.append(
            {
                "name": name,
                "loss": objective.value(),
                "middle": sum(found.enclosures["average"]) / 2 if found else None,
                "gap": found.gap if found else None,
                "average": sum(average.enclosures["end"]) / 2 if average else None,
            }
        )
    return rows


def _save(figure: Figure, path: Path) -> None:
    """As SVG alone."""
    for file in map(Path, save_figure(figure, path)):
        if file.suffix != ".svg":
            file.unlink()


def build(page: Path) -> None:
    """Compute, render and write."""
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    environment = Environment(loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True)
    with one_thread():
        facts = {"hand": by_hand(), "digits": on_digits(images), "activations": by_activation()}
    atomic_write(page, environment.get_template("page.md.j2").render(facts).encode())


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "why.md")
