"""What an arithmetic must be able to do for a primitive to evaluate in it.

Every primitive states its value once, in terms of these operations; the arithmetic decides what a number is: a torch
float, an exact rational, a ball that encloses a real. Structural operations move entries and round nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Generic, TypeVar

import torch

from orbitope.errors import EnclosureError

Array = TypeVar("Array")


class Arithmetic(ABC, Generic[Array]):
    """Operations on arrays of one kind of number.

    Shapes of the operands of ``add``, ``mul`` and their like are equal: primitives broadcast explicitly.
    """

    name: str

    # numbers -----------------------------------------------------------------------------------------------------
    @abstractmethod
    def lift(self, tensor: torch.Tensor) -> Array:
        """The tensor's values, exactly (float) or to the arithmetic's own dtype (torch floats)."""

    @abstractmethod
    def full(self, shape: Sequence[int], value: Fraction | float | int, like: Array | None = None) -> Array:
        """An array of one value; a Fraction is represented as exactly as the arithmetic can."""

    # structure ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def shape(self, x: Array) -> tuple[int, ...]:
        """Shape."""

    @abstractmethod
    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        """Row-major reshape."""

    @abstractmethod
    def transpose(self, x: Array, permutation: Sequence[int]) -> Array:
        """Axes in another order; ``permutation[k]`` is the old position of new axis k."""

    @abstractmethod
    def broadcast(self, x: Array, shape: Sequence[int]) -> Array:
        """Right-aligned broadcasting to ``shape``."""

    @abstractmethod
    def concat(self, xs: Sequence[Array], axis: int) -> Array:
        """Concatenation along one axis."""

    @abstractmethod
    def slice(self, x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
        """Entries start, start + step, … below stop of one axis."""

    @abstractmethod
    def pad(self, x: Array, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
        """Constant padding before and after each axis."""

    @abstractmethod
    def take(self, x: Array, indices: torch.Tensor, axis: int) -> Array:
        """Entries of ``axis`` at integer ``indices``, whose axes replace that axis."""

    @abstractmethod
    def integers(self, x: Array) -> torch.Tensor:
        """The values as an integer tensor, for use as indices; an error where they are not integers."""

    # field -------------------------------------------------------------------------------------------------------
    @abstractmethod
    def add(self, x: Array, y: Array) -> Array:
        """Sum."""

    @abstractmethod
    def sub(self, x: Array, y: Array) -> Array:
        """Difference."""

    @abstractmethod
    def mul(self, x: Array, y: Array) -> Array:
        """Product, entry by entry."""

    @abstractmethod
    def div(self, x: Array, y: Array) -> Array:
        """Quotient, entry by entry."""

    @abstractmethod
    def contract(self, spec: str, xs: Sequence[Array]) -> Array:
        """Sum of products by an einsum specification with an explicit output."""

    @abstractmethod
    def sum(self, x: Array, axes: Sequence[int]) -> Array:
        """Sum over axes, which disappear."""

    # order -------------------------------------------------------------------------------------------------------
    @abstractmethod
    def maximum(self, x: Array, y: Array) -> Array:
        """Larger of two, entry by entry."""

    @abstractmethod
    def amax(self, x: Array, axes: Sequence[int]) -> Array:
        """Largest over axes, which disappear."""

    # functions ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def function(self, name: str, x: Array) -> Array:
        """One of the elementary functions ``ELEMENTARY``, entry by entry."""

    # derived, with room for a tighter or faster override ------------------------------------------------------------
    def neg(self, x: Array) -> Array:
        """Negative."""
        return self.sub(self.full(self.shape(x), 0, like=x), x)

    def relu(self, x: Array) -> Array:
        """Larger of the entry and zero."""
        return self.maximum(x, self.full(self.shape(x), 0, like=x))

    def mean(self, x: Array, axes: Sequence[int]) -> Array:
        """Mean over axes, which disappear."""
        shape = self.shape(x)
        count = 1
        for axis in axes:
            count *= shape[axis]
        total = self.sum(x, axes)
        return self.div(total, self.full(self.shape(total), count, like=total))

    def log_softmax(self, x: Array, axis: int) -> Array:
        """``x − log Σ exp x`` along one axis, shifted by the largest entry first."""
        shape = self.shape(x)
        keep = tuple(1 if k == axis else n for k, n in enumerate(shape))
        top = self.broadcast(self.reshape(self.amax(x, (axis,)), keep), shape)
        shifted = self.sub(x, top)
        total = self.sum(self.function("exp", shifted), (axis,))
        return self.sub(shifted, self.broadcast(self.reshape(self.function("log", total), keep), shape))

    def convolve(
        self,
        x: Array,
        weight: Array,
        *,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> Array:
        """Cross-correlation ``[N, C, *space]`` with ``[O, C/groups, *kernel]``: unfold, then one contraction."""
        space = len(stride)
        batch, channels, *_ = self.shape(x)
        out_channels, per_group, *kernel = self.shape(weight)
        patches = self.windows(
            self.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)]), kernel, stride=stride, dilation=dilation
        )
        _, _, *tail = self.shape(patches)
        out_space = tail[:space]
        grouped = self.reshape(patches, (batch, groups, channels // groups, *tail))
        kernels = self.reshape(weight, (groups, out_channels // groups, per_group, *kernel))
        a, b = "ijk"[:space], "xyz"[:space]
        result = self.contract(f"ngc{a}{b},goc{b}->ngo{a}", [grouped, kernels])
        return self.reshape(result, (batch, out_channels, *out_space))

    def windows(self, x: Array, kernel: Sequence[int], *, stride: Sequence[int], dilation: Sequence[int]) -> Array:
        """Sliding windows over trailing spatial axes: ``[N, C, *space] -> [N, C, *out, *kernel]``."""
        shape = self.shape(x)
        first = len(shape) - len(kernel)
        for k, (size, step, gap) in enumerate(zip(kernel, stride, dilation, strict=True)):
            axis = first + k
            length = self.shape(x)[axis]
            count = (length - gap * (size - 1) - 1) // step + 1
            views: list[Array] = []
            for offset in range(size):
                view = self.slice(x, axis, offset * gap, offset * gap + (count - 1) * step + 1, step)
                views.append(self.reshape(view, (*self.shape(view), 1)))
            x = self.concat(views, len(self.shape(views[0])) - 1)
        return x

    def call(self, target: str, xs: Sequence[Array], **settings: Any) -> Array:
        """An operation that no primitive describes; only the arithmetic of the tracer can run it."""
        raise EnclosureError(
            f"no {self.name} evaluation of {target}",
            why="the operation has no primitive, so its value in this arithmetic is unknown",
            fix="prove a sub-network that does not contain it, or add a lowering (CONTRIBUTING.md, add an op)",
        )


ELEMENTARY = ("exp", "log", "tanh", "sigmoid", "erf", "sqrt", "sin", "cos", "abs", "floor")
"""Functions an arithmetic may be asked for; everything else is composed of them."""
