"""From a slope that falls between two networks to a certificate, and the swap that is looked at by default."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import torch

from orbitope.errors import InputError
from orbitope.group import SymmetryGroup
from orbitope.infer import infer
from orbitope.landscapes import Stationarity
from orbitope.objective import Objective
from orbitope.proof import Certificate, NotProven, certify
from orbitope.proof.enclosing import Progress
from orbitope.proof.setting import Setting
from orbitope.proof.witnesses import Witness, moved, pairs, swaps

Parameters = Mapping[str, torch.Tensor]


def best_swap(
    objective: Objective, group: SymmetryGroup | None = None, params: Parameters | None = None
) -> tuple[dict[str, torch.Tensor], str]:
    """The parameters with two units exchanged, of the swaps that promise most the one with the worst midpoint.

    Returns:
        Parameters, and the swap in words.

    Raises:
        InputError: no two units that differ can be exchanged.

    Guarantee: heuristic; another swap may have a worse midpoint.
    """
    setting = Setting.of(objective, group if group is not None else infer(objective.network, modules=False), params)
    found = swaps(setting.group, setting.start, setting.value, pairs(setting.group, setting.start))
    if not found:
        raise InputError(
            "there is no swap to look at",
            got="no two units that differ can be exchanged",
            why="every layer has width 1, or all its units are identical, or the symmetry is broken",
            fix="name another end of the segment: --to FILE",
        )
    return {**objective.canonical(params), **moved(found[0].steps[0], setting.start)}, found[0].note


def certify_fall(
    found: Stationarity,
    objective: Objective,
    a: Parameters,
    b: Parameters,
    group: SymmetryGroup | None = None,
    progress: Progress | None = None,
) -> Certificate | NotProven:
    """A certificate that the slope from a to b falls where the measurement says so.

    Args:
        found: the measurement.
        objective: the loss F.
        a: one end.
        b: the other.
        group: symmetries of the network; inferred if not given. The proof does not depend on them.
        progress: see :func:`orbitope.prove`.

    Raises:
        InputError: the ends differ in parameters that F is not a function of.

    Guarantee: exact.
    """
    if found.fall is None:
        return NotProven("the slope never falls between the two, as far as was measured")
    last = len(found.t) - 1
    times = tuple(Fraction(found.t.index(t), last) for t in found.fall)
    start, end = objective.canonical(a), objective.canonical(b)

    def witness(setting: Setting) -> Witness:
        changed = [name for name, tensor in end.items() if not torch.equal(tensor, setting.start[name])]
        held = [name for name in changed if name not in setting.variables]
        if held:
            raise InputError(
                "the two ends differ in what is held fixed",
                got=", ".join(held[:4]),
                why="a certificate is about F as a function of the trained parameters",
                fix="take two ends with the same statistics",
            )
        ends = ({}, {name: end[name] for name in changed})
        note = f"from t = {times[0]} to {times[1]}, and from {times[2]} to {times[3]}"
        return Witness("slopes", "slopes", setting.start, found.drop, points=ends, times=times, note=note)

    return certify(objective, group, witness, params=start, progress=progress)
