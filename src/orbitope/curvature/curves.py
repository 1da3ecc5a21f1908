"""Functions of one number that several entry-wise operations make together, where these are piecewise polynomials.

``min(|d|, 1)²/2 + |d| − min(|d|, 1)`` is Huber's function of d, which is convex; step by step the rules see a concave
function and a difference. Every value that entry-wise operations compute from one value and constants is put together,
evaluated in the arithmetic of piecewise polynomials, and its curvature, direction and sign are decided there exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import Any, cast

import torch

from orbitope.curvature.polynomials import (
    IDENTITY,
    Bound,
    Piecewise,
    PiecewiseArithmetic,
    constant,
    derivative,
    nonnegative,
    value,
)
from orbitope.curvature.state import Mask, State
from orbitope.errors import OrbitopeError
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES

_MOVED = ("broadcast", "reshape", "transpose")


@dataclass(frozen=True)
class Traits:
    """What is proved of a function of one number on an interval.

    Attributes:
        convex, concave: whether it is. direction: 1 non-decreasing, −1 non-increasing, 0 neither is proved.
        nonnegative, nonpositive: its sign. constant: whether it is one.
    """

    convex: bool
    concave: bool
    direction: int
    nonnegative: bool
    nonpositive: bool
    constant: bool


@dataclass(frozen=True)
class Curve:
    """A value as a function of each entry of another.

    Attributes:
        root: the other. function: the function. everywhere, above, below: its traits on all numbers, on those that are
            not negative, and on those that are not positive.
    """

    root: str
    function: Piecewise
    everywhere: Traits
    above: Traits
    below: Traits

    @staticmethod
    def of(root: str, function: Piecewise) -> Curve:
        """With its traits."""
        zero = Fraction(0)
        ends: tuple[tuple[Bound, Bound], ...] = ((None, None), (zero, None), (None, zero))
        return Curve(root, function, *(_traits(function, low, high) for low, high in ends))

    @property
    def bends(self) -> bool:
        """Whether anything is proved of its curvature on all numbers."""
        return self.everywhere.convex or self.everywhere.concave

    def joined(self, state: State, root: State) -> State:
        """A state with what follows from the root's."""
        if state.extent is not None:
            root = root.gathered()
        elif root.extent is not None:
            return state
        yes = torch.ones_like(root.varies)
        for traits, where in ((self.everywhere, yes), (self.above, root.nonnegative), (self.below, root.nonpositive)):
            state = _with(state, traits, where, root)
        return state.settled()


def _with(state: State, traits: Traits, where: Mask, root: State) -> State:
    fits, turned = root.fits(traits.direction), root.fits(-traits.direction)
    return replace(
        state,
        varies=state.varies & ~where if traits.constant else state.varies & root.varies,
        convex=state.convex | (where & fits) if traits.convex else state.convex,
        concave=state.concave | (where & turned) if traits.concave else state.concave,
        nonnegative=state.nonnegative | where if traits.nonnegative else state.nonnegative,
        nonpositive=state.nonpositive | where if traits.nonpositive else state.nonpositive,
    )


