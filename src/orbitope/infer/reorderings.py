"""Which values of a program are another value with the positions of its axes in another, constant order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

import torch

from orbitope.graph import Graph, Node

Order = tuple[int, ...]


@dataclass(frozen=True)
class Reordering:
    """``value[…, i, …] = source[…, order[i], …]`` along some axes.

    Attributes:
        value: name of the value.
        source: name of the value that it is, in another order.
        orders: for each axis that is reordered, the position that each comes from; never all in their places.
    """

    value: str
    source: str
    orders: Mapping[int, Order]


@dataclass(frozen=True)
class _View:
    """A value whose entries are those of another, with one axis of that replaced by a table of its positions.

    The axes of the value are those of the source before ``axis``, those of the table, and those of the source behind.
    """

    source: str
    axis: int
    table: torch.Tensor

    @property
    def rank(self) -> int:
        return self.table.dim()

    def holds(self, axis: int) -> bool:
        """Whether an axis of the value is one of the table's."""
        return self.axis <= axis < self.axis + self.rank


def found(graph: Graph) -> Iterator[Reordering]:
    """All reorderings of a program, in its order: rolled, reversed, gathered, split and merged in another order.

    Guarantee: sound; those that move positions of several axes at once are not seen.
    """
    views: dict[str, list[_View]] = {}
    for node in map(_flat, graph):
        step = _STEPS.get(node.op)
        if step is None:
            continue
        views[node.name] = list(step(_Reader(graph, views), node))
        for view in views[node.name]:
            order = tuple(view.table.tolist()) if view.rank == 1 else ()
            plain = list(range(len(order)))
            if graph.by_name[view.source].shape == node.shape and sorted(order) == plain != list(order):
                yield Reordering(node.name, view.source, {view.axis: order})
                break


def _flat(node: Node) -> Node:
    """An operation on slices as one on the whole, if it is one that moves entries; else itself."""
    if node.op != "map":
        return node
    inner, stacked = _flat(node.attributes["inner"]), node.attributes["stacked"]
    attributes = dict(inner.attributes)
    if inner.op in ("slice", "concat", "gather"):
        attributes["axis"] += 1
    elif inner.op == "transpose":
        attributes["permutation"] = [0, *(k + 1 for k in attributes["permutation"])]
    elif inner.op != "reshape":
        return node
    alike = stacked[0] and not stacked[1] if inner.op == "gather" else all(stacked)
    return replace(node, op=inner.op, attributes=attributes) if alike else node


class _Reader:
    """The views that a value is known to be."""

    def __init__(self, graph: Graph, views: Mapping[str, list[_View]]) -> None:
        self.graph = graph
        self.views = views

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.by_name[name].shape

    def at(self, name: str, axis: int) -> Iterator[_View]:
        """Those with an axis in the table; the value is also a view of itself."""
        yield from (view for view in self.views.get(name, ()) if view.holds(axis))
        yield _View(name, axis, torch.arange(self.shape(name)[axis]))

    def every(self, name: str) -> Iterator[_View]:
        """All, of itself along every axis included."""
        yield from self.views.get(name, ())
        yield from (_View(name, axis, torch.arange(size)) for axis, size in enumerate(self.shape(name)))


def _sliced(reader: _Reader, node: Node) -> Iterator[_View]:
    a = node.attributes
    places = torch.arange(a["start"], a["stop"], a["step"])
    for view in reader.at(node.inputs[0], a["axis"]):
        yield replace(view, table=view.table.index_select(a["axis"] - view.axis, places))


def _gathered(reader: _Reader, node: Node) -> Iterator[_View]:
    places = reader.graph.by_name[node.inputs[1]]
    if places.op != "constant" or places.attributes.get("told") or len(places.shape) != 1:
        return
    tensor, axis = reader.graph.constants[places.attributes["constant"]], node.attributes["axis"]
    size = reader.shape(node.inputs[0])[axis]
    if tensor.is_meta or not all(0 <= place < size for place in tensor.tolist()):
        return
    for view in reader.at(node.inputs[0], axis):
        yield replace(view, table=view.table.index_select(axis - view.axis, tensor.cpu().long()))


def _laid_together(reader: _Reader, node: Node) -> Iterator[_View]:
    axis = node.attributes["axis"]
    first, *others = [[view for view in reader.views.get(name, ()) if view.holds(axis)] for name in node.inputs]
    for view in first:
        rows = [view, *(next((x for x in other if _alike(view, x)), None) for other in others)]
        tables = [x.table for x in rows if x is not None]
        if len(tables) == len(rows) and sum(map(torch.numel, tables)) <= reader.shape(view.source)[view.axis]:
            yield replace(view, table=torch.cat(tables, axis - view.axis))


def _alike(view: _View, other: _View) -> bool:
    return (view.source, view.axis, view.rank) == (other.source, other.axis, other.rank)


def _turned(reader: _Reader, node: Node) -> Iterator[_View]:
    order = list(node.attributes["permutation"])
    for view in reader.views.get(node.inputs[0], ()):
        start, stop = view.axis, view.axis + view.rank
        block = order[start:stop]
        if order[:start] == list(range(start)) and order[stop:] == list(range(stop, len(order))):
            yield replace(view, table=view.table.permute([k - start for k in block]))


def _reshaped(reader: _Reader, node: Node) -> Iterator[_View]:
    for view in reader.every(node.inputs[0]):
        shape = reader.shape(view.source)
        stop = len(node.shape) - (len(shape) - view.axis - 1)
        lead, block, tail = node.shape[: view.axis], node.shape[view.axis : max(stop, 0)], node.shape[max(stop, 0) :]
        fits = stop >= view.axis and (lead, tail) == (shape[: view.axis], shape[view.axis + 1 :])
        if fits and prod(block) == view.table.numel():
            yield replace(view, table=view.table.reshape(block))


_STEPS = {
    "slice": _sliced,
    "gather": _gathered,
    "concat": _laid_together,
    "transpose": _turned,
    "reshape": _reshaped,
}


def compose(first: Order, second: Order) -> Order:
    """``first[second[i]]``."""
    return tuple(first[i] for i in second)


def inverse(order: Order) -> Order:
    """The order that undoes another."""
    result = [0] * len(order)
    for i, place in enumerate(order):
        result[place] = i
    return tuple(result)


__all__ = ["Order", "Reordering", "compose", "found", "inverse"]
