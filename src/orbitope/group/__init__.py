"""Symmetry groups, their units and elements, and the action on parameters. Imports torch and errors only."""

from orbitope.group.element import Element
from orbitope.group.layout import Axis, Fixed, Interleaved, Merged, Moving, Placement, Segments, movings
from orbitope.group.symmetry import Diagnostic, SymmetryGroup, places
from orbitope.group.units import Units

__all__ = [
    "Axis",
    "Diagnostic",
    "Element",
    "Fixed",
    "Interleaved",
    "Merged",
    "Moving",
    "Placement",
    "Segments",
    "SymmetryGroup",
    "Units",
    "movings",
    "places",
]
