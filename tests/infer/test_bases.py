"""Bases on several axes of one tensor: a wreath product acts on each axis by itself, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import permutations, product

import pytest
import torch
from tests.group.structures import elements, handmade, orbit
from tests.oracle.scalars import apply, automorphisms, total, written_out
from tests.zoo import C1, L, Prepared, difference, fac, model, outputs, randomise, relu
from torch import nn

from orbitope import SymmetryGroup, symmetries
from orbitope.alignment import align
from orbitope.errors import ElementError
from orbitope.group import Element, Moving
from orbitope.group.counting.stabiliser import stabiliser
from orbitope.infer import fibres
from orbitope.infer.words import Words

LIMIT = 1e-10
GN = nn.GroupNorm
EYE = torch.eye(6, dtype=torch.float64)
"""Computed inside a network, an identity is made of comparisons, and fixed."""


def _p(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape))


def _cells(h: torch.Tensor) -> torch.Tensor:
    """Six channels as two groups of three."""
    return h.unflatten(1, (2, 3))


def _dense() -> nn.Module:
    """A stream behind a GroupNorm, read and written by one dense layer."""
    return model(
        lambda m, x: m.out(relu(m.norm((h := m.first(x)) + m.dense(relu(m.start(h)))))),
        first=L(3, 6), start=GN(2, 6), dense=L(6, 6), norm=GN(2, 6), out=L(6, 2),
    )  # fmt: skip


def _convolved() -> nn.Module:
    """Grouped convolutions in one stream with a dense one; the last layer reads the mean."""
    return model(
        lambda m, x: m.out(relu((g := (h := m.first(x)) + m.grouped(relu(h))) + m.dense(relu(g))).mean(2)),
        first=C1(3, 6, 2), grouped=C1(6, 6, 3, padding=1, groups=2), dense=C1(6, 6, 1), out=L(6, 2),
    )  # fmt: skip


def _nested() -> nn.Module:
    """Four small groups inside two large ones, each read by a dense layer."""
    return model(
        lambda m, x: m.out((g := (h := m.first(x)) + m.a(relu(m.coarse(h)))) + m.b(relu(m.fine(g)))),
        first=L(3, 8), coarse=GN(2, 8), a=L(8, 8), fine=GN(4, 8), b=L(8, 8), out=L(8, 2),
    )  # fmt: skip


def _told_apart() -> nn.Module:
    """The groups are told apart by a constant: each keeps its own channels."""
    return model(
        lambda m, x: m.out((h := m.first(x)) + m.dense((_cells(h) * torch.tensor([[1.0], [2.0]])).flatten(1))),
        first=L(3, 6), dense=L(6, 6), out=L(6, 2),
    )  # fmt: skip


def _channel_attention() -> nn.Module:
    """Scores between channels: their axes are both the whole stream."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = m.norm(m.first(x))
        scores = torch.einsum("ntd,nte->nde", m.q(h.mT), h.mT)
        return m.out((torch.softmax(scores, 2) @ h + h).mean(2))

    return model(forward, first=C1(3, 6, 1), norm=GN(2, 6), q=L(6, 6), out=L(6, 2))


def _identity() -> nn.Module:
    """An identity matrix between channels is kept by what moves both its axes alike."""
    return model(
        lambda m, x: m.out((h := m.first(x)) + m.norm(h) @ (torch.tanh(m.w) + EYE)),
        first=L(3, 6), norm=GN(2, 6), w=_p(6, 6), out=L(6, 2),
    )  # fmt: skip


