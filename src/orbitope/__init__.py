"""Orbitope: the symmetries of neural networks, what they prove, and how to undo them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orbitope.alignment import align
    from orbitope.comparison import verify
    from orbitope.curvature import explain
    from orbitope.flatness import audit
    from orbitope.group import Element, SymmetryGroup, Units
    from orbitope.infer import symmetries
    from orbitope.infer.equivalents import fold
    from orbitope.landscapes import barrier
    from orbitope.objective import Objective
    from orbitope.proof import check_certificate as check
    from orbitope.proof import prove

__all__ = [
    "Element",
    "Objective",
    "SymmetryGroup",
    "Units",
    "align",
    "audit",
    "barrier",
    "check",
    "explain",
    "fold",
    "prove",
    "symmetries",
    "verify",
]

_HOMES = {
    "align": ("alignment", "align"),
    "audit": ("flatness", "audit"),
    "barrier": ("landscapes", "barrier"),
    "check": ("proof", "check_certificate"),
    "Element": ("group", "Element"),
    "explain": ("curvature", "explain"),
    "fold": ("infer.equivalents", "fold"),
    "Objective": ("objective", "Objective"),
    "prove": ("proof", "prove"),
    "symmetries": ("infer", "symmetries"),
    "SymmetryGroup": ("group", "SymmetryGroup"),
    "Units": ("group", "Units"),
    "verify": ("comparison", "verify"),
}


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used: the command line answers before torch is loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module 'orbitope' has no attribute {name!r}")
    home, attribute = _HOMES[name]
    value = getattr(import_module(f"orbitope.{home}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
