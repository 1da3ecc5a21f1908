"""Axes that are read in another order than they are stored in."""

from __future__ import annotations

import pytest
import torch

from orbitope.errors import SymmetryFileError
from orbitope.group import Fixed, Merged, Moving, Ordered, Placement, Segments, SymmetryGroup, Units
from orbitope.group.blocks import blocks, map_blocks
from orbitope.group.layout import axis_from_json, axis_to_json

SIZES = {"a": 4, "b": 3}
ORDER = (5, 0, 3, 8, 1, 7, 2, 6, 4)
AXIS = Ordered(Segments((Moving("a", 4), Fixed(2), Moving("b", 3))), ORDER)


def _group() -> SymmetryGroup:
    units = tuple(Units(name, size, (), (), "channels", (("w", 1),)) for name, size in SIZES.items())
    return SymmetryGroup(units, {"w": Placement(("w",), (2, 9), (Fixed(2), AXIS))}, {})


def test_units_move_where_they_are_read() -> None:
    w = torch.arange(18.0).reshape(2, 9)
    moved = _group().element({"a": [1, 2, 0, 3], "b": [2, 1, 0]}).act({"w": w})["w"]
    read, then = w[:, ORDER], moved[:, ORDER]
    assert torch.equal(then[:, [1, 2, 0, 3]], read[:, :4])
    assert torch.equal(then[:, 4:6], read[:, 4:6])
    assert torch.equal(then[:, [8, 7, 6]], read[:, 6:])


def test_apart_and_together_are_inverse() -> None:
    x = torch.randn(5, 9, 2)
    (piece,) = AXIS.apart(x, 1)
    assert torch.equal(piece, x[:, ORDER])
    assert torch.equal(AXIS.together([piece], 1), x)


def test_json_keeps_it() -> None:
    assert axis_from_json(axis_to_json(AXIS), SIZES) == AXIS
    group = _group()
    assert SymmetryGroup.from_json(group.to_json()).digest == group.digest


@pytest.mark.parametrize(
    "value",
    [
        {"read": "a", "order": [0, 1, 2]},
        {"read": "a", "order": [0, 1, 2, 2]},
        {"read": "a", "order": [0, 1, 2, 4]},
        {"read": "a", "order": [0, 1, 2, 3.0]},
        {"read": "a", "order": [False, True, 2, 3]},
        {"read": "a"},
    ],
)
def test_what_is_no_order_is_refused(value: object) -> None:
    with pytest.raises(SymmetryFileError):
        axis_from_json(value, SIZES)


def test_blocks_hold_every_entry_once() -> None:
    w = torch.arange(36.0).reshape(4, 9)
    axes = [Merged((Fixed(2), Fixed(2))), AXIS]
    found = torch.cat([block.tensor.reshape(-1) for block in blocks("w", w, axes)])
    assert torch.equal(found.sort().values, w.reshape(-1))
    assert map_blocks(w, axes, lambda _, x, __: x) is w
    doubled = map_blocks(w, axes, lambda _, x, names: x * 2 if "b" in names else x)
    places = list(ORDER[6:])
    assert torch.equal(doubled[:, places], 2 * w[:, places])
    assert torch.equal(doubled[:, list(ORDER[:6])], w[:, list(ORDER[:6])])
