"""Structure of NumPy-backed arithmetics: moving entries, einsum specifications as matrix products."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from orbitope.arithmetic._checks import check_indices
from orbitope.arithmetic.base import Arithmetic

Array = TypeVar("Array")
Entries = NDArray[Any]
Product = Callable[[Entries, Entries], Entries]


class NumpyArithmetic(Arithmetic[Array]):
    """What arithmetics over NumPy arrays share: structure, and the reading of einsum specifications.

    A subclass says how its arrays consist of NumPy arrays (``_move``) and what a sum of products of two
    operands is (``_multiply``). Moving entries rounds nothing. Results may be views of their operands: no
    array is ever written to after it has been made.
    """

    @abstractmethod
    def _move(self, x: Array, move: Callable[[Entries], Entries]) -> Array:
        """The array with ``move``, which only moves entries, applied to each NumPy array in it."""

    @abstractmethod
    def _multiply(self, x: Array, y: Array, product: Product, terms: int) -> Array:
        """A bilinear map of two arrays.

        Args:
            x: first operand.
            y: second operand.
            product: computes, for two NumPy arrays, entries each of which is a sum of at most ``terms``
                products of one entry of either, in any order, fused or not, and by no other algorithm.
            terms: number of products in one entry.
        """

    @abstractmethod
    def _ranked(self, x: Array, axis: int, count: int, largest: bool) -> Array:
        """The ``count`` largest or smallest entries along ``axis``, in order."""

    @abstractmethod
    def _places(self, x: Array, axis: int, count: int, largest: bool) -> NDArray[np.int64]:
        """Where these entries stand.

        Raises:
            EnclosureError: this is not decided, or some of them are equal.
        """

    def order(self, x: Array, axis: int, count: int, largest: bool, what: str, rule: str) -> Array:
        """The largest or smallest entries along ``axis``, or their places; see the interface."""
        if what == "values":
            return self._ranked(x, axis, count, largest)
        places = self._places(x, axis, count, largest)
        if what == "choice":
            entries = np.arange(self.shape(x)[axis]).reshape(-1, *[1] * places.ndim)
            places = (entries == places).astype(np.int64)
        return self.lift(torch.from_numpy(np.ascontiguousarray(places)))

    def _matmul(self, x: Entries, y: Entries) -> Entries:
        """Products of matrices, or of equally many of them."""
        return x @ y

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        """Row-major reshape."""
        return self._move(x, lambda a: a.reshape(tuple(shape)))

    def transpose(self, x: Array, permutation: Sequence[int]) -> Array:
        """Axes in another order; ``permutation[k]`` is the old position of new axis k."""
        return self._move(x, lambda a: a.transpose(tuple(permutation)))

    def broadcast(self, x: Array, shape: Sequence[int]) -> Array:
        """Right-aligned broadcasting to ``shape``."""
        return self._move(x, lambda a: np.broadcast_to(a, tuple(shape)))

    def slice(self, x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
        """Entries start, start + step, … below stop of one axis."""
        cut = (slice(None),) * axis + (slice(start, stop, step),)
        return self._move(x, lambda a: a[cut])

    def take(self, x: Array, indices: torch.Tensor, axis: int) -> Array:
        """Entries of ``axis`` at integer ``indices``, whose axes replace that axis."""
        check_indices(indices, self.shape(x)[axis])
        positions = indices.detach().cpu().numpy()
        return self._move(x, lambda a: np.take(a, positions, axis=axis))

    def pick(self, x: Array, axis: int, indices: torch.Tensor) -> Array:
        """One entry along ``axis`` for each integer index; other axes are shared."""
        check_indices(indices, self.shape(x)[axis])
        positions = indices.detach().cpu().numpy()
        return self._move(x, lambda a: np.take_along_axis(a, positions, axis=axis))

    def windows(self, x: Array, kernel: Sequence[int], *, stride: Sequence[int], dilation: Sequence[int]) -> Array:
        """Sliding windows over trailing axes, as views: ``[N, C, *space] -> [N, C, *out, *kernel]``."""
        return self._move(x, lambda a: unfold(a, kernel, stride, dilation))

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
        """Cross-correlation ``[N, C, *space]`` with ``[O, C/groups, *kernel]``, unfolded for matrix products.

        An entry is a sum of n = C/groups · kernel products: padding adds products with zero, which round nothing.
        """
        if any(padding):
            x = self.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])

        def product(a: Entries, b: Entries) -> Entries:
            return correlate(a, b, stride, dilation, groups, self._matmul)

        return self._multiply(x, weight, product, prod(self.shape(weight)[1:]))

    def contract(self, spec: str, xs: Sequence[Array]) -> Array:
        """Sum of products by an einsum specification with an explicit output.

        Operands are multiplied from left to right, two at a time, and each intermediate result is an array of
        this arithmetic: for balls, an underflow in a first product is not magnified unseen by a later factor.
        """
        terms, output = parse(spec, len(xs))
        value, labels = xs[0], terms[0]
        for k in range(len(xs)):
            needed = set(output).union(*terms[k + 1 :])
            if k == 0:
                value, labels = self._simplify(value, labels, needed.union(*terms[1:]))
                continue
            other, others = self._simplify(xs[k], terms[k], needed.union(labels))
            pairing = Pairing.of(labels, self.shape(value), others, self.shape(other), needed)
            value = self._contracted(value, labels, other, others, pairing)
            labels = pairing.labels
        value, labels = self._simplify(value, labels, set(output))
        return self.transpose(value, tuple(labels.index(label) for label in output))

    def _contracted(self, x: Array, labels: str, y: Array, others: str, pairing: Pairing) -> Array:
        """The product of two operands with these labels."""
        return self._multiply(x, y, partial(pairing.apply, matmul=self._matmul), prod(pairing.inner))

    def _simplify(self, x: Array, labels: str, needed: set[str]) -> tuple[Array, str]:
        """Diagonals of repeated labels, and sums over labels that nobody else needs."""
        for label in dict.fromkeys(labels):
            while labels.count(label) > 1:
                first = labels.index(label)
                second = labels.index(label, first + 1)
                if self.shape(x)[first] != self.shape(x)[second]:
                    raise ValueError(f"label {label!r} has two sizes in {labels!r}: {self.shape(x)}")
                x = self._move(x, lambda a, i=first, j=second: np.diagonal(a, axis1=i, axis2=j))
                labels = labels[:first] + labels[first + 1 : second] + labels[second + 1 :] + label
        alone = [k for k, label in enumerate(labels) if label not in needed]
        if alone:
            x = self.sum(x, alone)
        return x, "".join(label for label in labels if label in needed)


def parse(spec: str, count: int) -> tuple[list[str], str]:
    """Labels of the operands and of the output of an einsum specification.

    Raises:
        ValueError: no explicit output, an ellipsis, or labels that do not fit.
    """
    operands, arrow, output = spec.replace(" ", "").partition("->")
    terms = operands.split(",")
    letters = "".join(terms)
    good = arrow and len(terms) == count and (letters + output + "a").isalpha()
    if not good or len(set(output)) != len(output) or not set(output) <= set(letters):
        raise ValueError(f"cannot read the specification {spec!r} for {count} operands")
    return terms, output


@dataclass(frozen=True)
class Pairing:
    """Two operands arranged for matrix products: ``[batch, rows, inner] @ [batch, inner, columns]``.

    Attributes:
        left, right: permutations that bring the operands' axes into that order.
        batch, rows, inner, columns: shapes of the four groups of axes.
        labels: of the result, in the order batch, rows, columns.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    inner: tuple[int, ...]
    columns: tuple[int, ...]
    labels: str

    @staticmethod
    def of(left: str, shape: Sequence[int], right: str, other: Sequence[int], needed: set[str]) -> Pairing:
        """The arrangement for operands with these labels and shapes.

        Labels in both and not ``needed`` are summed over.
        """
        sizes = dict(zip(left, shape, strict=True))
        for label, size in zip(right, other, strict=True):
            if sizes.setdefault(label, size) != size:
                raise ValueError(f"label {label!r} has sizes {sizes[label]} and {size} in {left!r}, {right!r}")
        batch = [label for label in left if label in right and label in needed]
        inner = [label for label in left if label in right and label not in needed]
        rows = [label for label in left if label not in right]
        columns = [label for label in right if label not in left]

        def group(labels: list[str]) -> tuple[int, ...]:
            return tuple(sizes[label] for label in labels)

        return Pairing(
            tuple(left.index(label) for label in (*batch, *rows, *inner)),
            tuple(right.index(label) for label in (*batch, *inner, *columns)),
            group(batch),
            group(rows),
            group(inner),
            group(columns),
            "".join((*batch, *rows, *columns)),
        )

    def apply(self, x: Entries, y: Entries, matmul: Product) -> Entries:
        """The sums of products; ``matmul`` multiplies matrices or equal batches of them."""
        batch, rows, inner, columns = map(prod, (self.batch, self.rows, self.inner, self.columns))
        stack = (batch,) if self.batch else ()
        x = x.transpose(self.left).reshape(*stack, rows, inner)
        y = y.transpose(self.right).reshape(*stack, inner, columns)
        result = matmul(x, y) if self.inner else x * y  # without an inner axis: one product for each entry
        return result.reshape((*self.batch, *self.rows, *self.columns))


