"""The waist: few primitives, each answering one questionnaire and evaluating in any arithmetic."""

from orbitope.primitives import (
    accumulation,
    contraction,
    elementwise,
    entrywise,
    lookup,
    mapping,
    matrices,
    opaque,
    ordering,
    pooling,
    reduction,
    resampling,
    scanning,
    scattering,
    structure,
)
from orbitope.primitives.activations import TRAITS, Trait
from orbitope.primitives.base import PRIMITIVES, Behaviour, Primitive, Sign, register
from orbitope.primitives.batching import rebatch, sample_axes
from orbitope.primitives.evaluation import evaluate, walk

__all__ = [
    "PRIMITIVES",
    "TRAITS",
    "Behaviour",
    "Primitive",
    "Sign",
    "Trait",
    "accumulation",
    "contraction",
    "elementwise",
    "entrywise",
    "evaluate",
    "lookup",
    "mapping",
    "matrices",
    "opaque",
    "ordering",
    "pooling",
    "rebatch",
    "reduction",
    "register",
    "resampling",
    "sample_axes",
    "scanning",
    "scattering",
    "structure",
    "walk",
]
