"""Values that are followed as wholes: sound, never more than entry by entry, and cheap."""

from __future__ import annotations

import time

import pytest
import torch
from tests.curvature.explaining import CONVEX, UNKNOWN, dense, verdicts, with_weights
from tests.curvature.oracle import violations
from tests.curvature.test_law import TELLING, choices, end, program_of, random_program
from tests.zoo import ZOO, randomise
from torch import nn

from orbitope.curvature import Outline, explain, grain, walk
from orbitope.curvature.state import State


def _whole(program, fine: int = 0):
    program.__dict__["fine"] = fine  # in place of the cached property
    return program


@pytest.mark.parametrize("name", TELLING)
def test_claims_hold_on_the_zoo(name):
    case = ZOO[name]
    for fine in (0, 12):
        program = _whole(program_of(randomise(case.build()), case.inputs()), fine)
        for variables in choices(program)[:2]:
            followed = program.walk(variables, end(program), whole=True)
            assert fine or all(s.extent is not None for s in followed.states.values() if s.varies.dim() == 0)
            assert not list(violations(followed)), (name, sorted(variables))


@pytest.mark.parametrize("seed", range(12))
def test_less_is_claimed_never_more(seed):
    program, last = random_program(seed)
    coarse, _ = random_program(seed)
    _whole(coarse)
    for names in (["x"], ["x", "y", "q"]):
        fine = program.walk(program.leaves(names), program.same[last], whole=True)
        found = coarse.walk(coarse.leaves(names), coarse.same[last], whole=True)
        assert not list(violations(found, seed=seed))
        for name, state in found.states.items():
            every = fine.state(name)
            for claim in ("convex", "concave", "nonnegative", "nonpositive"):
                assert not bool(getattr(state, claim)) or bool(getattr(every, claim).all()), (name, claim)
            assert bool(state.varies) or not bool(every.varies.any())


def test_a_law_of_wholes_that_forgets_is_caught(monkeypatch):
    program = _whole(program_of(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), (torch.rand(3, 4),)))
    variables = choices(program)[0]
    assert not list(violations(program.walk(variables, end(program), whole=True)))
    monkeypatch.setattr(grain.Wholes, "meets", lambda self, factors, masks: self.none)
    assert list(
        violations(
            _whole(walk.Program(program.graph, program.parameters, program.data)).walk(
                variables, end(program), whole=True
            )
        )
    )


def test_large_programs_are_followed_as_wholes(monkeypatch):
    monkeypatch.setattr(walk, "ENTRIES", 100)
    monkeypatch.setattr(walk, "FEW", 4)
    of = dense(4, 5, 6, 3)
    found = explain(of)
    assert verdicts(found) == {"0": UNKNOWN, "2": UNKNOWN, "4": CONVEX, "joint": UNKNOWN}
    assert "followed as wholes" in found.notes[-1]
    assert "its weights, of which 15 of 30 are negative (smallest −1.99)" in found.inputs.outputs.reason
    positive = explain(of, params=with_weights(of, layer_2=torch.abs, layer_4=torch.abs))
    assert positive.inputs.outputs.verdict == CONVEX and positive.inputs.outputs.census.total == 3


def test_masks_and_flags_gather():
    state = State.values(torch.tensor([1.0, 0.0, -2.0]))
    whole = state.gathered()
    assert whole.shape == state.shape == (3,) and whole.size == 3 and not bool(whole.nonnegative)
    assert whole.census.constant == 3 and whole.gathered() is whole


def test_the_cost_of_a_deep_network_grows_with_its_depth():
    """Neither with the square of it, nor with the size of the weights."""

    def seconds(depth: int, width: int) -> float:
        with torch.device("meta"):
            layers = [part for _ in range(depth) for part in (nn.Linear(width, width), nn.GELU())]
            outline = Outline.of(nn.Sequential(*layers).eval(), (torch.zeros(2, width),), loss="mse")
        begun = time.process_time()
        explain(outline)
        return time.process_time() - begun

    seconds(5, 8)
    short, long = (min(seconds(depth, 4096) for _ in range(3)) for depth in (20, 80))
    assert long < 9 * short  # the square would be sixteen times as much
    assert long < 5
