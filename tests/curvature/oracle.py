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
    inputs = {n: wide(x if tuple(x.shape) == shapes[n] else x[sample : sample + 1]) for n, x in program.data.items()}
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
    fields = ("varies", "convex", "concave", "nonnegative", "nonpositive")
    claims = State(*(torch.cat([getattr(s, f).expand(s.shape).flatten() for s in states.values()]) for f in fields))
    sizes = [s.size for s in states.values()]
    for k in range(chords):
        sample = int(torch.randint(samples, (), generator=generator))
        spread = scale * 4.0 ** (k % 3 - 1)

        leaves = [(n, program.nodes[n].shape) for n in sorted(walk.variables)]
        a, b = (
            {n: spread * torch.randn(shape, generator=generator, dtype=torch.float64) for n, shape in leaves}
            for _ in range(2)
        )
        t = (0.5, 0.25, 0.9)[k % 3]
        middle = {n: (1 - t) * a[n] + t * b[n] for n in a}
        at = [all_values(program, p, sample) for p in (a, b, middle)]
        defined = [_defined(program, values) for values in at]
        one, two, mid = (torch.cat([v[n].double().flatten() for n in states]) for v in at)
        inside = torch.cat([torch.stack([d[n] for d in defined]).all(0).flatten() for n in states])
        for claim, wrong in _contradicted(claims, one, two, mid, t):
            for name, part in zip(states, (wrong & inside).split(sizes), strict=True):
                if bool(part.any()):
                    yield f"{name} is claimed {claim}, is not in {int(part.sum())} of {part.numel()} entries"


def _defined(program: Program, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Where a value is a real number that was computed from real numbers."""
    found: dict[str, torch.Tensor] = {}
    for name, node in program.nodes.items():
        here = torch.ones_like(values[name], dtype=torch.bool)
        if node.inputs:
            here = values[name].isfinite()
        for x in node.inputs:
            here = here & (found[x] if node.op == "pointwise" else found[x].all())
        found[name] = here
    return found


def _contradicted(
    state: State, a: torch.Tensor, b: torch.Tensor, m: torch.Tensor, t: float
) -> Iterator[tuple[str, torch.Tensor]]:
    size = TOLERANCE * (1 + torch.maximum(torch.maximum(a.abs(), b.abs()), m.abs()))
    above = m - ((1 - t) * a + t * b)
    yield "convex", state.convex & (above > size)
    yield "concave", state.concave & (above < -size)
    yield "constant", ~state.varies & ((a - b).abs() > size)
    yield "nonnegative", state.nonnegative & (torch.minimum(torch.minimum(a, b), m) < -size)
    yield "nonpositive", state.nonpositive & (torch.maximum(torch.maximum(a, b), m) > size)
