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

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product
from math import prod

import torch

from orbitope.curvature.grain import Grain
from orbitope.curvature.onesided import bounded, one_sided
from orbitope.curvature.state import Mask, State
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES, Behaviour

FINE = 1 << 22
"""A value of more entries is followed as a whole."""

_CLAIMS = ("convex", "concave", "nonnegative", "nonpositive")
_SQUARE = Node("square", "pointwise", ("x",), (), "float64", {"fn": "power", "exponent": 2})


def derive(node: Node, operands: Sequence[State], fine: int = FINE) -> State:
    """What is proved of a node's value.

    Args:
        node: any node that has operands.
        operands: what is proved of each of them; entry by entry, or as a whole.
        fine: values of more entries are followed as wholes, and so is what is computed from wholes.

    Guarantee: exact, provided that the primitive's answers are true.
    """
    if node.op == "output":
        return operands[0]
    if prod(node.shape) > fine or any(x.extent is not None for x in operands):
        operands = [x.gathered() for x in operands]
    primitive = PRIMITIVES.get(node.op)
    if primitive is None or node.dtype.startswith("complex"):  # the square of a complex number is not convex
        return _unclaimed(node, operands)
    behaviour = primitive.behaviour(node)
    grain = Grain.of(node, primitive.indexing(node, [x.shape for x in operands]), operands)
    match behaviour.form:
        case "affine":
            state = _affine(grain, behaviour)
        case "multilinear":
            state = _multilinear(grain, behaviour)
        case _:
            state = _composition(grain, behaviour)
    state = replace(state, extent=grain.extent)
    if behaviour.sign == "nonnegative":
        state = replace(state, nonnegative=torch.ones_like(state.varies))
    elif behaviour.sign == "nonpositive":
        state = replace(state, nonpositive=torch.ones_like(state.varies))
    return state.settled()


def depends(node: Node, operands: Sequence[State], k: int, marked: Mask) -> Mask:
    """The output entries that may depend on the marked entries of operand k, all else held."""
    yes = torch.ones_like(marked)
    moved = replace(operands[k], varies=marked, convex=yes, concave=yes)
    held = [State.fixed(x.nonnegative, x.nonpositive, x.extent) for x in operands]
    return derive(node, [*held[:k], moved, *held[k + 1 :]]).varies


def products_of_variables(node: Node, operands: Sequence[State]) -> list[tuple[int, int]]:
    """Of a multilinear node, the pairs of operands that vary and meet in a product (no squares)."""
    if any(x.extent is not None for x in operands):
        operands = [x.gathered() for x in operands]
    primitive = PRIMITIVES[node.op]
    behaviour = primitive.behaviour(node)
    grain = Grain.of(node, primitive.indexing(node, [x.shape for x in operands]), operands)
    factors = _factors(grain, behaviour)
    states = [_factor(operands, factor) for factor in factors]
    rest = [s.may_differ_from_zero for s in states]
    pairs = combinations(range(len(states)), 2)
    return [
        (factors[j][0], factors[k][0])
        for j, k in pairs
        if grain.meets(factors, [s.varies if i in (j, k) else rest[i] for i, s in enumerate(states)]).any()
    ]


def _unclaimed(node: Node, operands: Sequence[State]) -> State:
    """Of an operation without answers: constant operands give a constant, of unknown sign."""
    whole = any(x.extent is not None for x in operands)
    if any(bool(x.varies.any()) for x in operands):
        return State.nothing(node.shape, whole=whole)
    none = torch.zeros(() if whole else node.shape, dtype=torch.bool)
    return State.fixed(none, none, node.shape if whole else None)


# affine ---------------------------------------------------------------------------------------------------------------
def _affine(grain: Grain, behaviour: Behaviour) -> State:
    signed = list(zip(grain.operands, behaviour.monotone, strict=True))
    below, above = grain.offset
    return State(
        varies=grain.reached([x.varies for x in grain.operands]),
        convex=~grain.reached([~x.fits(m) for x, m in signed]),
        concave=~grain.reached([~x.fits(-m) for x, m in signed]),
        nonnegative=~(grain.reached([_may(x, -m) for x, m in signed]) | below),
        nonpositive=~(grain.reached([_may(x, m) for x, m in signed]) | above),
    )


