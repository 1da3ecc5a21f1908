"""One gain of a normalisation: what takes it up, and what its biases add behind the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from orbitope.graph import Node
from orbitope.infer.chains import Chain, Slot


class Kept(Exception):
    """A gain that must stay, and why, in one sentence."""


@dataclass(frozen=True)
class Spread:
    """What a norm's bias adds behind a weight: ``einsum(spec, weight, bias)`` in a shape.

    Attributes:
        weight: the weight's parameter and what becomes of it before it is used.
        spec: of the weight without its axes of one position, and of the bias, of which position ``i`` of the index that
            is summed over meets entry ``i // stride % n``.
        stride: along the summed index.
        shape: that of the sum, which is added to the parameter that takes it up.
        bias: the norm's bias.
    """

    weight: Chain
    spec: str
    stride: int
    shape: tuple[int, ...]
    bias: str


@dataclass
class Gain:
    """One gain.

    Attributes:
        parameter: its canonical name.
        size: how many numbers it is.
        kind: of the normalisation, ``standard`` or ``rms``.
        offset: what is added to it before it is multiplied.
        takers: the weights that can take it up, and the slot of its index there.
        biases: parameters that are added behind it.
        sums: of the biases that can be taken up by those of the weights, what each of these then adds.
        kept: why it cannot be folded; empty where it can be.
        stays: for biases that cannot be folded, why.
        tied: whether it cannot be folded because a weight that reads it is an embedding too.
    """

    parameter: str
    size: int
    kind: str = "rms"
    offset: float = 0.0
    takers: dict[str, Slot] = field(default_factory=dict)
    biases: list[str] = field(default_factory=list)
    sums: dict[str, tuple[Spread, ...]] = field(default_factory=dict)
    kept: str = ""
    stays: dict[str, str] = field(default_factory=dict)
    tied: bool = False

    @property
    def reduced(self) -> str:
        """What is left of the rotations of its index where it stays because of a tied embedding."""
        left = "permutations" if self.kind == "standard" else "signed permutations"
        return f"O({self.size}) reduced to {left} by the tied embedding"


def told(node: Node) -> str:
    """A node in a sentence."""
    name = node.target or node.op
    return f"{name} ({node.place})"


__all__ = ["Gain", "Kept", "Spread", "told"]
