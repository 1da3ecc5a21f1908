"""Functions entry by entry: what their values at −∞, 0 and ∞ and on either side of zero say, beyond the trait table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import inf, isinf, isnan

import torch

from orbitope.curvature.grain import Grain, run
from orbitope.curvature.state import Mask, State
from orbitope.graph import Node
from orbitope.primitives import Behaviour

_CLEAR = 1e-9
"""A value that is nearer to zero than this, and not zero, could be rounding."""


def bounded(grain: Grain, behaviour: Behaviour, state: State) -> State:
    """With the sign of a monotone function, from its values where each operand is zero or without a bound.

    The maximum of anything and what is not negative is not negative: it is not below max(−∞, 0).
    """
    operands, directions = grain.operands, behaviour.monotone
    if not all(directions) or len(operands) > 3:
        return state
    for sign in (1, -1):  # below everything, and above everything
        for known in product((True, False), repeat=len(operands)):
            ends = [0.0 if k else -sign * m * inf for k, m in zip(known, directions, strict=True)]
            value = _value_at(grain.node, ends)
            if value is None or sign * value < 0 or 0 < abs(value) < _CLEAR:
                continue
            where = ~grain.none
            for x, m, k in zip(operands, directions, known, strict=True):
                where = where & (~x.may_be(-sign * m) if k else torch.ones_like(where))
            state = _signed(state, where, sign)
    return state


def one_sided(grain: Grain, behaviour: Behaviour, state: State) -> State:
    """More of a function of single real numbers, from its degrees and its values at ±1."""
    node, operands = grain.node, grain.operands
    degrees: Sequence[float | None] = behaviour.homogeneous or (None,) * len(operands)
    # degree 0 says nothing at zero, and what scales with all its operands together says nothing of one
    if len(operands) > 2 or not all(degrees) or behaviour.together:
        return state
    sided = {1: [x.nonnegative for x in operands], -1: [x.nonpositive for x in operands]}
    everywhere = ~grain.none
    for k, x in enumerate(operands):
        rest = [j for j in range(len(operands)) if j != k]
        fixed = everywhere
        for j in rest:
            fixed = fixed & ~operands[j].varies
        linear = degrees[k] == 1 and bool(behaviour.odd[k])
        if linear:
            state = _grown(state, fixed, x, 1, 0, straight=True)
        for signs in product((1, -1), repeat=len(rest)):
            where = fixed
            for j, s in zip(rest, signs, strict=True):
                where = where & sided[s][j]
            for side in (1, -1):
                value = _sign_at(node, [*signs[:k], side, *signs[k:]])
                if value is None:
                    continue
                here = where & sided[side][k]
                state = _signed(state, here, value)
                if linear:
                    state = _grown(state, where, x, 1, side * value, straight=True)
                else:
                    sign, direction, straight = _power(degrees[k] or 0.0, value)
                    state = _grown(state, here, x, sign, side * direction, straight)
    if len(operands) == 2:
        for signs in product((1, -1), repeat=2):
            value = _sign_at(node, signs)
            if value is not None:
                state = _signed(state, sided[signs[0]][0] & sided[signs[1]][1], value)
    return state


def _value_at(node: Node, arguments: Sequence[float]) -> float | None:
    """The value of a function at single numbers; None where it is none."""
    at = [torch.tensor(x, dtype=torch.float64) for x in arguments]
    value = float(run(replace(node, shape=()), at))
    return None if isnan(value) else value


def _sign_at(node: Node, arguments: Sequence[int]) -> int | None:
    """The sign of the function at ±1, ±1, … : far from zero, or exactly zero; None where it is not defined."""
    value = _value_at(node, arguments)
    return None if value is None or isinf(value) else (value > 0) - (value < 0)


def _power(degree: float, sign: int) -> tuple[int, int, bool]:
    """Of ``sign·t^degree`` for t > 0: 1 convex or −1 concave, direction, whether it is a straight line."""
    bend = -1 if 0 < degree < 1 else 1
    direction = 1 if degree > 0 else -1
    return (bend * sign or 1), direction * sign, sign == 0 or degree == 1


def _grown(state: State, where: Mask, x: State, bend: int, direction: int, straight: bool) -> State:
    """The state with what follows from a convex (1), concave (−1) or straight function of that direction."""
    convex, concave = state.convex, state.concave
    if straight or bend > 0:
        convex = convex | (where & x.fits(direction))
    if straight or bend < 0:
        concave = concave | (where & x.fits(-direction))
    return replace(state, convex=convex, concave=concave)


def _signed(state: State, where: Mask, sign: int) -> State:
    nonnegative = state.nonnegative | where if sign >= 0 else state.nonnegative
    nonpositive = state.nonpositive | where if sign <= 0 else state.nonpositive
    return replace(state, nonnegative=nonnegative, nonpositive=nonpositive)
