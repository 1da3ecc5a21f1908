"""Orbitope: the symmetries of neural networks, and what follows from them."""

from orbitope.group import Element, SymmetryGroup, Units
from orbitope.infer import symmetries

__all__ = ["Element", "SymmetryGroup", "Units", "symmetries"]
