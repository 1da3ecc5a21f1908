"""Landscapes: the loss and its gradient on segments and planes of parameter space."""

from orbitope.landscapes.kinks import Subgradient, subgradient
from orbitope.landscapes.paths import Barrier, Plane, barrier, directional, plane, segment
from orbitope.landscapes.stationary import Stationarity, stationarity

__all__ = [
    "Barrier",
    "Plane",
    "Stationarity",
    "Subgradient",
    "barrier",
    "directional",
    "plane",
    "segment",
    "stationarity",
    "subgradient",
]
