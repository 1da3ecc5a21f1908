"""Bags of embeddings: rows of a table that are summed, averaged or compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.pointwise import entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers

_SUM, _MEAN, _MAX = range(3)


@dataclass(frozen=True)
class _Bags:
    """The rows of each bag side by side, ``[bags, members, width]``.

    Where bags are not all of one size, every bag has all rows as candidates, and ``held [bags, members]`` says which
    of them are in it.
    """

    rows: Value
    weights: Value | None
    held: Value | None


@lowers("aten.embedding_bag.default", "aten.embedding_bag.padding_idx", "aten._embedding_bag.default")
def embedding_bag(
    b: Builder,
    weight: Value,
    indices: Value,
    offsets: Value,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    per_sample_weights: Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Value | None, ...]:
    """The sum, mean or largest entry of the rows in each bag; zero where there are none."""
    weighted = per_sample_weights is not None
    if indices.rank != 1 or offsets.rank != 1 or (weighted and (mode != _SUM or per_sample_weights.rank != 1)):
        raise Refused
    if padding_idx is not None and padding_idx < 0:
        padding_idx = None if "_embedding_bag" in b.place.target else padding_idx + weight.shape[0]
    count = offsets.shape[0] - include_last_offset
    bags = _bags(b, weight, indices, offsets, count, per_sample_weights, padding_idx)
    if mode == _MAX:
        return (_largest(b, bags), None, None, None)
    return (_summed(b, bags, mode == _MEAN), None, None, None)


def _bags(
    b: Builder,
    weight: Value,
    indices: Value,
    offsets: Value,
    count: int,
    per_sample: Value | None,
    padding: int | None,
) -> _Bags:
    known, total = b.known(offsets), indices.shape[0]
    starts = None if known is None or known.is_meta else known.tolist()[:count]
    size = total // count if count and not total % count else 0
    if size and starts == [k * size for k in range(count)]:
        shape, held = (count, size), None
    else:
        shape, held = (count, total), _held(b, offsets, count, total)

    rows = b.emit("gather", (weight, indices), (total, weight.shape[1]), weight.dtype, axis=0)
    if padding is not None:
        used = _spread(b, entrywise(b, "ne", indices, padding, dtype=torch.bool), shape)
        held = used if held is None else entrywise(b, "logical_and", held, used, dtype=torch.bool)
    return _Bags(_spread(b, rows, shape), None if per_sample is None else _spread(b, per_sample, shape), held)


def _spread(b: Builder, x: Value, shape: tuple[int, int]) -> Value:
    """Each bag's own entries, or all entries for each bag."""
    total, *tail = x.shape
    if shape[0] * shape[1] == total:
        return b.reshape(x, (*shape, *tail))
    return b.broadcast(b.reshape(x, (1, total, *tail)), (*shape, *tail))


def _held(b: Builder, offsets: Value, count: int, total: int) -> Value:
    """Which bags ``[bags, members]`` hold which indices: those from their own offset to that of the next."""
    places = b.constant(torch.arange(total))
    starts = b.reshape(b.slice(offsets, 0, 0, count), (count, 1))
    more = b.slice(offsets, 0, 1, count)
    last = b.constant(torch.tensor([total], dtype=offsets.dtype))
    stops = b.reshape(b.emit("concat", (more, last), (count,), offsets.dtype, axis=0), (count, 1))
    begun = entrywise(b, "ge", places, starts, dtype=torch.bool)
    return entrywise(b, "logical_and", begun, entrywise(b, "lt", places, stops, dtype=torch.bool), dtype=torch.bool)


def _summed(b: Builder, bags: _Bags, mean: bool) -> Value:
    held = None if bags.held is None else entrywise(b, "where", bags.held, 1.0, 0.0, dtype=bags.rows.dtype)
    factors: list[Value] = [x for x in (held, bags.weights) if x is not None]
    spec = ",".join(["kjd", *["kj"] * len(factors)])
    total = b.contract(f"{spec}->kd", bags.rows, *factors) if factors else b.reduce("sum", bags.rows, (1,))
    if not mean:
        return total
    if held is None:
        return b.reduce("mean", bags.rows, (1,))
    count = entrywise(b, "maximum", b.reduce("sum", held, (1,)), 1.0)
    return entrywise(b, "div", total, b.reshape(count, (*count.shape, 1)), dtype=total.dtype)


def _largest(b: Builder, bags: _Bags) -> Value:
    if bags.held is None:
        return b.reduce("amax", bags.rows, (1,))
    held = b.reshape(bags.held, (*bags.held.shape, 1))
    low = entrywise(b, "where", held, bags.rows, -torch.inf, dtype=bags.rows.dtype)
    largest = b.reduce("amax", low, (1,))
    count = b.reduce("sum", entrywise(b, "where", bags.held, 1.0, 0.0, dtype=bags.rows.dtype), (1,))
    some = entrywise(b, "gt", b.reshape(count, (*count.shape, 1)), 0.0, dtype=torch.bool)
    return entrywise(b, "where", some, largest, 0.0, dtype=bags.rows.dtype)
