"""What an arithmetic must be able to do for a primitive to evaluate in it.

Every primitive states its value once, in terms of these operations; the arithmetic decides what a number is: a torch
float, an exact rational, a ball that encloses a real. Structural operations move entries and round nothing.

An entry may be −∞, as those that a mask hides. Structural operations and ``where`` hand it on, it loses in
``maximum``, ``amax`` and ``compare``, ``add`` of a number and ``sub`` of one leave it as it is, ``exp`` and ``softmax``
make it zero, ``log_softmax`` keeps it. Every arithmetic that promises anything refuses it everywhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from math import inf
from typing import Any, Generic, TypeVar

import torch

from orbitope.arithmetic import composed
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
    def pick(self, x: Array, axis: int, indices: torch.Tensor) -> Array:
        """One entry along ``axis`` for each integer index: both arrays have the same size on all other axes."""

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

    @abstractmethod
    def compare(self, fn: str, x: Array, y: Array) -> Array:
        """1 where ``fn`` (``COMPARISONS``) holds, else 0, exactly; an error where an enclosure does not decide it."""

    @abstractmethod
    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """The entry of ``x`` where the exact condition is not zero, else that of ``y``."""

    @abstractmethod
    def order(self, x: Array, axis: int, count: int, largest: bool, what: str, rule: str) -> Array:
        """The ``count`` largest (or smallest) entries along ``axis``, in order.

        Args:
            x: array.
            axis: the entries compared; replaced by their ranks.
            count: number of ranks.
            largest: or smallest.
            what: ``values``; ``indices``; ``choice``, which is 1 where an entry has a rank, else 0, with the entries
                along a new leading axis.
            rule: ``sort``, ``topk`` or ``arg``, which of torch's choices among equal entries is meant.

        Raises:
            EnclosureError: indices or choice depend on an order that the enclosures do not decide, equal entries
                included; of values only where the arithmetic needs to know.
        """

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

    def samples(self, tensor: torch.Tensor, axis: int = 0) -> Array:
        """Data, lifted: ``axis`` runs over samples, which an arithmetic may treat apart from each other."""
        return self.lift(tensor)

    def hidden(self, x: Array) -> Array:
        """1 where an entry is −∞, else 0."""
        raise EnclosureError(f"{self.name} arithmetic cannot tell which entries are −∞")

    def uniform(self, x: Array) -> Fraction | None:
        """The number that all entries are, where that is known at once."""
        return None

    def entrywise(self, name: str, xs: Sequence[Array], **settings: Any) -> Array:
        """A function of ``COMPOSED``, entry by entry, made of the operations above."""
        return composed.evaluate(self, name, xs, settings)

    def softmax(self, x: Array, axis: int, safe: bool = False) -> Array:
        """``exp x / Σ exp x`` along one axis; ``safe``: zeros where all entries are −∞."""
        if not safe:
            return self.function("exp", self.log_softmax(x, axis))
        shape = self.shape(x)
        keep = tuple(1 if k == axis else n for k, n in enumerate(shape))
        least = self.neg(self.amax(self.neg(self.hidden(x)), (axis,)))  # 1 where nothing is shown
        nothing = self.broadcast(self.reshape(least, keep), shape)
        zero = self.full(shape, 0, like=x)
        return self.where(nothing, zero, self.softmax(self.where(nothing, zero, x), axis))

    def log_softmax(self, x: Array, axis: int) -> Array:
        """``x − log Σ exp x`` along one axis, shifted by the largest entry first; entries that are −∞ stay so."""
        shape = self.shape(x)
        keep = tuple(1 if k == axis else n for k, n in enumerate(shape))
        top = self.broadcast(self.reshape(self.amax(x, (axis,)), keep), shape)
        shifted = self.sub(x, top)
        total = self.sum(self.function("exp", shifted), (axis,))
        return self.sub(shifted, self.broadcast(self.reshape(self.function("log", total), keep), shape))

    def scatter(self, x: Array, axis: int, indices: Array, source: Array, mode: str) -> Array:
        """Entries of ``source`` put at integer ``indices`` along ``axis``, one after the other; other axes are shared.

        ``mode``: ``set`` (the last one stays), or combined with what is there: ``sum``, ``prod``, ``amax``, ``amin``.
        """
        shape = self.shape(x)
        along = tuple(n if k == axis else 1 for k, n in enumerate(shape))
        places = self.broadcast(self.reshape(self.lift(torch.arange(shape[axis])), along), shape)
        for j in range(self.shape(source)[axis]):
            index, value = (self.broadcast(self.slice(y, axis, j, j + 1), shape) for y in (indices, source))
            match mode:
                case "set":
                    put = value
                case "sum":
                    put = self.add(x, value)
                case "prod":
                    put = self.mul(x, value)
                case "amax":
                    put = self.maximum(x, value)
                case "amin":
                    put = self.neg(self.maximum(self.neg(x), self.neg(value)))
                case _:
                    raise EnclosureError(f"no {self.name} evaluation of scatter with mode {mode!r}")
            x = self.where(self.compare("eq", index, places), put, x)
        return x

    def normalise(self, x: Array, axes: Sequence[int], eps: float, kind: str) -> Array:
        """Divided by √(mean square over axes + ε), after the mean was subtracted if ``standard`` and not ``rms``."""
        shape, axes = self.shape(x), tuple(axes)
        keep = tuple(1 if k in axes else size for k, size in enumerate(shape))

        def spread(value: Array) -> Array:
            return self.broadcast(self.reshape(value, keep), shape)

        if kind == "standard":
            x = self.sub(x, spread(self.mean(x, axes)))
        square = self.mean(self.mul(x, x), axes)
        shifted = self.add(square, self.full(self.shape(square), eps, like=square))
        return self.div(x, spread(self.function("sqrt", shifted)))

    def pool(
        self,
        x: Array,
        fn: str,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        count_include_pad: bool,
    ) -> Array:
        """``max`` (padded with −∞) or ``mean`` (padded with zeros) over windows of the trailing axes."""
        widths = [*[(0, 0)] * (len(self.shape(x)) - len(kernel)), *((p, p) for p in padding)]
        largest = fn == "max"

        def windows(value: Array, fill: float) -> tuple[Array, tuple[int, ...]]:
            padded = self.pad(value, widths, fill) if any(padding) else value
            result = self.windows(padded, kernel, stride=stride, dilation=dilation)
            rank = len(self.shape(result))
            return result, tuple(range(rank - len(kernel), rank))

        view, axes = windows(x, -inf if largest else 0.0)
        if largest:
            return self.amax(view, axes)
        if count_include_pad or not any(padding):
            return self.mean(view, axes)
        inside, _ = windows(self.full(self.shape(x), 1, like=x), 0.0)
        return self.div(self.sum(view, axes), self.sum(inside, axes))

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

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
"""What ``compare`` may be asked for."""
