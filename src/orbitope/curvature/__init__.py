"""Curvature by composition: in the inputs, in each block of parameters, and in all of them jointly."""

from orbitope.curvature.explanation import explain
from orbitope.curvature.report import Analysis, Break, Explanation, Finding, Step
from orbitope.curvature.state import Census

__all__ = ["Analysis", "Break", "Census", "Explanation", "Finding", "Step", "explain"]
