"""Inputs and targets: the digits, arrays in files, the bytes of a text, random numbers."""

from __future__ import annotations

import inspect
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from orbitope.errors import DataError, FileError, UnsafeFileError

if TYPE_CHECKING:
    from orbitope.cli.loading import Model

TARGETS = ("labels", "label", "targets", "target")
"""Names under which a file may hold targets."""

FORMS = (
    "digits, digits:train, digits:test, a .safetensors, .npz or .pt file with arrays x and y, text:FILE, "
    "or random:SAMPLES,SEED"
)


@dataclass(frozen=True)
class Data:
    """Inputs and targets, one sample a row.

    Attributes:
        label: the argument that named them.
        args: inputs by position.
        kwargs: inputs by name.
        y: class numbers, or values.
    """

    label: str
    args: tuple[Any, ...]
    y: torch.Tensor
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """The label and the number of samples."""
        return f"{self.label} ({len(self.y):,} samples)" if self.y.dim() else self.label

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All inputs."""
        return [leaf for leaf in pytree.tree_leaves((self.args, dict(self.kwargs))) if isinstance(leaf, torch.Tensor)]

    def cast(self, dtype: torch.dtype) -> Any:
        """Inputs and targets as an objective takes them, floating inputs in this dtype."""

        def wide(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        args, kwargs = pytree.tree_map_only(torch.Tensor, wide, (self.args, dict(self.kwargs)))
        if len(args) == 1 and not kwargs:
            return args[0], self.y
        return (kwargs or args), self.y


def load_data(label: str, model: Model, loss: str = "cross_entropy") -> Data:
    """The data that a ``--data`` argument names.

    Args:
        label: the argument.
        model: that they are for.
        loss: that random targets are for.

    Raises:
        DataError: no such data, or arrays of other names.
        FileError: the file cannot be read. UnsafeFileError: it would have to execute code.
    """
    name, _, split = label.partition(":")
    if name == "digits" and split in ("", "all", "train", "test"):
        from orbitope.reports.digits import digits

        x, y = digits(split or "all")
        return Data(label, (x,), y)
    if name == "random":
        from orbitope.cli.samples import drawn

        return Data(label, *drawn(label, model, loss))
    if name == "text" and split:
        from orbitope.cli.samples import windows

        return Data(label, *windows(label, model))
    if label.endswith((".safetensors", ".pt", ".pth")):
        from orbitope.cli.weights import read_weights

        return _named(label, read_weights(label).tensors, model)
    if label.endswith(".npz"):
        return _named(label, _read_npz(label), model)
    raise DataError(f"{label!r} does not name data", fix=f"name {FORMS}")


def _read_npz(path: str) -> dict[str, torch.Tensor]:
    if os.path.isdir(path):
        raise FileError(f"cannot read {path}", at=path, got="a folder")
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in file.files}
    except FileNotFoundError as error:
        raise FileError(f"cannot read {path}", at=path, got="No such file or directory") from error
    except (OSError, ValueError, EOFError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        if _is_archive(path) and ("allow_pickle" in str(error) or "pickled" in str(error)):
            raise UnsafeFileError(
                f"refusing to load {path}",
                at=path,
                got="an array of Python objects, which is a pickle",
                why="it would have to execute code to be read; nothing in it was executed",
                fix="save arrays of numbers: np.savez(path, x=x, y=y)",
            ) from error
        raise FileError(
            f"cannot read {path} as arrays of NumPy",
            at=path,
            got=f"{type(error).__name__}: {error}"[:200] if _is_archive(path) else "it is not a zip archive",
            why="the file is truncated, damaged, of another kind, or holds something else than numbers",
            fix="write it again: np.savez(path, x=x, y=y)",
        ) from error


def _is_archive(path: str) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except OSError:
        return False


def _named(label: str, arrays: Mapping[str, Any], model: Model) -> Data:
    """Arrays x and y, or inputs under the names that the model gives them and targets under one of theirs."""
    if {"x", "y"} <= {*arrays}:
        return Data(label, (arrays["x"],), arrays["y"])
    target = next((name for name in ("y", *TARGETS) if name in arrays), None)
    rest = {name: array for name, array in arrays.items() if name != target}
    accepted = inspect.signature(model.module.forward).parameters
    anything = any(p.kind == p.VAR_KEYWORD for p in accepted.values())
    if target is None or not rest or not (anything or {*rest} <= {*accepted}):
        raise DataError(
            f"{label} has no arrays x and y",
            at=label,
            got=", ".join(list(arrays)[:8]) or "no arrays",
            fix="name the inputs x and the targets y",
        )
    return Data(label, (), arrays[target], rest)
