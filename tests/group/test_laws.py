"""Group and action: laws on random elements, on units over units, over fixed bases, and inside sums and products."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import orbitope
from orbitope.errors import ElementError, InputError, ParametersError, SymmetryFileError
from orbitope.group import Element, Fixed, Merged, Moving, Placement, Segments, SymmetryGroup, Units, places


def _group():
    """Heads that permute, dimensions over heads and over a fixed base, a sum inside a product, tied names."""
    heads, dim, slot, wide = Moving("heads", 3), Moving("dim", 4), Moving("slot", 2), Moving("wide", 5)
    base = Moving("base", 2)
    placements = {
        "q": Placement(("q",), (12, 5), (Merged((heads, dim)), wide)),
        "k": Placement(("k",), (5, 3, 4), (wide, heads, dim)),
        "swapped": Placement(("swapped",), (4, 2, 3), (dim, Fixed(2), heads)),
        "sums": Placement(("sums",), (7, 24), (Segments((wide, Fixed(2))), Merged((heads, Segments((dim, Fixed(4))))))),
        "slots": Placement(("slots",), (2, 2, 5), (base, slot, wide)),
        "tied": Placement(("tied", "alias"), (5, 5), (wide, wide)),
        "statistics": Placement(("statistics",), (5,), (wide,), trainable=False),
    }
    acts = places(placements)
    units = (
        Units("wide", 5, acts_on=acts["wide"]),
        Units("heads", 3, acts_on=acts["heads"]),
        Units("dim", 4, ("heads",), (3,), acts_on=acts["dim"]),
        Units("slot", 2, ("base",), (2,), acts_on=acts["slot"]),
    )
    return SymmetryGroup(units, placements, {"base": 2}, (), ("unread",))


GROUP = _group()


def _params(dtype=torch.float64):
    generator = torch.Generator().manual_seed(4)
    params = {
        name: torch.randn(p.shape, generator=generator).to(dtype)
        for name, p in GROUP.placements.items()
        if name != "tied"
    }
    tied = torch.randn(5, 5, generator=generator).to(dtype)
    return {**params, "tied": tied, "alias": tied, "unread": torch.zeros(3, dtype=dtype)}


PARAMS = _params()
elements = st.integers(0, 10**6).map(GROUP.sample)


def _same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@settings(max_examples=40, deadline=None)
@given(elements, elements, elements)
def test_group_laws(f, g, h):
    one = GROUP.identity()
    assert (f @ g) @ h == f @ (g @ h)
    assert f @ ~f == one == ~f @ f
    assert f @ one == f == one @ f
    assert ~(f @ g) == ~g @ ~f
    assert (f == g) == (hash(f) == hash(g)) or f != g


@settings(max_examples=40, deadline=None)
@given(elements, elements)
def test_action_laws(g, h):
    assert _same((g @ h).act(PARAMS), g.act(h.act(PARAMS)))
    assert _same((~g).act(g.act(PARAMS)), PARAMS)
    assert _same(GROUP.identity().act(PARAMS), PARAMS)


@settings(max_examples=30, deadline=None)
@given(elements)
def test_the_convention_entry_by_entry(g):
    """(g·x)[σ(b), τ_b(a)] = x[b, a], written out in loops."""
    moved = g.act(PARAMS)
    sigma, tau, wide = (g.permutation(name).tolist() for name in ("heads", "dim", "wide"))
    slot = g.permutation("slot").tolist()
    for b in range(3):
        for a in range(4):
            for w in range(5):
                assert moved["q"][4 * sigma[b] + tau[b][a], wide[w]] == PARAMS["q"][4 * b + a, w]
                assert moved["k"][wide[w], sigma[b], tau[b][a]] == PARAMS["k"][w, b, a]
                assert moved["sums"][wide[w], 8 * sigma[b] + tau[b][a]] == PARAMS["sums"][w, 8 * b + a]
                assert moved["sums"][wide[w], 8 * sigma[b] + 4 + a] == PARAMS["sums"][w, 8 * b + 4 + a]
                assert moved["sums"][5, 8 * sigma[b] + tau[b][a]] == PARAMS["sums"][5, 8 * b + a]
            assert moved["swapped"][tau[b][a], 1, sigma[b]] == PARAMS["swapped"][a, 1, b]
    for b in range(2):
        for s in range(2):
            assert moved["slots"][b, slot[b][s], wide[3]] == PARAMS["slots"][b, s, 3]


def test_order_counts_every_fibre():
    assert GROUP.order == 120 * 6 * 24**3 * 2**2


def test_swaps_are_involutions_at_their_place():
    g = GROUP.swap("dim", 1, 3, at=(2,))
    assert not g.is_identity and (g @ g).is_identity
    moved = g.act(PARAMS)
    assert torch.equal(moved["q"][:8], PARAMS["q"][:8]) and not torch.equal(moved["q"][8:], PARAMS["q"][8:])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_any_dtype_is_moved_bit_by_bit(dtype):
    params = {name: (tensor * 50).to(dtype) for name, tensor in _params().items()}
    params["alias"] = params["tied"]
    g = GROUP.sample(8)
    moved = g.act(params)
    assert all(tensor.dtype == dtype for tensor in moved.values())
    assert _same((~g).act(moved), params)


def test_tied_tensors_stay_tied_and_nothing_is_shared_with_the_original():
    moved = GROUP.sample(3).act(PARAMS)
    assert moved["tied"].data_ptr() == moved["alias"].data_ptr()
    for name, tensor in moved.items():
        assert tensor.data_ptr() != PARAMS[name].data_ptr()


def test_json_round_trip():
    document = json.loads(json.dumps(GROUP.to_json()))
    again = SymmetryGroup.from_json(document)
    assert again.digest == GROUP.digest and again.to_json() == GROUP.to_json()
    g = GROUP.sample(12)
    assert Element.from_json(again, json.loads(json.dumps(g.to_json()))) == g


@pytest.mark.parametrize("change", [{"format": "x"}, {"version": 2}, {"units": 3}, {"parameters": [{"names": []}]}])
def test_bad_symmetry_files_are_refused(change):
    with pytest.raises(SymmetryFileError):
        SymmetryGroup.from_json({**GROUP.to_json(), **change})


def test_elements_that_are_none_are_refused_with_all_problems():
    with pytest.raises(ElementError) as error:
        GROUP.element({"heads": [0, 0, 1], "nobody": [0], "wide": [0, 1]})
    text = str(error.value)
    assert "heads" in text and "nobody" in text and "wide" in text
    with pytest.raises(ElementError):
        GROUP.swap("wide", 0, 9)
    with pytest.raises(ElementError):
        GROUP.swap("dim", 0, 1, at=(7,))


def test_all_misfits_are_named_at_once():
    params = dict(PARAMS)
    del params["q"]
    params["k"] = params["k"][:, :2]
    params["stranger"] = torch.zeros(1)
    with pytest.raises(ParametersError) as error:
        GROUP.sample(0).act(params)
    text = str(error.value)
    assert "missing: q" in text and "shape: k" in text and "unexpected: stranger" in text


@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)])
def test_optimiser_state_moves_along(make):
    """Twin and original, trained on with their momenta, stay twins."""
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    x, y = torch.randn(20, 5).double(), torch.randint(0, 3, (20,))
    group = orbitope.symmetries(nets[0].eval(), (x,))
    optimisers = [make(net.parameters(), lr=0.05) for net in nets]

    def train(net, optimiser):
        for _ in range(5):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimiser.step()

    for net, optimiser in zip(nets, optimisers, strict=True):
        train(net, optimiser)
    group.sample(2).act_(nets[1], optimisers[1])
    assert not torch.equal(nets[0][0].weight, nets[1][0].weight)
    for net, optimiser in zip(nets, optimisers, strict=True):
        train(net, optimiser)
    assert torch.allclose(nets[0](x), nets[1](x), rtol=1e-10, atol=1e-12)


def test_the_scope_freezes_parameters():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    x = (torch.randn(3, 4),)
    assert orbitope.symmetries(model, x, scope=["2.*", "4.*"]).order == 120
    assert orbitope.symmetries(model, x, scope=["0.*"]).order == 1
    with pytest.raises(InputError, match="matches no parameter"):
        orbitope.symmetries(model, x, scope=["nothing.*"])
