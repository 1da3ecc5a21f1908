"""Parameters that are read in parts: the rows of a fused projection may read different streams.

In cross-attention one matrix holds the projections of queries, keys and values, and the first third of its rows reads
another stream than the rest: what its second axis is made of depends on the row. Where every reader of a parameter
takes a run of rows, the runs become parameters of their own. Those that turn out to agree are put together again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from orbitope.graph import Graph, Node, Parameter
from orbitope.group import Fixed, Placement, Segments


def split(graph: Graph, held: Callable[[str], bool]) -> Graph:
    """The graph with such parameters in parts, named ``weight[0:8]``, ``weight[8:24]``.

    Args:
        graph: the program.
        held: whether a parameter (by canonical name) must not move; it stays whole.

    Guarantee: exact; the same entries are read.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    cuts = {
        node.name: _cuts(node, readers.get(node.name, ()))
        for node in graph
        if node.op == "parameter" and not _stays(node, graph.parameters[node.attributes["parameter"]], held)
    }
    cuts = {name: points for name, points in cuts.items() if len(points) > 2}
    if not cuts:
        return graph
    runs = {
        graph.by_name[name].attributes["parameter"]: [_part(graph, name, run) for run in pairwise(points)]
        for name, points in cuts.items()
    }
    parameters = {part.name: part for name, each in graph.parameters.items() for part in runs.get(name, [each])}
    nodes: list[Node] = []
    for node in graph:
        if node.name in cuts:
            nodes += (
                replace(node, name=part.name, shape=part.shape, attributes={"parameter": part.name})
                for part in runs[node.attributes["parameter"]]
            )
        elif node.op == "slice" and node.inputs[0] in cuts:
            nodes.append(_joined(node, graph.by_name[node.inputs[0]], cuts[node.inputs[0]]))
        else:
            nodes.append(node)
    return graph.with_nodes(tuple(nodes), parameters=parameters)


def _stays(node: Node, parameter: Parameter, held: Callable[[str], bool]) -> bool:
    return held(parameter.name) or bool(node.attributes.get("frozen")) or bool(parameter.members)


def _cuts(node: Node, readers: Sequence[Node]) -> list[int]:
    """Where the runs begin and end that readers take of the rows; nothing where one takes something else."""
    if not readers or not node.shape:
        return []
    taken = [each.attributes for each in readers if each.op == "slice"]
    if len(taken) < len(readers) or any(a["axis"] != 0 or a["step"] != 1 for a in taken):
        return []
    return sorted({0, node.shape[0], *(a["start"] for a in taken), *(a["stop"] for a in taken)})


def _part(graph: Graph, node: str, run: tuple[int, int]) -> Parameter:
    whole, (start, stop) = graph.parameters[graph.by_name[node].attributes["parameter"]], run
    return Parameter(
        (f"{whole.name}[{start}:{stop}]",),
        (stop - start, *whole.shape[1:]),
        whole.dtype,
        whole.trainable,
        (whole.names,),
        (start, whole.shape[0]),
    )


def _joined(node: Node, source: Node, points: Sequence[int]) -> Node:
    """The parts that a slice takes, in place of the slice."""
    name, a = source.attributes["parameter"], node.attributes
    inputs = tuple(
        f"{name}[{start}:{stop}]" for start, stop in pairwise(points) if a["start"] <= start and stop <= a["stop"]
    )
    return replace(node, op="concat", inputs=inputs, attributes={"axis": 0})


def whole(placements: dict[str, Placement]) -> dict[str, Placement]:
    """Placements with the parts of a parameter put together where all but their rows agree."""
    families: dict[tuple[str, ...], list[Placement]] = {}
    for placement in placements.values():
        if placement.part is not None:
            families.setdefault(placement.members[0], []).append(placement)
    joined: dict[str, Placement] = {}
    for placement in placements.values():
        parts = families.get(placement.members[0], []) if placement.part is not None else []
        if any(part.axes[1:] != placement.axes[1:] for part in parts) or not parts:
            joined[placement.names[0]] = placement
        elif placement is parts[0]:
            made = _whole(parts)
            joined[made.names[0]] = made
    return joined


def _whole(parts: Sequence[Placement]) -> Placement:
    first = parts[0]
    rows = tuple(part.axes[0] for part in parts)
    fixed = all(isinstance(row, Fixed) for row in rows)
    size = sum(row.size for row in rows)
    axes = (Fixed(size) if fixed else Segments(rows), *first.axes[1:])
    names = first.members[0]
    return Placement(names, (size, *first.shape[1:]), axes, first.trainable)
