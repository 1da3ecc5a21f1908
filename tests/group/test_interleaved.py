"""Axes whose neighbouring positions belong to different units, as behind a channel shuffle."""

from __future__ import annotations

import pytest
import torch

from orbitope.errors import SymmetryFileError
from orbitope.group import Fixed, Interleaved, Merged, Moving, Placement, SymmetryGroup, Units
from orbitope.group.blocks import blocks
from orbitope.group.layout import axis_from_json, axis_to_json

SIZES = {"a": 3, "b": 3, "c": 2}
AXIS = Interleaved(3, (Moving("a", 3), Merged((Moving("b", 3), Moving("c", 2))), Fixed(3)))
"""Three rows of one position of a, two (row b, column c), one that is fixed with its row."""


def _group() -> SymmetryGroup:
    units = tuple(Units(name, size, (), (), "channels", (("w", 1),)) for name, size in SIZES.items())
    return SymmetryGroup(units, {"w": Placement(("w",), (2, 12), (Fixed(2), AXIS))}, {})


def test_every_part_moves_by_itself() -> None:
    w = torch.arange(24.0).reshape(2, 12)
    moved = _group().element({"a": [1, 2, 0], "b": [2, 1, 0], "c": [1, 0]}).act({"w": w})["w"].reshape(2, 3, 4)
    table = w.reshape(2, 3, 4)
    for row in range(3):
        assert torch.equal(moved[:, (row + 1) % 3, 0], table[:, row, 0])
        assert torch.equal(moved[:, 2 - row, [2, 1]], table[:, row, [1, 2]])
        assert torch.equal(moved[:, row, 3], table[:, row, 3])


def test_apart_and_together_are_inverse() -> None:
    x = torch.randn(5, 12, 2)
    pieces = AXIS.apart(x, 1)
    assert [piece.shape[1] for piece in pieces] == [3, 6, 3]
    assert torch.equal(AXIS.together(pieces, 1), x)


def test_json_keeps_it() -> None:
    assert axis_from_json(axis_to_json(AXIS), SIZES) == AXIS
    group = _group()
    assert SymmetryGroup.from_json(group.to_json()).digest == group.digest


@pytest.mark.parametrize(
    "value", [{"interleaved": ["a"], "rows": 2}, {"interleaved": ["a"], "rows": 0}, {"interleaved": ["a"]}]
)
def test_rows_that_do_not_divide_are_refused(value: object) -> None:
    with pytest.raises(SymmetryFileError):
        axis_from_json(value, SIZES)


def test_blocks_hold_every_entry_once() -> None:
    w = torch.arange(24.0).reshape(2, 12)
    found = torch.cat([block.tensor.reshape(-1) for block in blocks("w", w, [Fixed(2), AXIS])])
    assert torch.equal(found.sort().values, w.reshape(-1))
