"""Padding by a constant or by entries of the axis itself, and entries moved round an axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.places import at_places
from orbitope.frontends.lowerings.registry import Refused, lowers
from orbitope.frontends.lowerings.structure import cat


@lowers("aten.roll.default")
def roll(b: Builder, x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Value:
    """Positions moved round an axis; without axes, of the whole tensor as one row."""
    if not dims:
        return b.reshape(roll(b, b.reshape(x, (prod(x.shape),)), shifts, [0]), x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        axis = x.axis(dim)
        size = x.shape[axis]
        if size and shift % size:
            cut = size - shift % size
            x = cat(b, [b.slice(x, axis, cut, size), b.slice(x, axis, 0, cut)], axis)
    return x


@lowers("aten.pad.default", "aten.constant_pad_nd.default")
def pad(b: Builder, x: Value, pads: Sequence[int], *rest: Any, value: float | None = None) -> Value:
    """Padding, last axis first: by a constant, or by entries of the axis itself."""
    mode = "constant"
    if rest and isinstance(rest[0], str):
        mode, rest = rest[0], rest[1:]
    fill = rest[0] if rest else value
    widths = [[0, 0] for _ in x.shape]
    for k in range(len(pads) // 2):
        widths[x.rank - 1 - k] = [pads[2 * k], pads[2 * k + 1]]
    if mode == "constant":
        return b.pad(x, widths, fill or 0.0)
    for axis, (low, high) in enumerate(widths):
        x = _pad_by_entries(b, x, axis, low, high, mode)
    return x


def _named_pad(mode: str, *targets: str) -> None:
    @lowers(*targets)
    def lowering(b: Builder, x: Value, pads: Sequence[int]) -> Value:
        return pad(b, x, pads, mode)


for _space in ("1d", "2d", "3d"):
    _named_pad("reflect", f"aten.reflection_pad{_space}.default")
    _named_pad("replicate", f"aten.replication_pad{_space}.default")
_named_pad("circular", "aten._pad_circular.default")


def _pad_by_entries(b: Builder, x: Value, axis: int, low: int, high: int, mode: str) -> Value:
    """``reflect`` without the edge, ``replicate`` the edge, ``circular`` from the other end."""
    if not low and not high:
        return x
    size = x.shape[axis]
    if mode == "circular" and 0 <= low <= size and 0 <= high <= size:  # runs of the axis itself, which keep identity
        parts = [b.slice(x, axis, size - low, size), x, b.slice(x, axis, 0, high)]
        return cat(b, [part for part in parts if part.shape[axis]], axis)
    wanted = torch.arange(-low, size + high)
    if mode == "replicate":
        return at_places(b, x, axis, wanted.clamp(0, size - 1))
    if mode != "reflect" or max(low, high) >= size:
        raise Refused
    return at_places(b, x, axis, (size - 1) - (wanted.abs() - (size - 1)).abs())
