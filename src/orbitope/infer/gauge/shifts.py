"""Translations: what may be added to parameters because something behind them takes it up, or does not see it.

A shift that enters at a parameter is followed through the program, leaf by leaf. Where another parameter is added, it
can take the shift up; softmax and the subtraction of a mean do not see what is the same along their axis; the weights
of a softmax sum to one and let pass what does not depend on their axis. Everywhere else that is not linear, the shift
fails. Nothing here solves equations: what is free is a matter of what absorbs what, in the order of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from math import prod
from string import ascii_letters

import torch

from orbitope.graph import Node
from orbitope.group.continuous import Factor, Term, Translation
from orbitope.infer.gauge.fields import Event, Fields, Meeting
from orbitope.infer.gauge.frames import Frames
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts
from orbitope.infer.words import Atom
from orbitope.primitives.scanning import GATES

Spread = dict[LabelSlot, str]
"""Along which indices a shift varies: the letter of each."""


class Seen(Exception):
    """The shift changes the function."""


@dataclass(frozen=True)
class Static:
    """Entries of a parameter in a product: of a leaf, with a letter for each of its slots."""

    parameter: str
    starts: Starts
    letters: Mapping[Slot, str]
    power: float = 1.0
    offset: float = 0.0


Reading = tuple[str, Starts, dict[Slot, Slot]]
"""A leaf of a parameter, and for slots of a value that reads it those of the parameter."""


@dataclass(frozen=True)
class Shift:
    """What is added to a leaf of a value.

    Attributes:
        along: the slots along which it varies, each with its letter.
        factors: what the vector is multiplied with.
        coefficient: a number in front.
        data: whether it depends on the data, so that only ``along`` is known of it.
    """

    along: Mapping[Slot, str]
    factors: tuple[Static, ...] = ()
    coefficient: float = 1.0
    data: bool = False


@dataclass(frozen=True)
class Source:
    """Where a shift enters: a leaf of a parameter, and the slots along which it may vary freely."""

    parameter: str
    starts: Starts
    slots: tuple[Slot, ...]


@dataclass
class Route:
    """How one shift went."""

    source: Source
    atoms: tuple[Atom, ...]
    letters: str
    terms: list[tuple[str, Starts, Shift]] = field(default_factory=list)
    loss: bool = False


class Shifts:
    """The translations of a program."""

    def __init__(self, fields: Fields, held: Callable[[str], bool]) -> None:
        """Over the events of its fields."""
        self.fields = fields
        self.graph = fields.graph
        self.leaves = fields.leaves
        self.held = held
        self.events: dict[str, list[Event]] = {}
        for event in fields.events:
            self.events.setdefault(event.node.name, []).append(event)
        self.values = {n.attributes["parameter"]: n.name for n in self.graph if n.op == "parameter"}
        self.found: dict[tuple[str, Starts], list[tuple[Slot, ...]]] = {}
        self.routes: list[Route] = []
        self.readings = len({self._trace(node) for node in self.graph if node.op != "parameter"})
        self.letters = iter(ascii_letters)

    @cached_property
    def order(self) -> dict[str, int]:
        """Nodes by place in the program."""
        return {node.name: k for k, node in enumerate(self.graph)}

    def find(self) -> list[Route]:
        """All of them, in the order of the program; what is contained in others is for the caller to leave out."""
        for loss in (False, True):
            self._find(loss)
        return self.routes

    def _find(self, loss: bool) -> None:
        for node in self.graph:
            if node.op != "parameter" or self.held(node.attributes["parameter"]) or not self.fields.values[node.name]:
                continue
            name = node.attributes["parameter"]
            for starts, leaf in self.leaves.of(self.fields.axes(node.name)).items():
                for slots in _subsets(tuple(leaf.slots)):
                    if any(set(slots) <= set(known) for known in self.found.get((name, starts), ())):
                        continue
                    route = self._follow(Source(name, starts, slots), loss)
                    if route is not None:
                        self.routes.append(route)
                        self.found.setdefault((name, starts), []).append(slots)
        for node in self.graph:
            if node.op == "contract" and len(node.inputs) == 2 and not loss:
                self.routes.extend(self._unread(node, loss))

    # what is not read ----------------------------------------------------------------------------------------------
    def _unread(self, node: Node, loss: bool) -> Iterator[Route]:
        """Weights of entries that sum to zero, or to what a bias adds: one may add the same to all of them.

        Behind a gain γ the same is added to w·γ, and a bias β behind the gain makes the sum Σ β/γ.
        """
        if self._trace(node):
            return  # the other readings are followed from the parameter
        for event in self.events.get(node.name, ()):
            for k in (0, 1):
                weight, x = event.operands.get(k), event.operands.get(1 - k)
                static = None if weight is None else self.static(weight, alone=True)
                centred = None if x is None or static is None else self._centred(x, event)
                if weight is None or x is None or static is None or centred is None or static[1] != 1.0 or static[2]:
                    continue
                name = static[0].attributes["parameter"]
                if not self.held(name):
                    yield from self._spared(name, static, weight, x, event, centred, loss)

    def _spared(
        self,
        name: str,
        static: tuple[Node, float, float, Starts, dict[Slot, Slot]],
        weight: Meeting,
        x: Meeting,
        event: Event,
        centred: tuple[Reading | None, Reading | None],
        loss: bool,
    ) -> Iterator[Route]:
        gain, bias = centred
        self.letters = iter(ascii_letters)
        letters = {at: next(self.letters) for at in weight.slots if at[0] not in event.mixed}
        summed = {at: next(self.letters) for at in weight.slots if at[0] in event.mixed}
        if set(summed) != {at for at in x.slots if at[0] in event.mixed}:
            return

        def along(each: Reading, power: float) -> Static:
            """A parameter of the norm, with the letters of the indices that are summed over."""
            name, starts, slots = each
            return Static(name, starts, {slots[x.slots[at]]: letter for at, letter in summed.items()}, power)

        factors = () if gain is None else (along(gain, -1.0),)
        own = {static[4][weight.slots[at]]: letter for at, letter in {**letters, **(summed if gain else {})}.items()}
        slots = tuple(static[4][weight.slots[at]] for at in letters)
        leaf = self.leaves.of(self.fields.axes(static[0].name))[static[3]]
        route = Route(Source(name, static[3], slots), tuple(leaf.slots[s] for s in slots), "".join(letters.values()))
        route.terms.append((name, static[3], Shift(own, factors)))
        shifted: dict[str, dict[Starts, list[Shift]]] = {}
        if bias is not None:
            out = {event.output.slots[at]: letter for at, letter in letters.items() if at in event.output.slots}
            for reading in self._readings_of(event):
                shifted[reading] = {event.output.starts: [Shift(out, (along(bias, 1.0), *factors))]}
        done = self.run(route, shifted, loss)
        if done is not None:
            yield done

    def _readings_of(self, event: Event) -> list[str]:
        """The same node in every reading of the program."""
        name = event.node.name
        found = [name, *(f"{name}@{k}" for k in range(2, self.readings + 1))]
        return [each for each in found if each in self.events]

    def _centred(self, x: Meeting, event: Event) -> tuple[Reading | None, Reading | None] | None:
        """Gain and bias of the norm that a value comes from, if its entries sum to zero but for these."""
        mixed = [at for at in x.slots if at[0] in event.mixed]
        axes = {x.slots[at][0] for at in mixed}
        if len(axes) != 1 or event.mixed != {at[0] for at in mixed}:
            return None
        (axis,) = axes
        leaves = self.leaves.of(self.fields.axes(x.value))
        if len({starts[axis] for starts in leaves}) > 1:
            return None
        found: dict[str, Reading | None] = {"add": None, "mul": None}
        value, starts = x.value, x.starts
        slots = {x.slots[at]: x.slots[at] for at in mixed}  # of the axis, there and here
        while True:
            node = self.graph.node(value)
            here = next((e for e in self.events.get(value, ()) if e.output.starts == starts), None)
            if here is None:
                return None
            if node.op == "normalise":
                whole = list(node.attributes["axes"]) == [axis] and node.attributes["kind"] == "standard"
                return (found["mul"], found["add"]) if whole else None
            fn = node.attributes.get("fn") if node.op == "pointwise" else None
            if fn in ("identity", "real") or node.op in ("reshape", "transpose"):
                met = here.operands[0]
                back = {here.output.slots[at]: slot for at, slot in met.slots.items() if at in here.output.slots}
                if any(slot not in back for slot in slots.values()):
                    return None
                slots = {own: back[slot] for own, slot in slots.items()}
                axes = {slot[0] for slot in slots.values()}
                (axis,) = axes if len(axes) == 1 else (-1,)
                if axis < 0 or self.graph.node(met.value).shape[axis] != prod(self._size(x, own) for own in slots):
                    return None
                value, starts = met.value, met.starts
                continue
            if fn not in found or found[fn] is not None or (fn == "add" and found["mul"] is not None):
                return None
            parts = {k: self.static(met) for k, met in here.operands.items()}
            known = [k for k, part in parts.items() if part is not None]
            if len(known) != 1 or len(parts) != 2:
                return None
            part, met = parts[known[0]], here.operands[1 - known[0]]
            assert part is not None
            if part[1] != 1.0 or part[2] or self.graph.node(value).shape != self.graph.node(met.value).shape:
                return None
            if any(slot not in part[4] for slot in slots.values()):
                return None
            own = {there: part[4][slot] for there, slot in slots.items()}
            found[fn] = (part[0].attributes["parameter"], part[3], own)
            value, starts = met.value, met.starts

    # following -----------------------------------------------------------------------------------------------------
    def _follow(self, source: Source, loss: bool) -> Route | None:
        value = self.values[source.parameter]
        leaf = self.leaves.of(self.fields.axes(value))[source.starts]
        self.letters = iter(ascii_letters)
        letters = {slot: next(self.letters) for slot in source.slots}
        route = Route(source, tuple(leaf.slots[s] for s in source.slots), "".join(letters.values()))
        first = Shift(letters)
        route.terms.append((source.parameter, source.starts, first))
        return self.run(route, {value: {source.starts: [first]}}, loss)

    def run(self, route: Route, state: dict[str, dict[Starts, list[Shift]]], loss: bool = False) -> Route | None:
        """Follow shifts to where they end; none if the function changes."""
        waiting = [self.order[reader.name] for name in state for reader in self.fields.readers.get(name, ())]
        heapify(waiting)
        done: set[int] = set()
        try:
            while waiting:
                place = heappop(waiting)
                node = self.graph.nodes[place]
                if place in done or node.name in state:
                    continue
                done.add(place)
                if node.op == "output":
                    self._arrive(node, state, route, loss)
                    continue
                made = self._through(node, state, route)
                if made:
                    state[node.name] = made
                    for reader in self.fields.readers.get(node.name, ()):
                        heappush(waiting, self.order[reader.name])
        except Seen:
            return None
        return self._agreed(route)

    def _agreed(self, route: Route) -> Route | None:
        """One program read at two sizes takes the same shift up in the same way."""
        found: dict[tuple[str, Starts], list[Shift]] = {}
        for name, starts, shift in route.terms:
            found.setdefault((name, starts), []).append(shift)
        kept = []
        for (name, starts), shifts in found.items():
            if name == route.source.parameter and starts == route.source.starts and len(shifts) > 1:
                return None
            forms = [canonical(shift, route.letters) for shift in shifts]
            if name == route.source.parameter and starts == route.source.starts:
                kept.append((name, starts, shifts[0]))
                continue
            for form, shift in dict(zip(forms, shifts, strict=True)).items():
                if forms.count(form) % self.readings:
                    return None
                kept.extend([(name, starts, shift)] * (forms.count(form) // self.readings))
        return replace(route, terms=kept)

    def _arrive(
        self, node: Node, state: Mapping[str, Mapping[Starts, Sequence[Shift]]], route: Route, loss: bool
    ) -> None:
        """At an output: a loss of a softmax does not see what is the same along the last axis."""
        name = node.inputs[0]
        shape = self.graph.node(name).shape
        leaves = self.leaves.of(self.fields.axes(name))
        last = len(shape) - 1
        alone = len(self.graph.outputs) == self.readings
        if not loss or not alone or not shape or shape[last] == 1 or len({starts[last] for starts in leaves}) > 1:
            raise Seen
        if any(axis == last for shifts in state[name].values() for shift in shifts for axis, _ in shift.along):
            raise Seen
        route.loss = True

    def _through(
        self, node: Node, state: Mapping[str, Mapping[Starts, Sequence[Shift]]], route: Route
    ) -> dict[Starts, list[Shift]]:
        """What a node makes of the shifts of its operands."""
        if node.name not in self.events:
            raise Seen
        gathered: list[tuple[Event, dict[int, list[tuple[Meeting, Shift]]]]] = []
        for event in self.events[node.name]:
            shifted = {
                k: [(met, shift) for shift in state[met.value].get(met.starts, ())]
                for k, met in event.operands.items()
                if met.value in state
            }
            shifted = {k: found for k, found in shifted.items() if found}
            if shifted:
                gathered.append((event, shifted))
        gathered = self._averaged(node, gathered, route)
        taken = self._take_up(node, gathered, route)
        made: dict[Starts, list[Shift]] = {}
        for event, shifted in gathered:
            for shift in self._step(node, event, shifted, route, taken):
                made.setdefault(event.output.starts, []).append(shift)
        return made

    def _averaged(
        self, node: Node, gathered: list[tuple[Event, dict[int, list[tuple[Meeting, Shift]]]]], route: Route
    ) -> list[tuple[Event, dict[int, list[tuple[Meeting, Shift]]]]]:
        """Of a mean with the weights of a softmax one leaf stands for all, if all are shifted alike."""
        if node.op != "contract" or not gathered:
            return gathered
        k, found = next(iter(gathered[0][1].items()))
        other = gathered[0][0].operands.get(1 - k)
        if len(node.inputs) != 2 or other is None:
            return gathered
        if not self._is_weighting(node, gathered[0][0], self._carried(*found[0]), other):
            return gathered
        parts: dict[Starts, list[tuple[Event, dict[int, list[tuple[Meeting, Shift]]]]]] = {}
        for event, shifted in gathered:
            parts.setdefault(event.output.starts, []).append((event, shifted))
        for starts, same in parts.items():
            forms = {
                repr([canonical(shift, route.letters) for each in shifted.values() for _, shift in each])
                for _, shifted in same
            }
            all_leaves = sum(1 for event in self.events[node.name] if event.output.starts == starts)
            if len(forms) > 1 or len(same) < all_leaves or any(set(shifted) != {k} for _, shifted in same):
                raise Seen
        return [same[0] for same in parts.values()]

    def _step(
        self,
        node: Node,
        event: Event,
        shifted: Mapping[int, list[tuple[Meeting, Shift]]],
        route: Route,
        taken: bool,
    ) -> Iterator[Shift]:
        op = node.op
        if op in ("softmax", "normalise"):
            self._unseen(node, event, shifted)
        elif op == "order":
            yield from self._ordered(node, event, shifted)
        elif op == "scan":
            self._into_cell(node, event, shifted, route)
        elif self._is_affine(node):
            if event.mixed and op != "reduce":
                raise Seen  # positions before and after do not correspond
            yield from self._added(node, event, shifted, taken)
        elif self._hides(node, shifted):
            for found in shifted.values():
                yield from (self._out(event, self._carried(met, shift), shift) for met, shift in found)
        elif op in ("contract", "convolve", "gather") or self._is_product(node, shifted):
            yield from self._multiplied(node, event, shifted)
        else:
            raise Seen

    def _is_product(self, node: Node, shifted: Mapping[int, object]) -> bool:
        """Whether a node multiplies the shifted operand with others, entry by entry."""
        if node.op != "pointwise":
            return False
        return node.attributes["fn"] == "mul" or (node.attributes["fn"] == "div" and list(shifted) == [0])

    def _is_affine(self, node: Node) -> bool:
        if node.op == "pointwise":
            return node.attributes["fn"] in ("add", "sub", "neg", "identity", "real")
        if node.op == "pad":
            return False
        return node.op in ("reshape", "transpose", "broadcast", "concat", "slice", "reduce")

    # rules ---------------------------------------------------------------------------------------------------------
    def _carried(self, met: Meeting, shift: Shift) -> Spread:
        back = {slot: at for at, slot in met.slots.items()}
        return {back[slot]: letter for slot, letter in shift.along.items()}

    def _out(self, event: Event, spread: Spread, shift: Shift) -> Shift:
        """The shift of the value; letters along indices that are gone are summed over."""
        along = {event.output.slots[at]: letter for at, letter in spread.items() if at in event.output.slots}
        return replace(shift, along=along)

    def _unseen(self, node: Node, event: Event, shifted: Mapping[int, list[tuple[Meeting, Shift]]]) -> None:
        """What is the same along the axis is not seen."""
        if node.op == "normalise" and node.attributes["kind"] != "standard":
            raise Seen
        axes = [node.attributes["axis"]] if node.op == "softmax" else node.attributes["axes"]
        if node.op == "softmax" and node.attributes["kind"] == "log":
            raise Seen
        self._same_along(node, axes)
        for found in shifted.values():
            for met, shift in found:
                if any(at[0] in event.mixed for at in self._carried(met, shift)):
                    raise Seen

    def _same_along(self, node: Node, axes: Sequence[int]) -> None:
        """Refuse axes that are cut into several leaves, which a shift may meet differently."""
        leaves = self.leaves.of(self.fields.axes(node.inputs[0]))
        if any(len({starts[axis] for starts in leaves}) > 1 for axis in axes):
            raise Seen

    def _ordered(self, node: Node, event: Event, shifted: Mapping[int, list[tuple[Meeting, Shift]]]) -> Iterator[Shift]:
        self._same_along(node, [node.attributes["axis"]])
        for met, shift in shifted[0]:
            spread = self._carried(met, shift)
            if any(at[0] in event.mixed for at in spread):
                raise Seen
            if node.attributes["what"] == "values":
                yield self._out(event, spread, shift)

    def _into_cell(
        self, node: Node, event: Event, shifted: Mapping[int, list[tuple[Meeting, Shift]]], route: Route
    ) -> None:
        """What is added to a gate at every step, the bias of the gate takes up; but not the one that a gate scales."""
        a = node.attributes
        if event.output.starts[2]:
            return  # the gate was met with the first part of the value
        if list(shifted) != [0] or not a["bias"]:
            raise Seen
        bias = event.operands[2]
        static = self.static(bias, alone=True)
        gate = event.operands[0].starts[2] // (self.graph.node(node.inputs[0]).shape[2] // GATES[a["cell"]])
        if static is None or static[1] != 1.0 or static[2] or (a["cell"] == "gru" and gate == 2):
            raise Seen
        name = static[0].attributes["parameter"]
        if self.held(name) or (name, static[3]) == (route.source.parameter, route.source.starts):
            raise Seen
        for met, shift in shifted[0]:
            spread = self._carried(met, shift)
            if shift.data or not set(spread) <= set(bias.slots):
                raise Seen
            along = {static[4][bias.slots[at]]: letter for at, letter in spread.items()}
            route.terms.append((name, static[3], replace(shift, along=along, coefficient=-shift.coefficient)))

    def _added(
        self, node: Node, event: Event, shifted: Mapping[int, list[tuple[Meeting, Shift]]], taken: bool
    ) -> Iterator[Shift]:
        for moved, spread in self._moved(node, event, shifted):
            if not taken:
                yield self._out(event, spread, moved)

    def _moved(
        self, node: Node, event: Event, shifted: Mapping[int, list[tuple[Meeting, Shift]]]
    ) -> Iterator[tuple[Shift, Spread]]:
        for k, found in shifted.items():
            for met, shift in found:
                spread = self._carried(met, shift)
                factor = (-1.0 if self._subtracts(node, k) else 1.0) * self._summed(node, event, met, spread)
                yield replace(shift, coefficient=shift.coefficient * factor), spread

    def _take_up(
        self, node: Node, gathered: Sequence[tuple[Event, dict[int, list[tuple[Meeting, Shift]]]]], route: Route
    ) -> bool:
        """Whether parameters that are added here, and nowhere else, take the shift up in all leaves alike."""
        if node.op != "pointwise" or node.attributes["fn"] not in ("add", "sub"):
            return False
        terms: dict[tuple[str, Starts], list[Shift]] = {}
        for event, shifted in gathered:
            taker = self._taker(event, shifted, route) if len(shifted) == 1 else None
            if taker is None:
                return False
            j, other, parameter, starts, slots = taker
            found = []
            for moved, spread in self._moved(node, event, shifted):
                if moved.data or not set(spread) <= set(other.slots):
                    return False
                along = {slots[other.slots[at]]: letter for at, letter in spread.items()}
                sign = 1.0 if self._subtracts(node, j) else -1.0
                found.append(replace(moved, along=along, coefficient=sign * moved.coefficient))
            before = terms.setdefault((parameter, starts), found)
            forms = [[canonical(x, route.letters) for x in each] for each in (before, found)]
            if forms[0] != forms[1]:
                return False
        if len(gathered) < sum(1 for event in self.events[node.name] if self._reads(event, set(terms))):
            return False  # what takes it up here is added elsewhere too, where there is no shift
        route.terms.extend((name, starts, shift) for (name, starts), found in terms.items() for shift in found)
        return True

    def _reads(self, event: Event, leaves: set[tuple[str, Starts]]) -> bool:
        for met in event.operands.values():
            static = self.static(met)
            if static is not None and (static[0].attributes["parameter"], static[3]) in leaves:
                return True
        return False

    def _subtracts(self, node: Node, k: int) -> bool:
        return node.op == "pointwise" and (
            node.attributes["fn"] == "neg" or (node.attributes["fn"] == "sub" and k == 1)
        )

    def _summed(self, node: Node, event: Event, met: Meeting, spread: Spread) -> float:
        """By how much a sum along axes multiplies what is the same along them."""
        if node.op != "reduce":
            return 1.0
        axes, shape = node.attributes["axes"], self.graph.node(node.inputs[0]).shape
        if node.attributes["fn"] not in ("sum", "mean"):
            raise Seen
        self._same_along(node, axes)
        varied = {met.slots[at] for at in spread}
        free = prod(shape[axis] for axis in axes) / prod(self._size(met, slot) for slot in varied if slot[0] in axes)
        total = prod(shape[axis] for axis in axes)
        return free if node.attributes["fn"] == "sum" else free / total

    def _size(self, met: Meeting, slot: Slot) -> int:
        return next(met.atoms[at].size for at, s in met.slots.items() if s == slot)

    def _taker(
        self, event: Event, shifted: Mapping[int, object], route: Route
    ) -> tuple[int, Meeting, str, Starts, dict[Slot, Slot]] | None:
        """A parameter that is added here, and nowhere else, and that may take the shift up."""
        for k, met in event.operands.items():
            if k in shifted:
                continue
            found = self.static(met, alone=True)
            if found is None or found[1] != 1.0 or found[2] != 0.0:
                continue
            parameter, slots = found[0].attributes["parameter"], found[4]
            if self.held(parameter):
                continue
            if (parameter, found[3]) == (route.source.parameter, route.source.starts):
                continue
            return k, met, parameter, found[3], slots
        return None

    def static(self, met: Meeting, alone: bool = False) -> tuple[Node, float, float, Starts, dict[Slot, Slot]] | None:
        """The parameter whose entries, raised to a power, a leaf of a value holds.

        Returns:
            The node of the parameter, the power, what is added before, the start of its leaf there and for each slot
            of the value that of the parameter; None where the value is anything else.
        """
        node, starts, power, offset = self.graph.node(met.value), met.starts, 1.0, 0.0
        slots = {slot: slot for slot in met.slots.values()}
        while node.op != "parameter":
            if alone and len(self.fields.readers[node.name]) > 1:
                return None
            if node.op == "pointwise" and node.attributes["fn"] in ("sqrt", "rsqrt"):
                power *= 0.5 if node.attributes["fn"] == "sqrt" else -0.5
                if offset:
                    return None
            name = node.attributes.get("fn")
            if node.op == "pointwise" and name == "add" and node.name not in self.events:
                origin = next(x for x in node.inputs if self._views_parameter(x))
                parameter = self._parameter_of(origin)
                offset = self.fields.offsets[parameter]
                node = self.graph.node(origin)
                continue
            if node.op not in ("reshape", "transpose", "broadcast", "slice") and not (
                node.op == "pointwise" and name in ("identity", "real", "sqrt", "rsqrt")
            ):
                return None
            event = next((e for e in self.events.get(node.name, ()) if e.output.starts == starts), None)
            if event is None or 0 not in event.operands:
                return None
            below = event.operands[0]
            forward = {event.output.slots[at]: slot for at, slot in below.slots.items() if at in event.output.slots}
            if any(slot not in forward for slot in slots.values()):
                return None
            slots = {mine: forward[slot] for mine, slot in slots.items()}
            node, starts = self.graph.node(below.value), below.starts
        readers = self.fields.readers[node.name]
        if alone and len({self._trace(reader) for reader in readers}) < len(readers):
            return None
        return node, power, offset, starts, slots

    def _trace(self, node: Node) -> str:
        """Which reading of the program a node belongs to."""
        return node.name.partition("@")[2]

    def _views_parameter(self, name: str) -> bool:
        return self._parameter_of(name) in self.fields.offsets

    def _parameter_of(self, name: str) -> str:
        node = self.graph.node(name)
        while node.inputs and node.op in ("reshape", "transpose", "broadcast", "pointwise"):
            node = self.graph.node(node.inputs[0])
        return str(node.attributes.get("parameter", ""))

    def _multiplied(
        self, node: Node, event: Event, shifted: Mapping[int, list[tuple[Meeting, Shift]]]
    ) -> Iterator[Shift]:
        if len(shifted) > 1:
            raise Seen
        ((k, found),) = shifted.items()
        others = [(j, met) for j, met in event.operands.items() if j != k]
        for met, shift in found:
            spread = self._carried(met, shift)
            if node.op == "convolve":
                self._even(node, event, spread)
            for j, other in others:
                shift, spread = self._times(node, event, shift, spread, met, j, other)
            yield self._out(event, spread, shift)

    def _even(self, node: Node, event: Event, spread: Spread) -> None:
        """A convolution without padding makes the same everywhere of what is the same everywhere."""
        a = node.attributes
        if a.get("transposed") or any(a["padding"]) or any(at[0][0] in "st" for at in spread):
            raise Seen

    def _times(
        self, node: Node, event: Event, shift: Shift, spread: Spread, met: Meeting, j: int, other: Meeting
    ) -> tuple[Shift, Spread]:
        """A shift times one other operand."""
        number = self._number(other)
        divides = node.op == "pointwise" and node.attributes["fn"] == "div"
        if number is not None and not self._sums_alone(event, spread, other):
            return replace(
                shift, coefficient=shift.coefficient / number if divides else shift.coefficient * number
            ), spread
        static = None if shift.data else self.static(other)
        if static is not None and not self._sums_alone(event, spread, other):
            spread = dict(spread)
            letters = {}
            for at, slot in other.slots.items():
                if at not in spread:
                    spread[at] = self._letter()
                letters[static[4][slot]] = spread[at]
            power = -static[1] if divides else static[1]
            factor = Static(static[0].attributes["parameter"], static[3], letters, power, static[2])
            return replace(shift, factors=(*shift.factors, factor)), spread
        if self._is_weighting(node, event, spread, other):
            return shift, dict(spread)
        if node.op == "gather" and j == 1:
            if any(at[0] in event.mixed for at in spread):
                raise Seen
            return shift, spread
        # anything else depends on the data, along all of its own indices
        kept = {at: letter for at, letter in spread.items() if at in event.output.slots}
        for at in event.output.slots:
            if at not in kept and (at in other.slots or at not in met.slots):
                kept[at] = "?"
        return replace(shift, data=True, factors=()), kept

    def _sees_something(self, node: Node) -> bool:
        """Whether no row of a softmax is hidden altogether: its mask is a constant that shows an entry of each."""
        hidden = self.graph.node(node.inputs[0])
        if hidden.op != "pointwise" or hidden.attributes["fn"] != "where":
            return False
        mask = self.fields.origin(hidden.inputs[0])
        if mask.op != "constant":
            return False
        tensor = self.graph.constants[mask.attributes["constant"]]
        axis = node.attributes["axis"] - len(node.shape)
        if tensor.is_meta or -axis > tensor.dim() or tensor.shape[axis] != node.shape[axis]:
            return False
        return bool((tensor != 0).any(axis).all())

    def _hides(self, node: Node, shifted: Mapping[int, object]) -> bool:
        """Whether a node puts −∞, which no shift changes, in place of some entries of the shifted operand."""
        if node.op != "pointwise" or node.attributes["fn"] != "where" or set(shifted) not in ({1}, {2}):
            return False
        (k,) = shifted
        fill = self.fields.origin(node.inputs[3 - k])
        if fill.op != "constant":
            return False
        tensor = self.graph.constants[fill.attributes["constant"]]
        return not tensor.is_meta and bool((tensor == -torch.inf).all())

    def _letter(self) -> str:
        letter = next(self.letters, None)
        if letter is None:
            raise Seen  # a product of so many parameters is not followed
        return letter

    def _sums_alone(self, event: Event, spread: Spread, other: Meeting) -> bool:
        """Whether an index is summed over along which neither varies: that would need its size."""
        return any(not any(at[0] == name for at in (*spread, *other.slots)) for name in event.mixed)

    def _number(self, met: Meeting) -> float | None:
        node = self.fields.origin(met.value)
        if node.op != "constant":
            return None
        tensor = self.graph.constants[node.attributes["constant"]]
        if tensor.is_meta or tensor.dtype == torch.bool or tensor.unique().numel() != 1:
            return None
        return float(tensor.flatten()[0])

    def _is_weighting(self, node: Node, event: Event, spread: Spread, other: Meeting) -> bool:
        """Whether the other operand is a softmax along the one index that is summed over."""
        if node.op != "contract" or any(at[0] in event.mixed for at in spread):
            return False
        origin = self.graph.node(other.value)
        labels = node.attributes["spec"].partition("->")[0].split(",")[list(node.inputs).index(other.value)]
        if origin.op != "softmax" or origin.attributes["kind"] == "log":
            return False
        if origin.attributes["kind"] == "safe" and not self._sees_something(origin):
            return False
        return event.mixed == {labels[origin.attributes["axis"]]}


def _subsets(slots: tuple[Slot, ...]) -> Iterator[tuple[Slot, ...]]:
    """All slots, then all but one."""
    yield slots
    for k in range(len(slots)):
        yield (*slots[:k], *slots[k + 1 :])


def canonical(shift: Shift, kept: str) -> tuple[object, object, float]:
    """A shift with its summed letters numbered, for comparison."""
    names: dict[str, str] = {letter: letter for letter in kept}

    def named(letter: str) -> str:
        return names.setdefault(letter, f"#{len(names)}")

    factors = []
    for each in shift.factors:
        letters = tuple((slot, named(letter)) for slot, letter in sorted(each.letters.items()))
        factors.append((each.parameter, each.starts, letters, each.power, each.offset))
    along = tuple((slot, named(letter)) for slot, letter in sorted(shift.along.items()))
    return along, tuple(factors), round(shift.coefficient, 12)


def translation(
    route: Route, frames: Frames, fields: Fields, nodes: Mapping[str, Node], contained: int = 0
) -> Translation:
    """A route in terms of blocks; ``nodes`` are those of the parameters."""

    def block(name: str, starts: Starts, letters: Mapping[Slot, str], spare: Iterator[str]) -> tuple[int, str]:
        node = nodes[name]
        place = frames.place(name, node.shape, fields.axes(node.name), starts)
        found = {place.dims[slot]: letter for slot, letter in letters.items() if slot in place.dims}
        return place.block, "".join(found[k] if k in found else next(spare) for k in range(place.rank))

    terms = []
    for name, starts, shift in route.terms:
        used = {*route.letters, *shift.along.values(), *(x for f in shift.factors for x in f.letters.values())}
        spare = (letter for letter in ascii_letters if letter not in used)
        factors = []
        for each in shift.factors:
            number, letters = block(each.parameter, each.starts, each.letters, spare)
            factors.append(Factor(each.parameter, number, letters, each.power, each.offset))
        number, letters = block(name, starts, shift.along, spare)
        terms.append(Term(name, number, letters, route.letters, tuple(factors), shift.coefficient))
    space = tuple(str(atom.serial) for atom in route.atoms)
    return Translation(
        route.source.parameter, space, tuple(atom.size for atom in route.atoms), tuple(terms), route.loss, contained
    )


__all__ = ["Route", "Shift", "Shifts", "Source", "canonical", "translation"]
