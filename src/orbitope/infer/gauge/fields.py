"""Fields: how every value of a program is scaled (or signed) along each of its indices, as forms in unknowns.

A field of a leaf is a number for the whole leaf and one function along each of its slots; the logarithm of the scale
of an entry is their sum. Dimensional analysis gives one linear equation for every operation, index and leaf:
products add the fields of their operands, sums demand that they be equal, and an index that is summed over must not
carry any. All of it follows from the index terms of a primitive and from its degrees or parities.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from orbitope.graph import Graph, Node, labels
from orbitope.infer.gauge.events import NONE, Event, Field, Kind, Meeting
from orbitope.infer.gauge.laws import Law, adds, behaviour_of, ignores_signs, is_product, is_square, mirror_of, views
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts, Unaligned
from orbitope.infer.gauge.seating import Gathering, Seat, Seating
from orbitope.infer.gauge.solver import Form, Solver
from orbitope.infer.unification import Use
from orbitope.infer.words import Word


class Fields:
    """The fields of all values of a program.

    Attributes:
        solver: the equations.
        values: by name of the value and start of the leaf.
        events: what every operation did.
        offsets: what is added to a parameter wherever it is read, as the ε in √(variance + ε), by its name.
        frozen: nodes of which nothing could be concluded.
        ones: forms along indices whose sum is taken: where one of them is not zero, matrices must keep the ones.
    """

    def __init__(
        self,
        graph: Graph,
        seating: Seating,
        kind: Kind,
        held: Callable[[str], bool],
        tiny: bool = False,
        mirrored: bool = False,
        tilted: Collection[str] = (),
    ) -> None:
        """Walk over the program.

        Args:
            graph: the program.
            seating: which leaves meet in its operations.
            kind: logarithms of positive scales, signs, or indices along which orthogonal matrices act.
            held: whether a parameter must not change.
            tiny: whether the ε of norms is taken for zero.
            mirrored: whether functions may be mirrored with a constant left over, as in σ(−z) = 1 − σ(z); what becomes
                of that constant is for the caller to see to.
            tilted: nodes whose functions may be mirrored too, with a linear part left over, as in φ(−z) = φ(z) − z.
        """
        self.graph = graph
        self.seating = seating
        self.leaves = seating.leaves
        self.kind: Kind = kind
        self.held = held
        self.tiny = tiny
        self.mirrored = mirrored
        self.tilted = tilted
        self.solver = Solver(0 if kind in ("scale", "general") else 2)
        self.ones: list[Form] = []
        self.values: dict[str, dict[Starts, Field]] = {}
        self.events: list[Event] = []
        self.offsets: dict[str, float] = {}
        self.frozen: list[Node] = []
        self.readers: dict[str, list[Node]] = {}
        for node in graph:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
        self._uses = {use.node.name: use for use in seating.result.uses}
        # buffers first: unknowns of theirs stay free, so that what is left moves parameters that are trained
        buffers = {
            n.name for n in graph if n.op == "parameter" and not graph.parameters[n.attributes["parameter"]].trainable
        }
        for node in sorted(graph, key=lambda each: each.name not in buffers):
            self._visit(node)
        self._settle()

    def axes(self, name: str) -> tuple[Word, ...]:
        """The words of a value's axes."""
        return self.seating.axes(name)

    # leaves of the program -----------------------------------------------------------------------------------------
    def _visit(self, node: Node) -> None:
        if node.op == "parameter":
            fixed = self.held(node.attributes["parameter"])
            self.values[node.name] = self._made(node.name, None if fixed else self.solver.fresh)
        elif node.op == "input":
            self.values[node.name] = self._made(node.name)
        elif node.op == "constant":
            self.values[node.name] = self._constant(node)
        elif node.op == "output":
            self._vanish(node.inputs[0])
            self.values[node.name] = {}
        else:
            self._operation(node)

    def _made(self, name: str, form: Callable[[], Form] | None = None) -> dict[Starts, Field]:
        """Fields of a value, zero or of forms that are made for them; none if its leaves are too many."""
        try:
            found = self.seating.boxes(name)
        except Unaligned:
            return {}
        if form is None:
            return {starts: Field(NONE, dict.fromkeys(leaf.slots, NONE)) for starts, leaf in found.items()}
        return {starts: Field(form(), {slot: form() for slot in leaf.slots}) for starts, leaf in found.items()}

    def _constant(self, node: Node) -> dict[Starts, Field]:
        tensor = self.graph.constants[node.attributes["constant"]]
        nothing = not tensor.is_meta and not bool(tensor.any())
        if self.tiny and not tensor.is_meta and tensor.is_floating_point() and tensor.numel():
            small = bool((tensor == tensor.flatten()[0]).all()) and 0 < float(tensor.flatten()[0]) <= 1e-3
            nothing |= small and all(adds(reader) for reader in self.readers.get(node.name, ()))
        fields = self._made(node.name)
        return {starts: replace(each, zero=nothing) for starts, each in fields.items()}

    def _vanish(self, name: str) -> None:
        for each in self.values[name].values():
            if not each.zero:
                self._hold(each)

    def _settle(self) -> None:
        """Put what is known in the end into all fields."""
        known = self.solver.known
        for fields in self.values.values():
            for each in fields.values():
                each.uniform = known(each.uniform)
                for slot, form in each.slots.items():
                    each.slots[slot] = known(form)

    # operations ----------------------------------------------------------------------------------------------------
    def _operation(self, node: Node) -> None:
        self.values[node.name] = self._made(node.name)
        use = self._uses[node.name]
        try:
            if any(not self.values[name] for name in (*node.inputs, node.name)):
                raise Unaligned
            if self._offset(node):
                return
            gatherings = self.seating.of(use)
        except Unaligned:
            self.frozen.append(node)
            for name in node.inputs:
                self._vanish(name)
            return
        if node.op == "scan":
            self._cell(node, gatherings)
            return
        if is_product(node) and self._multiplied(node, gatherings):
            return
        written: set[Starts] = set()
        law = Law(behaviour_of(node, self.tiny), self.kind, len(node.inputs))
        mirror = mirror_of(node) if self.mirrored else None
        if mirror is not None or node.name in self.tilted:
            law.coefficients = [int(mirror is not None and mirror.sign < 0)]
            for name in node.inputs:  # only single units are mirrored
                for each in self.values[name].values():
                    self.solver.zero(each.uniform)
        self._spread(use)
        for operands, output, places in gatherings:
            met = {k: self._met(seat) for k, seat in enumerate(operands) if seat is not None}
            passing = self._passing(node, law, met)
            event = Event(node, met, passing or (), self._met(output), use.indexing.mixed, law.linear)
            self.events.append(event)
            if passing is not None:
                self._judge(law, event, places, first=output.starts not in written)
                written.add(output.starts)
        for starts, each in self.values[node.name].items():
            each.zero = starts not in written  # nothing but zeros came there

    def _multiplied(self, node: Node, gatherings: Sequence[Gathering]) -> bool:
        """The fields of a product along axes that are cut into positions: those of all factors together."""
        mixed = self._uses[node.name].indexing.mixed
        factors: dict[Starts, list[Meeting]] = {}
        outputs: dict[Starts, Meeting] = {}
        for (seat, *_), output, _ in gatherings:
            if seat is None or any(at[0] in mixed for at in seat.slots):
                return False
            factors.setdefault(output.starts, []).append(self._met(seat))
            outputs[output.starts] = self._met(output)
        if any(met.field.zero for found in factors.values() for met in found):
            return False
        for starts, found in factors.items():
            output = outputs[starts]
            output.field.uniform = self.solver.combine([(met.field.uniform, 1) for met in found])
            for at in {at for met in found for at in met.slots}:
                forms = [(met.form(at), 1) for met in found]
                if self.kind in ("general", "orthogonal") or at not in output.slots:
                    for form, _ in forms:
                        self.solver.zero(form)
                else:
                    output.field.slots[output.slots[at]] = self.solver.combine(forms)
            for met in found:
                self.events.append(Event(node, {0: met}, ((met, 1),), output, mixed, False))
        return True

    def _spread(self, use: Use) -> None:
        """Along an index that is mixed and kept, every leaf of an operand is felt in every leaf of the value."""
        node, indexing = use.node, use.indexing
        kept = self.seating.kept(use)
        if not kept or ignores_signs(node, self.kind):
            return
        for name, axes in zip(node.inputs, indexing.operands, strict=True):
            mixed = {k for k, term in enumerate(axes) if any(label.name in kept for label in labels(term))}
            alike: dict[Starts, Field] = {}
            for starts, each in self.values[name].items():
                if each.zero:
                    continue
                rest = tuple(start for k, start in enumerate(starts) if k not in mixed)
                first = alike.setdefault(rest, each)
                self.solver.equal(first.uniform, each.uniform)
                for slot in first.slots.keys() | each.slots.keys():
                    if slot[0] not in mixed:
                        self.solver.equal(first.slots.get(slot, NONE), each.slots.get(slot, NONE))

    def _cell(self, node: Node, gatherings: Sequence[Gathering]) -> None:
        """A recurrent cell: its value is an operand of its next step, and so is unknown before it is judged."""
        from orbitope.infer.gauge.cells import judge  # cells are made of fields

        self.values[node.name] = self._made(node.name, self.solver.fresh)
        for each in self.values[node.name].values():
            for slot in each.slots:
                if slot[0] != 2:  # steps and samples
                    each.slots[slot] = NONE
        met = [([None if s is None else self._met(s) for s in seats], self._met(out)) for seats, out, _ in gatherings]
        try:
            judge(self, node, met)
        except Unaligned:
            self.frozen.append(node)
            for name in (*node.inputs, node.name):
                self._vanish(name)
            return
        for operands, output in met:
            present = {k: each for k, each in enumerate(operands) if each is not None}
            self.events.append(Event(node, present, (), output, frozenset("thp"), False))

    def keeps_mixed(self, node: Node) -> bool:
        """Whether a node has in its value an index that it mixes."""
        return bool(self.seating.kept(self._uses[node.name]))

    def _met(self, seat: Seat) -> Meeting:
        return Meeting(*seat, self.values[seat.value][seat.starts])

    def _offset(self, node: Node) -> bool:
        """A constant added to a parameter wherever it is read: the sum is scaled in its place."""
        if self.kind != "scale" or not adds(node):
            return False
        for name in node.inputs:
            origin = self.origin(name)
            if origin.op != "parameter" or self.held(origin.attributes["parameter"]):
                continue
            added = set(self._added(origin))
            if len(added) == 1 and None not in added and self.axes(node.name) == self.axes(name):
                self.values[node.name] = self.values[name]
                self.offsets[origin.attributes["parameter"]] = next(iter(added)) or 0.0
                return True
        return False

    def origin(self, name: str) -> Node:
        """What a value is a view of."""
        node = self.graph.node(name)
        while views(node):
            node = self.graph.node(node.inputs[0])
        return node

    def _added(self, node: Node) -> Iterator[float | None]:
        """The constants that readers of a value add to it; None for anything else that they do."""
        for reader in self.readers.get(node.name, ()):
            if views(reader):
                yield from self._added(reader)
                continue
            others = [self.origin(name) for name in reader.inputs if self.origin(name) is not self.origin(node.name)]
            constant = others[0] if len(others) == 1 and others[0].op == "constant" else None
            tensor = None if constant is None else self.graph.constants[constant.attributes["constant"]]
            plain = tensor is not None and not tensor.is_meta and not tensor.is_complex()
            same = tensor is not None and plain and tensor.unique().numel() == 1
            is_sum = adds(reader) and reader.attributes["fn"] == "add"
            yield float(tensor.flatten()[0]) if tensor is not None and same and is_sum else None

    # the law -------------------------------------------------------------------------------------------------------
    def _passing(
        self, node: Node, law: Law, met: Mapping[int, Meeting]
    ) -> tuple[tuple[Meeting, Fraction | int], ...] | None:
        """The operands whose fields make up that of the value in one leaf; None where what they make is zero."""
        present = {k: each for k, each in met.items() if not each.field.zero}
        joint = [each for k, each in present.items() if k in law.joint]
        for k, each in present.items():
            if law.coefficients[k] is None:
                self._hold(each.field)
        for a, b in pairwise(joint):
            if a.field.plain and b.field.plain:
                continue
            self.solver.equal(a.field.uniform, b.field.uniform)
            for at in a.slots.keys() | b.slots.keys():
                self.solver.equal(a.form(at), b.form(at))
        if len(present) < len(met) and law.is_zero(met):
            return None
        if node.op == "pad" and not met and node.attributes["value"] == 0:
            return None
        apart = [
            (each, c) for k, each in present.items() if k not in law.joint and (c := law.coefficients[k]) is not None
        ]
        return (*apart, *((each, 1) for each in joint[:1]))

    def _judge(self, law: Law, event: Event, places: Sequence[LabelSlot], first: bool) -> None:
        """The equations of one leaf."""
        if first and all(met.field.plain for met, _ in event.passing):
            return  # the field of a new value is zero as it is
        uniform = self.solver.combine([(met.field.uniform, c) for met, c in event.passing])
        self._write(event.output.field, None, uniform, first)
        for at in places:
            forms = [(met.form(at), c) for met, c in event.passing]
            if not first or any(form for form, _ in forms):
                self._along(law, event, at, forms, first)

    def _along(
        self, law: Law, event: Event, at: LabelSlot, forms: Sequence[tuple[Form, Fraction | int]], first: bool
    ) -> None:
        """The equation of one index."""
        solver, node, output, mixed = self.solver, event.node, event.output, at[0] in event.mixed
        total = solver.combine(forms)
        holders = [met for met, _ in event.passing if at in met.slots]
        if self.kind in ("general", "orthogonal") and not self._is_matrix(node, law, at, holders, output, mixed):
            for met in holders:
                solver.zero(met.form(at))
            total = NONE
        elif mixed and at in output.slots and ignores_signs(node, self.kind):
            pass  # what divides all entries by one number
        elif mixed and law.linear:
            if not (self.kind == "orthogonal" and len(holders) == 1):
                solver.zero(total)
            total = NONE
        elif mixed:
            for met in holders:
                solver.zero(met.form(at))
            total = NONE
        if at in output.slots:
            self._write(output.field, output.slots[at], total, first)
        else:
            solver.zero(total)

    def _is_matrix(
        self, node: Node, law: Law, at: LabelSlot, holders: Sequence[Meeting], output: Meeting, mixed: bool
    ) -> bool:
        """Whether matrices may act along an index: the operation is linear along it, or sees lengths only."""
        if self.kind == "orthogonal" and is_square(node, at, holders, self.readers.get(node.name, ())):
            return True
        if node.op == "normalise" and self.kind == "orthogonal":
            if mixed and node.attributes["kind"] == "standard":
                self.ones.extend(met.form(at) for met in holders)
            return mixed  # along other indices, as of groups, every position has a length of its own
        if not law.linear:
            return False
        if not mixed:
            return len(holders) <= 1
        if at in output.slots:
            return False
        if len(holders) == 1 and self.kind == "orthogonal" and at[0] not in self._uses[node.name].indexing.fixed:
            self.ones.append(holders[0].form(at))
            return True
        return len(holders) == 2

    def _write(self, target: Field, slot: Slot | None, form: Form, first: bool) -> None:
        before = target.uniform if slot is None else target.slots[slot]
        if not first:
            self.solver.equal(before, form)
        elif slot is None:
            target.uniform = form
        else:
            target.slots[slot] = form

    def _hold(self, each: Field) -> None:
        self.solver.zero(each.uniform)
        for form in each.slots.values():
            self.solver.zero(form)


__all__ = ["Fields"]
