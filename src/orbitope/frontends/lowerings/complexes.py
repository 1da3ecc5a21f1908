"""Complex numbers and Fourier transforms: real and imaginary parts and transformed axes are told apart, no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.along import along, carrying
from orbitope.frontends.lowerings.registry import lowers


@lowers("aten.view_as_complex.default")
def view_as_complex(b: Builder, x: Value) -> Value:
    """The last axis holds real and imaginary parts."""
    return carrying(b, x.rank - 1, _paired, [x])


def _paired(x: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(x.contiguous())


@lowers("aten.view_as_real.default")
def view_as_real(b: Builder, x: Value) -> Value:
    """A new last axis holds real and imaginary parts."""
    return carrying(b, x.rank, torch.view_as_real, [x])


@lowers("aten.real.default", "aten.imag.default", "aten.angle.default")
def part(b: Builder, x: Value) -> Value:
    """Real part, imaginary part or angle."""
    name = b.place.target.split(".")[1]
    if name == "real" and not x.dtype.is_complex:
        return x
    return carrying(b, x.rank, getattr(torch, name), [x])


@lowers("aten._conj.default", "aten.conj.default", "aten._conj_physical.default", "aten.conj_physical.default")
def conjugate(b: Builder, x: Value) -> Value:
    """Complex conjugate."""
    return carrying(b, x.rank, torch.conj_physical, [x]) if x.dtype.is_complex else x


@lowers("aten.resolve_conj.default", "aten.resolve_neg.default")
def resolved(b: Builder, x: Value) -> Value:
    """The same numbers."""
    return x


@lowers("aten.polar.default", "aten.complex.default")
def from_parts(b: Builder, x: Value, y: Value) -> Value:
    """Complex numbers from modulus and angle, or from real and imaginary part."""
    shape = torch.broadcast_shapes(x.shape, y.shape)
    function = torch.polar if "polar" in b.place.target else torch.complex
    return carrying(b, len(shape), function, [b.broadcast(x, shape), b.broadcast(y, shape)])


def _line(name: str) -> None:
    function = getattr(torch.fft, name)

    @lowers(f"aten.fft_{name}.default")
    def lowering(b: Builder, x: Value, n: int | None = None, dim: int = -1, norm: str | None = None) -> Value:
        return along(b, function, x, [dim], n, -1, norm)


def _plane(name: str) -> None:
    function = getattr(torch.fft, name)

    @lowers(f"aten.fft_{name}.default")
    def lowering(
        b: Builder,
        x: Value,
        s: Sequence[int] | None = None,
        dim: Sequence[int] | None = (-2, -1),
        norm: str | None = None,
    ) -> Value:
        if dim is None:
            dim = range(x.rank) if s is None else range(x.rank - len(s), x.rank)
        axes = [x.axis(k) for k in dim]
        return along(b, function, x, axes, s, tuple(range(-len(axes), 0)), norm)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _line(_name)
for _name in ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"):
    _plane(_name)


@lowers("aten._fft_r2c.default", "aten._fft_c2c.default")
def transformed(b: Builder, x: Value, dim: Sequence[int], normalisation: int, last: Any) -> Value:
    """Fourier transform of several axes; ``last`` says one-sided, or forward."""
    function = getattr(torch.ops.aten, b.place.target.split(".")[1])
    axes = [x.axis(k) for k in dim]
    return along(b, function, x, axes, list(range(-len(axes), 0)), normalisation, last)


@lowers("aten._fft_c2r.default")
def to_real(b: Builder, x: Value, dim: Sequence[int], normalisation: int, size: int) -> Value:
    """Fourier transform of a half spectrum to real numbers."""
    axes = [x.axis(k) for k in dim]
    return along(b, torch.ops.aten._fft_c2r, x, axes, list(range(-len(axes), 0)), normalisation, size)
