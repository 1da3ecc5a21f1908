"""The continuous part of a group, and the signs: which entries of which parameters move, and by what.

Permutations need to know units only; scales, signs, matrices and translations also act along positions that do not
change places, such as the planes of a rotary embedding. Each parameter therefore has a second description, its
*frame*: axes of the same kind as in its placement, in which every index has a name. The frame cuts the parameter into
blocks (:func:`orbitope.group.blocks.blocks` numbers them); a :class:`Spot` names axes of one block.

Every family has a *space*: the names of the indices that its numbers run over. A scale of hidden units has the space
``(units,)``, that of a head's dimensions ``(dimensions, heads)``, one scale for whole tensors has the space ``()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from orbitope.group.layout import Axis


@dataclass(frozen=True)
class Spot:
    """Where a family meets a parameter.

    Attributes:
        parameter: canonical name.
        block: which block of its frame.
        dims: for each name of the family's space, in order, the axis of the block that carries it.
        power: what the entries are multiplied with is the family's number to this power; of matrices 1 or −1, where
            −1 is the transposed inverse.
        offset: the power acts on ``entry + offset``, as in √(variance + ε).
    """

    parameter: str
    block: int
    dims: tuple[int, ...]
    power: int
    offset: float = 0.0


@dataclass(frozen=True)
class Scaling:
    """Positive numbers ``s[space]``: entries are multiplied with powers of them.

    Attributes:
        name: unique within the group.
        space: names of the indices.
        sizes: of those.
        spots: where it acts.
        approximate: empty where it is exact; else why it is not, as ``holds at ε = 0 only``.
        loss: whether it keeps the loss only, not the function.
        contained: the dimension of what scalings and matrices before this one contain of it.
    """

    name: str
    space: tuple[str, ...]
    sizes: tuple[int, ...]
    spots: tuple[Spot, ...]
    approximate: str = ""
    loss: bool = False
    contained: int = 0

    @property
    def dimension(self) -> int:
        """Number of independent directions that nothing before it has."""
        return prod(self.sizes) - self.contained


@dataclass(frozen=True)
class Flips:
    """Signs ``±1[space]``: as :class:`Scaling` with the powers modulo two.

    Attributes:
        name: unique within the group.
        space: names of the indices.
        sizes: of those.
        spots: where it acts.
        carries: what a flip adds elsewhere: with σ(−z) = 1 − σ(z) the next bias takes up what the flipped units lose.
            Each is evaluated with 1 at the flipped positions and 0 at the others, on the parameters before the flip,
            and added before entries change sign.
        loss: whether it keeps the loss only, not the function.
        contained: how many of its signs are products of those before it.
    """

    name: str
    space: tuple[str, ...]
    sizes: tuple[int, ...]
    spots: tuple[Spot, ...]
    carries: tuple[Term, ...] = ()
    loss: bool = False
    contained: int = 0

    @property
    def bits(self) -> int:
        """Number of independent signs that nothing before it has."""
        return prod(self.sizes) - self.contained


@dataclass(frozen=True)
class Matrices:
    """Invertible matrices ``A[*over, n, n]`` along the first index of the space; the others are what it is over.

    Attributes:
        name: unique within the group.
        space: names of the indices, the one that is mixed first.
        sizes: of those.
        spots: where it acts; power 1 for A, −1 for its transposed inverse.
        kind: ``general`` for GL(n), ``orthogonal`` for O(n), ``complex`` for the multiples of rotations of planes,
            where n is 2.
        ones: whether the vector of ones is kept: A·1 = 1.
        reason: why it is no larger, where something made it smaller.
    """

    name: str
    space: tuple[str, ...]
    sizes: tuple[int, ...]
    spots: tuple[Spot, ...]
    kind: Literal["general", "orthogonal", "complex"] = "general"
    ones: bool = False
    reason: str = ""

    @property
    def dimension(self) -> int:
        """Number of independent directions."""
        n = self.sizes[0]
        match self.kind:
            case "general":
                each = n * n - n * self.ones
            case "orthogonal":
                each = (n - self.ones) * (n - 1 - self.ones) // 2
            case "complex":
                each = 2
        return each * prod(self.sizes[1:])


@dataclass(frozen=True)
class Rotations:
    """Angles ``φ[space]``, each of which turns pairs of entries: ``(x, y) → (x cos φ − y sin φ, x sin φ + y cos φ)``.

    Attributes:
        name: unique within the group.
        space: names of the indices.
        sizes: of those.
        pairs: where the first and the second entries of the pairs are; powers and offsets are of no meaning.
    """

    name: str
    space: tuple[str, ...]
    sizes: tuple[int, ...]
    pairs: tuple[tuple[Spot, Spot], ...]

    @property
    def dimension(self) -> int:
        """Number of independent directions."""
        return prod(self.sizes)


@dataclass(frozen=True)
class Factor:
    """Entries of a parameter's block as they stand in a product: ``(entry + offset) ** power``.

    Attributes:
        parameter: canonical name.
        block: which block of its frame.
        letters: an einsum letter for each axis of the block.
        power: exponent, as −1 or −0.5.
        offset: added before.
    """

    parameter: str
    block: int
    letters: str
    power: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Term:
    """What a translation adds to one block: ``coefficient · einsum(vector, factors…)``.

    Attributes:
        parameter: canonical name of the parameter that is changed.
        block: which block of its frame.
        letters: an einsum letter for each axis of that block; letters that neither the vector nor a factor has are
            axes along which the same is added.
        vector: letters of the family's space.
        factors: what the vector is contracted with; letters that stand in no output are summed over.
        coefficient: a number in front.
    """

    parameter: str
    block: int
    letters: str
    vector: str
    factors: tuple[Factor, ...] = ()
    coefficient: float = 1.0


@dataclass(frozen=True)
class Translation:
    """Vectors ``c[space]`` that are added to parameters; all of its terms are evaluated before any is added.

    No term's factors are changed by the translation itself, so that translations by c and by d make one by c + d.

    Attributes:
        name: unique within the group.
        space: names of the indices.
        sizes: of those.
        terms: what is added where.
        loss: whether it keeps the loss only, not the function.
        contained: the dimension of what translations before this one contain of it.
    """

    name: str
    space: tuple[str, ...]
    sizes: tuple[int, ...]
    terms: tuple[Term, ...]
    loss: bool = False
    contained: int = 0

    @property
    def dimension(self) -> int:
        """Number of independent directions that no translation before it has."""
        return prod(self.sizes) - self.contained


Family = Scaling | Flips | Matrices | Rotations | Translation


@dataclass(frozen=True)
class Continuous:
    """All of it.

    Attributes:
        frames: for each parameter that something acts on, its axes with every index named.
        scalings: independent of each other and of the matrices.
        flips: independent of each other over GF(2), and of the signs that matrices contain.
        matrices: groups of matrices.
        rotations: of planes.
        translations: independent of each other.
        reasons: what made the continuous part smaller than it might be, one sentence each.
    """

    frames: Mapping[str, tuple[Axis, ...]] = field(default_factory=dict)
    scalings: tuple[Scaling, ...] = ()
    flips: tuple[Flips, ...] = ()
    matrices: tuple[Matrices, ...] = ()
    translations: tuple[Translation, ...] = ()
    rotations: tuple[Rotations, ...] = ()
    reasons: tuple[str, ...] = ()
