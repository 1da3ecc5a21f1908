"""What the library says of small networks, for the page's own tests: written to ``web/fixtures``.

``python -m tests.explorer.fixtures`` writes the files anew. Numbers are float64 and written so that they are read back
bit by bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import torch
from torch import nn

import orbitope
from orbitope.group.continuous import Flips
from orbitope.group.units import Units
from orbitope.landscapes import plane
from orbitope.proof.moves import chain
from orbitope.proof.witnesses.witness import averaged

FOLDER = Path(__file__).parents[2] / "web" / "fixtures"

Parameters = dict[str, torch.Tensor]


class Sin(nn.Module):
    def forward(self, z):
        return torch.sin(z)


class Square(nn.Module):
    def forward(self, z):
        return torch.square(z)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "sin": Sin,
    "identity": nn.Identity,
    "square": Square,
}

SHAPES = {"one": (2, [5], 3), "two": (3, [4, 6], 2), "three": (1, [3, 5, 2], 4)}
SAMPLES = 7
FACTOR = 1.75


def network(activation: str, inputs: int, hidden: list[int], outputs: int) -> nn.Sequential:
    """The page's networks as modules."""
    widths = [inputs, *hidden, outputs]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1]).double().eval()


def flat(params: Mapping[str, torch.Tensor]) -> list[float]:
    """Layer by layer, weight before bias."""
    return torch.cat([value.double().flatten() for value in params.values()]).tolist()


def case(name: str, activation: str, loss: str, classes: bool, decay: float, seed: int) -> dict[str, Any]:
    """One network on one set of data, and all that the library says of it."""
    inputs, hidden, outputs = SHAPES[name]
    generator = torch.Generator().manual_seed(seed)
    model = network(activation, inputs, hidden, outputs)
    # Larger than at the start of training, so that every activation bends; squares of squares would run away.
    size = 0.4 if activation == "square" else 0.8
    for p in model.parameters():
        p.data = size * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    x = torch.randn(SAMPLES, inputs, generator=generator, dtype=torch.float64)
    labels = torch.randint(outputs, (SAMPLES,), generator=generator)
    values = torch.randn(SAMPLES, outputs, generator=generator, dtype=torch.float64)
    y = labels if classes else values
    target = nn.functional.one_hot(labels, outputs).double() if classes and loss == "mse" else y
    objective = orbitope.Objective(model, loss, (x, target), weight_decay=decay)
    group = orbitope.symmetries(model, (x[:3],))
    a = {key: value.detach().clone() for key, value in model.state_dict().items()}
    layer = len(hidden) - 1
    unit = group.by_name[str(2 * layer)]
    b = group.swap(unit, 0, unit.size - 1).act(a)
    middle = {key: (a[key] + b[key]) / 2 for key in a}
    average = orbit_average(group, a)
    return {
        "name": f"{activation} {loss} {name}",
        "activation": activation,
        "loss_name": loss,
        "inputs": inputs,
        "hidden": hidden,
        "outputs": outputs,
        "weight_decay": decay,
        "task": "classification" if classes else "regression",
        "samples": SAMPLES,
        "x": x.flatten().tolist(),
        "y": y.flatten().tolist(),
        "parameters": flat(a),
        "forward": model(x).flatten().tolist(),
        "loss": objective.value(a),
        "gradient": flat(objective.gradient(a)),
        "swap": {"layer": layer, "i": 0, "j": unit.size - 1, "parameters": flat(b), "loss": objective.value(b)},
        "midpoint": {"parameters": flat(middle), "loss": objective.value(middle)},
        "average": {"parameters": flat(average), "loss": objective.value(average)},
        "turned": turned(group, unit, a, objective),
        "rescaled": rescaled(group, unit, a, objective, activation),
        "copies": copies(group, a, activation),
        "plane": grid(objective, a, b, average),
        "training": training(model, x, target, loss, decay),
    }


def orbit_average(group: orbitope.SymmetryGroup, a: Parameters) -> Parameters:
    """The mean over all permutations, as the prover takes it."""
    for unit in group.units:
        for step in chain(group, unit):
            a = dict(averaged(step, a))
    return a


