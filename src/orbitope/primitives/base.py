"""The questionnaire that every primitive answers once, and the registry.

From these answers the symmetry, enclosure and curvature laws are derived; none of them is written per operation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Axes, Indexing, Label, Node, labels

Shape = tuple[int, ...]
Form = Literal["affine", "multilinear", "convex", "concave", "other"]
Sign = Literal["nonnegative", "nonpositive", "any"]


@dataclass(frozen=True)
class Behaviour:
    """How the value of a node responds to its operands, as functions of real numbers.

    Attributes:
        form: ``affine`` or ``convex`` or ``concave`` jointly in all operands; ``multilinear``: linear in each operand
            while the others are held; ``other``: none of these is claimed.
        monotone: for each operand 1 (non-decreasing), −1 (non-increasing) or 0 (neither is claimed). Of a multilinear
            form the monotonicity follows from the signs of the other operands and is not stated here.
        sign: of the value, whatever the operands.
        homogeneous: for each operand the degree d with f(s·x) = s^d·f(x) for all s > 0, None where there is none; the
            other operands are held (of an affine form they are scaled together).
        odd: for each operand whether changing its sign changes the sign of the value; likewise.
        even: for each operand whether changing its sign changes nothing; likewise.
        together: operands of which ``homogeneous`` and ``odd`` hold only if all of them are changed alike, as those of
            a maximum; those of an affine form need not be named.
        choice: operands of which every entry of the value is one, at the same place; the others decide which.
    """

    form: Form
    monotone: tuple[int, ...]
    sign: Sign = "any"
    homogeneous: tuple[float | None, ...] = ()
    odd: tuple[bool, ...] = ()
    even: tuple[bool, ...] = ()
    together: tuple[int, ...] = ()
    choice: tuple[int, ...] = ()


class Primitive(ABC):
    """One operation of the waist."""

    name: ClassVar[str]

    @abstractmethod
    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """How output indices come from the operands' indices (the promise is stated at ``Indexing``)."""

    @abstractmethod
    def behaviour(self, node: Node) -> Behaviour:
        """Form, monotonicity, sign, degree and parity of the value."""

    @abstractmethod
    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The value, in any arithmetic."""


PRIMITIVES: dict[str, Primitive] = {}
P = TypeVar("P", bound=Primitive)


def register(cls: type[P]) -> type[P]:
    """Enter a primitive into the registry under its name."""
    PRIMITIVES[cls.name] = cls()
    return cls


def fresh(prefix: str, shape: Sequence[int]) -> tuple[Label, ...]:
    """One label for each axis of a shape: ``prefix0, prefix1, …``."""
    return tuple(Label(f"{prefix}{k}", size) for k, size in enumerate(shape))


def linear(operands: int = 1, monotone: Sequence[int] | None = None) -> Behaviour:
    """The behaviour of operations that only move, add or subtract entries."""
    signs = tuple(monotone) if monotone is not None else (1,) * operands
    return Behaviour("affine", signs, homogeneous=(1.0,) * operands, odd=(True,) * operands)


def frozen(node: Node, shapes: Sequence[Shape]) -> Indexing:
    """The answer that claims nothing: every position of every operand and of the output is told apart."""
    operands: tuple[Axes, ...] = tuple(fresh(f"x{k}_", shape) for k, shape in enumerate(shapes))
    output = fresh("y", node.shape)
    consumed = {label.name for axes in operands for term in axes for label in labels(term)}
    return Indexing(operands, output, mixed=frozenset(consumed), fixed=frozenset(consumed | {x.name for x in output}))
