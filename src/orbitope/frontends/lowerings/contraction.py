"""Dense layers and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from orbitope.frontends.builder import Builder, Operand, Value
from orbitope.frontends.lowerings.registry import Refused, lowers

_LETTERS = "abcdefgh"


@lowers("aten.linear.default")
def linear(b: Builder, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """``x Wᵀ + bias`` on the last axis; a weight of one axis is one row, and leaves no axis behind."""
    lead = _LETTERS[: x.rank - 1]
    if weight.rank not in (1, 2):
        raise Refused
    row = "o" if weight.rank == 2 else ""
    result = b.contract(f"{lead}i,{row}i->{lead}{row}", x, weight)
    return result if bias is None else b.pointwise("add", result, bias)


@lowers(
    "aten.mm.default",
    "aten.matmul.default",
    "aten.bmm.default",
    "aten.mv.default",
    "aten.dot.default",
    "aten.vdot.default",
)
def matmul(b: Builder, x: Value, y: Value) -> Value:
    """Matrix product with batch axes broadcast."""
    if x.rank == 1 and y.rank == 1:
        return b.contract("i,i->", x, y)
    if x.rank == 1:
        return _drop(b, matmul(b, b.reshape(x, (1, *x.shape)), y), -2)
    if y.rank == 1:
        return _drop(b, matmul(b, x, b.reshape(y, (*y.shape, 1))), -1)
    if y.rank == 2:
        lead = _LETTERS[: x.rank - 1]
        return b.contract(f"{lead}i,io->{lead}o", x, y)
    rank = max(x.rank, y.rank)
    lead_shape = [max(m, n) for m, n in zip(_lead(x, rank), _lead(y, rank), strict=True)]
    x = b.broadcast(x, (*lead_shape, *x.shape[-2:]))
    y = b.broadcast(y, (*lead_shape, *y.shape[-2:]))
    lead = _LETTERS[: rank - 2]
    return b.contract(f"{lead}mi,{lead}io->{lead}mo", x, y)


def _lead(x: Value, rank: int) -> tuple[int, ...]:
    return (1,) * (rank - x.rank) + x.shape[:-2]


def _drop(b: Builder, x: Value, axis: int) -> Value:
    gone = x.axis(axis)
    return b.reshape(x, [n for k, n in enumerate(x.shape) if k != gone])


@lowers("aten.addmm.default", "aten.baddbmm.default", "aten.addmv.default")
def addmm(b: Builder, bias: Value, x: Value, y: Value, *, beta: Operand = 1, alpha: Operand = 1) -> Value:
    """``beta·bias + alpha·(x @ y)``."""
    product = matmul(b, x, y)
    if alpha != 1:
        product = b.pointwise("mul", product, alpha)
    if beta != 1:
        bias = b.pointwise("mul", bias, beta)
    return b.pointwise("add", product, bias)


@lowers("aten.einsum.default")
def einsum(b: Builder, equation: str, operands: Sequence[Value], path: object = None) -> Value:
    """An einsum; repeated letters within one operand (diagonals) and sizes that broadcast are refused."""
    spec = _explicit(equation.replace(" ", ""), [x.rank for x in operands])
    left, _, right = spec.partition("->")
    letters = left.split(",")
    if any(len(set(part)) != len(part) for part in (*letters, right)):
        raise Refused
    sizes: dict[str, int] = {}
    for part, x in zip(letters, operands, strict=True):
        for c, n in zip(part, x.shape, strict=True):
            if sizes.setdefault(c, n) != n:
                raise Refused
    return b.contract(spec, *operands)


def _explicit(spec: str, ranks: Sequence[int]) -> str:
    """The same equation with an output and without ellipses.

    >>> _explicit("...i,ij", [3, 2])
    'ABi,ij->ABj'
    """
    left, arrow, right = spec.partition("->")
    parts = left.split(",")
    widths = [rank - len(part) + 3 for part, rank in zip(parts, ranks, strict=True) if "..." in part]
    dots = [chr(ord("A") + k) for k in range(max(widths, default=0))]
    if set(spec) & set(dots):
        raise Refused
    if not arrow:
        used = "".join(parts).replace(".", "")
        right = ("..." if widths else "") + "".join(sorted(c for c in set(used) if used.count(c) == 1))
    filled = [
        part.replace("...", "".join(dots[len(dots) - (rank - len(part) + 3) :]) if "..." in part else "")
        for part, rank in zip(parts, ranks, strict=True)
    ]
    return ",".join(filled) + "->" + right.replace("...", "".join(dots))


@lowers("aten.tensordot.default")
def tensordot(b: Builder, x: Value, y: Value, first: Sequence[int], second: Sequence[int]) -> Value:
    """Sum of products over pairs of axes."""
    pairs = {y.axis(j): x.axis(i) for i, j in zip(first, second, strict=True)}
    left = [chr(ord("a") + k) for k in range(x.rank)]
    right = [left[pairs[k]] if k in pairs else chr(ord("A") + k) for k in range(y.rank)]
    kept = [c for c in left if c not in right] + [c for c in right if c not in left]
    return b.contract(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x, y)


@lowers("aten.bilinear.default")
def bilinear(b: Builder, x: Value, y: Value, weight: Value, bias: Value | None = None) -> Value:
    """``xᵀ W_o y`` for every output o."""
    lead = _LETTERS[: x.rank - 1]
    result = b.contract(f"{lead}i,oij,{lead}j->{lead}o", x, weight, y)
    return result if bias is None else b.pointwise("add", result, bias)


@lowers("aten.outer.default", "aten.ger.default")
def outer(b: Builder, x: Value, y: Value) -> Value:
    """All products of two vectors' entries."""
    return b.contract("i,j->ij", x, y)