# finding them ---------------------------------------------------------------------------------------------------------
def curves(nodes: Mapping[str, Node], values: Mapping[str, torch.Tensor]) -> Mapping[str, Curve]:
    """The values that two entry-wise operations or more compute from one value.

    Args:
        nodes: by name, in order.
        values: of constants.
    """
    arithmetic = cast(Any, PiecewiseArithmetic())
    numbers: dict[str, Piecewise] = {}
    found: dict[str, tuple[str, Piecewise]] = {}
    steps: dict[str, int] = {}
    for name, node in nodes.items():
        if node.op == "constant" or (node.op in _MOVED and node.inputs[0] in numbers):
            number = numbers[node.inputs[0]] if node.inputs else _number(values.get(name))
            if number is not None:
                numbers[name] = number
            continue
        if node.op != "pointwise":
            continue
        varying = [x for x in node.inputs if x not in numbers]
        for root in _roots(varying, found):
            try:
                given = [numbers.get(x) or (IDENTITY if x == root else found[x][1]) for x in node.inputs]
                result = PRIMITIVES[node.op].evaluate(arithmetic, node, given)
            except (OrbitopeError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
                continue
            found[name] = root, result
            steps[name] = 1 + max((steps.get(x, 0) for x in varying if x != root), default=0)
            break
    return {name: Curve.of(*found[name]) for name, count in steps.items() if count > 1}


def _roots(varying: list[str], found: Mapping[str, tuple[str, Piecewise]]) -> list[str]:
    """Values that all of these may be functions of, the farthest first."""
    if not varying:
        return []
    origins = [found[x][0] if x in found else x for x in varying]
    near = [varying[0]] if len(set(varying)) == 1 else []
    return [*(origins[:1] if len(set(origins)) == 1 else []), *near]


def _number(tensor: torch.Tensor | None) -> Piecewise | None:
    """A constant of one finite number."""
    if tensor is None or not tensor.numel() or tensor.is_complex() or bool((tensor != tensor.flatten()[0]).any()):
        return None
    number = tensor.flatten()[0].item()
    return constant(number) if isfinite(number) else None


def bridged(nodes: Mapping[str, Node], found: Mapping[str, Curve]) -> frozenset[str]:
    """Values between a curve that bends one way and its root: what is unknown of them says nothing of the curve."""
    between: set[str] = set()
    for name, curve in found.items():
        stack = list(nodes[name].inputs) if curve.bends else []
        while stack:
            x = stack.pop()
            if x != curve.root and x not in between and nodes[x].op == "pointwise":
                between.add(x)
                stack.extend(nodes[x].inputs)
    return frozenset(between)


# their traits ---------------------------------------------------------------------------------------------------------
def _traits(f: Piecewise, low: Bound, high: Bound) -> Traits:
    """Of a function between two ends, these included."""
    f = f.refined([end for end in (low, high) if end is not None])
    inside = [
        (p, ends)
        for p, ends in zip(f.pieces, f.intervals(), strict=True)
        if (low is None or (ends[0] is not None and ends[0] >= low))
        and (high is None or (ends[1] is not None and ends[1] <= high))
    ]
    breaks = [b for b in f.breaks if (low is None or b >= low) and (high is None or b <= high)]
    continuous = all(_continuous(inside, b, f.at(b)) for b in breaks)

    def every(order: int, sign: int) -> bool:
        pieces = [(_derived(p, order, sign), ends) for p, ends in inside]
        return all(nonnegative(p, *ends) for p, ends in pieces)

    def bends(sign: int) -> bool:
        corners = [(_slope(inside, b, 1, sign), _slope(inside, b, 0, sign)) for b in breaks]
        return continuous and every(2, sign) and all(x is None or y is None or x <= y for x, y in corners)

    up, down = continuous and every(1, 1), continuous and every(1, -1)
    return Traits(
        convex=bends(1),
        concave=bends(-1),
        direction=1 if up else -1 if down else 0,
        nonnegative=every(0, 1) and all(f.at(b) >= 0 for b in breaks),
        nonpositive=every(0, -1) and all(f.at(b) <= 0 for b in breaks),
        constant=up and down,
    )


Pieces = list[tuple[tuple[Fraction, ...], tuple[Bound, Bound]]]


def _derived(p: tuple[Fraction, ...], order: int, sign: int) -> tuple[Fraction, ...]:
    for _ in range(order):
        p = derivative(p)
    return tuple(sign * c for c in p)


def _continuous(inside: Pieces, at: Fraction, number: Fraction) -> bool:
    return all(value(p, at) == number for p, ends in inside if at in ends)


def _slope(inside: Pieces, at: Fraction, side: int, sign: int) -> Fraction | None:
    """The slope at the end of the piece that ends there (side 1) or begins there (side 0)."""
    found = [p for p, ends in inside if ends[side] == at]
    return value(_derived(found[0], 1, sign), at) if found else None
