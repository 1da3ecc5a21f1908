"""What operands hold that is known without any data: entries of a parameter, one number, weights that sum to one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from orbitope.graph import Node
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts

READING = re.compile(r"@\d+")
"""Of the names of nodes: which reading of the program they belong to."""

ROOTS = {"sqrt": 0.5, "rsqrt": -0.5}
"""The powers of functions through which a parameter's entries are still known."""


@dataclass(frozen=True)
class Entries:
    """What a leaf of a value holds: the entries of a parameter, plus an offset, to a power.

    Attributes:
        node: the node of the parameter.
        power: to which they are raised.
        offset: what is added to them before.
        starts: of the leaf of the parameter.
        slots: for each slot of the value that of the parameter.
    """

    node: Node
    power: float
    offset: float
    starts: Starts
    slots: Mapping[Slot, Slot]

    @property
    def parameter(self) -> str:
        """The name of the parameter."""
        return str(self.node.attributes["parameter"])

    @property
    def leaf(self) -> tuple[str, Starts]:
        """The leaf of the parameter."""
        return self.parameter, self.starts

    @property
    def plain(self) -> bool:
        """Whether the entries stand there as they are."""
        return self.power == 1.0 and not self.offset


class Reader:
    """A program as far as shifts look at it.

    Attributes:
        fields: the walk that made its events.
        graph: the program.
        leaves: of its values.
        held: whether a parameter must not change.
        events: what every operation did, by the name of its node.
        readings: how often the program was read, at different sizes of its inputs.
    """

    def __init__(self, fields: Fields, held: Callable[[str], bool]) -> None:
        """Over the events of its fields."""
        self.fields = fields
        self.graph = fields.graph
        self.leaves = fields.leaves
        self.held = held
        self.events: dict[str, list[Event]] = {}
        for event in fields.events:
            self.events.setdefault(event.node.name, []).append(event)
        self.readings = len({self.reading(node) for node in self.graph if node.op != "parameter"})

    @cached_property
    def order(self) -> dict[str, int]:
        """Nodes by place in the program."""
        return {node.name: k for k, node in enumerate(self.graph)}

    @cached_property
    def _namesakes(self) -> dict[str, list[str]]:
        """The names of a node in all readings, by its name without any."""
        found: dict[str, list[str]] = {}
        for name in self.events:
            found.setdefault(READING.sub("", name), []).append(name)
        return found

    @cached_property
    def values(self) -> dict[str, str]:
        """The values that parameters are, by their names."""
        return {node.attributes["parameter"]: node.name for node in self.graph if node.op == "parameter"}

    def reading(self, node: Node) -> str:
        """Which reading of the program a node belongs to."""
        found = READING.search(node.name)
        return found[0] if found else ""

    def in_every_reading(self, event: Event) -> list[str]:
        """The names of the same node in every reading of the program."""
        return self._namesakes[READING.sub("", event.node.name)]

    def size(self, met: Meeting, slot: Slot) -> int:
        """How many positions a slot of an operand has."""
        return next(met.atoms[at].size for at, s in met.slots.items() if s == slot)

    def is_cut(self, name: str, axes: Sequence[int]) -> bool:
        """Whether one of some axes of a value is cut into several leaves, which a shift may meet differently."""
        leaves = self.leaves.of(self.fields.axes(name))
        return any(len({starts[axis] for starts in leaves}) > 1 for axis in axes)

    # parameters ----------------------------------------------------------------------------------------------------
    def entries(self, met: Meeting, alone: bool = False) -> Entries | None:
        """The parameter whose entries, raised to a power, a leaf of a value holds.

        Args:
            met: the leaf.
            alone: whether nothing else may read the parameter, nor anything between it and the value.

        Returns:
            None where the value is anything else.
        """
        node, starts, power, offset = self.graph.node(met.value), met.starts, 1.0, 0.0
        slots = {slot: slot for slot in met.slots.values()}
        while node.op != "parameter":
            if alone and len(self.fields.readers[node.name]) > 1:
                return None
            fn = node.attributes.get("fn") if node.op == "pointwise" else None
            if fn in ROOTS:
                power *= ROOTS[fn]
                if offset:
                    return None
            if fn == "add" and node.name not in self.events:  # the sum is scaled in place of the parameter
                origin = next((x for x in node.inputs if self._parameter_of(x) in self.fields.offsets), None)
                if origin is None:
                    return None
                offset = self.fields.offsets[self._parameter_of(origin)]
                node = self.graph.node(origin)
                continue
            below = self._below(node, starts)
            if below is None:
                return None
            met, forward = below
            if any(slot not in forward for slot in slots.values()):
                return None
            slots = {mine: forward[slot] for mine, slot in slots.items()}
            node, starts = self.graph.node(met.value), met.starts
        readers = self.fields.readers[node.name]
        if alone and len({self.reading(reader) for reader in readers}) < len(readers):
            return None
        return Entries(node, power, offset, starts, slots)

    def _below(self, node: Node, starts: Starts) -> tuple[Meeting, dict[Slot, Slot]] | None:
        """The leaf that a node only moves, or takes the root of, and for slots of the value those of this leaf."""
        fn = node.attributes.get("fn") if node.op == "pointwise" else None
        if node.op not in ("reshape", "transpose", "broadcast", "slice") and fn not in ("identity", "real", *ROOTS):
            return None
        event = next((e for e in self.events.get(node.name, ()) if e.output.starts == starts), None)
        if event is None or 0 not in event.operands:
            return None
        met = event.operands[0]
        return met, {event.output.slots[at]: slot for at, slot in met.slots.items() if at in event.output.slots}

    def _parameter_of(self, name: str) -> str:
        node = self.graph.node(name)
        while node.inputs and node.op in ("reshape", "transpose", "broadcast", "pointwise"):
            node = self.graph.node(node.inputs[0])
        return str(node.attributes.get("parameter", ""))

    # constants -----------------------------------------------------------------------------------------------------
    def number(self, met: Meeting) -> float | None:
        """The number that all entries of a value are."""
        tensor = self._constant(met.value)
        if tensor is None or tensor.dtype == torch.bool or tensor.is_complex() or tensor.unique().numel() != 1:
            return None
        return float(tensor.flatten()[0])

    def _constant(self, name: str) -> torch.Tensor | None:
        """The constant that a value is a view of, where its entries are known."""
        node = self.fields.origin(name)
        if node.op != "constant":
            return None
        tensor = self.graph.constants[node.attributes["constant"]]
        return None if tensor.is_meta else tensor

    def hides(self, node: Node, shifted: Collection[int]) -> bool:
        """Whether a node puts −∞, which no shift changes, in place of some entries of the shifted operand."""
        if node.op != "pointwise" or node.attributes["fn"] != "where" or set(shifted) not in ({1}, {2}):
            return False
        (k,) = shifted
        fill = self._constant(node.inputs[3 - k])
        return fill is not None and bool((fill == -torch.inf).all())

    def is_weighting(self, event: Event, spread: Collection[LabelSlot], other: Meeting) -> bool:
        """Whether the other operand is a softmax along the one index that is summed over."""
        node = event.node
        if node.op != "contract" or any(at[0] in event.mixed for at in spread):
            return False
        origin = self.graph.node(other.value)
        labels = node.attributes["spec"].partition("->")[0].split(",")[list(node.inputs).index(other.value)]
        if origin.op != "softmax" or origin.attributes["kind"] == "log":
            return False
        if origin.attributes["kind"] == "safe" and not self._shows_something(origin):
            return False
        return event.mixed == {labels[origin.attributes["axis"]]}

    def _shows_something(self, node: Node) -> bool:
        """Whether no row of a softmax is hidden altogether: its mask is a constant that shows an entry of each."""
        hidden = self.graph.node(node.inputs[0])
        if hidden.op != "pointwise" or hidden.attributes["fn"] != "where":
            return False
        mask = self._constant(hidden.inputs[0])
        axis = node.attributes["axis"] - len(node.shape)
        if mask is None or -axis > mask.dim() or mask.shape[axis] != node.shape[axis]:
            return False
        return bool((mask != 0).any(axis).all())


__all__ = ["Entries", "Reader"]
