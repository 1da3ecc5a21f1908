"""What an axis is made of: its factors, and words of them.

A word is a row-major product of factors. A factor is an :class:`Atom` (a set of positions that may move together, found
through union–find), a :class:`Wild` run (the value is constant along it, so that it has no identity of its own) or a
:class:`Family` (another word for each segment of an axis beside it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod


@dataclass(frozen=True)
class Wild:
    """``size`` positions along which the value is constant."""

    size: int


@dataclass(frozen=True)
class Reason:
    """Why positions are fixed: one sentence, and the node that fixed them."""

    text: str
    place: str = ""


class Atom:
    """A union–find node. Its root has at most one of ``product`` and ``segments``.

    ``origin`` names the reshape that split it off a larger axis: ``(node, axis, position among the factors)``.
    """

    __slots__ = ("fixed", "origin", "parent", "product", "segments", "serial", "size")

    def __init__(self, size: int, serial: int, fixed: Reason | None = None) -> None:
        """A class of ``size`` positions on its own."""
        self.size = size
        self.serial = serial
        self.fixed = fixed
        self.parent: Atom | None = None
        self.product: Word | None = None
        self.segments: tuple[Word, ...] | None = None
        self.origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Family:
    """A word for each run of positions of an index that stands beside it in the same tensor.

    In a tensor ``[3, heads, dim]`` cut from a fused projection, the heads and dims of q, k and v are different units:
    the first axis is the index, the other two are families over it.

    Attributes:
        index: the atom whose positions choose the member.
        sizes: lengths of the runs of index positions.
        members: the word for each run; all of one size.
    """

    index: Atom
    sizes: tuple[int, ...]
    members: tuple[Word, ...]

    @property
    def size(self) -> int:
        """Number of positions of any member."""
        return size_of(self.members[0])


Origin = tuple[str, int, int]
Factor = Atom | Wild | Family
Word = tuple[Factor, ...]


def size_of(word: Word) -> int:
    """Number of positions of a word; the empty word has one."""
    return prod(factor.size for factor in word)


def ends_of(sizes: Sequence[int]) -> list[int]:
    """Where each of several runs ends."""
    return list(accumulate(sizes))


def starts_of(sizes: Sequence[int]) -> list[int]:
    """Where each of several runs begins."""
    return [0, *ends_of(sizes)][: len(sizes)]


def common_runs(partitions: Sequence[Sequence[int]]) -> list[int]:
    """The coarsest runs that refine several partitions of one length."""
    points = sorted({end for sizes in partitions for end in ends_of(sizes)})
    return [b - a for a, b in zip([0, *points], points, strict=False)]


def same_factors(left: Word, right: Word) -> bool:
    """Whether two resolved words are the same atoms."""
    return len(left) == len(right) and all(
        a is b or (isinstance(a, Wild) and a == b) for a, b in zip(left, right, strict=True)
    )
