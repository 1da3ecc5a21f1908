"""The table of lowerings: traced operation -> function that emits primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Lowering = Callable[..., Any]

LOWERINGS: dict[str, Lowering] = {}


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
