"""The continuous part, audited: flat directions that the group explains beside those that are measured."""

from orbitope.flatness.jacobian import Program
from orbitope.flatness.measurement import LARGEST, audit, compare
from orbitope.flatness.rank import Rank, rank_of
from orbitope.flatness.result import Audit, Finding

__all__ = ["LARGEST", "Audit", "Finding", "Program", "Rank", "audit", "compare", "rank_of"]
