"""Comparison of parameters modulo symmetry: do two compute the same function, how many copies are there."""

from orbitope.comparison.verification import Control, OutputError, Verification, verify
from orbitope.group.counting import Count, Duplicates, count

__all__ = ["Control", "Count", "Duplicates", "OutputError", "Verification", "count", "verify"]
