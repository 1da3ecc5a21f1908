"""The same program for another number of samples, where samples do not meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from orbitope.errors import DataError
from orbitope.graph import Axes, Graph, Indexing, Label, Node, Product, Sum, Term, labels
from orbitope.primitives.base import PRIMITIVES

Spot = tuple[int, int]
"""An axis, and how many positions of it belong to one sample: those of a sample stand together."""


def rebatch(graph: Graph, batch: Mapping[str, int], size: int) -> Graph:
    """The graph for ``size`` samples.

    A constant that has one entry for each sample must have the same for all; it is then as long as is wanted.

    Args:
        graph: a program traced with some number of samples.
        batch: the sample axis of each input that has one.
        size: the number of samples wanted.

    Raises:
        DataError: an operation mixes samples, or tells them apart.

    Guarantee: exact; follows from the index terms of the primitives. That constants and settings of the trace are the
    same at another size is not seen here.
    """
    spots = sample_axes(graph, batch)
    nodes: list[Node] = []
    constants = dict(graph.constants)
    for node in graph:
        spot = spots.get(node.name)
        if spot is None:
            nodes.append(node)
            continue
        shape = _resized(node.shape, spot, size)
        attributes = dict(node.attributes)
        if "shape" in attributes:
            attributes["shape"] = list(_resized(attributes["shape"], spot, size))
        if node.op == "constant":
            name = node.attributes["constant"]
            constants[name] = _repeated(graph.constants[name], spot, size)
        nodes.append(replace(node, shape=shape, attributes=attributes))
    return graph.with_nodes(tuple(nodes), constants=constants)


def _resized(shape: Sequence[int], spot: Spot, size: int) -> tuple[int, ...]:
    return tuple(size * spot[1] if k == spot[0] else n for k, n in enumerate(shape))


def _split(tensor: torch.Tensor, spot: Spot) -> torch.Tensor:
    """The tensor with samples, and what belongs to each, on two axes."""
    axis, inner = spot
    return tensor.unflatten(axis, (tensor.shape[axis] // inner, inner))


def _repeated(tensor: torch.Tensor, spot: Spot, size: int) -> torch.Tensor:
    first = _split(tensor, spot).narrow(spot[0], 0, 1)
    return first.expand(*(size if k == spot[0] else n for k, n in enumerate(first.shape))).flatten(spot[0], spot[0] + 1)


def sample_axes(graph: Graph, batch: Mapping[str, int]) -> dict[str, Spot]:
    """For every value that has one, its sample axis: wherever a label meets it, all axes of that label are it.

    Args:
        graph: a program traced with some number of samples.
        batch: the sample axis of each input that has one.

    Returns:
        The axis, and how many of its positions belong to one sample: more than one where ``[N, T, …]`` was reshaped to
        ``[N·T, …]``.

    Raises:
        DataError: an operation mixes samples, or tells them apart.
    """
    starts = {node.name: node for node in graph if node.op == "input" and node.name in batch}
    spots = {name: (batch[node.attributes["input"]], 1) for name, node in starts.items()}
    sizes = {starts[name].shape[axis] for name, (axis, _) in spots.items()}
    if len(sizes) != 1:
        raise DataError("the inputs have different numbers of samples", got=f"{sorted(sizes)} samples")
    (size,) = sizes
    shapes = {node.name: node.shape for node in graph}
    table = {node.name: _indexing(node, [shapes[x] for x in node.inputs]) for node in graph}
    while True:
        before = len(spots)
        for node in (*graph.nodes, *reversed(graph.nodes)):
            _spread(node, table[node.name], spots, size)
            _refuse_leaf(node, graph, spots)
        if len(spots) == before:
            return spots


def _indexing(node: Node, shapes: list[tuple[int, ...]]) -> Indexing:
    if node.op in PRIMITIVES:
        return PRIMITIVES[node.op].indexing(node, shapes)
    same = tuple(Label(f"i{k}", n) for k, n in enumerate(node.shape))
    return Indexing(tuple(same for _ in shapes), same)


def _spread(node: Node, indexing: Indexing, spots: dict[str, Spot], size: int) -> None:
    """Carry the sample axis of any operand or of the output to all the others of this node."""
    places: list[tuple[str, Axes]] = [*zip(node.inputs, indexing.operands, strict=True), (node.name, indexing.output)]
    found = {_outermost(node, terms[spots[name][0]], size) for name, terms in places if name in spots}
    for label in found:
        if label.name in indexing.mixed or label.name in indexing.fixed:
            raise _mixes(node, "it computes along the axis of samples")
        for name, terms in places:
            _mark(node, name, terms, label, spots, size)


def _outermost(node: Node, term: Term, size: int) -> Label:
    """The label of an axis of samples that tells samples apart: the slowest one, for all that stand on this axis."""
    first = term.factors[0] if isinstance(term, Product) and term.factors else term
    if not isinstance(first, Label) or first.size % size:
        raise _mixes(node, _MERGED)
    return first


def _mark(node: Node, name: str, terms: Axes, label: Label, spots: dict[str, Spot], size: int) -> None:
    for k, term in enumerate(terms):
        parts = [inner.name for inner in labels(term)]
        if label.name not in parts:
            continue
        if isinstance(term, Sum) or parts.index(label.name) or label.name in parts[1:]:
            raise _mixes(node, _MERGED)
        if spots.setdefault(name, (k, term.size // size)) != (k, term.size // size):
            raise _mixes(node, "samples meet each other on two axes")


_MERGED = "an axis of samples is merged with another, split or cut"


def _refuse_leaf(node: Node, graph: Graph, spots: Mapping[str, Spot]) -> None:
    """Refuse entries that belong to one sample, where they are not data."""
    if node.name in spots and node.op == "parameter":
        raise _mixes(node, "a parameter has one entry for each sample")
    if node.name in spots and node.op == "constant":
        axis = spots[node.name][0]
        split = _split(graph.constants[node.attributes["constant"]], spots[node.name])
        if not bool((split == split.narrow(axis, 0, 1)).all()):
            raise _mixes(node, "a constant differs from sample to sample")


def _mixes(node: Node, why: str) -> DataError:
    return DataError(
        "the samples of a batch are not treated one by one",
        at=node.place,
        got=f"{node.target or node.op}: {why}",
        why="the loss is a mean over samples, each computed alone",
        fix="give a model whose output for one sample does not depend on the others",
    )
