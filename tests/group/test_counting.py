"""Counting: brute force over whole groups, structures that refinement cannot tell apart, bounds, refusals."""

import json
import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.group.structures import SMALL, handmade, orbit
from tests.zoo import ZOO, randomise

from orbitope.comparison import count
from orbitope.errors import ParametersError
from orbitope.group import Fixed, Merged, Moving
from orbitope.group import blocks as blocks_module
from orbitope.group.counting import colours


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), values=st.integers(1, 3), symmetrised=st.booleans())
def test_the_count_is_the_size_of_the_orbit(name, seed, values, symmetrised):
    group, generator = SMALL[name], torch.Generator().manual_seed(seed)
    params = {
        parameter: torch.randint(0, values, placement.shape, generator=generator).float()
        for parameter, placement in group.placements.items()
    }
    if symmetrised:  # sums with an image have more symmetries than chance gives
        image = group.sample(seed).act(params)
        params = {parameter: tensor + image[parameter] for parameter, tensor in params.items()}
    found = count(group, params)
    assert found.guarantee == "exact"
    assert found.copies == found.at_most == orbit(group, params)
    assert found.copies * found.stabiliser == group.order
    assert found.log10 == pytest.approx(math.log10(found.copies))


@pytest.mark.parametrize("name", [name for name, case in ZOO.items() if not case.dead][2::5])
def test_random_networks_have_no_duplicates(name):
    from orbitope import symmetries

    model = randomise(ZOO[name].build())
    group = symmetries(model, ZOO[name].inputs())
    found = count(group, model.state_dict())
    assert (found.copies, found.stabiliser, found.duplicates) == (group.order * 2**group.sign_bits, 1, ())


def _square(matrix):
    size = len(matrix)
    return handmade([("a", size, ())], {"w": (Moving("a", size), Moving("a", size))}), {"w": matrix.float()}


def _graph(points, joined):
    return torch.tensor([[float(joined(p, q)) for q in points] for p in points])


GRID = list(product(range(4), range(4)))
STEPS = {(1, 0), (3, 0), (0, 1), (0, 3), (1, 1), (3, 3)}
ROOK = _graph(GRID, lambda p, q: p != q and (p[0] == q[0] or p[1] == q[1]))
SHRIKHANDE = _graph(GRID, lambda p, q: ((p[0] - q[0]) % 4, (p[1] - q[1]) % 4) in STEPS)


@pytest.mark.parametrize(
    ("matrix", "order"),
    [
        pytest.param(ROOK, 1152, id="rook's graph"),
        pytest.param(SHRIKHANDE, 192, id="Shrikhande graph"),
        # no refinement of colours of single positions tells these two apart
        pytest.param(torch.block_diag(ROOK, SHRIKHANDE), 1152 * 192, id="both"),
        pytest.param(torch.block_diag(ROOK, ROOK), 2 * 1152**2, id="two rook's graphs"),
        pytest.param(torch.eye(30), math.factorial(30), id="identity matrix"),
        pytest.param(torch.roll(torch.eye(12), 1, 0), 12, id="directed circle"),
        pytest.param(torch.zeros(40, 40), math.factorial(40), id="zero matrix"),
    ],
)
def test_stabilisers_of_known_graphs(matrix, order):
    group, params = _square(matrix)
    found = count(group, params)
    assert (found.stabiliser, found.guarantee) == (order, "exact")


def test_a_search_cut_short_gives_bounds_that_hold():
    group, params = _square(torch.block_diag(ROOK, SHRIKHANDE, ROOK))
    whole = count(group, params)
    for budget in (0, 1, 4, 12, 20):
        found = count(group, params, budget=budget)
        assert found.copies <= whole.copies <= found.at_most
        assert (found.guarantee == "exact") == (found.copies == found.at_most)
    assert count(group, params, budget=0).guarantee == "bounds"
    assert "between" in str(count(group, params, budget=0))


def test_layers_linked_by_an_identity_matrix_move_in_step():
    n = 20
    group = handmade(
        [("a", n, ()), ("b", n, ())],
        {
            "in": (Moving("a", n), Fixed(3)),
            "mid": (Moving("b", n), Moving("a", n)),
            "out": (Fixed(2), Moving("b", n)),
        },
    )
    found = count(group, {"in": torch.ones(n, 3), "mid": torch.eye(n), "out": torch.ones(2, n)})
    assert found.stabiliser == math.factorial(n)
    assert not any(duplicates.free for duplicates in found.duplicates)


