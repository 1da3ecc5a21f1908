"""A model, a loss and data as one function F of the parameters."""

from orbitope.objective.data import Samples
from orbitope.objective.folding import split_data
from orbitope.objective.function import Objective
from orbitope.objective.losses import LOSSES

__all__ = ["LOSSES", "Objective", "Samples", "split_data"]
