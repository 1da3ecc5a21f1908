"""The composition law: what is proved of a node's value, given what is known of its operands.

One law for all primitives; it reads ``Behaviour`` and ``Indexing`` and names no operation.

* *Affine* nodes: the coefficients of operand k have the sign ``monotone[k]``; which entries meet is found by
  evaluating the node on masks of zeros and ones, from which the offset is subtracted.
* *Multilinear* nodes are sums of products with nonnegative coefficients. A product of constants and one varying factor
  keeps its curvature where the constants are nonnegative and reverses it where they are nonpositive; a product of two
  varying factors has none. Which products occur is again found by evaluating the node on masks, so that a weight that
  is exactly zero counts as absent. An expression times itself, entry by entry, is a square.
* *Convex* and *concave* nodes: f(x) with f convex is convex where each operand is affine, or convex and f
  non-decreasing in it, or concave and f non-increasing in it.
* *One-sided*: a function of one real number with f(s·x) = s^d·f(x) for all s > 0 is a multiple of a power on either
  side of zero, which gives its curvature and direction there; with d = 1 and f odd it is linear.

Guarantee: exact in real arithmetic, wherever the program is defined. Masks are counted in float64 by sums of zeros and
ones (and of means of them), in which nothing cancels: a positive sum is positive and an empty one is zero.
Source: disciplined convex programming, Grant, Boyd and Ye 2006 [grant2006].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, product
from math import isfinite, prod

import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.curvature.state import Mask, State
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives import PRIMITIVES, Behaviour

_MASKS = TorchArithmetic(torch.float64)
_SQUARE = Node("square", "pointwise", ("x",), (), "float64", {"fn": "power", "exponent": 2})

Spread = Callable[[int, Mask], Mask]
"""``spread(k, mask)``: the output entries that depend on a marked entry of operand k."""

Meets = Callable[[Sequence[Mask]], Mask]
"""``meets(masks)``, one mask for each factor: the output entries with a product of marked entries only."""


def derive(node: Node, operands: Sequence[State]) -> State:
    """What is proved of a node's value.

    Args:
        node: any node that has operands.
        operands: what is proved of each of them.

    Guarantee: exact, provided that the primitive's answers are true.
    """
    if node.op == "output":
        return operands[0]
    primitive = PRIMITIVES.get(node.op)
    if primitive is None:
        return _unclaimed(node, operands)
    behaviour = primitive.behaviour(node)
    indexing = primitive.indexing(node, [tuple(x.varies.shape) for x in operands])
    match behaviour.form:
        case "affine":
            state = _affine(node, behaviour, operands)
        case "multilinear":
            state = _multilinear(node, behaviour, indexing, operands)
        case _:
            state = _composition(node, behaviour, indexing, operands)
    if behaviour.sign == "nonnegative":
        state = replace(state, nonnegative=torch.ones_like(state.varies))
    elif behaviour.sign == "nonpositive":
        state = replace(state, nonpositive=torch.ones_like(state.varies))
    return state.settled()


def depends(node: Node, operands: Sequence[State], k: int, marked: Mask) -> Mask:
    """The output entries that may depend on the marked entries of operand k, all else held."""
    yes = torch.ones_like(marked)
    moved = State(marked, yes, yes, operands[k].nonnegative, operands[k].nonpositive)
    held = [State.fixed(x.nonnegative, x.nonpositive) for x in operands]
    return derive(node, [*held[:k], moved, *held[k + 1 :]]).varies


def products_of_variables(node: Node, operands: Sequence[State]) -> list[tuple[int, int]]:
    """Of a multilinear node, the pairs of operands that vary and meet in a product (no squares)."""
    primitive = PRIMITIVES[node.op]
    behaviour = primitive.behaviour(node)
    indexing = primitive.indexing(node, [tuple(x.varies.shape) for x in operands])
    factors = _factors(node, behaviour, indexing)
    states = [_factor(operands, factor) for factor in factors]
    meets = _meets(node, factors, operands)
    rest = [s.may_differ_from_zero for s in states]
    pairs = combinations(range(len(states)), 2)
    return [
        (factors[j][0], factors[k][0])
        for j, k in pairs
        if meets([s.varies if i in (j, k) else rest[i] for i, s in enumerate(states)]).any()
    ]


def _unclaimed(node: Node, operands: Sequence[State]) -> State:
    """Of an operation without answers: constant operands give a constant, of unknown sign."""
    if any(bool(x.varies.any()) for x in operands):
        return State.nothing(node.shape)
    none = torch.zeros(node.shape, dtype=torch.bool)
    return State.fixed(none, none)


def _run(node: Node, arrays: Sequence[torch.Tensor]) -> torch.Tensor:
    return PRIMITIVES[node.op].evaluate(_MASKS, node, arrays)


# affine ---------------------------------------------------------------------------------------------------------------
def _affine(node: Node, behaviour: Behaviour, operands: Sequence[State]) -> State:
    zeros = [torch.zeros(x.varies.shape, dtype=torch.float64) for x in operands]
    offset = _run(node, zeros)
    scale = 1 + offset[offset.isfinite()].abs().sum()  # no term is lost beside the offset

    def reached(masks: Sequence[Mask]) -> Mask:
        total = torch.zeros(node.shape, dtype=torch.bool)
        for k, mask in enumerate(masks):
            if mask.any():  # operands one by one: within one of them all coefficients have the same sign
                total |= _run(node, [*zeros[:k], mask * scale, *zeros[k + 1 :]]) != offset
        return total

    directions = behaviour.monotone
    signed = list(zip(operands, directions, strict=True))
    return State(
        varies=reached([x.varies for x in operands]),
        convex=~reached([~x.fits(m) for x, m in signed]),
        concave=~reached([~x.fits(-m) for x, m in signed]),
        nonnegative=~(reached([_may(x, -m) for x, m in signed]) | (offset < 0)),
        nonpositive=~(reached([_may(x, m) for x, m in signed]) | (offset > 0)),
    )


def _may(x: State, sign: int) -> Mask:
    """Where the term of an operand may have that sign; with sign 0, where it may differ from zero at all."""
    return x.may_be(sign) if sign else x.may_differ_from_zero


# multilinear ----------------------------------------------------------------------------------------------------------
def _factors(node: Node, behaviour: Behaviour, indexing: Indexing) -> list[tuple[int, ...]]:
    """Positions of the operands that form one factor: alone, or twice the same expression at the same index."""
    left = [k for k in range(len(node.inputs)) if k not in _held(behaviour)]
    factors: list[tuple[int, ...]] = []
    while left:
        k = left.pop(0)
        same = [j for j in left if node.inputs[j] == node.inputs[k] and indexing.operands[j] == indexing.operands[k]]
        if same:
            left.remove(same[0])
        factors.append((k, *same[:1]))
    return factors


def _held(behaviour: Behaviour) -> list[int]:
    """Operands of a multilinear form in which nothing is claimed, such as indices."""
    return [k for k, degree in enumerate(behaviour.homogeneous) if degree is None]


def _factor(operands: Sequence[State], positions: tuple[int, ...]) -> State:
    x = operands[positions[0]]
    return x if len(positions) == 1 else derive(replace(_SQUARE, shape=tuple(x.varies.shape)), [x])


def _meets(node: Node, factors: Sequence[tuple[int, ...]], operands: Sequence[State]) -> Meets:
    """By evaluating the node on masks."""
    others = {k: torch.ones(x.varies.shape, dtype=torch.float64) for k, x in enumerate(operands)}

    def meets(masks: Sequence[Mask]) -> Mask:
        if not all(bool(mask.any()) for mask in masks):
            return torch.zeros(node.shape, dtype=torch.bool)
        given = {positions[0]: mask.double() for positions, mask in zip(factors, masks, strict=True)}
        return _run(node, [given.get(k, others[k]) for k in range(len(operands))]) > 0

    return meets


def _carried(spread: Spread, k: int) -> Meets:
    return lambda masks: spread(k, masks[0])


def _multilinear(node: Node, behaviour: Behaviour, indexing: Indexing, operands: Sequence[State]) -> State:
    factors = _factors(node, behaviour, indexing)
    held = _held(behaviour)
    if held:  # linear in a single factor, while they are constant
        if len(factors) != 1 or any(bool(operands[k].varies.any()) for k in held):
            return _unclaimed(node, operands)
        meets = _carried(_spread(node, indexing), factors[0][0])
    else:
        meets = _meets(node, factors, operands)
    states = [_factor(operands, factor) for factor in factors]
    none = torch.zeros(node.shape, dtype=torch.bool)
    may: dict[int, Mask] = {1: none, -1: none}
    for signs in product((1, -1), repeat=len(states)):
        masks = [x.may_be(s) for x, s in zip(states, signs, strict=True)]
        may[prod(signs)] = may[prod(signs)] | meets(masks)
    present = [x.may_differ_from_zero for x in states]
    varies = bent_down = bent_up = none
    for k, x in enumerate(states):
        varies = varies | meets([*present[:k], x.varies & present[k], *present[k + 1 :]])
        for signs in product((1, -1), repeat=len(states) - 1):
            rest = [y for j, y in enumerate(states) if j != k]
            masks = [~y.varies & y.may_be(s) for y, s in zip(rest, signs, strict=True)]
            sign = prod(signs)
            bent_down = bent_down | meets([*masks[:k], ~x.fits(sign), *masks[k:]])
            bent_up = bent_up | meets([*masks[:k], ~x.fits(-sign), *masks[k:]])
    for pair in combinations(range(len(states)), 2):
        both = meets([x.varies if k in pair else present[k] for k, x in enumerate(states)])
        bent_down, bent_up = bent_down | both, bent_up | both
    return State(varies, ~bent_down, ~bent_up, ~may[-1], ~may[1])


# functions ------------------------------------------------------------------------------------------------------------
def _spread(node: Node, indexing: Indexing) -> Spread:
    """From the index terms: labels that are carried and not mixed tell output entries apart, all others do not."""
    place = {
        term.name: k
        for k, term in enumerate(indexing.output)
        if isinstance(term, Label) and term.name not in indexing.mixed
    }

    def spread(k: int, mask: Mask) -> Mask:
        terms = indexing.operands[k]
        kept = {place[t.name]: i for i, t in enumerate(terms) if isinstance(t, Label) and t.name in place}
        gone = [i for i in range(mask.dim()) if i not in kept.values()]
        found = mask.amax(dim=gone) if gone else mask
        order = sorted(kept.values())
        found = found.permute([order.index(kept[axis]) for axis in sorted(kept)])
        shape = [n if axis in kept else 1 for axis, n in enumerate(node.shape)]
        return found.reshape(shape).expand(node.shape)

    return spread


def _composition(node: Node, behaviour: Behaviour, indexing: Indexing, operands: Sequence[State]) -> State:
    spread = _spread(node, indexing)

    def all_of(masks: Sequence[Mask]) -> Mask:
        result = torch.ones(node.shape, dtype=torch.bool)
        for k, mask in enumerate(masks):
            result &= ~spread(k, ~mask)
        return result

    constant = all_of([~x.varies for x in operands])
    signed = list(zip(operands, behaviour.monotone, strict=True))
    convex, concave = constant, constant
    if behaviour.form == "convex":
        convex = convex | all_of([x.fits(m) for x, m in signed])
    elif behaviour.form == "concave":
        concave = concave | all_of([x.fits(-m) for x, m in signed])
    nonnegative = nonpositive = torch.zeros(node.shape, dtype=torch.bool)
    if _zero_at_zero(behaviour, len(operands)):
        nonnegative = all_of([~_may(x, -m) for x, m in signed])
        nonpositive = all_of([~_may(x, m) for x, m in signed])
    state = State(~constant, convex, concave, nonnegative, nonpositive)
    axes = (*indexing.operands, indexing.output)
    return _one_sided(node, behaviour, operands, state) if not indexing.mixed and len(set(axes)) == 1 else state


def _zero_at_zero(behaviour: Behaviour, count: int) -> bool:
    degrees = behaviour.homogeneous or (None,) * count
    parities = behaviour.odd or (False,) * count
    return all(odd or (d is not None and d > 0) for d, odd in zip(degrees, parities, strict=True))


def _one_sided(node: Node, behaviour: Behaviour, operands: Sequence[State], state: State) -> State:
    """More of a function of single real numbers, from its degrees and its values at ±1."""
    degrees: Sequence[float | None] = behaviour.homogeneous or (None,) * len(operands)
    # degree 0 says nothing at zero, and what scales with all its operands together says nothing of one
    if len(operands) > 2 or not all(degrees) or behaviour.together:
        return state
    sided = {1: [x.nonnegative for x in operands], -1: [x.nonpositive for x in operands]}
    everywhere = torch.ones(node.shape, dtype=torch.bool)
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


def _sign_at(node: Node, arguments: Sequence[int]) -> int | None:
    """The sign of the function at ±1, ±1, … : far from zero, or exactly zero; None where it is not defined."""
    at = [torch.tensor(float(s), dtype=torch.float64) for s in arguments]
    value = float(_run(replace(node, shape=()), at))
    return (value > 0) - (value < 0) if isfinite(value) else None


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
