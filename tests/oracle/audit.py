"""The audit of one operation: what its rule lets move, against what the operation itself lets move.

*Unsound*: an element of the group that the rules give changes Σ P·y. *Missing*: an exchange of two positions merely
permutes the entries of the result, the same way for all operands, and no element of the group does that to the
operands. Exchanges are tried on the operation alone; where the result's entries go is read off its values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from tests.oracle.exchanges import Exchange, exchanges
from tests.oracle.membership import contains

from orbitope.group import SymmetryGroup

Tensors = Sequence[torch.Tensor]
Function = Callable[[Tensors], torch.Tensor]
TOLERANCE = 1e-9
DRAWS, MORE = 5, 24


@dataclass
class Verdict:
    """What was found of one call.

    Attributes:
        units: how many kinds of units the rules give.
        moving: how many exchanges the operation lets happen.
        held: how many it does not.
        unsound: elements of the group that change the sum, and by how much.
        missing: places where all exchanges permute whole positions, here and in the result, and the group does not
            hold one of them.
        loose: other places of exchanges that it does not hold: beside one position of another axis; where entries of
            the result change places although its axes do not; where only some pairs of positions may be exchanged, as
            by a mirror; where entries are moved that the operation does not read.
    """

    units: int = 0
    moving: int = 0
    held: int = 0
    unsound: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """What is audited.

    Attributes:
        function: the result of the operation for its operands, real.
        draw: generic operands for each seed.
        names: their names as parameters.
        movable: whether each is a parameter.
        weights: the name of P.
    """

    function: Function
    draw: Callable[[int], list[torch.Tensor]]
    names: Sequence[str]
    movable: Sequence[bool]
    weights: str = "P"


def audit(subject: Subject, group: SymmetryGroup, limit: int) -> Verdict:
    """Compare a group with the operation; at most ``limit`` exchanges are tried."""
    verdict = Verdict(units=len(group.units), unsound=changes(subject, group))
    shapes = [tuple(x.shape) for x in subject.draw(0)]
    values = _Values(subject)
    missing: dict[str, bool] = {}
    partial: set[str] = set()
    for exchange in exchanges(shapes, subject.movable, limit):
        sources = exchange.sources(shapes)
        if not values.keeps(sources, DRAWS):
            verdict.held += 1
            partial.add(exchange.name)
            continue
        verdict.moving += 1
        if exchange.name in missing or _inside(subject, group, sources) or not values.keeps(sources, MORE):
            continue
        missing[exchange.name] = not exchange.beside and not values.unread(sources) and values.moves_axes(sources)
    verdict.missing = sorted(name for name, whole in missing.items() if whole and name not in partial)
    verdict.loose = sorted(missing.keys() - set(verdict.missing))
    return verdict


def _inside(subject: Subject, group: SymmetryGroup, sources: Tensors) -> bool:
    asked = zip(subject.names, subject.movable, sources, strict=True)
    return contains(group, {name: source for name, movable, source in asked if movable})


def changes(subject: Subject, group: SymmetryGroup) -> list[str]:
    """The elements of a group, some random ones and one exchange of every kind of units, that change Σ P·y."""
    elements = {f"element {seed}": group.sample(seed) for seed in range(3)}
    elements |= {f"exchange in {unit}": group.swap(unit, 0, unit.size - 1) for unit in group.units}
    found = {}
    for seed in range(2):
        operands = subject.draw(seed)
        result = subject.function(operands).double()
        p = torch.randn(result.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        params = {subject.weights: p, **dict(zip(subject.names, operands, strict=True))}
        params = {name: x for name, x in params.items() if group.placement(name) is not None}
        before = (result * p).nan_to_num(0, 0, 0)
        scale = max(1e-6, float(before.abs().sum()))
        for name, element in elements.items():
            moved = element.act(params)
            given = [moved.get(x, operand) for x, operand in zip(subject.names, operands, strict=True)]
            try:
                after = subject.function(given).double() * moved.get(subject.weights, p)
            except RuntimeError as error:
                found[name] = f"{name}: {str(error).splitlines()[0]}"
                continue
            error = abs(float(after.nan_to_num(0, 0, 0).sum() - before.sum()))
            if not error <= TOLERANCE * scale:
                found[name] = f"{name}: the sum changes by {error / scale:.1e}"
    return list(found.values())


class _Values:
    """Results of the operation on many draws, and on the same with their entries moved."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.drawn: list[tuple[list[torch.Tensor], torch.Tensor]] = []

    def before(self, count: int) -> list[tuple[list[torch.Tensor], torch.Tensor]]:
        while len(self.drawn) < count:
            operands = self.subject.draw(len(self.drawn))
            self.drawn.append((operands, self.subject.function(operands)))
        return self.drawn[:count]

    def moved(self, operands: Tensors, sources: Tensors) -> torch.Tensor | None:
        turned = [
            t.flatten()[index].reshape(t.shape) if movable else t
            for t, index, movable in zip(operands, sources, self.subject.movable, strict=True)
        ]
        try:
            return self.subject.function(turned)
        except RuntimeError:
            return None

    def keeps(self, sources: Tensors, count: int) -> bool:
        """Whether a move of the operands merely permutes the entries of the result, the same way for all draws."""
        before, after = [], []
        for operands, y in self.before(count):
            z = self.moved(operands, sources)
            if z is None or z.shape != y.shape or (not before and not _equal(_sorted([y]), _sorted([z]))):
                return False
            before.append(y)
            after.append(z)
        return _equal(_sorted(before), _sorted(after))

    def unread(self, sources: Tensors) -> bool:
        """Whether the result does not depend on the entries that move."""
        drawn = self.before(2)
        (operands, y), (others, _) = drawn
        mixed = [
            torch.where(index == torch.arange(len(index)), t.flatten(), other.flatten()).reshape(t.shape)
            for t, other, index in zip(operands, others, sources, strict=True)
        ]
        return torch.equal(self.subject.function(mixed), y)

    def moves_axes(self, sources: Tensors) -> bool:
        """Whether that permutation of the result permutes its axes, each on its own."""
        drawn = self.before(MORE)
        before = _order([y for _, y in drawn])
        after = _order([x for operands, _ in drawn if (x := self.moved(operands, sources)) is not None])
        origin = torch.empty_like(before)
        origin[after] = before
        shape = drawn[0][1].shape
        places = torch.unravel_index(origin.reshape(shape), shape) if shape else ()
        return all(
            bool((place == place.select(other, 0).unsqueeze(other)).all())
            for axis, place in enumerate(places)
            for other in range(len(shape))
            if other != axis
        )


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-6, atol=3e-7, equal_nan=True)


def _rounded(results: Tensors) -> torch.Tensor:
    """One row for each draw, one column for each entry, in units of the largest."""
    table = torch.stack([x.flatten().double() for x in results])
    return (table / table.nan_to_num(0, 0, 0).abs().max().clamp(min=1e-30) * 1e7).round()


def _order(results: Tensors) -> torch.Tensor:
    """The order in which the columns are sorted, entry by entry."""
    rounded = _rounded(results)
    order = torch.arange(rounded.shape[1])
    for row in rounded.flip(0):
        order = order[row.nan_to_num(1e9)[order].argsort(stable=True)]
    return order


def _sorted(results: Tensors) -> torch.Tensor:
    return _rounded(results)[:, _order(results)] / 1e7


__all__ = ["Exchange", "Subject", "Verdict", "audit", "changes"]
