"""The same program for another number of samples, where samples do not meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orbitope.errors import DataError
from orbitope.graph import Axes, Graph, Indexing, Label, Node, labels
from orbitope.primitives.base import PRIMITIVES


def rebatch(graph: Graph, batch: Mapping[str, int], size: int) -> Graph:
    """The graph for ``size`` samples.

    Args:
        graph: a program traced with some number of samples.
        batch: the sample axis of each input that has one.
        size: the number of samples wanted.

    Raises:
        DataError: an operation mixes samples, or tells them apart.

    Guarantee: exact; follows from the index terms of the primitives.
    """
    axes = _sample_axes(graph, batch)
    nodes = []
    for node in graph:
        axis = axes.get(node.name)
        if axis is None:
            nodes.append(node)
            continue
        shape = _resized(node.shape, axis, size)
        attributes = dict(node.attributes)
        if "shape" in attributes:
            attributes["shape"] = list(_resized(attributes["shape"], axis, size))
        nodes.append(replace(node, shape=shape, attributes=attributes))
    return graph.with_nodes(tuple(nodes))


def _resized(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return tuple(size if k == axis else n for k, n in enumerate(shape))


def _sample_axes(graph: Graph, batch: Mapping[str, int]) -> dict[str, int]:
    """For every value that has one, its sample axis: wherever a label meets it, all axes of that label are it."""
    axes = {node.name: batch[node.attributes["input"]] for node in graph if node.op == "input" and node.name in batch}
    shapes = {node.name: node.shape for node in graph}
    table = {node.name: _indexing(node, [shapes[x] for x in node.inputs]) for node in graph}
    while True:
        before = len(axes)
        for node in (*graph.nodes, *reversed(graph.nodes)):
            _spread(node, table[node.name], axes)
        if len(axes) == before:
            return axes


def _indexing(node: Node, shapes: list[tuple[int, ...]]) -> Indexing:
    if node.op in PRIMITIVES:
        return PRIMITIVES[node.op].indexing(node, shapes)
    same = tuple(Label(f"i{k}", n) for k, n in enumerate(node.shape))
    return Indexing(tuple(same for _ in shapes), same)


def _spread(node: Node, indexing: Indexing, axes: dict[str, int]) -> None:
    """Carry the sample axis of any operand or of the output to all the others of this node."""
    places: list[tuple[str, Axes]] = [*zip(node.inputs, indexing.operands, strict=True), (node.name, indexing.output)]
    found: set[str] = set()
    for name, terms in places:
        if name in axes:
            term = terms[axes[name]]
            if not isinstance(term, Label):
                raise _mixes(node, "an axis of samples is merged with another, split or cut")
            found.add(term.name)
    for label in found:
        if label in indexing.mixed or label in indexing.fixed:
            raise _mixes(node, "it computes along the axis of samples")
        for name, terms in places:
            _mark(node, name, terms, label, axes)


def _mark(node: Node, name: str, terms: Axes, label: str, axes: dict[str, int]) -> None:
    for k, term in enumerate(terms):
        if isinstance(term, Label) and term.name == label:
            if axes.setdefault(name, k) != k:
                raise _mixes(node, "samples meet each other on two axes")
        elif any(inner.name == label for inner in labels(term)):
            raise _mixes(node, "an axis of samples is merged with another, split or cut")
    if name in axes and node.op in ("parameter", "constant") and name == node.name:
        raise _mixes(node, "a parameter or constant has one entry for each sample")


def _mixes(node: Node, why: str) -> DataError:
    return DataError(
        "the samples of a batch are not treated one by one",
        at=node.place,
        got=f"{node.target or node.op}: {why}",
        why="the loss is a mean over samples, each computed alone",
        fix="give a model whose output for one sample does not depend on the others",
    )
