"""Data that no file of arrays holds: the bytes of a text, and random numbers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from orbitope.errors import DataError, FileError

if TYPE_CHECKING:
    from orbitope.cli.loading import Model

Drawn = tuple[tuple[Any, ...], torch.Tensor, Mapping[str, Any]]

SAMPLES, WINDOWS = 32, 64
"""So many, where no number is given."""


def windows(label: str, model: Model) -> Drawn:
    """Windows of a file's bytes as tokens, and for each position the byte that follows.

    Args:
        label: ``text:FILE`` or ``text:FILE,N`` with a number of windows, which are spread over the file.
        model: whose first integer input says how long a window is.

    Raises:
        DataError: the model takes no tokens, or the file is too short. FileError: it cannot be read.
    """
    path, count = re.fullmatch(r"text:(.*?)(?:,(\d+))?", label, re.DOTALL).groups()  # type: ignore[union-attr]
    try:
        with open(path, "rb") as file:
            raw = file.read(1 << 26)
    except OSError as error:
        raise FileError(f"cannot read {path}", at=path, got=error.strerror or str(error)) from error
    given = (model.inputs(), dict(model.kwargs))
    found = [
        (keys, leaf)
        for keys, leaf in pytree.tree_flatten_with_path(given)[0]
        if isinstance(leaf, torch.Tensor) and leaf.dim() == 2 and leaf.dtype in (torch.int32, torch.int64)
    ]
    if not found:
        raise DataError("the model takes no tokens", at=model.label, fix="text: needs an input [N, T] of whole numbers")
    keys, tokens = found[0]
    length = tokens.shape[1]
    most = (len(raw) - 1) // length
    if most < 1:
        raise DataError(f"{path} is too short", at=path, got=f"{len(raw)} bytes; a window has {length} and one more")
    places = torch.linspace(0, most - 1, min(int(count or WINDOWS), most)).long().unique() * length
    steps = places[:, None] + torch.arange(length + 1)
    text = torch.frombuffer(bytearray(raw), dtype=torch.uint8)[steps].to(tokens.dtype)
    x, y = text[:, :-1].contiguous(), text[:, 1:].contiguous().long()
    name = getattr(keys[-1], "key", None)
    return ((), y, {name: x}) if isinstance(name, str) else ((x,), y, {})


def drawn(label: str, model: Model, loss: str) -> Drawn:
    """Random inputs like the example inputs, and random targets.

    Args:
        label: ``random``, ``random:N`` or ``random:N,SEED``.
        model: its example inputs give shapes, dtypes and the range of whole numbers.
        loss: what the targets are for.

    Raises:
        DataError: not of this form, or the model does not run on them.
    """
    form = re.fullmatch(r"random(?::(\d+)(?:,(\d+))?)?", label)
    if form is None or form[1] == "0":
        raise DataError(f"{label!r} does not name data", fix="write random, random:SAMPLES or random:SAMPLES,SEED")
    count, generator = int(form[1] or SAMPLES), torch.Generator().manual_seed(int(form[2] or 0))
    model.demand_run("random data are drawn")
    args, kwargs = model.inputs(), dict(model.kwargs)
    leaves = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.dim()]
    if not leaves:
        raise DataError("the model has no tensor among its inputs", at=model.label)
    batch = leaves[0].shape[0]

    def like(x: torch.Tensor) -> torch.Tensor:
        if not x.dim() or x.shape[0] != batch:
            return x
        shape = (count, *x.shape[1:])
        if x.is_floating_point():
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(x.dtype)
        low, high = int(x.min()), int(x.max())
        return torch.randint(low, high + 1, shape, generator=generator).to(x.dtype)

    args, kwargs = pytree.tree_map_only(torch.Tensor, like, (args, kwargs))
    y = _targets(model, args, kwargs, loss.partition(":")[0], generator)
    if args and kwargs:  # all by name
        kwargs = dict(zip(inspect.signature(model.module.forward).parameters, args, strict=False)) | kwargs
        args = ()
    return args, y, kwargs


def _targets(
    model: Model, args: tuple[Any, ...], kwargs: dict[str, Any], loss: str, generator: torch.Generator
) -> torch.Tensor:
    try:
        with torch.no_grad():
            returned = model.module(*args, **kwargs)
    except Exception as error:  # whatever the model raises
        got = f"{type(error).__name__}: {str(error)[:200]}"
        raise DataError("the model does not run on random inputs", at=model.label, got=got) from error
    logits = returned.get("logits") if isinstance(returned, Mapping) else None
    output = next(
        (x for x in (logits, *pytree.tree_leaves(returned)) if isinstance(x, torch.Tensor) and x.is_floating_point()),
        None,
    )
    if output is None or not output.dim():
        raise DataError("the model returns no floating tensor", at=model.label)
    if loss in ("cross_entropy", "nll", "multi_margin") and output.dim() > 1:
        axis = 1 if output.dim() != 3 else 2
        shape = [n for k, n in enumerate(output.shape) if k != axis]
        return torch.randint(0, output.shape[axis], shape, generator=generator)
    values = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    if loss == "hinge":
        return torch.where(values > 0, 1.0, -1.0)
    return (values > 0).double() if loss == "bce_with_logits" else values
