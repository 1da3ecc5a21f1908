"""Several traces of one model as one program: a symmetry must keep each of them.

The programs of two input sizes, side by side and reading the same parameters, are one program with the inputs and the
outputs of both. Its symmetries are those that both have, and nothing in inference need know that it was two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orbitope.graph import Graph, Node, Parameter
from orbitope.infer.fibres import leaves
from orbitope.infer.unification import Unification
from orbitope.infer.words import Reason


def apart(graphs: Sequence[Graph]) -> list[Graph]:
    """The same graphs with no name of a node in common; those of the first are kept."""
    return [graph if k == 0 else _renamed(graph, f"@{k + 1}") for k, graph in enumerate(graphs)]


def unmarked(text: str) -> str:
    """A sentence about a value, without the mark of the trace that it is from."""
    return re.sub(r"@\d+", "", text)


def _renamed(graph: Graph, mark: str) -> Graph:
    nodes = tuple(
        replace(
            node,
            name=node.name + mark,
            inputs=tuple(name + mark for name in node.inputs),
            attributes=_constant(node.attributes, mark),
        )
        for node in graph
    )
    return graph.with_nodes(
        nodes,
        inputs=tuple(name + mark for name in graph.inputs),
        outputs=tuple(name + mark for name in graph.outputs),
        constants={name + mark: tensor for name, tensor in graph.constants.items()},
    )


def _constant(attributes: Mapping[str, Any], mark: str) -> Mapping[str, Any]:
    return {**attributes, "constant": attributes["constant"] + mark} if "constant" in attributes else attributes


def join(graphs: Sequence[Graph]) -> Graph | None:
    """One program that computes all of them.

    Args:
        graphs: without common names, see :func:`apart`; modules of one shape may have been folded in each.

    Returns:
        None if they do not agree on which modules they folded.
    """
    first, *others = graphs
    if not others:
        return first
    joint = _Joint(first)
    return joint.graph(others) if all(map(joint.agrees, others)) else None


def _key(parameter: Parameter) -> tuple[str, ...]:
    return tuple(names[0] for names in parameter.members) or (parameter.name,)


class _Joint:
    def __init__(self, first: Graph) -> None:
        self.first = first
        self.parameters = dict(first.parameters)
        self.names = {_key(parameter): name for name, parameter in first.parameters.items()}
        self.keys = {piece: key for key in self.names for piece in key}
        self.at = {node.attributes["parameter"]: node.name for node in first if node.op == "parameter"}
        self.frozen: dict[str, str] = {}

    def agrees(self, graph: Graph) -> bool:
        """Whether it holds the same parameters as one; what it holds and the others do not is taken up."""
        for parameter in graph.parameters.values():
            key = _key(parameter)
            if any(self.keys.setdefault(piece, key) != key for piece in key):
                return False
            name = self.names.setdefault(key, parameter.name)
            known = self.parameters.setdefault(name, parameter)
            names = tuple(dict.fromkeys([*known.names, *(() if known.members else parameter.names)]))
            self.parameters[name] = replace(known, names=names, trainable=known.trainable or parameter.trainable)
        return True

    def graph(self, others: Sequence[Graph]) -> Graph:
        """All nodes, each parameter once."""
        nodes = [*self.first.nodes, *(node for graph in others for node in self._nodes(graph))]
        held = tuple(self._held(node) if node.op == "parameter" else node for node in nodes)
        every = [self.first, *others]
        unused = [name for name in self.first.unused if all(name in graph.unused for graph in others)]
        return Graph(
            nodes=held,
            parameters=self.parameters,
            inputs=tuple(name for graph in every for name in graph.inputs),
            outputs=tuple(name for graph in every for name in graph.outputs),
            output_names=tuple(name for graph in every for name in graph.output_names),
            constants={name: tensor for graph in every for name, tensor in graph.constants.items()},
            unused=tuple(unused),
            decisions=tuple(dict.fromkeys(place for graph in every for place in graph.decisions)),
            unread={name: shape for name, shape in self.first.unread.items() if name in unused},
            notes=tuple(dict.fromkeys(note for graph in every for note in graph.notes)),
        )

    def _nodes(self, graph: Graph) -> list[Node]:
        """The nodes of another graph that are not there yet, with the names of those that are."""
        known: dict[str, str] = {}
        kept: list[Node] = []
        for node in graph:
            if node.op != "parameter":
                kept.append(replace(node, inputs=tuple(known.get(name, name) for name in node.inputs)))
                continue
            name = self.names[_key(graph.parameters[node.attributes["parameter"]])]
            if "frozen" in node.attributes:
                self.frozen.setdefault(name, node.attributes["frozen"])
            if name in self.at:
                known[node.name] = self.at[name]
            else:
                self.at[name] = node.name
                kept.append(replace(node, attributes={**node.attributes, "parameter": name}))
        return kept

    def _held(self, node: Node) -> Node:
        why = self.frozen.get(node.attributes["parameter"])
        return node if why is None else replace(node, attributes={"frozen": why, **node.attributes})


def fix_unreached(graph: Graph, result: Unification) -> None:
    """Fix all that may be tied to a parameter which a path that was not taken reads.

    An expert that no token was sent to still reads the residual stream, and the trace does not say so. Units can only
    be tied to an axis that has room for them.
    """
    if not graph.decisions or not graph.unread:
        return
    widest = max(graph.unread, key=lambda name: max(graph.unread[name], default=0))
    room = max(graph.unread[widest], default=0)
    reason = Reason(f"it may be tied to {widest}, which these inputs did not reach")
    words = result.words
    for axes in result.parameters.values():
        for word in axes:
            for (leaf,) in leaves(words, [word]):
                for atom in leaf:
                    if atom.fixed is None and atom.size <= room:
                        words.fix((atom,), reason)


__all__ = ["apart", "fix_unreached", "join"]
