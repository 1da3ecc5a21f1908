"""Orbitope: the symmetries of neural networks, what they prove, and how to undo them."""

from orbitope.alignment import align
from orbitope.comparison import verify
from orbitope.curvature import explain
from orbitope.group import Element, SymmetryGroup, Units
from orbitope.infer import symmetries
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
    "barrier",
    "check",
    "explain",
    "prove",
    "symmetries",
    "verify",
]
