"""What the answers of primitives say of fields, one operation at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from orbitope.graph import Node
from orbitope.infer.gauge.events import Kind, Meeting
from orbitope.infer.gauge.leaves import LabelSlot
from orbitope.infer.gauge.solver import Number
from orbitope.primitives import PRIMITIVES
from orbitope.primitives.activations import Reflection, reflection, tilt
from orbitope.primitives.base import Behaviour


class Law:
    """What a primitive's answers say of fields of one kind.

    Attributes:
        coefficients: for each operand its degree, or its parity; None where no field may pass.
        joint: operands whose fields must be equal; they count once.
        linear: whether it is linear in each operand, or in all of them.
    """

    def __init__(self, behaviour: Behaviour, kind: Kind, count: int) -> None:
        """Of one node."""
        self.coefficients: list[Number | None]
        self.linear = behaviour.form in ("affine", "multilinear")
        self.joint = frozenset(range(count) if behaviour.form == "affine" else behaviour.together)
        if kind in ("scale", "general"):
            degrees = behaviour.homogeneous or (None,) * count
            self.coefficients = [None if d is None else int(d) if d == int(d) else Fraction(d) for d in degrees]
        else:
            odd, even = behaviour.odd or (False,) * count, behaviour.even or (False,) * count
            self.coefficients = [1 if o else 0 if e else None for o, e in zip(odd, even, strict=True)]

    def is_zero(self, met: Mapping[int, Meeting]) -> bool:
        """Whether the value is zero because operands are."""
        joint = [each for k, each in met.items() if k in self.joint]
        if joint:
            return all(each.field.zero for each in joint)
        if self.linear:
            return any(each.field.zero and bool(self.coefficients[k]) for k, each in met.items())
        return len(met) == 1 and all(each.field.zero and self.coefficients[k] for k, each in met.items())


def views(node: Node) -> bool:
    """Whether the value of a node holds the same entries in other places."""
    return node.op in ("reshape", "transpose", "broadcast") or (
        node.op == "pointwise" and node.attributes["fn"] in ("identity", "real")
    )


def adds(node: Node) -> bool:
    """Whether a node adds its operands, or subtracts one from the other."""
    return node.op == "pointwise" and node.attributes["fn"] in ("add", "sub")


def behaviour_of(node: Node, tiny: bool) -> Behaviour:
    """What its primitive answers of a node; with ``tiny`` the ε of a norm is taken for zero."""
    if tiny and node.op == "normalise":
        node = replace(node, attributes={**node.attributes, "eps": 0.0})
    return PRIMITIVES[node.op].behaviour(node)


def is_product(node: Node) -> bool:
    """Whether a node multiplies all entries along axes."""
    return node.op == "reduce" and node.attributes["fn"] == "prod"


def mirror_of(node: Node) -> Reflection | None:
    """How the function of a node is mirrored."""
    return reflection(node.attributes) if node.op == "pointwise" else None


def tilt_of(node: Node) -> float | None:
    """The linear part of the function of a node that is even otherwise."""
    return tilt(node.attributes) if node.op == "pointwise" else None


def ignores_signs(node: Node, kind: Kind) -> bool:
    """Dividing by the root mean square does not see the signs of the entries; nor, with the mean, rotations."""
    return node.op == "normalise" and (kind == "orthogonal" or (kind == "sign" and node.attributes["kind"] == "rms"))


def is_square(node: Node, at: LabelSlot, holders: Sequence[Meeting], readers: Sequence[Node]) -> bool:
    """Whether a node makes the squares of entries of which only sums along an index are taken."""
    if node.op != "pointwise" or len({met.slots[at] for met in holders}) != 1:
        return False
    fn, a = node.attributes["fn"], node.attributes
    if not ((fn == "power" and a["exponent"] == 2) or (fn == "mul" and len(set(node.inputs)) == 1)):
        return False
    axis = holders[0].slots[at][0]
    return bool(readers) and all(
        reader.op == "reduce" and reader.attributes["fn"] in ("sum", "mean") and axis in reader.attributes["axes"]
        for reader in readers
    )


__all__ = ["Law", "adds", "behaviour_of", "ignores_signs", "is_product", "is_square", "mirror_of", "tilt_of", "views"]
