"""Surveys: the argument of the swap, tried on many small networks."""

from orbitope.surveys.running import Survey, survey
from orbitope.surveys.segments import best_swap, certify_fall

__all__ = ["Survey", "best_swap", "certify_fall", "survey"]