def ranks(x: Entries, axis: int, count: int, largest: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of all entries along ``axis`` in order: of the first ``count`` ranks, and of the others."""
    places = np.argsort(x, axis=axis, kind="stable")
    if largest:
        places = np.flip(places, axis=axis)
    first, rest = np.split(places, [count], axis=axis)
    return first, rest


def unfold(x: Entries, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Entries:
    """Sliding windows over the trailing axes, as a view: ``[…, *space] -> […, *out, *kernel]``."""
    space = len(kernel)
    lead = x.ndim - space
    reach = tuple(gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True))
    view: Entries = sliding_window_view(x, reach, axis=tuple(range(lead, x.ndim)))
    steps = (slice(None),) * lead + tuple(slice(None, None, step) for step in (*stride, *dilation))
    return view[steps]


def correlate(
    x: Entries,
    kernels: Entries,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    matmul: Product = operator.matmul,
    block: int = 1 << 22,
) -> Entries:
    """Cross-correlation of padded ``[N, C, *space]`` with ``[O, C/groups, *kernel]`` by matrix products.

    Samples are unfolded in blocks of at most ``block`` entries (or one sample), which bounds the memory.
    """
    count, channels = x.shape[:2]
    out_channels, per_group, *kernel = kernels.shape
    space = len(kernel)
    view = unfold(x.reshape(count, groups, channels // groups, *x.shape[2:]), kernel, stride, dilation)
    out_space = view.shape[3 : 3 + space]
    # [g, n, *out, c, *kernel] @ [g, c·kernel, o]
    order = (1, 0, *range(3, 3 + space), 2, *range(3 + space, 3 + 2 * space))
    inner = per_group * prod(kernel)
    matrices = kernels.reshape(groups, out_channels // groups, inner).transpose(0, 2, 1)
    result = np.empty((count, groups, out_channels // groups, *out_space), dtype=x.dtype)
    step = max(1, block // max(1, prod(view.shape[1:])))
    for start in range(0, count, step):
        part = view[start : start + step].transpose(order)
        rows = part.reshape(groups, part.shape[1] * prod(out_space), inner)
        found = matmul(rows, matrices).reshape(groups, part.shape[1], *out_space, out_channels // groups)
        result[start : start + step] = np.moveaxis(found.swapaxes(0, 1), -1, 2)
    return result.reshape(count, out_channels, *out_space)
