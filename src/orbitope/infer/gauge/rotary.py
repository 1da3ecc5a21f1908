"""Rotary embeddings, recognised by their form: pairs of entries turned by angles that are alike in both halves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from orbitope.graph import Graph, Node


class Rotary:
    """The rotary embeddings of a program."""

    def __init__(self, graph: Graph) -> None:
        """Of one program."""
        self.graph = graph

    def turns(self, node: Node) -> tuple[str, int] | None:
        """The value that a node turns, and how many planes: ``x·c + concat(−x₂, x₁)·s``, or written in halves.

        The planes are made of the first entries along the last axis and of as many behind them; c and s are alike in
        both halves.
        """
        if node.op == "concat":
            return self._turns_halves(node)
        if node.op != "pointwise" or node.attributes["fn"] != "add":
            return None
        products = [self.graph.node(name) for name in node.inputs]
        if any(each.op != "pointwise" or each.attributes["fn"] != "mul" for each in products):
            return None
        for first, second in (products, products[::-1]):
            for x, c in _both(first.inputs):
                for r, s in _both(second.inputs):
                    if self._is_quarter_turn(r, x) and self._halves_agree(c) and self._halves_agree(s):
                        return x, node.shape[-1] // 2
        return None

    def _turns_halves(self, node: Node) -> tuple[str, int] | None:
        """The same of ``concat(x₁·c − x₂·s, x₂·c + x₁·s, …)``: whatever follows is in no plane."""
        last = len(node.shape) - 1
        parts = [name for name in node.inputs if 0 not in self.graph.node(name).shape]
        if node.attributes["axis"] != last or len(parts) < 2:
            return None
        pair = [self._plain(name) for name in parts[:2]]
        if [each.attributes.get("fn") for each in pair if each.op == "pointwise"] != ["sub", "add"]:
            return None
        halves = [[self._product(name) for name in each.inputs] for each in pair]
        if any(product is None for half in halves for product in half):
            return None
        for first in _products(halves[0]):
            for second in (*_products(halves[1]), *_products(halves[1][::-1])):
                (a, c), (b, s) = first
                (d, e), (f, g) = second
                x = self._halved(a, b, last) if (a, b, c, s) == (f, d, e, g) else None
                if x is not None:
                    return x, pair[0].shape[last]
        return None

    def _product(self, name: str) -> tuple[str, str] | None:
        node = self._plain(name)
        if node.op != "pointwise" or node.attributes["fn"] != "mul":
            return None
        first, second = (self._plain(each).name for each in node.inputs)
        return first, second

    def _halved(self, first: str, second: str, last: int) -> str | None:
        """The value whose halves along its last axis these are."""
        low, high = self.graph.node(first), self.graph.node(second)
        if low.op != "slice" or high.op != "slice" or self._plain(low.inputs[0]) is not self._plain(high.inputs[0]):
            return None
        half = low.shape[last]
        wanted = ((low, 0, half), (high, half, 2 * half))
        found = all(
            (each.attributes["axis"], each.attributes["step"]) == (last, 1)
            and (each.attributes["start"], each.attributes["stop"]) == (start, stop)
            for each, start, stop in wanted
        )
        whole = self._plain(low.inputs[0])
        return whole.name if found else None

    def _is_quarter_turn(self, r: str, x: str) -> bool:
        """Whether r is x with its halves along the last axis exchanged, and one sign changed."""
        node = self._plain(r)
        shape = self.graph.node(x).shape
        last, half = len(shape) - 1, shape[-1] // 2 if shape else 0
        if node.op != "concat" or node.attributes["axis"] != last or len(node.inputs) != 2 or shape[-1] % 2:
            return False
        first, second = (self._plain(name) for name in node.inputs)
        if first.op != "pointwise" or first.attributes["fn"] != "neg":
            return False
        high, low = self._plain(first.inputs[0]), second
        wanted = ((high, half, 2 * half), (low, 0, half))
        return all(
            each.op == "slice"
            and self._plain(each.inputs[0]) is self._plain(x)
            and (each.attributes["axis"], each.attributes["step"]) == (last, 1)
            and (each.attributes["start"], each.attributes["stop"]) == (start, stop)
            for each, start, stop in wanted
        )

    def _plain(self, name: str) -> Node:
        """What a value is, casts left out."""
        node = self.graph.node(name)
        while node.op == "pointwise" and node.attributes["fn"] in ("identity", "real"):
            node = self.graph.node(node.inputs[0])
        return node

    def _halves_agree(self, name: str) -> bool:
        """Whether both halves of a value along its last axis are the same."""
        node = self.graph.node(name)
        if not node.shape or node.shape[-1] % 2:
            return not node.shape or node.shape[-1] == 1
        if node.op == "constant":
            tensor = self.graph.constants[node.attributes["constant"]]
            half = node.shape[-1] // 2
            return not tensor.is_meta and torch.equal(tensor[..., :half], tensor[..., half:])
        if node.op == "concat" and node.attributes["axis"] == len(node.shape) - 1:
            return len(node.inputs) == 2 and node.inputs[0] == node.inputs[1]
        if node.op == "pointwise":
            return all(self._halves_agree(each) for each in node.inputs)
        if node.op in ("broadcast", "reshape", "gather", "slice"):
            return self._keeps_last(node) and self._halves_agree(node.inputs[0])
        return False

    def _keeps_last(self, node: Node) -> bool:
        """Whether a node of structure leaves the last axis of its first operand alone."""
        before = self.graph.node(node.inputs[0]).shape
        if node.op in ("gather", "slice") and node.attributes["axis"] == len(before) - 1:
            return False
        if node.op == "broadcast" and before and before[-1] == 1:
            return True
        return bool(before) and bool(node.shape) and before[-1] == node.shape[-1]


def _products(half: Sequence[tuple[str, str] | None]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Two products, each in both orders of its factors."""
    first, second = half
    assert first is not None and second is not None
    for a in _both(first):
        for b in _both(second):
            yield a, b


def _both(pair: Sequence[str]) -> Iterable[tuple[str, str]]:
    return ((pair[0], pair[1]), (pair[1], pair[0]))


__all__ = ["Rotary"]
