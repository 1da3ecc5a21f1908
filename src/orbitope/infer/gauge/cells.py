"""Dimensional analysis of recurrent cells, whose value is an operand of their next step.

Every gate adds what the inputs bring, what the weight makes of the state and a bias, so that all three carry one field.
A gate that ends in a sigmoid carries none. The others hand theirs on to the state, as far as their function lets it.
"""

from __future__ import annotations

from collections.abc import Sequence

from orbitope.graph import Node
from orbitope.infer.gauge.events import NONE, Field, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.leaves import Unaligned
from orbitope.primitives.scanning import GATES

CARRIES = {"tanh": 0, "relu": 0, "gru": 2, "lstm": 2}
"""The gate of each cell that hands its field on to the state."""


def passes(node: Node, kind: str) -> bool:
    """Whether fields of a kind pass the function of the gate that carries."""
    return kind == ("scale" if node.attributes["cell"] == "relu" else "sign")


class Cell:
    """The operands of one gate."""

    def __init__(self, node: Node, operands: Sequence[Meeting | None]) -> None:
        """By the order that the primitive states."""
        a = node.attributes
        rest = list(operands)
        self.x, self.weight = rest.pop(0), rest.pop(0)
        self.bias = rest.pop(0) if a["bias"] else None
        self.projection = rest.pop(0) if a["projected"] else None
        self.output = rest.pop(0)
        self.state = rest.pop(0) if a["cell"] == "lstm" else None

    def added(self) -> list[Meeting]:
        """What is added with the product of weight and state."""
        return [met for met in (self.x, self.bias) if met is not None and not met.field.zero]


def judge(fields: Fields, node: Node, gatherings: Sequence[tuple[Sequence[Meeting | None], Meeting]]) -> None:
    """The equations of a cell.

    Raises:
        Unaligned: its units are cut into segments.
    """
    own = fields.values[node.name]
    if len(own) != (2 if node.attributes["cell"] == "lstm" else 1):
        raise Unaligned
    (output, *states) = (own[starts] for starts in sorted(own))
    state = states[0] if states else output
    width = node.shape[2] if not states else fields.graph.node(node.inputs[0]).shape[2] // GATES["lstm"]
    if not passes(node, fields.kind):
        for each in own.values():
            _vanish(fields, each)
    if states and not node.attributes["projected"]:
        _equal(fields, output, state)
    for operands, value in gatherings:
        if value.starts[2]:
            continue  # of a long short-term memory the second part of the value is the state
        cell = Cell(node, operands)
        assert cell.x is not None and cell.weight is not None
        gate = cell.x.starts[2] // width
        _gate(fields, cell, output, state if gate == CARRIES[node.attributes["cell"]] else Field(NONE, {}))
        for met, field in ((cell.output, output), (cell.state, state)):
            if met is not None and not met.field.zero:
                _same(fields, met, field)
        if cell.projection is not None:
            _project(fields, cell.projection, output, state)


def _gate(fields: Fields, cell: Cell, output: Field, carried: Field) -> None:
    """All that is added carries one field: that which the state gets, or none."""
    solver, weight = fields.solver, cell.weight
    assert weight is not None
    for met in cell.added():
        solver.equal(met.field.uniform, carried.uniform)
        for at, slot in met.slots.items():
            solver.equal(met.field.slots[slot], _along(carried, at[1]) if at[0] == "h" else {})
    solver.zero(solver.combine([(weight.field.uniform, 1), (output.uniform, 1), (carried.uniform, -1)]))
    for at, slot in weight.slots.items():
        form = weight.field.slots[slot]
        if at[0] == "h":
            solver.equal(form, _along(carried, at[1]))
        else:
            solver.zero(solver.combine([(form, 1), (_along(output, at[1]), 1)]))


def _project(fields: Fields, projection: Meeting, output: Field, state: Field) -> None:
    solver = fields.solver
    solver.zero(solver.combine([(projection.field.uniform, 1), (state.uniform, 1), (output.uniform, -1)]))
    for at, slot in projection.slots.items():
        form = projection.field.slots[slot]
        if at[0] == "p":
            solver.equal(form, _along(output, at[1]))
        else:
            solver.zero(solver.combine([(form, 1), (_along(state, at[1]), 1)]))


def _along(field: Field, stride: int) -> dict:
    """The field along the units, which are the last axis."""
    return field.slots.get((2, stride), {})


def _same(fields: Fields, met: Meeting, field: Field) -> None:
    fields.solver.equal(met.field.uniform, field.uniform)
    for at, slot in met.slots.items():
        fields.solver.equal(met.field.slots[slot], _along(field, at[1]) if at[0] in "hp" else {})


def _equal(fields: Fields, a: Field, b: Field) -> None:
    fields.solver.equal(a.uniform, b.uniform)
    for slot in a.slots.keys() | b.slots.keys():
        fields.solver.equal(a.slots.get(slot, {}), b.slots.get(slot, {}))


def _vanish(fields: Fields, field: Field) -> None:
    fields.solver.zero(field.uniform)
    for form in field.slots.values():
        fields.solver.zero(form)


__all__ = ["judge"]
