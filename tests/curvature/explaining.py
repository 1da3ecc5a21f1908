"""Objectives to explain, the words of their verdicts, and chords that may contradict these."""

from __future__ import annotations

from itertools import pairwise

import torch
from tests.zoo import Made, randomise
from torch import nn

from orbitope.curvature import Explanation
from orbitope.curvature.walk import Program
from orbitope.objective import Objective

CONVEX, CONCAVE, NON_CONVEX, UNKNOWN = "PROVED CONVEX", "PROVED CONCAVE", "PROVED NON-CONVEX", "UNKNOWN"


def objective(
    *parts: nn.Module, loss: str = "cross_entropy", inputs: tuple[int, ...] = (4,), seed: int = 0
) -> Objective:
    model = parts[0] if len(parts) == 1 and isinstance(parts[0], Made) else nn.Sequential(*parts)
    randomise(model.eval(), seed)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(30, *inputs, generator=generator)
    outputs = model(x).shape[1:]
    if loss == "mse":
        return Objective(model, loss, (x, torch.randn(30, *outputs, generator=generator)))
    return Objective(model, loss, (x, torch.randint(0, outputs[0], (30,), generator=generator)))


def dense(*widths: int, activation: type[nn.Module] = nn.ReLU, loss: str = "cross_entropy", seed: int = 0) -> Objective:
    parts: list[nn.Module] = []
    for a, b in pairwise(widths):
        parts += [nn.Linear(a, b), activation()]
    return objective(*parts[:-1], loss=loss, inputs=(widths[0],), seed=seed)


def with_weights(of: Objective, **changes) -> dict[str, torch.Tensor]:
    """The parameters after a change of every weight matrix that is named ``layer_2`` and so on."""
    params = dict(of.parameters)
    for name, change in changes.items():
        key = f"{name.removeprefix('layer_')}.weight"
        params[key] = change(params[key])
    return params


def verdicts(explanation: Explanation) -> dict[str, str]:
    return {a.name: a.loss.verdict for a in explanation.blocks} | {"joint": explanation.joint.loss.verdict}


def program(of: Objective, params=None) -> Program:
    graph = of.graph_for(1)
    return Program(graph, of.canonical(params), of.data)


def check_against_chords(of: Objective, explanation: Explanation, params=None) -> list[str]:
    """What random chords of F itself, over all samples, say against the verdicts."""
    at = {n: p.double() for n, p in of.canonical(params).items()}
    generator = torch.Generator().manual_seed(3)
    found = []
    for analysis in (*explanation.blocks, *explanation.tensors, *explanation.subsets, explanation.joint):
        if analysis.loss.verdict != CONVEX:
            continue
        for k in range(6):
            noise = [
                {
                    n: 3.0 ** (k % 3 - 1) * torch.randn(at[n].shape, generator=generator, dtype=torch.float64)
                    for n in analysis.variables
                }
                for _ in range(2)
            ]
            a, b = ({**at, **{n: at[n] + d[n] for n in d}} for d in noise)
            m = {n: (a[n] + b[n]) / 2 for n in at}
            fa, fb, fm = (float(of.losses(p).mean()) for p in (a, b, m))
            if fm > (fa + fb) / 2 + 1e-9 * (1 + abs(fa) + abs(fb)):
                found.append(f"{analysis.axis} {analysis.name}: {fm} > ({fa} + {fb})/2")
    return found