def _bilinear() -> nn.Module:
    """Two streams in the same groups, and a weight with an axis for each."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        p, a = m.p(x), m.a(x)
        q = (p.unflatten(1, (2, 3)) * torch.sigmoid(a.unflatten(1, (2, 4)).mean(2, keepdim=True))).flatten(1)
        return torch.einsum("np,pa,na->n", q, m.w, relu(a))[:, None] * m.out

    return model(forward, p=L(3, 6), a=L(3, 8), w=_p(6, 8), out=_p(1, 2))


def _undone() -> nn.Module:
    """A view that is undone tells nothing apart: the whole stream is one set of units."""
    return model(
        lambda m, x: m.out((h := m.first(x)) + m.dense(torch.tanh(_cells(h)).flatten(1))),
        first=L(3, 6), dense=L(6, 6), out=L(6, 2),
    )  # fmt: skip


# name: module, order; derivations beside the modules
WHOLE: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "dense": (_dense, (4, 3), fac(2) * fac(3) ** 2),
    "convolved": (_convolved, (4, 3, 7), fac(2) * fac(3) ** 2),
    "nested": (_nested, (4, 3), fac(2) * fac(2) ** 2 * fac(2) ** 4),
    "told apart": (_told_apart, (4, 3), fac(3) ** 2),
    "channel attention": (_channel_attention, (4, 3, 5), fac(2) * fac(3) ** 2),
    "identity": (_identity, (4, 3), fac(2) * fac(3) ** 2),
    "bilinear": (_bilinear, (4, 3), fac(2) * fac(3) ** 2 * fac(4) ** 2),
    "undone": (_undone, (4, 3), fac(6)),
}


def _gram() -> nn.Module:
    """Inner products of groups: a channel of one meets its namesake in the other, so all groups move alike."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = m.first(x)
        u = _cells(h)
        scores = torch.softmax(torch.einsum("ngc,nhc->ngh", u, u), 2)
        return m.out(h + m.dense(torch.einsum("ngh,nhc->ngc", scores, u).flatten(1)))

    return model(forward, first=L(3, 6), dense=L(6, 6), out=L(6, 2))


def _across() -> nn.Module:
    """A weight for each pair of groups and each channel: it has groups twice, and neither belongs to the channels."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = m.first(x)
        return m.out(h + m.dense(m.norm(h)) + torch.einsum("ngc,ghc->nhc", _cells(h), m.w).flatten(1))

    return model(forward, first=L(3, 6), norm=GN(2, 6), dense=L(6, 6), w=_p(2, 2, 3), out=L(6, 2))


def _mixed_along() -> nn.Module:
    """Groups are added up, channel by channel, and the sum comes back."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = m.first(x)
        return m.out(h + m.dense(relu(h)) + relu(_cells(h) - _cells(h).sum(1, keepdim=True)).flatten(1))

    return model(forward, first=L(3, 6), dense=L(6, 6), out=L(6, 2))


def _regrouped() -> nn.Module:
    """A weight with axes (g·c) and g is read with axes g and (c·g): the channels belong to the other groups."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = m.first(x)
        means = _cells(h).square().mean(2)
        late = torch.einsum("ng,gd->nd", means, torch.tanh(m.w.reshape(2, 6)) + m.v)
        early = torch.einsum("nd,dg,ng->ng", h, m.w, means)
        return m.out(early.sum(1, keepdim=True) * h) + m.last(relu(late).unflatten(1, (3, 2)).mT.flatten(1))

    return model(forward, first=L(3, 6), w=_p(6, 2), v=_p(2, 6), out=L(6, 2), last=L(6, 2))


def _products() -> nn.Module:
    """Products of two channels of a group, with a softmax over the groups and the second: the first stays put."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = m.first(x)
        pairs = torch.einsum("ngc,ngd->ncgd", _cells(h), _cells(h))
        mass = torch.softmax(pairs.flatten(2), 2).unflatten(2, (2, 3))
        return m.out(torch.einsum("ncgd,ngc->ngd", mass, _cells(h)).flatten(1))

    return model(forward, first=L(3, 6), out=L(6, 2))


# channels are not over groups; where these are added up for each channel by itself, groups are over channels
ALIKE = {
    "gram": (_gram, (4, 3), fac(2, 3)),
    "across": (_across, (4, 3), fac(2, 3)),
    "mixed along": (_mixed_along, (4, 3), fac(3) * fac(2) ** 3),
    "regrouped": (_regrouped, (4, 3), fac(2, 3)),
    "products": (_products, (4, 3), fac(2, 3)),
}
CASES = {**WHOLE, **ALIKE}


def _prepared(name: str) -> Prepared:
    build, shape, _ = CASES[name]
    net = randomise(build()).double().eval()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    params = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    return Prepared(net, (x,), params, symmetries(net, (x,)))


_shared = cache(_prepared)
"""For tests that plant nothing."""


def _error(p: Prepared) -> float:
    """The largest error of some random elements and of all exchanges of neighbours."""
    before = outputs(p.net, p.params, p.inputs)
    swaps = [
        p.group.swap(unit, i, i + 1, at)
        for unit in p.group.units
        for at in product(*map(range, unit.over_sizes))
        for i in range(unit.size - 1)
    ]
    return max(
        difference(before, outputs(p.net, g.act(p.params), p.inputs)) for g in (*map(p.group.sample, range(4)), *swaps)
    )


