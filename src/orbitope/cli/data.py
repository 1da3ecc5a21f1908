"""Inputs and targets: the digits, and arrays in files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from orbitope.errors import DataError, FileError, UnsafeFileError

FORMS = "digits, digits:train, digits:test, or a .safetensors or .npz file with arrays x and y"


@dataclass(frozen=True)
class Data:
    """Inputs and targets, one sample a row.

    Attributes:
        label: the argument that named them.
        x: inputs.
        y: class numbers, or values.
    """

    label: str
    x: torch.Tensor
    y: torch.Tensor

    def __str__(self) -> str:
        """The label and the number of samples."""
        return f"{self.label} ({len(self.x):,} samples)" if self.x.dim() else self.label


def load_data(label: str) -> Data:
    """The data that a ``--data`` argument names.

    Raises:
        DataError: no such data, or arrays of other names.
        FileError: the file cannot be read. UnsafeFileError: it would have to execute code.
    """
    name, _, split = label.partition(":")
    if name == "digits" and split in ("", "all", "train", "test"):
        from orbitope.reports.digits import digits

        return Data(label, *digits(split or "all"))
    if label.endswith(".safetensors"):
        from orbitope.cli.weights import read_weights

        return _pair(label, read_weights(label).tensors)
    if label.endswith(".npz"):
        return _pair(label, _read_npz(label))
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


def _pair(label: str, arrays: Mapping[str, Any]) -> Data:
    if not {"x", "y"} <= {*arrays}:
        raise DataError(
            f"{label} has no arrays x and y",
            at=label,
            got=", ".join(list(arrays)[:8]) or "no arrays",
            fix="name the inputs x and the targets y",
        )
    return Data(label, arrays["x"], arrays["y"])
