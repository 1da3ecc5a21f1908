"""Plain torch floats, the arithmetic of the traced program: fast, differentiable, without any guarantee."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import torch
from torch.nn import functional

from orbitope.arithmetic._checks import check_indices, not_integers, unknown_function
from orbitope.arithmetic.base import ELEMENTARY, Arithmetic

_FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {name: getattr(torch, name) for name in ELEMENTARY}
_CONVOLUTIONS: dict[int, Callable[..., torch.Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


@dataclass(frozen=True)
class Operand:
    """In the recorded arguments of a traced call: the place of the operand with this index."""

    index: int


def substitute(template: Any, operands: Sequence[Any]) -> Any:
    """The template with every ``Operand`` in it replaced, at any depth of lists, tuples and dicts.

    >>> substitute([Operand(1), (2, Operand(0))], ["a", "b"])
    ['b', (2, 'a')]
    """
    if isinstance(template, Operand):
        return operands[template.index]
    if isinstance(template, dict):
        entries = cast("dict[Any, Any]", template)
        return {key: substitute(item, operands) for key, item in entries.items()}
    if isinstance(template, list | tuple):
        items = [substitute(item, operands) for item in cast("Sequence[Any]", template)]
        return items if isinstance(template, list) else tuple(items)
    return template


class TorchArithmetic(Arithmetic[torch.Tensor]):
    """Torch tensors, on any device; gradients flow through every operation that has one.

    Args:
        dtype: floating tensors are cast to it by ``lift``; None leaves them as they are.
        device: tensors are moved to it by ``lift``; None leaves them where they are.

    Guarantee: none; rounding, fused and reduced-precision kernels are those of torch.
    """

    name = "torch"

    def __init__(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> None:
        """Keep dtype and device."""
        self.dtype = dtype
        self.device = device

    # numbers ------------------------------------------------------------------------------------------------
    def lift(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor on the arithmetic's device; a floating one in its dtype, any other as it is."""
        dtype = self.dtype if tensor.is_floating_point() else None
        return tensor.to(device=self.device, dtype=dtype)

    def full(
        self, shape: Sequence[int], value: Fraction | float | int, like: torch.Tensor | None = None
    ) -> torch.Tensor:
        """A tensor of one value, in the dtype and on the device of ``like`` where that can hold the value."""
        device = self.device if like is None else like.device
        if like is not None and not like.is_floating_point() and isinstance(value, int):
            return torch.full(tuple(shape), value, dtype=_arithmetical(like).dtype, device=device)
        dtype = like.dtype if like is not None and like.is_floating_point() else self._floating
        return torch.full(tuple(shape), float(value), dtype=dtype, device=device)

    @property
    def _floating(self) -> torch.dtype:
        return self.dtype or torch.get_default_dtype()

    def _float(self, x: torch.Tensor) -> torch.Tensor:
        """The tensor, or its cast to floats where it holds integers."""
        return x if x.is_floating_point() or x.is_complex() else x.to(self._floating)

    # structure ----------------------------------------------------------------------------------------------
    def shape(self, x: torch.Tensor) -> tuple[int, ...]:
        """Shape."""
        return tuple(x.shape)

    def reshape(self, x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Row-major reshape."""
        return x.reshape(tuple(shape))

    def transpose(self, x: torch.Tensor, permutation: Sequence[int]) -> torch.Tensor:
        """Axes in another order; ``permutation[k]`` is the old position of new axis k."""
        return x.permute(tuple(permutation))

    def broadcast(self, x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Right-aligned broadcasting to ``shape``."""
        return x.broadcast_to(tuple(shape))

    def concat(self, xs: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
        """Concatenation along one axis."""
        return torch.cat(list(xs), dim=axis)

    def slice(self, x: torch.Tensor, axis: int, start: int, stop: int, step: int = 1) -> torch.Tensor:
        """Entries start, start + step, … below stop of one axis."""
        return x[(slice(None),) * axis + (slice(start, stop, step),)]

    def pad(self, x: torch.Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
        """Constant padding before and after each axis; widths are not negative."""
        if any(width < 0 for pair in widths for width in pair):
            raise ValueError(f"negative padding {list(widths)}")
        flat = [width for pair in reversed(widths) for width in pair]
        return functional.pad(x, flat, value=value)

    def take(self, x: torch.Tensor, indices: torch.Tensor, axis: int) -> torch.Tensor:
        """Entries of ``axis`` at integer ``indices``, whose axes replace that axis."""
        check_indices(indices, x.shape[axis])
        taken = x.index_select(axis, indices.reshape(-1).to(x.device))
        return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])

    def pick(self, x: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
        """One entry along ``axis`` for each index, by torch.gather."""
        return torch.gather(x, axis, indices.to(torch.int64))

    def integers(self, x: torch.Tensor) -> torch.Tensor:
        """The values as int64.

        Raises:
            DataError: a value is not an integer.
        """
        if x.is_floating_point() and not bool((x == x.round()).all() & (x.abs() < 2.0**53).all()):
            raise not_integers("a floating-point tensor")
        return x.to(torch.int64)

    # field --------------------------------------------------------------------------------------------------
    def add(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Sum; booleans count as 0 and 1."""
        return _arithmetical(x) + _arithmetical(y)

    def sub(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Difference; booleans count as 0 and 1."""
        return _arithmetical(x) - _arithmetical(y)

    def mul(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Product, entry by entry; booleans count as 0 and 1."""
        return _arithmetical(x) * _arithmetical(y)

    def div(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Quotient, entry by entry, in floats."""
        return self._float(x) / self._float(y)

    def contract(self, spec: str, xs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Sum of products by torch.einsum, in the promoted dtype of all operands."""
        dtype = _arithmetical(xs[0]).dtype
        for x in xs[1:]:
            dtype = torch.promote_types(dtype, x.dtype)
        return torch.einsum(spec, *(x.to(dtype) for x in xs))

    def sum(self, x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
        """Sum over axes, which disappear."""
        return torch.sum(x, dim=tuple(axes)) if axes else x  # torch reads an empty tuple as all axes

    def mean(self, x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
        """Mean over axes, which disappear."""
        return torch.mean(self._float(x), dim=tuple(axes)) if axes else x

    def neg(self, x: torch.Tensor) -> torch.Tensor:
        """Negative."""
        return -_arithmetical(x)

    # order --------------------------------------------------------------------------------------------------
    def maximum(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Larger of two, entry by entry."""
        return torch.maximum(x, y)

    def relu(self, x: torch.Tensor) -> torch.Tensor:
        """Larger of the entry and zero; the derivative at zero is zero, as in torch."""
        return torch.relu(x)

    def amax(self, x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
        """Largest over axes, which disappear."""
        return torch.amax(x, dim=tuple(axes)) if axes else x

    def compare(self, fn: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Booleans, by torch."""
        return getattr(torch, fn)(x, y)

    def where(self, condition: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The entry of ``x`` where the condition is not zero, else that of ``y``."""
        return torch.where(condition != 0, x, y)

    def order(self, x: torch.Tensor, axis: int, count: int, largest: bool, what: str, rule: str) -> torch.Tensor:
        """Largest or smallest entries along ``axis``, by the torch function that ``rule`` names."""
        if what == "choice":
            places = self.order(x, axis, count, largest, "indices", rule)
            return functional.one_hot(places, x.shape[axis]).movedim(-1, 0).to(x.dtype)
        part = 0 if what == "values" else 1
        if rule == "topk":
            return torch.topk(x, count, axis, largest)[part]
        if rule == "arg" and part == 1:
            return (torch.argmax if largest else torch.argmin)(x, axis, keepdim=True)
        return torch.sort(x, stable=True, dim=axis, descending=largest)[part].narrow(axis, 0, count)

    def scatter(
        self, x: torch.Tensor, axis: int, indices: torch.Tensor, source: torch.Tensor, mode: str
    ) -> torch.Tensor:
        """Entries put at places, by torch's kernels in the promoted dtype."""
        dtype = torch.promote_types(x.dtype, source.dtype)
        x, source, indices = x.to(dtype), source.to(dtype), indices.to(torch.int64)
        if mode == "set":
            return torch.scatter(x, axis, indices, source)
        if mode == "sum":
            return torch.scatter_add(x, axis, indices, source)
        return torch.scatter_reduce(x, axis, indices, source, mode, include_self=True)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """Where an entry is −∞."""
        return x == -torch.inf

    # functions ----------------------------------------------------------------------------------------------
    def function(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """One of the elementary functions ``ELEMENTARY``, entry by entry."""
        if name not in _FUNCTIONS:
            raise unknown_function(name, self.name)
        if name in ("abs", "floor"):
            return _FUNCTIONS[name](_arithmetical(x))
        return _FUNCTIONS[name](self._float(x))

    def entrywise(self, name: str, xs: Sequence[torch.Tensor], **settings: Any) -> torch.Tensor:
        """The torch function of that name on all operands, with the settings as keywords."""
        if name in _ONES:
            # in torch, the product with a float is a float and the product of booleans with an integer is one
            return self.mul(xs[0], self.full(xs[0].shape, _ONES[name], like=xs[0]))
        function = _ENTRYWISE[name] if name in _ENTRYWISE else getattr(torch, name)
        settings.pop("whole", None)  # torch sees it from the dtype
        return function(*xs, **settings)

    def softmax(self, x: torch.Tensor, axis: int, safe: bool = False) -> torch.Tensor:
        """Softmax along one axis; ``safe``: zeros where all entries are −∞."""
        if not safe:
            return super().softmax(x, axis)
        hidden = (x == -torch.inf).all(axis, keepdim=True)
        return torch.softmax(x.masked_fill(hidden, 0.0), axis).masked_fill(hidden, 0.0)

    def log_softmax(self, x: torch.Tensor, axis: int) -> torch.Tensor:
        """``x − log Σ exp x`` along one axis, by torch."""
        return torch.log_softmax(self._float(x), dim=axis)

    def convolve(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        *,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> torch.Tensor:
        """Cross-correlation in one to three spatial dimensions, by torch's kernels."""
        dtype = torch.promote_types(_arithmetical(x).dtype, weight.dtype)
        return _CONVOLUTIONS[len(stride)](
            x.to(dtype),
            weight.to(dtype),
            stride=tuple(stride),
            padding=tuple(padding),
            dilation=tuple(dilation),
            groups=groups,
        )

    def call(self, target: str, xs: Sequence[torch.Tensor], **settings: Any) -> torch.Tensor:
        """The traced operation itself.

        Args:
            target: its name, for messages only.
            xs: operands.
            settings: ``function``, the callable; ``args`` and ``kwargs``, its recorded arguments, in which
                every ``Operand(k)`` stands for ``xs[k]``.
        """
        function: Callable[..., torch.Tensor] = settings["function"]
        args: Sequence[Any] = settings.get("args", ())
        kwargs: Mapping[str, Any] = settings.get("kwargs", {})
        return function(*substitute(tuple(args), xs), **substitute(dict(kwargs), xs))


def _arithmetical(x: torch.Tensor) -> torch.Tensor:
    """The tensor, with booleans cast to integers: torch takes their sum for a logical or."""
    return x.to(torch.int64) if x.dtype == torch.bool else x


def _choose(condition: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.where(condition != 0, x, y)


def _nonzero(x: torch.Tensor) -> torch.Tensor:
    return x != 0


def _whole(x: torch.Tensor) -> torch.Tensor:
    return x.trunc().to(torch.int64) if x.is_floating_point() else x.to(torch.int64)


def _div_trunc(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.div(x, y, rounding_mode="trunc")


_ONES = {"real": 1.0, "number": 1}
"""What changes the kind of number, by a product."""

_ENTRYWISE: dict[str, Callable[..., torch.Tensor]] = {
    "where": _choose,
    "nonzero": _nonzero,
    "integer": _whole,
    "div_trunc": _div_trunc,
}
"""Functions that torch has not, or under another name."""
