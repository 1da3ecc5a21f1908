"""What a number is: torch floats, balls of float64 or of any precision, exact rationals, by one interface."""

from orbitope.arithmetic.arb import ArbArithmetic
from orbitope.arithmetic.balls import Ball, BallArithmetic
from orbitope.arithmetic.base import ELEMENTARY, Arithmetic
from orbitope.arithmetic.exact import ExactArithmetic
from orbitope.arithmetic.floats import Operand, TorchArithmetic
from orbitope.arithmetic.norms import NormArithmetic, NormBall

__all__ = [
    "ELEMENTARY",
    "ArbArithmetic",
    "Arithmetic",
    "Ball",
    "BallArithmetic",
    "ExactArithmetic",
    "NormArithmetic",
    "NormBall",
    "Operand",
    "TorchArithmetic",
]
