"""Patterns stand for exactly the axes that they were made of."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orbitope.cli.spots import patterns

PARTS = st.sampled_from(["h", "0", "1", "2", "3", "conv1", "conv2", "q_proj", "k_proj", "weight", "bias", "norm_a"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map(".".join)
SPOTS = st.lists(st.tuples(NAMES, st.sampled_from([0, 1, 2, None])), max_size=24, unique=True)


def expanded(pattern: str, known: set[str]) -> list[tuple[str, int | None]]:
    """What a shell would make of the braces; the axes after it; a star for all tensors of a module."""
    name, axes = re.fullmatch(r"(.*?)(?:\[([\d,]+)\])?", pattern).groups()
    choices = []
    for text in re.split(r"(\{[^}]*\})", name):
        inner = text[1:-1].split(",") if text.startswith("{") else [text]
        if len(inner) == 1 and (found := re.fullmatch(r"(\d+)\.\.(\d+)", inner[0])):
            inner = [str(k) for k in range(int(found[1]), int(found[2]) + 1)]
        choices.append(inner)
    names = ["".join(choice) for choice in product(*choices)]
    every = [n for n in names if not n.endswith("*")]
    for stem in (n[:-1] for n in names if n.endswith("*")):
        every += [k for k in known if k.startswith(stem) and "." not in k[len(stem) :]]
    return [(n, None if axes is None else int(axis)) for n in every for axis in (axes or "0").split(",")]


@given(SPOTS)
def test_patterns_stand_for_exactly_these_axes(spots: list[tuple[str, int | None]]) -> None:
    known = {name for name, _ in spots}
    found = [spot for pattern in patterns(spots, known) for spot in expanded(pattern, known)]
    assert sorted(found, key=str) == sorted(spots, key=str)


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        ([f"h.{k}.ln_{n}.{p}" for k in range(12) for n in (1, 2) for p in ("weight", "bias")],
         "h.{0..11}.ln_{1,2}.{weight,bias}[0]"),
        (["l.0.q_proj.weight", "l.0.k_proj.weight", "l.0.v_proj.weight"], "l.0.{q,k,v}_proj.weight[0]"),
        (["gate.weight", "update.weight"], "{gate,update}.weight[0]"),
        (["bn.weight", "bn.bias", "bn.running_mean"], "bn.*[0]"),
        ([f"h.{k}.w" for k in range(0, 24, 2)], "h.{0,2,…,22}.w[0]"),
    ],
)  # fmt: skip
def test_patterns_read_well(names: list[str], pattern: str) -> None:
    assert patterns([(name, 0) for name in names], names) == [pattern]


def test_a_star_needs_all_tensors_of_the_module() -> None:
    spots = [("bn.weight", 0), ("bn.bias", 0), ("bn.running_mean", 0)]
    assert patterns(spots, [*(name for name, _ in spots), "bn.running_var"]) == ["bn.{weight,bias,running_mean}[0]"]
