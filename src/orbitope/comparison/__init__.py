"""Comparison of parameters modulo symmetry: do two compute the same function, how many copies are there."""

from orbitope.comparison.counting import Count, Duplicates, count
from orbitope.comparison.verification import Control, OutputError, Verification, verify

__all__ = ["Control", "Count", "Duplicates", "OutputError", "Verification", "count", "verify"]
