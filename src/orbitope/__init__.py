"""Orbitope: the symmetries of neural networks, what they prove, and how to undo them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orbitope.activations import traits
    from orbitope.alignment import align
    from orbitope.comparison import verify
    from orbitope.curvature import Outline
    from orbitope.flatness import audit
    from orbitope.group import Element, SymmetryGroup, Units
    from orbitope.infer import symmetries
    from orbitope.infer.equivalents import fold
    from orbitope.landscapes import barrier, stationarity
    from orbitope.objective import Objective
    from orbitope.proof import check_certificate as check
    from orbitope.proof import prove
    from orbitope.reports.explaining import explain
    from orbitope.surveys import survey

__all__ = [
    "Element",
    "Objective",
    "Outline",
    "SymmetryGroup",
    "Units",
    "align",
    "audit",
    "barrier",
    "check",
    "explain",
    "fold",
    "prove",
    "stationarity",
    "survey",
    "symmetries",
    "traits",
    "verify",
]

_HOMES = {
    "align": ("alignment", "align"),
    "audit": ("flatness", "audit"),
    "barrier": ("landscapes", "barrier"),
    "check": ("proof", "check_certificate"),
    "Element": ("group", "Element"),
    "explain": ("reports.explaining", "explain"),
    "fold": ("infer.equivalents", "fold"),
    "Objective": ("objective", "Objective"),
    "Outline": ("curvature", "Outline"),
    "prove": ("proof", "prove"),
    "stationarity": ("landscapes", "stationarity"),
    "survey": ("surveys", "survey"),
    "symmetries": ("infer", "symmetries"),
    "SymmetryGroup": ("group", "SymmetryGroup"),
    "Units": ("group", "Units"),
    "traits": ("activations", "traits"),
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
