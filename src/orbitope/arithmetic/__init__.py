"""What a number is: torch floats, balls around the exact value, or exact rationals, by one interface."""

from orbitope.arithmetic.balls import Ball, BallArithmetic
from orbitope.arithmetic.base import ELEMENTARY, Arithmetic
from orbitope.arithmetic.exact import ExactArithmetic
from orbitope.arithmetic.floats import Operand, TorchArithmetic

__all__ = [
    "ELEMENTARY",
    "Arithmetic",
    "Ball",
    "BallArithmetic",
    "ExactArithmetic",
    "Operand",
    "TorchArithmetic",
]
