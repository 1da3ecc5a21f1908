"""The closed algebra of index terms: how the axes of operands and output correspond.

A primitive describes itself by writing each axis as a *term* over labels. A label stands for one index that runs over
``size`` positions. The same label in an operand and in the output is carried through; a label in operands only is
consumed; a label in the output only is created (the value is constant along it).

>>> h, d = Label("h", 4), Label("d", 8)
>>> Product((h, d)).size
32
>>> print(Sum((Product((h, d)), d)))
(h:4·d:8 + d:8)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod


@dataclass(frozen=True)
class Label:
    """One index with ``size`` positions, named within one node."""

    name: str
    size: int

    def __str__(self) -> str:
        """Name and size."""
        return f"{self.name}:{self.size}"


@dataclass(frozen=True)
class Product:
    """A row-major product of terms: what a reshape merges or splits."""

    factors: tuple[Term, ...]

    @property
    def size(self) -> int:
        """Number of positions."""
        return prod(factor.size for factor in self.factors)

    def __str__(self) -> str:
        """Factors joined by a dot."""
        return "·".join(map(str, self.factors)) or "1"


@dataclass(frozen=True)
class Sum:
    """Segments laid one after the other: what a concatenation joins and a slice cuts."""

    segments: tuple[Term, ...]

    @property
    def size(self) -> int:
        """Number of positions."""
        return sum(segment.size for segment in self.segments)

    def __str__(self) -> str:
        """Segments joined by a plus."""
        return "(" + " + ".join(map(str, self.segments)) + ")"


Term = Label | Product | Sum
Axes = tuple[Term, ...]


def labels(term: Term) -> Iterator[Label]:
    """Every label of a term, left to right, with repetitions."""
    match term:
        case Label():
            yield term
        case Product(factors=parts) | Sum(segments=parts):
            for part in parts:
                yield from labels(part)


@dataclass(frozen=True)
class Indexing:
    """How the output indices of one node come from its operands' indices.

    The promise that an answer makes: permute the positions of any label that is not ``fixed``, in all operands and in
    the output alike, and the node still maps operands to output. Where a label is not ``mixed`` either, the
    permutation of other labels may differ from position to position of this one. Labels that are mixed are mixed
    together: the permutation of one may differ from position to position of another, where every operand that has the
    one has the other beside it. What happens inside a node must not break this unseen, so a node whose inner values
    have one without the other shows these values in its output.

    Attributes:
        operands: for each operand, a term for each of its axes.
        output: a term for each axis of the output.
        mixed: names of labels along which one output entry depends on several operand positions.
        fixed: names of labels whose positions the operation tells apart.
    """

    operands: tuple[Axes, ...]
    output: Axes
    mixed: frozenset[str] = field(default_factory=frozenset)
    fixed: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        """An arrow from the operands' axes to the output's."""

        def show(axes: Axes) -> str:
            return "[" + ", ".join(map(str, axes)) + "]"

        return f"{', '.join(map(show, self.operands))} -> {show(self.output)}"