@pytest.mark.parametrize("name", CASES)
def test_the_order_is_the_closed_form_and_elements_keep_the_function(name: str) -> None:
    p = _shared(name)
    assert _error(p) <= LIMIT
    assert p.group.order == CASES[name][2]


# planted faults -----------------------------------------------------------------------------------------------------
def _whichever(self: fibres._Beside, parts: fibres.Parts, mixed: frozenset[int]) -> None:
    """Of several bases the first belongs to everything, which lets Gram matrices through."""
    _ORIGINAL(self, parts, mixed)
    for k, part in reversed(list(enumerate(parts))):
        self.only |= dict.fromkeys(part, k)


def _no_matter_what_is_mixed(self: fibres._Beside, parts: fibres.Parts, mixed: frozenset[int]) -> None:
    _ORIGINAL(self, parts, frozenset(range(len(parts))))


_ORIGINAL = fibres._Beside.__init__


def test_a_base_that_is_picked_among_several_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fibres._Beside, "__init__", _whichever)
    assert _error(_prepared("gram")) > 1e-4


def test_acting_on_several_bases_is_refused() -> None:
    """A file may say what inference does not."""
    axes = (Moving("g", 2), Moving("g", 2), Moving("c", 3))
    group = handmade([("g", 2, ()), ("c", 3, ("g",))], {"w": axes})
    with pytest.raises(ElementError, match="not known which"):
        group.sample(0).act({"w": torch.ones(2, 2, 3)})


def test_mixing_along_a_base_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fibres._Beside, "__init__", _no_matter_what_is_mixed)
    assert _error(_prepared("products")) > 1e-4


def test_labels_that_a_reshape_regroups_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fibres, "_regrouped", lambda words, use: iter(()))
    assert _error(_prepared("regrouped")) > 1e-4


# nothing is missing -------------------------------------------------------------------------------------------------
def _tiny() -> nn.Module:
    return model(
        lambda m, x: m.out((h := m.first(x)) + m.dense(torch.tanh(m.norm(h)))),
        first=L(2, 4, bias=False), norm=GN(2, 4, eps=0.1, affine=False), dense=L(4, 4, bias=False),
        out=L(4, 1, bias=False),
    )  # fmt: skip


def _written(p: dict[str, object], x: object) -> object:
    """The same, scalar by scalar."""
    h = x @ p["first.weight"].T  # type: ignore[operator,union-attr]
    cells = h.reshape(-1, 2, 2)
    centred = cells - total(cells, -1) * 0.5
    variance = total(centred * centred, -1) * 0.5
    normal = (centred / apply("sqrt", variance + 0.1)).reshape(-1, 4)
    return (h + apply("tanh", normal) @ p["dense.weight"].T) @ p["out.weight"].T  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def tiny() -> Prepared:
    net = randomise(_tiny()).double().eval()
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Prepared(net, (x,), {key: t.clone() for key, t in net.state_dict().items()}, symmetries(net, (x,)))


def test_all_permutations_of_a_stream_that_keep_the_function_are_found(tiny: Prepared) -> None:
    """8 of the 24 do, and each of them is an element."""

    def moved(order: tuple[int, ...]) -> dict[str, torch.Tensor]:
        p, at = tiny.params, list(order)
        return {
            "first.weight": p["first.weight"][at],
            "dense.weight": p["dense.weight"][at][:, at],
            "out.weight": p["out.weight"][:, at],
        }

    before = outputs(tiny.net, tiny.params, tiny.inputs)
    keep = [p for p in permutations(range(4)) if difference(before, outputs(tiny.net, moved(p), tiny.inputs)) <= LIMIT]
    wanted = {tuple(moved(p)["dense.weight"].flatten().tolist()) for p in keep}
    found = {tuple(g.act(tiny.params)["dense.weight"].flatten().tolist()) for g in elements(tiny.group)}
    assert len(keep) == tiny.group.order == 8
    assert found == wanted


def test_the_scalar_graph_has_as_many_automorphisms(tiny: Prepared) -> None:
    arrays = {key: t.numpy() for key, t in tiny.params.items()}
    same = _written(arrays, tiny.inputs[0].numpy())
    assert torch.allclose(torch.as_tensor(same), outputs(tiny.net, tiny.params, tiny.inputs)[0], atol=1e-12)
    graph = written_out(_written, {key: t.shape for key, t in arrays.items()}, tiny.inputs[0][:1].numpy())
    assert automorphisms(graph) == tiny.group.order


