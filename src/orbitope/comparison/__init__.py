"""Comparison of parameters modulo symmetry: do two compute the same function, how many copies are there."""

from orbitope.comparison.counting import Count, Duplicates, count

__all__ = ["Count", "Duplicates", "count"]
