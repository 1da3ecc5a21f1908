"""Convolutions of any dimension, grouping and dilation, and their transposes."""

from __future__ import annotations

from collections.abc import Sequence

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.registry import Refused, lowers


def _full(value: int | Sequence[int], space: int) -> list[int]:
    values = [value] if isinstance(value, int) else [int(n) for n in value]
    return values * space if len(values) == 1 else values


def _convolve(
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    groups: int,
    transposed: bool = False,
    output_padding: int | Sequence[int] = 0,
) -> Value:
    space = weight.rank - 2
    if x.rank == weight.rank - 1:
        batched = _convolve(
            b, b.reshape(x, (1, *x.shape)), weight, bias, stride, padding, dilation, groups, transposed, output_padding
        )
        return b.reshape(batched, batched.shape[1:])
    steps, pads, gaps, extra = (_full(v, space) for v in (stride, padding, dilation, output_padding))
    kernel, size = weight.shape[2:], x.shape[2:]
    if transposed:
        out = [
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, s, p, d, k, e in zip(size, steps, pads, gaps, kernel, extra, strict=True)
        ]
        channels = weight.shape[1] * groups
        settings = {"transposed": True, "output_padding": extra}
    else:
        out = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, s, p, d, k in zip(size, steps, pads, gaps, kernel, strict=True)
        ]
        channels, settings = weight.shape[0], {}
    result = b.emit(
        "convolve",
        (x, weight),
        (x.shape[0], channels, *out),
        stride=steps,
        padding=pads,
        dilation=gaps,
        groups=groups,
        **settings,
    )
    return result if bias is None else b.pointwise("add", result, b.along(bias, 1, result.rank))


@lowers("aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default")
def conv(
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Value:
    """Cross-correlation plus bias."""
    return _convolve(b, x, weight, bias, stride, padding, dilation, groups)


@lowers("aten.conv1d.padding", "aten.conv2d.padding", "aten.conv3d.padding")
def conv_padding(
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Value:
    """Padding by name; ``same`` pads the odd position behind."""
    if padding == "valid":
        return _convolve(b, x, weight, bias, stride, 0, dilation, groups)
    if padding != "same":
        raise Refused
    gaps = _full(dilation, weight.rank - 2)
    total = [d * (k - 1) for d, k in zip(gaps, weight.shape[2:], strict=True)]
    lead = x.rank - len(total)
    x = b.pad(x, [*([[0, 0]] * lead), *([t // 2, t - t // 2] for t in total)])
    return _convolve(b, x, weight, bias, stride, 0, dilation, groups)


@lowers("aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input")
def conv_transpose(
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Value:
    """Transposed convolution: axis 0 of the kernel is the input."""
    return _convolve(b, x, weight, bias, stride, padding, dilation, groups, True, output_padding)


@lowers("aten.convolution.default", "aten._convolution.default")
def convolution(
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *_switches: bool,
) -> Value:
    """The general form."""
    return _convolve(b, x, weight, bias, stride, padding, dilation, groups, transposed, output_padding)