def test_heads_that_are_equal_up_to_the_order_inside():
    heads, size = 6, 5
    group = handmade(
        [("h", heads, ()), ("d", size, ("h",))],
        {"w": (Merged((Moving("h", heads), Moving("d", size))), Fixed(7))},
    )
    torch.manual_seed(0)
    head = torch.randn(size, 7)
    equal = torch.cat([head[torch.randperm(size)] for _ in range(heads)])
    assert count(group, {"w": equal}).stabiliser == math.factorial(heads)
    equal[0] += 1
    assert count(group, {"w": equal}).stabiliser == math.factorial(heads - 1)
    zero = count(group, {"w": torch.zeros(heads * size, 7)})
    assert zero.copies == 1
    assert zero.stabiliser == group.order


def test_duplicates_are_named():
    model = randomise(ZOO["mlp_relu"].build())
    from orbitope import symmetries

    group = symmetries(model, ZOO["mlp_relu"].inputs())
    params = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = next(unit.name for unit in group.units if unit.size == 7)
    params["0.weight"][[1, 4, 6]], params["0.bias"][[1, 4, 6]] = 0.0, -0.0
    params["0.weight"][4] = -0.0
    params["2.weight"][:, [1, 4, 6]] = 0.25
    found = count(group, params)
    assert found.stabiliser == 6
    assert [(d.units, d.at, d.positions, d.free) for d in found.duplicates] == [(first, (), (1, 4, 6), True)]
    assert "positions 1, 4, 6 coincide" in str(found.duplicates[0])
    params["2.weight"][0, 6] = math.nextafter(0.25, 1)  # not the next float32
    assert count(group, params).stabiliser == 6
    params["2.weight"][0, 6] = torch.nextafter(torch.tensor(0.25), torch.tensor(1.0))
    assert count(group, params).stabiliser == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.complex64])
def test_every_dtype(dtype):
    group = handmade([("a", 4, ())], {"w": (Moving("a", 4), Fixed(2))})
    values = torch.tensor([[1, 2], [1, 2], [2, 1], [3, 3]]).to(dtype)
    if dtype.is_complex:
        values[0, 0] = 1 + 1j
        values[1, 0] = 1 - 1j
        assert count(group, {"w": values}).stabiliser == 1
        values[1, 0] = 1 + 1j
    assert count(group, {"w": values}).stabiliser == 2


def test_equal_hashes_of_unequal_positions_do_no_harm(monkeypatch):
    """Every hash the same: refinement says nothing, and the exact comparisons still give the exact count."""
    monkeypatch.setattr(colours.Structure, "step", lambda self, colours, only=None: dict(colours))
    group = SMALL["one layer of five"]
    params = {
        "w": torch.tensor([[1.0], [2.0], [2.0], [4.0], [1.0]]),
        "v": torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.0]]),
    }
    assert count(group, params).copies == orbit(group, params) == 30


def test_nan_is_refused_and_named_with_all_other_problems():
    group = SMALL["two layers"]
    params = {n: torch.ones(p.shape) for n, p in group.placements.items()}
    params["w1"][0, 0] = params["w3"][0, 1] = math.nan
    with pytest.raises(ParametersError) as caught:
        count(group, params)
    assert [detail.split(" has ")[0] for detail in caught.value.details] == [
        "not a number: w1",
        "not a number: w3",
    ]
    with pytest.raises(ParametersError, match="do not fit"):
        count(group, {"w1": torch.ones(4, 2)})
    params["w1"][0, 0] = params["w3"][0, 1] = math.inf  # as in a mask: equal to itself
    assert count(group, params).copies == orbit(group, params)


def test_json_carries_integers_of_any_length():
    n = 3000
    group = handmade([("a", n, ())], {"w": (Moving("a", n), Fixed(1))})
    found = count(group, {"w": torch.arange(n).float()[:, None]})
    document = json.loads(json.dumps(found.to_json()))
    assert int(document["copies"], 0) == found.copies == math.factorial(n)
    assert document["stabiliser"] == "1"
    assert "10^" in str(found)


def test_blocks_hold_every_entry_once():
    for group in SMALL.values():
        for name, placement in group.placements.items():
            entries = torch.arange(math.prod(placement.shape)).reshape(placement.shape)
            found = [b.tensor.flatten() for b in blocks_module.blocks(name, entries, placement.axes)]
            assert torch.cat(found).sort().values.tolist() == entries.flatten().tolist()
