"""Norms, distances and operations on the matrices of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.along import carrying
from orbitope.frontends.lowerings.pointwise import converted, entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers
from orbitope.primitives.matrices import SPECS


def _norm(b: Builder, x: Value, p: float, axes: Sequence[int], keep: bool) -> Value:
    """``(Σ|x|^p)^(1/p)``, and its limits."""
    if x.dtype.is_complex:
        raise Refused
    if p == 2:
        return b.pointwise("sqrt", b.reduce("sum", b.pointwise("power", x, exponent=2), axes, keep))
    size = b.pointwise("abs", x)
    if p == inf:
        return b.reduce("amax", size, axes, keep)
    if p == -inf:
        return b.pointwise("neg", b.reduce("amax", b.pointwise("neg", size), axes, keep))
    if p == 1:
        return b.reduce("sum", size, axes, keep)
    if p == 0:
        return b.reduce("sum", converted(b, entrywise(b, "nonzero", x, dtype=torch.bool), x.dtype), axes, keep)
    return entrywise(b, "pow", b.reduce("sum", entrywise(b, "pow", size, float(p)), axes, keep), 1 / p)


@lowers("aten.linalg_vector_norm.default")
def vector_norm(
    b: Builder, x: Value, ord: float = 2, dim: Sequence[int] | None = None, keepdim: bool = False, **_dtype: Any
) -> Value:
    """A norm over axes."""
    return _norm(b, x, ord, list(dim or range(x.rank)), keepdim)


@lowers("aten.norm.Scalar", "aten.norm.ScalarOpt_dim", "aten.norm.ScalarOpt_dtype", "aten.norm.ScalarOpt_dim_dtype")
def norm(
    b: Builder, x: Value, p: float | None = 2, dim: Sequence[int] | None = None, keepdim: bool = False, **_dtype: Any
) -> Value:
    """A norm over axes, Euclidean by default."""
    if isinstance(dim, torch.dtype):
        dim = None
    return _norm(b, x, 2 if p is None else p, list(dim or range(x.rank)), keepdim)


@lowers("aten.linalg_norm.default")
def any_norm(
    b: Builder,
    x: Value,
    ord: float | None = None,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    **_dtype: Any,
) -> Value:
    """A norm of vectors; of matrices the Frobenius norm only."""
    axes = list(dim or range(x.rank))
    if ord is not None and len(axes) != 1:
        raise Refused
    return _norm(b, x, 2 if ord is None else ord, axes, keepdim)


@lowers("aten.frobenius_norm.dim")
def frobenius_norm(b: Builder, x: Value, dim: Sequence[int], keepdim: bool = False) -> Value:
    """Root of the sum of squares."""
    return _norm(b, x, 2, list(dim or range(x.rank)), keepdim)


@lowers("aten.cdist.default", "aten._cdist_forward.default")
def cdist(b: Builder, x: Value, y: Value, p: float = 2, compute_mode: int | None = None) -> Value:
    """Distances of all rows from all rows."""
    left = b.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
    right = b.reshape(y, (*y.shape[:-2], 1, *y.shape[-2:]))
    b.tolerance = 1e-5  # by matrix products, where PyTorch sees fit, which cancels for rows that are close
    gaps = entrywise(b, "sub", left, right)
    return _norm(b, gaps, p, [gaps.rank - 1], False)


@lowers("aten.cosine_similarity.default")
def cosine_similarity(b: Builder, x: Value, y: Value, dim: int = 1, eps: float = 1e-8) -> Value:
    """Cosine of the angle between vectors along an axis."""
    shape = torch.broadcast_shapes(x.shape, y.shape)
    units = []
    for v in (b.broadcast(x, shape), b.broadcast(y, shape)):
        length = b.pointwise("hardtanh", _norm(b, v, 2, [dim], True), low=eps, high=None)
        units.append(entrywise(b, "div", v, length))
    return b.reduce("sum", entrywise(b, "mul", *units), [dim])


@lowers("aten._grouped_mm.default")
def grouped_mm(
    b: Builder, x: Value, weight: Value, offsets: Value | None = None, bias: Value | None = None, *_dtype: Any
) -> Value:
    """Rows up to the first offset times the first matrix, up to the second times the second, and so on."""
    if offsets is None or bias is not None or x.rank != 2 or weight.rank != 3:
        raise Refused
    rows = b.constant(torch.arange(x.shape[0]).reshape(-1, 1))
    passed = entrywise(b, "ge", rows, b.reshape(offsets, (1, *offsets.shape)), dtype=torch.bool)
    group = b.reduce("sum", converted(b, passed, torch.int64), [1])
    last = b.pointwise("hardtanh", group, low=0, high=weight.shape[0] - 1)  # rows behind the last offset mean nothing
    matrices = b.emit("gather", (weight, last), (x.shape[0], *weight.shape[1:]), weight.dtype, axis=0)
    return b.contract("tk,tkn->tn", x, matrices)


def _of_matrices(fn: str, *targets: str) -> None:
    """Operations on the matrices that the last two axes hold: batches are carried."""

    @lowers(*targets)
    def lowering(b: Builder, x: Value, *args: Any, **kwargs: Any) -> Value:
        if x.rank < 2:
            raise Refused
        if fn in SPECS:
            return _matrices(b, fn, [x], x.rank - 2, *args, **kwargs)
        return carrying(b, x.rank - 2, getattr(torch.linalg, fn), [x], *args, **kwargs)


def _matrices(b: Builder, fn: str, operands: Sequence[Value], lead: int, *args: Any, **kwargs: Any) -> Value:
    dtype = operands[0].dtype
    metas = [torch.empty(x.shape, dtype=dtype, device="meta") for x in operands]
    meta = getattr(torch.linalg, fn)(*metas, *args, **kwargs)
    settings = {"fn": fn, "lead": lead, "settings": list(args), "named": dict(kwargs)}
    return b.emit("matrices", operands, meta.shape, meta.dtype, **settings)


@lowers("aten.linalg_inv.default", "aten.inverse.default")
def inverse(b: Builder, x: Value) -> Value:
    """The solutions for unit vectors."""
    if x.rank < 2:
        raise Refused
    unit = b.constant(torch.eye(x.shape[-1], dtype=torch.promote_types(x.dtype, torch.float64)))
    return _matrices(b, "solve", [x, b.broadcast(unit, x.shape)], x.rank - 2)


for _name in ("det", "cholesky", "pinv", "matrix_exp", "matrix_power", "eigvalsh", "eigvals", "svdvals"):
    _of_matrices(_name, f"aten.linalg_{_name}.default")
_of_matrices("matrix_exp", "aten.matrix_exp.default")
_of_matrices("matrix_power", "aten.matrix_power.default")


@lowers("aten.linalg_solve_triangular.default", "aten.linalg_solve.default")
def solve(b: Builder, x: Value, y: Value, **settings: Any) -> Value:
    """Solutions of linear equations, one system for each position of the batch axes."""
    if x.rank < 2 or y.rank < 2 or not settings.get("left", True):
        raise Refused
    lead = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    both = [b.broadcast(v, (*lead, *v.shape[-2:])) for v in (x, y)]
    return _matrices(b, "solve_triangular" if "triangular" in b.place.target else "solve", both, len(lead), **settings)


@lowers("aten.pairwise_distance.default")
def pairwise_distance(b: Builder, x: Value, y: Value, p: float = 2, eps: float = 1e-6, keepdim: bool = False) -> Value:
    """``‖x − y + eps‖`` of pairs of rows, in the norm of order 1 or 2."""
    if p not in (1, 2):
        raise Refused
    apart = b.pointwise("add", b.pointwise("sub", x, y), eps)
    terms = b.pointwise("mul", apart, apart) if p == 2 else b.pointwise("abs", apart)
    total = b.reduce("sum", terms, (terms.rank - 1,), keep=keepdim)
    return b.pointwise("sqrt", total) if p == 2 else total
