"""The waist: few primitives, each answering one questionnaire and evaluating in any arithmetic."""

from orbitope.primitives import contraction, elementwise, lookup, opaque, pooling, reduction, structure
from orbitope.primitives.activations import TRAITS, Trait
from orbitope.primitives.base import PRIMITIVES, Behaviour, Primitive, Sign, register
from orbitope.primitives.batching import rebatch
from orbitope.primitives.evaluation import evaluate, walk

__all__ = [
    "PRIMITIVES",
    "TRAITS",
    "Behaviour",
    "Primitive",
    "Sign",
    "Trait",
    "contraction",
    "elementwise",
    "evaluate",
    "lookup",
    "opaque",
    "pooling",
    "rebatch",
    "reduction",
    "register",
    "structure",
    "walk",
]
