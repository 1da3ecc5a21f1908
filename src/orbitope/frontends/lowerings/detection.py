"""Operations of torchvision: regions of interest, deformable convolution, suppression of overlapping boxes."""

from __future__ import annotations

import torch

from orbitope.arithmetic.floats import Operand
from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.along import carrying
from orbitope.frontends.lowerings.registry import Refused, lowers


def _regions(name: str, results: int) -> None:
    @lowers(f"torchvision.{name}.default")
    def lowering(b: Builder, x: Value, boxes: Value, *settings: float) -> Value | tuple[Value, None]:
        """``[N, C, H, W]`` and boxes ``[K, 5]`` to ``[K, C, h, w]``: channels are carried."""
        channels = x.shape[1]
        first = b.transpose(x, [1, 0, 2, 3])
        found = carrying(b, 1, _pooled, [first, b.broadcast(boxes, (channels, *boxes.shape))], name, *settings)
        result = b.transpose(found, [1, 0, 2, 3])
        return result if results == 1 else (result, None)


def _pooled(x: torch.Tensor, boxes: torch.Tensor, name: str, *settings: float) -> torch.Tensor:
    dtype = torch.promote_types(x.dtype, boxes.dtype)
    operation = getattr(torch.ops.torchvision, name)
    found = operation(x.transpose(0, 1).to(dtype), boxes[0].to(dtype), *settings)
    return (found[0] if isinstance(found, tuple | list) else found).transpose(0, 1)


_regions("roi_align", 1)
_regions("roi_pool", 2)


@lowers("torchvision.nms.default")
def nms(b: Builder, boxes: Value, scores: Value, threshold: float) -> Value:
    """Places of the boxes that are left, the best first: every box is compared with every other.

    How many are left depends on their values, so that this holds for the example inputs only.
    """
    if not b.execute:
        raise Refused
    alone = [b.reshape(x, (1, *x.shape)) for x in (boxes, scores)]
    call = {"function": _suppressed, "args": (Operand(0), Operand(1), threshold), "kwargs": {}, "select": None}
    left = _suppressed(b.tensors[alone[0].name], b.tensors[alone[1].name], threshold)
    found = b.emit("opaque", alone, left.shape, torch.int64, computed=left, call=call, carried=1)
    return b.reshape(found, found.shape[1:])


def _suppressed(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    return torch.ops.torchvision.nms(boxes[0], scores[0].to(boxes.dtype), threshold)[None]


@lowers("torchvision.deform_conv2d.default")
def deformable(b: Builder, x: Value, weight: Value, offset: Value, mask: Value, bias: Value, *settings: int) -> Value:
    """A convolution whose kernel positions are moved by offsets: bilinear samples, then one contraction."""
    *geometry, groups, offset_groups, masked = settings
    batch, channels, height, width = x.shape
    outs, per_group, kh, kw = weight.shape
    rows, columns = offset.shape[2:]
    taps = kh * kw
    own = (batch * offset_groups, channels // offset_groups)
    grid = _places(b, b.reshape(offset, (own[0], taps, 2, rows, columns)), (height, width), (kh, kw), geometry)
    settled = {"mode": "bilinear", "padding": "zeros", "align_corners": False}
    grid = b.reshape(grid, (own[0], taps * rows, columns, 2))
    parts = b.reshape(x, (*own, height, width))
    samples = b.emit("resample", (parts, grid), (*own, taps * rows, columns), x.dtype, **settled)
    samples = b.reshape(samples, (batch, offset_groups, own[1], taps, rows, columns))
    if masked:
        weights = b.reshape(mask, (batch, offset_groups, 1, taps, rows, columns))
        samples = b.pointwise("mul", samples, weights)
    samples = b.reshape(samples, (batch, channels, taps, rows, columns))
    samples = b.reshape(samples, (batch, groups, channels // groups, taps, rows, columns))
    kernels = b.reshape(weight, (groups, outs // groups, per_group, taps))
    result = b.contract("ngikhw,goik->ngohw", samples, kernels)
    return b.pointwise("add", b.reshape(result, (batch, outs, rows, columns)), b.along(bias, 1, 4))


def _places(b: Builder, offset: Value, size: tuple[int, int], kernel: tuple[int, int], geometry: list[int]) -> Value:
    """Offsets ``[·, taps, 2, rows, columns]``, down before right, as a grid ``[·, taps, rows, columns, 2]``."""
    sides = []
    for k in (1, 0):  # a grid wants the horizontal coordinate first
        stride, padding, dilation = geometry[k], geometry[2 + k], geometry[4 + k]
        tap = torch.arange(kernel[k]) * dilation - padding
        taps = tap.repeat_interleave(kernel[1]) if k == 0 else tap.repeat(kernel[0])
        steps = torch.arange(offset.shape[3 + k]) * stride
        steps = steps[:, None] if k == 0 else steps[None]
        start = (taps[:, None, None] + steps).to(torch.float64)
        moved = b.slice(offset, 2, k, k + 1)
        moved = b.reshape(moved, (*offset.shape[:2], *offset.shape[3:]))
        place = b.pointwise("add", moved, b.constant(start))
        # pixel p of n lies at (2p + 1)/n − 1
        scaled = b.pointwise("mul", place, 2 / size[k])
        sides.append(b.reshape(b.pointwise("add", scaled, 1 / size[k] - 1), (*place.shape, 1)))
    return b.emit("concat", sides, (*sides[0].shape[:-1], 2), axis=sides[0].rank - 1)
