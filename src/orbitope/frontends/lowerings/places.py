"""Entries of one axis taken from places known at trace time, and sums of them with constant weights."""

from __future__ import annotations

import torch

from orbitope.frontends.builder import Builder, Value


def at_places(b: Builder, x: Value, axis: int, places: torch.Tensor, told: bool = False) -> Value:
    """Entries of an axis at constant places, whose axes replace it; see :meth:`Builder.constant`."""
    if places.dim() == 1 and torch.equal(places, torch.arange(x.shape[axis])):
        return x
    shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    return b.emit("gather", (x, b.constant(places.to(torch.int64), told=told)), shape, x.dtype, axis=axis)


def weighted(b: Builder, x: Value, axis: int, matrix: torch.Tensor, told: bool = False) -> Value:
    """One axis mapped by a constant matrix ``[before, after]``.

    A matrix that only repeats or picks positions is read as that, which computes nothing and, where every position is
    repeated equally often, tells none apart.
    """
    before, after = matrix.shape
    picks = bool((((matrix == 0) | (matrix == 1)).all()) & (matrix.sum(0) == 1).all())
    if picks:
        places = matrix.argmax(0)
        times = after // before
        if not told and times * before == after and torch.equal(places, torch.arange(before).repeat_interleave(times)):
            return repeated(b, x, axis, times)
        return at_places(b, x, axis, places, told)
    letters = [chr(ord("a") + k) for k in range(x.rank)]
    left = "".join(letters)
    right = left.replace(letters[axis], "Z")
    return b.contract(f"{left},{letters[axis]}Z->{right}", x, b.constant(matrix, told=told))


def repeated(b: Builder, x: Value, axis: int, times: int) -> Value:
    """Every position of an axis several times in a row."""
    if times == 1:
        return x
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    apart = b.broadcast(b.reshape(x, (*before, 1, *after)), (*before, times, *after))
    return b.reshape(apart, (*x.shape[:axis], x.shape[axis] * times, *after))
