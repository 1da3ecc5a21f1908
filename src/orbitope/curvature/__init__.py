"""Curvature by composition: in the inputs, in each block of parameters, and in all of them jointly."""

from orbitope.curvature.explanation import explain, walked
from orbitope.curvature.outline import Outline
from orbitope.curvature.report import Analysis, Break, Explanation, Finding, Step
from orbitope.curvature.state import Census

__all__ = ["Analysis", "Break", "Census", "Explanation", "Finding", "Outline", "Step", "explain", "walked"]
