"""One lowering per traced operation, one file per family."""

from orbitope.frontends.lowerings import (
    attention,
    contraction,
    convolution,
    lookup,
    normalisation,
    pointwise,
    reduction,
    structure,
)
from orbitope.frontends.lowerings.registry import LOWERINGS, TAILS, Refused

__all__ = [
    "LOWERINGS",
    "TAILS",
    "Refused",
    "attention",
    "contraction",
    "convolution",
    "lookup",
    "normalisation",
    "pointwise",
    "reduction",
    "structure",
]
