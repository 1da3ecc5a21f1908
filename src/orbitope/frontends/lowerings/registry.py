"""The table of lowerings: traced operation -> function that emits primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Lowering = Callable[..., Any]

LOWERINGS: dict[str, Lowering] = {}

_SPACE = {"1d": 1, "2d": 2, "3d": 3}
_RESAMPLING = (
    *("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d"),
    *("nearest_exact1d", "nearest_exact2d", "nearest_exact3d", "bilinear2d_aa", "bicubic2d_aa"),
)
TAILS: dict[str, int] = {
    **{f"aten.{pool}_pool{d}.default": n for pool in ("max", "avg", "adaptive_max") for d, n in _SPACE.items()},
    **{f"aten.max_pool{d}_with_indices.default": n for d, n in _SPACE.items()},
    **{f"aten.{kind}_pad{d}.default": n for kind in ("reflection", "replication") for d, n in _SPACE.items()},
    **{f"aten.__{name}__.{form}": 0 for name in ("and", "or", "xor") for form in ("Tensor", "Scalar")},
    **{f"aten.__{side}shift__.{form}": 0 for side in ("l", "r") for form in ("Tensor", "Scalar")},
    **{f"aten.{cast}": 0 for cast in ("_to_copy.default", "to.dtype", "type_as.default")},
    **{
        f"aten.{prefix}upsample_{kind}.{form}": next(n for d, n in _SPACE.items() if d in kind)
        for prefix in ("", "_")
        for kind in _RESAMPLING
        for form in ("vec", "default")
    },
}
"""Operations without a full lowering, and how many trailing axes they tell apart; all others are carried.

With 0 they act entry by entry, as do those that torch itself tags as pointwise; others have one tensor operand.
"""


class Refused(Exception):
    """A lowering does not cover these arguments; the operation is kept as an opaque node."""


def lowers(*targets: str) -> Callable[[Lowering], Lowering]:
    """Enter a lowering for ATen operations such as ``aten.linear.default``.

    The function takes the builder, then the operation's own arguments, with ``Value`` in place of each tensor. It
    returns a ``Value`` or, for operations with several results, a tuple with None for results that nothing may use.
    """

    def enter(lowering: Lowering) -> Lowering:
        for target in targets:
            LOWERINGS[target] = lowering
        return lowering

    return enter