def turned(
    group: orbitope.SymmetryGroup, unit: Units, a: Parameters, objective: orbitope.Objective
) -> dict[str, Any] | None:
    """The last node of some units with its sign changed, where the library finds a family of signs."""
    found = [f for f in group.families.values() if isinstance(f, Flips) and f.space == (unit.name,)]
    if not found:
        return None
    params = group.flip(found[0], unit.size - 1).act(a)
    return {"node": unit.size - 1, "parameters": flat(params), "loss": objective.value(params)}


def rescaled(
    group: orbitope.SymmetryGroup, unit: Units, a: Parameters, objective: orbitope.Objective, activation: str
) -> dict[str, Any] | None:
    """The first node of some units rescaled, where the library finds a family of scales."""
    values = torch.ones(unit.size, dtype=torch.float64)
    values[0] = FACTOR
    if f"{unit.name}.scale" in group.families:
        params = group.scale(f"{unit.name}.scale", values).act(a)
    elif activation == "identity":
        params = group.transform(f"{unit.name}.matrix", torch.diag(values)).act(a)
    else:
        return None
    return {"node": 0, "factor": FACTOR, "parameters": flat(params), "loss": objective.value(params)}


def copies(group: orbitope.SymmetryGroup, a: Parameters, activation: str) -> str | None:
    """The number of distinct copies; the page does not count the half turns of the sine."""
    return None if activation == "sin" else str(group.count(a).copies)


def grid(objective: orbitope.Objective, a: Parameters, b: Parameters, c: Parameters) -> dict[str, Any]:
    """The loss on the plane through the network, its twin and the average."""
    result = plane(objective, a, b, c, resolution=4, margin=0.3)
    return {
        "points": [list(point) for point in result.points],
        "u": [result.x[0], result.x[-1]],
        "v": [result.y[0], result.y[-1]],
        "resolution": len(result.x),
        "losses": [loss for row in result.losses for loss in row],
    }


def training(
    model: nn.Sequential, x: torch.Tensor, target: torch.Tensor, loss: str, decay: float, steps: int = 4
) -> dict[str, Any]:
    """A few steps by torch's own optimisers."""
    start = {key: value.clone() for key, value in model.state_dict().items()}
    criterion = nn.functional.mse_loss if loss == "mse" else nn.functional.cross_entropy
    result: dict[str, Any] = {"rate": 0.02, "steps": steps}
    for method, make in (("adam", torch.optim.Adam), ("gradient_descent", torch.optim.SGD)):
        optimiser = make(model.parameters(), lr=0.02, weight_decay=decay)
        for _ in range(steps):
            optimiser.zero_grad()
            criterion(model(x), target).backward()
            optimiser.step()
        result[method] = flat({key: value.detach() for key, value in model.named_parameters()})
        model.load_state_dict(start)
    return result


COMBINATIONS = list(product(ACTIVATIONS, ("mse", "cross_entropy"), SHAPES))


def network_case(k: int) -> dict[str, Any]:
    """Number k of all activations, losses and shapes; on classes or values, with weight decay or without."""
    activation, loss, name = COMBINATIONS[k]
    classes = loss == "cross_entropy" or k % 2 == 0
    return case(name, activation, loss, classes, decay=0.05 if k % 4 < 2 else 0.0, seed=k)


def functions() -> dict[str, Any]:
    """The activations and their slopes at places near and far."""
    near = torch.linspace(-7, 7, 113, dtype=torch.float64)
    far = torch.tensor([-800.0, -40.0, -1e-3, -1e-9, -1e-300, 0.0, 1e-300, 1e-9, 1e-3, 40.0, 800.0])
    places = torch.cat([near, far.double()])
    table = {}
    for name, make in ACTIVATIONS.items():
        z = places.clone().requires_grad_()
        value = make()(z)
        (slope,) = torch.autograd.grad(value.sum(), z)
        table[name] = {"values": value.tolist(), "slopes": slope.tolist()}
    return {"places": places.tolist(), "functions": table}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    contents = {"networks.json": [*map(network_case, range(len(COMBINATIONS)))], "functions.json": functions()}
    for name, content in contents.items():
        (FOLDER / name).write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
