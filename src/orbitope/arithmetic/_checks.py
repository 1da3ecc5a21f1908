"""Checks and errors that all arithmetics share."""

from __future__ import annotations

import torch

from orbitope.arithmetic.base import COMPARISONS, ELEMENTARY
from orbitope.errors import DataError, EnclosureError


def check_indices(indices: torch.Tensor, size: int) -> None:
    """Refuse indices outside 0 … size − 1: torch, NumPy and a checker would read negative ones differently.

    Raises:
        DataError: an index is out of range or no integer.
    """
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise not_integers(f"a tensor of dtype {indices.dtype}")
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= size):
        raise DataError(
            "an index is out of range",
            got=f"indices from {int(indices.min())} to {int(indices.max())}; expected 0 to {size - 1}",
            fix="check the token ids or labels against the size of the table",
        )


def not_integers(found: str) -> DataError:
    """The error for values that are used as indices and are no integers."""
    return DataError("indices must be integers", got=f"{found}, expected whole numbers")


def unknown_function(name: str, arithmetic: str) -> EnclosureError:
    """The error for a function outside ``ELEMENTARY``."""
    return EnclosureError(
        f"no {arithmetic} evaluation of the function {name!r}",
        got=f"{name!r}; expected one of {', '.join(ELEMENTARY)}",
        fix="compose it of these in the trait table (CONTRIBUTING.md, add an op)",
    )


def check_comparison(fn: str, arithmetic: str) -> None:
    """Refuse what is no comparison.

    Raises:
        EnclosureError: naming it.
    """
    if fn not in COMPARISONS:
        raise EnclosureError(
            f"no {arithmetic} evaluation of the comparison {fn!r}", got=f"expected one of {', '.join(COMPARISONS)}"
        )


def undecided(what: str, got: str | None = None) -> EnclosureError:
    """The error for a question that an enclosure leaves open."""
    return EnclosureError(
        f"the enclosure does not decide {what}",
        got=got,
        why="both answers are possible within the bounds, or two numbers are equal where their order matters",
        fix="a higher precision decides it unless the numbers are equal",
    )
