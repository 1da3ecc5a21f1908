"""Symmetry groups, their units and elements, and the action on parameters."""

from orbitope.group.continuous import Continuous
from orbitope.group.diagnostics import Diagnostic
from orbitope.group.element import Element
from orbitope.group.layout import (
    Axis,
    Fixed,
    Interleaved,
    Merged,
    Moving,
    Ordered,
    Placement,
    Segments,
    movings,
    places,
    read_in_order,
)
from orbitope.group.symmetry import SymmetryGroup
from orbitope.group.units import Units

__all__ = [
    "Axis",
    "Continuous",
    "Diagnostic",
    "Element",
    "Fixed",
    "Interleaved",
    "Merged",
    "Moving",
    "Ordered",
    "Placement",
    "Segments",
    "SymmetryGroup",
    "Units",
    "movings",
    "places",
    "read_in_order",
]
