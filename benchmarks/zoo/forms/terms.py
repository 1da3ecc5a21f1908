"""Terms that closed forms are sums of; all are log10 of a number of permutations."""

from __future__ import annotations

from math import lgamma, log
from typing import Any


def F(n: float) -> float:
    """log10 n!"""
    return lgamma(n + 1) / log(10)


def total(*sizes: float) -> float:
    """Independent sets of units of these sizes."""
    return sum(map(F, sizes))


def heads(h: int, d: int, free: int | None = None) -> float:
    """Attention with h heads of size d: the heads, in each its value dimensions and its query-key dimensions.

    Args:
        h: heads.
        d: size of a head.
        free: query-key dimensions that no rotation of positions touches; all by default.
    """
    return F(h) + h * (F(d) + F(d if free is None else free))


def pinned_heads(h: int, d: int) -> float:
    """Heads that a fixed slope tells apart: only the dimensions inside each of them move."""
    return 2 * h * F(d)


def grouped(kv: int, h: int, d: int, free: int = 0) -> float:
    """Heads of keys and values, each read by h/kv query heads; by default all query-key dimensions are rotated."""
    return F(kv) + kv * (F(h // kv) + F(d) + F(free))


def experts(count: int, inner: int) -> float:
    """Experts, each with a hidden width."""
    return F(count) + count * F(inner)


def head_size(c: Any) -> int:
    """Size of a head in a configuration."""
    return getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads


def rotated(c: Any) -> int:
    """How many query-key dimensions of a head are rotated: whole planes."""
    wanted = int(head_size(c) * c.rope_parameters.get("partial_rotary_factor", 1.0))
    return wanted + wanted % 2
