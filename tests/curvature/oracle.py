"""The numeric oracle: every claim of the law, of every entry of every value, against random chords in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.curvature.state import State
from orbitope.curvature.walk import Program, Walk
from orbitope.primitives import walk as values_of

TOLERANCE = 1e-9
ARITHMETIC = TorchArithmetic(torch.float64)


def wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def all_values(program: Program, point: Mapping[str, torch.Tensor], sample: int) -> dict[str, torch.Tensor]:
    """Every value of the program; ``point`` replaces leaves by node name."""
    parameters = {n: wide(p) for n, p in program.parameters.items()}
    shapes = {node.attributes["input"]: node.shape for node in program.graph if node.op == "input"}
    inputs = {
        n: wide(x if tuple(x.shape) == shapes[n] else x[sample : sample + 1]) for n, x in program.data.items()
    }
    for name, value in point.items():
        node = program.nodes[name]
        table, key = (parameters, "parameter") if node.op == "parameter" else (inputs, "input")
        table[node.attributes[key]] = value
    return dict(values_of(program.graph, ARITHMETIC, parameters, inputs))


def violations(walk: Walk, *, chords: int = 4, seed: int = 0, scale: float = 1.5) -> Iterator[str]:
    """Every claim that a chord contradicts."""
    program = walk.program
    generator = torch.Generator().manual_seed(seed)
    samples = max((len(x) for x in program.data.values() if x.dim()), default=1)
    states = {name: walk.state(name) for name in program.before(walk.target) if name in walk.states}
    states |= {name: program.held[name] for name in program.before(walk.target) if name not in states}
    for k in range(chords):
        sample = int(torch.randint(samples, (), generator=generator))
        spread = scale * 4.0 ** (k % 3 - 1)

        def point() -> dict[str, torch.Tensor]:
            return {
                n: spread * torch.randn(program.nodes[n].shape, generator=generator, dtype=torch.float64)
                for n in sorted(walk.variables)
            }

        a, b = point(), point()
        t = (0.5, 0.25, 0.9)[k % 3]
        middle = {n: (1 - t) * a[n] + t * b[n] for n in a}
        at = [all_values(program, p, sample) for p in (a, b, middle)]
        for name, state in states.items():
            yield from _contradicted(name, state, [v[name].double() for v in at], t)


def _contradicted(name: str, state: State, at: list[torch.Tensor], t: float) -> Iterator[str]:
    a, b, m = at
    defined = a.isfinite() & b.isfinite() & m.isfinite()
    size = TOLERANCE * (1 + torch.maximum(torch.maximum(a.abs(), b.abs()), m.abs()))
    above = m - ((1 - t) * a + t * b)
    found = {
        "convex": state.convex & (above > size),
        "concave": state.concave & (above < -size),
        "constant": ~state.varies & ((a - b).abs() > size),
        "nonnegative": state.nonnegative & (torch.minimum(torch.minimum(a, b), m) < -size),
        "nonpositive": state.nonpositive & (torch.maximum(torch.maximum(a, b), m) > size),
    }
    for claim, wrong in found.items():
        if bool((wrong & defined).any()):
            yield f"{name} is claimed {claim}, is not in {int((wrong & defined).sum())} of {wrong.numel()} entries"
