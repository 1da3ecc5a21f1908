"""What a change of signs does to the state of an optimiser."""

from __future__ import annotations

from collections.abc import Mapping

from orbitope.errors import ElementError
from orbitope.group.continuous import Flips
from orbitope.group.steps import Shuffle, Step

_ODD = {"momentum_buffer", "exp_avg", "grad_avg", "prev", "ax"}
_EVEN = {"exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum", "acc_delta", "exp_inf", "step_size"}


def check_state(steps: tuple[Step | Shuffle, ...], kinds: Mapping[str, object]) -> None:
    """Refuse to move the state of an optimiser by anything but permutations and plain signs.

    Args:
        steps: of an element, after its permutation.
        kinds: of state, by the name that the optimiser gives them.

    Raises:
        ElementError: naming the families, or the kinds of state.
    """
    if not any(isinstance(step, Step) for step in steps):
        return
    inexact = [step.family.name for step in steps if isinstance(step, Step) and not plain(step)]
    if inexact:
        raise ElementError(
            "the state of an optimiser can only be moved by permutations and signs",
            got=f"families {', '.join(inexact[:8])}",
            why="second moments do not follow scales, matrices and carries, so training would not go on alike",
            fix="act on the parameters alone, and start the optimiser anew",
        )
    if unknown := [str(kind) for kind in kinds if kind not in _ODD | _EVEN]:
        raise ElementError(
            "it is not known whether this state of the optimiser has a sign",
            got=", ".join(unknown),
            fix="act on the parameters alone, and start the optimiser anew",
        )


def plain(step: Step) -> bool:
    """Whether a step only negates entries: no sum, no product with anything else."""
    family = step.family
    return isinstance(family, Flips) and not family.carries and not any(spot.offset for spot in family.spots)


def signless(kind: str) -> bool:
    """Whether state of this kind is the same for a gradient and its negative."""
    return kind in _EVEN
