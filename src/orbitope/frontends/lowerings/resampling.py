"""Interpolation: to another size by constant weights, and at places computed at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.places import weighted
from orbitope.frontends.lowerings.registry import Refused, lowers

_SPACE = {
    **dict.fromkeys(("nearest1d", "_nearest_exact1d", "linear1d"), 1),
    **dict.fromkeys(("nearest2d", "_nearest_exact2d", "bilinear2d", "bicubic2d"), 2),
    **dict.fromkeys(("_bilinear2d_aa", "_bicubic2d_aa", "_lanczos2d_aa"), 2),
    **dict.fromkeys(("nearest3d", "_nearest_exact3d", "trilinear3d"), 3),
}


def axis_weights(function: Callable[[torch.Tensor], torch.Tensor], size: int, axis: int, space: int) -> torch.Tensor:
    """The matrix ``[before, after]`` by which a linear, separable operation maps one of its spatial axes.

    Args:
        function: the operation on ``[batch, channel, *space]``, set to leave the other axes at two positions: with
            one, PyTorch's antialiasing is wrong.
        size: positions before.
        axis: which spatial axis.
        space: how many there are.
    """
    rows = torch.eye(size, dtype=torch.float64).reshape(1, size, *(size if k == axis else 1 for k in range(space)))
    probe = rows.expand(1, size, *(size if k == axis else 2 for k in range(space))).contiguous()
    return function(probe)[0].movedim(1 + axis, 1).reshape(size, -1, 2 ** (space - 1))[..., 0]


def _upsample(name: str, space: int) -> None:
    packet = getattr(torch.ops.aten, name)

    def resized(b: Builder, x: Value, on_axis: Callable[[int], Callable[[torch.Tensor], torch.Tensor]]) -> Value:
        if x.rank != space + 2 or not x.dtype.is_floating_point or ("_aa" in name and 1 in x.shape[2:]):
            raise Refused
        for k in range(space):
            x = weighted(b, x, 2 + k, axis_weights(on_axis(k), x.shape[2 + k], k, space))
        return x

    @lowers(f"aten.{name}.vec")
    def by_factors(b: Builder, x: Value, output_size: Any, *rest: Any) -> Value:
        """Sizes or factors, one for each axis."""
        *corners, factors = rest

        def on_axis(k: int) -> Callable[[torch.Tensor], torch.Tensor]:
            sizes = None if output_size is None else [output_size[j] if j == k else 2 for j in range(space)]
            scale = None if factors is None else [factors[j] if j == k else 1.0 for j in range(space)]
            return lambda probe: packet.vec(probe, sizes, *corners, scale)

        return resized(b, x, on_axis)

    @lowers(f"aten.{name}.default")
    def by_size(b: Builder, x: Value, output_size: Any, *rest: Any) -> Value:
        """Sizes, and optionally the factors that they were computed from."""
        corners, factors = rest[:-space], rest[-space:]

        def on_axis(k: int) -> Callable[[torch.Tensor], torch.Tensor]:
            sizes = [output_size[j] if j == k else 2 for j in range(space)]
            scale = [factors[j] if j == k else None for j in range(space)]
            return lambda probe: packet.default(probe, sizes, *corners, *scale)

        return resized(b, x, on_axis)


for _name, _space in _SPACE.items():
    _full_name = f"_upsample{_name}" if _name.startswith("_") else f"upsample_{_name}"
    if hasattr(torch.ops.aten, _full_name):
        _upsample(_full_name, _space)

_MODES = ("bilinear", "nearest", "bicubic")
_PADDING = ("zeros", "border", "reflection")


@lowers("aten.grid_sampler.default", "aten.grid_sampler_2d.default", "aten.grid_sampler_3d.default")
def grid_sampler(b: Builder, x: Value, grid: Value, mode: int, padding: int, align_corners: bool) -> Value:
    """Values between the positions of an image, at places in [−1, 1] given for each output position."""
    settings = {"mode": _MODES[mode], "padding": _PADDING[padding], "align_corners": bool(align_corners)}
    return b.emit("resample", (x, grid), (*x.shape[:2], *grid.shape[1:-1]), x.dtype, **settings)