# elements -----------------------------------------------------------------------------------------------------------
def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", ["dense", "nested", "bilinear"])
def test_elements_compose_as_their_actions_do(name: str) -> None:
    p = _shared(name)
    for seed in range(4):
        g, h = p.group.sample(seed), p.group.sample(seed + 10)
        assert _equal((g @ h).act(p.params), g.act(h.act(p.params)))
        assert _equal((~g).act(g.act(p.params)), p.params)


def test_an_element_entry_by_entry() -> None:
    """``(g·x)[σ(b), τ_b(a), σ(b′), τ_b′(a′)] = x[b, a, b′, a′]``."""
    p = _shared("dense")
    groups, channels = sorted(p.group.units, key=lambda unit: len(unit.over))
    g = p.group.sample(5)
    sigma, tau = g.permutation(groups.name), g.permutation(channels.name)
    before = p.params["dense.weight"].reshape(2, 3, 2, 3)
    after = g.act(p.params)["dense.weight"].reshape(2, 3, 2, 3)
    for b, a, c, d in product(range(2), range(3), range(2), range(3)):
        assert after[sigma[b], tau[b, a], sigma[c], tau[c, d]] == before[b, a, c, d]


def test_the_group_survives_json() -> None:
    p = _shared("nested")
    again = SymmetryGroup.from_json(p.group.to_json())
    assert again.digest == p.group.digest
    g = p.group.sample(1)
    assert _equal(Element.from_json(again, g.to_json()).act(p.params), g.act(p.params))


@pytest.mark.parametrize("seed", range(18))
def test_the_count_is_the_size_of_the_orbit(seed: int) -> None:
    """Few distinct entries, made symmetric under some element, so that there are stabilisers of many kinds."""
    p = _shared(("dense", "nested", "told apart")[seed % 3])
    generator = torch.Generator().manual_seed(seed)
    params = {key: torch.randint(0, 1 + seed % 4, t.shape, generator=generator).double() for key, t in p.params.items()}
    g = p.group.sample(seed)
    moved, order = g.act(params), 1
    while not (all(torch.equal(moved[key], params[key]) for key in params)) and order < 12:
        params = {key: torch.minimum(params[key], moved[key]) for key in params}
        moved, order = g.act(params), order + 1
    found = stabiliser(p.group, params)
    assert found.at_least == found.at_most
    assert p.group.order == orbit(p.group, params) * found.at_least


# alignment ----------------------------------------------------------------------------------------------------------
def _wide() -> nn.Module:
    return model(
        lambda m, x: m.out((g := (h := m.first(x)) + m.a(relu(m.start(h)))) + m.b(relu(m.end(g)))),
        first=L(5, 24), start=GN(4, 24), a=L(24, 24), end=GN(4, 24), b=L(24, 24), out=L(24, 3),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_planted_permutations_are_recovered(seed: int, sigma: float) -> None:
    net = randomise(_wide(), seed).double().eval()
    group = symmetries(net, (torch.randn(3, 5, dtype=torch.float64),))
    assert group.order == fac(4) * fac(6) ** 4
    a = {key: t.clone() for key, t in net.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    near = {k: t + sigma * t.std() * torch.randn(t.shape, generator=generator, dtype=t.dtype) for k, t in a.items()}
    g = group.sample(seed)
    found = align(a, g.act(near), group, method="weights")
    assert found.element == ~g
    assert found.distance_after == pytest.approx(sum(float((a[k] - near[k]).square().sum()) for k in a) ** 0.5)


# laws of the search -------------------------------------------------------------------------------------------------
def test_what_is_over_units_has_the_same_bases() -> None:
    """In ``[x·c, a·c]`` the x has one c beside it and its a another: then x is over c alone."""
    words = Words()
    (x,), (a,), (c,) = (words.atom(size) for size in (2, 3, 5))
    one, two = fibres._Found(), fibres._Found()
    for found, axes in ((one, [(x, a, c)]), (two, [(x, c), (a, c)])):
        found.add([(c,)], acted_on=True)
        found.add([(a, c)], acted_on=True)
        found.add(axes, acted_on=True)
    assert one.closed() == {c: set(), a: {c}, x: {a, c}}
    assert two.closed() == {c: set(), a: {c}, x: {c}}
