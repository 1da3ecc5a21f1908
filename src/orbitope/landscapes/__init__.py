"""Landscapes: the loss on segments and planes of parameter space."""

from orbitope.landscapes.paths import Barrier, Plane, barrier, directional, plane, segment

__all__ = ["Barrier", "Plane", "barrier", "directional", "plane", "segment"]