def _may(x: State, sign: int) -> Mask:
    """Where the term of an operand may have that sign; with sign 0, where it may differ from zero at all."""
    return x.may_be(sign) if sign else x.may_differ_from_zero


# multilinear ----------------------------------------------------------------------------------------------------------
def _factors(grain: Grain, behaviour: Behaviour) -> list[tuple[int, ...]]:
    """Positions of the operands that form one factor: alone, or twice the same expression at the same index."""
    inputs, axes = grain.node.inputs, grain.indexing.operands
    left = [k for k in range(len(inputs)) if k not in _held(behaviour)]
    factors: list[tuple[int, ...]] = []
    while left:
        k = left.pop(0)
        same = [j for j in left if inputs[j] == inputs[k] and axes[j] == axes[k]]
        if same:
            left.remove(same[0])
        factors.append((k, *same[:1]))
    return factors


def _held(behaviour: Behaviour) -> list[int]:
    """Operands of a multilinear form in which nothing is claimed, such as indices."""
    return [k for k, degree in enumerate(behaviour.homogeneous) if degree is None]


def _factor(operands: Sequence[State], positions: tuple[int, ...]) -> State:
    x = operands[positions[0]]
    return x if len(positions) == 1 else derive(replace(_SQUARE, shape=x.shape), [x])


def _multilinear(grain: Grain, behaviour: Behaviour) -> State:
    factors, operands, held = _factors(grain, behaviour), grain.operands, _held(behaviour)
    # linear in a single factor, while these are constant
    if held and (len(factors) != 1 or any(bool(operands[k].varies.any()) for k in held)):
        return _unclaimed(grain.node, operands)

    def meets(masks: Sequence[Mask]) -> Mask:
        return grain.spread(factors[0][0], masks[0]) if held else grain.meets(factors, masks)

    states = [_factor(operands, factor) for factor in factors]
    may: dict[int, Mask] = {1: grain.none, -1: grain.none}
    for signs in product((1, -1), repeat=len(states)):
        masks = [x.may_be(s) for x, s in zip(states, signs, strict=True)]
        may[prod(signs)] = may[prod(signs)] | meets(masks)
    present = [x.may_differ_from_zero for x in states]
    varies = bent_down = bent_up = grain.none
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
def _composition(grain: Grain, behaviour: Behaviour) -> State:
    operands = grain.operands

    def all_of(masks: Sequence[Mask]) -> Mask:
        result = ~grain.none
        for k, mask in enumerate(masks):
            result = result & ~grain.spread(k, ~mask)
        return result

    constant = all_of([~x.varies for x in operands])
    signed = list(zip(operands, behaviour.monotone, strict=True))
    convex, concave = constant, constant
    if behaviour.form == "convex":
        convex = convex | all_of([x.fits(m) for x, m in signed])
    elif behaviour.form == "concave":
        concave = concave | all_of([x.fits(-m) for x, m in signed])
    nonnegative = nonpositive = grain.none
    if _zero_at_zero(behaviour, len(operands)):
        nonnegative = all_of([~_may(x, -m) for x, m in signed])
        nonpositive = all_of([~_may(x, m) for x, m in signed])
    if behaviour.choice:
        yes = {k: torch.ones_like(x.varies) for k, x in enumerate(operands)}
        held = all_of([yes[k] if k in behaviour.choice else ~x.varies for k, x in enumerate(operands)])

        def alike(claim: str) -> Mask:
            return all_of([getattr(x, claim) if k in behaviour.choice else yes[k] for k, x in enumerate(operands)])

        claims = [alike(claim) for claim in _CLAIMS]
        convex, concave = convex | (held & claims[0]), concave | (held & claims[1])
        nonnegative, nonpositive = nonnegative | claims[2], nonpositive | claims[3]
    state = State(~constant, convex, concave, nonnegative, nonpositive)
    axes = (*grain.indexing.operands, grain.indexing.output)
    entrywise = not grain.indexing.mixed and len(set(axes)) == 1
    return one_sided(grain, behaviour, bounded(grain, behaviour, state)) if entrywise else state


def _zero_at_zero(behaviour: Behaviour, count: int) -> bool:
    degrees = behaviour.homogeneous or (None,) * count
    parities = behaviour.odd or (False,) * count
    return all(odd or (d is not None and d > 0) for d, odd in zip(degrees, parities, strict=True))
