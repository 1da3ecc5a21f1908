"""What is said to change the function before it is followed never keeps it where it is followed."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from tests.zoo import case_of
from tests.zoo.core import randomise

from orbitope import symmetries
from orbitope.infer.gauge.fates import Fates
from orbitope.infer.gauge.leaves import Slot, Starts

NAMES = ("mlp_layer_norm", "densenet", "unet", "attention", "entries_causal", "llama", "t5", "moe_soft")


@pytest.mark.parametrize("name", NAMES)
def test_followed_shifts_are_the_same_without_fates(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle follows every shift to its end."""
    case = case_of(name)
    net = randomise(case.build()).double()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in case.inputs())
    spared: list[bool] = []
    told = Fates.fails

    def fails(self: Fates, value: str, starts: Starts, slots: Collection[Slot]) -> bool:
        spared.append(told(self, value, starts, slots))
        return spared[-1]

    monkeypatch.setattr(Fates, "fails", fails)
    quick = symmetries(net, inputs).to_json()
    assert any(spared), "nothing is told before it is followed"
    monkeypatch.setattr(Fates, "fails", lambda *_: False)
    assert symmetries(net, inputs).to_json() == quick
