"""How many distinct copies given parameters have: the orbit, by the stabiliser."""

from orbitope.group.counting.orbits import Count, Duplicates, count

__all__ = ["Count", "Duplicates", "count"]
