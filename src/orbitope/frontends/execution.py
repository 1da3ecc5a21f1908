"""Traced operations run next to their lowerings, on the same operands, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree

from orbitope.errors import ExportError, LoweringError
from orbitope.frontends.builder import Builder, Place, Value

Call = tuple[Sequence[Any], Mapping[str, Any]]


def run(b: Builder, function: Callable[..., Any], call: Call) -> Any:
    """What the operation itself returns on the operands' float64 values; in the dtypes of the trace where it must.

    Raises:
        ExportError: it does not run on the example inputs.
    """
    try:
        return _run(b, function, call, lambda x: b.tensors[x.name])
    except (RuntimeError, TypeError, NotImplementedError):
        return run_as_traced(b, function, call)


def run_as_traced(b: Builder, function: Callable[..., Any], call: Call) -> Any:
    """The same in the dtypes of the trace."""
    try:
        return _run(b, function, call, lambda x: b.tensors[x.name].to(x.dtype))
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ExportError(
            "a traced operation does not run on the example inputs",
            at=where(b.place),
            got=f"{type(error).__name__}: {str(error).splitlines()[0][:300]}",
            why="every operation is executed once, so that a wrong reading of it is noticed",
            fix="pass example inputs on which model(...) itself runs, on the device of the model",
        ) from error


def _run(b: Builder, function: Callable[..., Any], call: Call, tensor: Callable[[Value], torch.Tensor]) -> Any:
    # strides of lowered values are not those of the trace, and a view asks for them: any order of memory will do
    args, kwargs = pytree.tree_map_only(Value, lambda x: tensor(x).resolve_conj().contiguous(), call)
    if str(kwargs.get("device")) == "meta":  # what is made of nothing but numbers has entries after all
        kwargs["device"] = torch.device("cpu")
    if b.place.target == "aten.as_strided.default" and b.place.strides:  # here they are what counts
        laid = torch.empty_strided(args[0].shape, b.place.strides, dtype=args[0].dtype)
        args = (laid.copy_(args[0]), *args[1:])
    return function(*args, **kwargs)


def compare(b: Builder, results: Sequence[Any], expected: Sequence[Any], operands: Sequence[Value]) -> None:
    """Refuse a lowering whose values are not those of the operation.

    Differences are measured against the largest value or operand, but at least a thousandth: what cancels, as in the
    normalisation of equal entries or in eˣ − 1, leaves the rounding of what was there before.

    Raises:
        LoweringError: shapes or values differ by more than rounding.
    """
    for value, truth in zip(results, expected, strict=False):
        if not isinstance(value, Value) or not isinstance(truth, torch.Tensor):
            continue
        ours = b.tensors[value.name]
        if ours.shape != truth.shape or ours.shape != value.shape:
            raise _disagrees(b.place, f"shape {list(ours.shape)}, the operation gives {list(truth.shape)}")
        if b.ties and not torch.equal(ours, truth):
            ours, truth = _standing(b, value, ours, truth)
        error = _largest_difference(ours, truth)
        if error == 0:  # most operations only move entries: there is nothing to measure it against
            continue
        coarse = truth.dtype if truth.is_floating_point() or truth.is_complex() else torch.float64
        relative = max(1e4 * torch.finfo(coarse).eps, b.tolerance)
        scale = _magnitude(truth)
        if error <= relative * max(scale, 1e-3):
            continue
        given = [b.tensors[x.name] for x in operands]
        floor = max([0.0, *(_magnitude(x) for x in given if x.is_floating_point() or x.is_complex())])
        if not error <= relative * floor:
            raise _disagrees(b.place, f"largest difference {error:.3g} where values reach {scale:.3g}")


def _standing(b: Builder, value: Value, ours: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where both are positions in an order: the entries that stand there; both as they are otherwise."""
    node = next(node for node in reversed(b.nodes) if node.name == value.name)
    if node.op != "order" or node.attributes["what"] != "indices":
        return ours, truth
    entries = b.tensors[node.inputs[0]]
    axis = node.attributes["axis"]
    inside = [bool(((at >= 0) & (at < entries.shape[axis])).all()) for at in (ours, truth)]
    if not all(inside):
        return ours, truth
    return entries.gather(axis, ours.long()), entries.gather(axis, truth.long())


def _largest_difference(ours: torch.Tensor, truth: torch.Tensor) -> float:
    """The largest difference of two tensors; equal infinities differ by nothing, nor do two that are no numbers."""
    if truth.numel() == 0:
        return 0.0
    left, right = _wide(ours), _wide(truth)
    gap = left - right
    if not gap.is_complex():
        low, high = torch.aminmax(gap)
        found = max(-low.item(), high.item())
        if math.isfinite(found):
            return found
    same = (left == right) | (left.isnan() & right.isnan())
    return float(gap.abs().masked_fill(same, 0.0).max().item())


def carries(b: Builder, function: Callable[..., Any], call: Call, axes: int) -> bool:
    """Whether an operation treats all positions of the leading ``axes`` of its operands alike, tried once on each."""
    expected = [x for x in flat(run(b, function, call)) if isinstance(x, torch.Tensor)]
    for axis in range(axes):

        def turned(x: Value, axis: int = axis) -> torch.Tensor:
            return b.tensors[x.name].roll(1, axis)

        try:
            moved = [x for x in flat(_run(b, function, call, turned)) if isinstance(x, torch.Tensor)]
        except (RuntimeError, TypeError, NotImplementedError):
            return False
        for x, y in zip(expected, moved, strict=True):
            if not torch.allclose(_wide(x).roll(1, axis), _wide(y), rtol=1e-9, atol=1e-12, equal_nan=True):
                return False
    return True


def where(place: Place) -> str:
    """A place in words."""
    return f"node {place.name} ({place.source}) in {place.module or 'the model'}"


def is_abstract(tensor: torch.Tensor) -> bool:
    """Whether a tensor has a shape but no entries: on the meta device, or in a fake mode."""
    return tensor.is_meta or isinstance(tensor, FakeTensor)


def flat(value: Any) -> list[Any]:
    """One or several results as a list."""
    return list(value) if isinstance(value, tuple | list) else [value]


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """Floating tensors in float64, others as they are."""
    return tensor.double() if tensor.is_floating_point() else tensor


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.complex128) if tensor.is_complex() else tensor.double()


def _magnitude(tensor: torch.Tensor) -> float:
    """The largest finite entry."""
    if tensor.numel() == 0:
        return 0.0
    wide_ = _wide(tensor)
    if not wide_.is_complex():
        low, high = torch.aminmax(wide_)
        found = max(-low.item(), high.item())
        if math.isfinite(found):
            return found
    finite = wide_.abs()
    finite = finite[finite.isfinite()]
    return float(finite.max().item()) if finite.numel() else 0.0


def _disagrees(place: Place, got: str) -> LoweringError:
    return LoweringError(
        f"the lowering of {place.target} does not compute what the operation computes",
        at=where(place),
        got=got,
        why="a wrong lowering would make every result about this model wrong",
        fix="report this model; until then analyse the part that does not contain the operation",
    )
