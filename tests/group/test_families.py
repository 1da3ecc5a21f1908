"""Signs, scales, matrices and translations: the function stays, products are products, and faults are seen."""

import json
from dataclasses import replace

import pytest
import torch
from tests.group.families import NETWORKS, group_of, linear, mixed, relu, relu6, sigmoid, tanh
from torch import nn
from torch.func import functional_call, jacrev

import orbitope
from orbitope.errors import ElementError, InputError, ParametersError, SymmetryFileError
from orbitope.group import Element, Fixed, Merged, Moving, Placement, Segments, SymmetryGroup, Units
from orbitope.group.blocks import blocks, map_blocks
from orbitope.group.continuous import Continuous, Factor, Flips, Matrices, Scaling, Spot, Term, Translation
from orbitope.group.sampling import matrices
from orbitope.group.tangents import generators, rank_by_gap

SEEDS = range(5)


def _params(net):
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def _x(rows=9):
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _change(net, params):
    return float((functional_call(net, params, (_x(),)) - net(_x())).abs().max())


def _distance(a, b):
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays(name):
    net, group = NETWORKS[name]()
    for seed in SEEDS:
        g = group.sample(seed, "all", params=_params(net))
        assert _change(net, g.act(_params(net))) < 1e-12
        assert _distance(g.act(_params(net)), _params(net)) > 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_products_inverses_and_equality(name):
    net, group = NETWORKS[name]()
    params, one = _params(net), group.identity()
    for seed in SEEDS:
        f, g, h = (group.sample(3 * seed + k, "all", strength=0.5, condition=3) for k in range(3))
        assert _distance((g @ h).act(params), g.act(h.act(params))) < 1e-11
        assert _distance(((f @ g) @ h).act(params), f.act(g.act(h.act(params)))) < 1e-11
        assert _distance((~g).act(g.act(params)), params) < 1e-11
        assert _distance((~(g @ h)).act(params), (~h).act((~g).act(params))) < 1e-11
        assert (g @ ~g).is_identity and (~g @ g).is_identity and g @ one == g == one @ g
        assert f @ (g @ h) == (f @ g) @ h and ~(g @ h) == ~h @ ~g
        assert g != h and hash(g) == hash(g @ one)


@pytest.mark.parametrize("name", NETWORKS)
def test_products_stay_short(name):
    """A long product has no more steps than there are families, and is the product."""
    net, group = NETWORKS[name]()
    g, params = group.identity(), _params(net)
    moved = params
    for seed in range(8):
        factor = group.sample(seed, "all", strength=0.3, condition=2)
        g, moved = factor @ g, factor.act(moved)
    assert len(g.steps) <= len(group.families)
    assert _distance(g.act(params), moved) < 1e-10


@pytest.mark.parametrize("make", [relu, tanh, sigmoid, relu6, linear])
def test_a_planted_fault_is_seen(make):
    """With one spot or term left out the function changes."""
    net, group = make()
    params, part = _params(net), group.continuous
    broken = replace(
        part,
        scalings=tuple(replace(x, spots=x.spots[:-1]) for x in part.scalings),
        flips=tuple(replace(x, carries=()) if x.carries else replace(x, spots=x.spots[1:]) for x in part.flips),
        matrices=tuple(replace(x, spots=x.spots[:-1]) for x in part.matrices),
        translations=tuple(replace(x, terms=x.terms[:-1]) for x in part.translations),
    )
    for family in replace(group, continuous=broken).families.values():
        wrong = replace(group, continuous=broken)
        parts = ("signs", "scales", "matrices", "translations")
        step = next(s for s in wrong.sample(1, parts).steps if s.family.name == family.name)
        assert _change(net, Element(wrong, {}, (step,)).act(params)) > 1e-3


def test_by_hand():
    net, group = relu()
    params = _params(net)
    g = group.scale("s0", [2.0, 1, 1, 1, 0.5])
    moved = g.act(params)
    assert torch.equal(moved["0.weight"][0], 2 * params["0.weight"][0])
    assert torch.equal(moved["0.bias"][4], params["0.bias"][4] / 2)
    assert torch.equal(moved["2.weight"][:, 0], params["2.weight"][:, 0] / 2)
    assert torch.equal(moved["2.weight"][:, 1:4], params["2.weight"][:, 1:4])
    assert group.scale("s0", 3.0) == group.scale("s0", [3.0] * 5)
    net, group = tanh()
    moved = group.flip("f0", 2).act(_params(net))
    assert torch.equal(moved["0.weight"][2], -net[0].weight[2]) and torch.equal(moved["0.bias"][:2], net[0].bias[:2])
    assert (
        group.flip("f0") == group.element(values={"f0": [-1] * 5})
        and group.flip("f0", 1) @ group.flip("f0", 1) == group.identity()
    )
    net, group = linear()
    matrix = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = group.transform("m", matrix).act(_params(net))
    assert torch.allclose(moved["0.weight"], matrix @ net[0].weight, atol=1e-13)
    assert torch.allclose(moved["2.weight"], net[2].weight @ torch.linalg.inv(matrix), atol=1e-12)
    moved = group.translate("t", [1.0, 0, 0, 0]).act(_params(net))
    assert torch.allclose(moved["2.bias"], net[2].bias - net[2].weight[:, 0])


def test_order_of_factors_first_the_right_one():
    net, group = relu()
    p, s = group.swap("h", 0, 1), group.scale("s0", [2.0, 1, 1, 1, 1])
    params = _params(net)
    assert torch.equal((p @ s).act(params)["0.bias"][1], 2 * params["0.bias"][0])
    assert torch.equal((s @ p).act(params)["0.bias"][0], 2 * params["0.bias"][1])
    assert p @ s == group.scale("s0", [1, 2.0, 1, 1, 1]) @ p
    assert p @ s != s @ p


# exactness ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_signs_and_powers_of_two_are_exact_in_any_dtype(dtype):
    for make in (relu, tanh):
        net, group = make()
        params = {name: tensor.to(dtype) for name, tensor in _params(net).items()}
        g = group.sample(2, ("permutations", "signs", "scales"), powers_of_two=True, strength=2)
        moved = g.act(params)
        assert all(moved[name].dtype == dtype for name in params)
        assert all(torch.equal((~g).act(moved)[name], params[name]) for name in params)
        wide = g.act({name: tensor.double() for name, tensor in params.items()})
        assert all(torch.equal(moved[name].double(), wide[name]) for name in params)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NETWORKS)
def test_everything_else_is_rounded_once(name, dtype):
    net, group = NETWORKS[name]()
    params = {key: tensor.to(dtype) for key, tensor in _params(net).items()}
    g = group.sample(3, "all") @ group.sample(4, "all")
    wide = g.act({key: tensor.double() for key, tensor in params.items()})
    assert all(torch.equal(tensor, wide[key].to(dtype)) for key, tensor in g.act(params).items())


def test_what_cannot_be_done_is_refused():
    net, group = relu()
    params = _params(net)
    whole = {name: (10 * tensor).to(torch.int8) for name, tensor in params.items()}
    with pytest.raises(ParametersError, match="whole numbers"):
        group.scale("s0", 2.0).act(whole)
    assert group.sample(0).act(whole)["0.weight"].dtype == torch.int8
    # a tensor of whole numbers that nothing acts on passes through
    partly = {**params, "4.bias": torch.zeros(2, dtype=torch.int64)}
    assert torch.equal(group.scale("s0", 2.0).act(partly)["4.bias"], partly["4.bias"])
    half = {name: tensor.half() for name, tensor in params.items()}
    with pytest.raises(ParametersError, match="too large"):
        group.scale("s0", 1e9).act(half)
    with pytest.raises(ParametersError, match="not finite"):
        group.scale("s0", 2.0).act({**params, "0.bias": params["0.bias"] / 0})
    for bad in (-1.0, 0.0, float("inf"), [1.0, 2.0]):
        with pytest.raises(ElementError):
            group.scale("s0", bad)
    with pytest.raises(ElementError, match="no such family"):
        group.flip("s0")
    with pytest.raises(ElementError, match="no such part"):
        group.sample(0, "everything")
    with pytest.raises(ElementError, match="no such positions"):
        tanh()[1].flip("f0", 5)
    with pytest.raises(ElementError, match="invertible"):
        linear()[1].transform("m", torch.ones(4, 4))
    with pytest.raises(ElementError, match="orthogonal"):
        linear("orthogonal")[1].transform("m", 2 * torch.eye(4))
    with pytest.raises(ElementError, match="permutation acts"):
        group.scale("s0", 2.0).act_on(torch.ones(5), (Moving("h", 5),))
    net, group = sigmoid()
    with pytest.raises(ParametersError, match=r"missing: 2.weight"):
        group.flip("f0").act({"2.bias": net[2].bias}, partial=True)


def test_default_samples_are_permutations_and_parts_do_not_depend_on_each_other():
    _, group = mixed()
    assert group.sample(7).is_permutation and group.sample(7) == group.sample(7)
    every = group.sample(7, "all")
    assert every.permutations.keys() == group.sample(7).permutations.keys()
    alone = group.sample(7, "scales").steps[0]
    assert torch.equal(next(s for s in every.steps if s.family.name == "s").value, alone.value)
    assert not group.sample(7, ("signs", "scales")).permutations


# matrices -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize("kind", ["general", "orthogonal"])
def test_sampled_matrices_are_of_their_kind(kind, ones):
    net, group = linear(kind, ones)
    family = group.continuous.matrices[0]
    for seed in SEEDS:
        matrix = matrices(family, torch.Generator().manual_seed(seed), 10.0)
        assert not ones or torch.allclose(matrix.sum(-1), torch.ones(4, dtype=torch.float64))
        assert kind == "general" or torch.allclose(matrix @ matrix.mT, torch.eye(4, dtype=torch.float64))
        assert float(torch.linalg.cond(matrix)) < (10.01 if not ones else 100)
        assert _change(net, group.transform("m", matrix).act(_params(net))) < 1e-12


@pytest.mark.parametrize(
    ("kind", "ones", "expected"),
    [("general", False, 16), ("general", True, 12), ("orthogonal", False, 6), ("orthogonal", True, 3)],
)
def test_dimensions_are_those_of_the_lie_algebras(kind, ones, expected):
    family = linear(kind, ones)[1].continuous.matrices[0]
    basis = generators(family)
    assert family.dimension == len(basis) == expected
    assert int(torch.linalg.matrix_rank(basis.reshape(len(basis), -1))) == expected
    moved = torch.linalg.matrix_exp(0.3 * basis.sum(0))
    assert not ones or torch.allclose(moved.sum(-1), torch.ones(4, dtype=torch.float64))
    assert kind == "general" or torch.allclose(moved @ moved.mT, torch.eye(4, dtype=torch.float64))


# infinitesimal ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["relu", "linear", "mixed", "rotary"])
def test_tangents_are_flat_and_are_the_derivative_of_the_action(name):
    net, group = NETWORKS[name]()
    params = _params(net)
    found = group.tangents(params)
    rows = torch.cat([found[key].reshape(group.dimension, -1) for key in params if key in found], 1)
    jacobian = jacrev(lambda p: functional_call(net, p, (_x(40),)))(params)
    columns = torch.cat([jacobian[key].reshape(-1, params[key].numel()) for key in params if key in found], 1)
    assert float((columns @ rows.mT).abs().max()) < 1e-12
    assert group.orbit_dimension(params) == int(torch.linalg.matrix_rank(rows)) == group.dimension
    # the first rows are those of the scales: compare with small steps
    start = 0
    for family in (*group.continuous.scalings, *group.continuous.translations):
        if family not in group.continuous.scalings:
            break
        for k in range(family.dimension):
            value = torch.ones(family.sizes, dtype=torch.float64)
            value[k] = torch.tensor(1e-6, dtype=torch.float64).exp()
            step = group.scale(family, value).act(params)
            for key, directions in found.items():
                assert torch.allclose((step[key] - params[key]) / 1e-6, directions[start + k], atol=1e-4)
        start += family.dimension


def test_orbit_dimension_sees_special_parameters_and_names():
    net, group = relu()
    params = _params(net)
    assert group.dimension == 9 == group.orbit_dimension(params)
    params["0.weight"][1], params["0.bias"][1], params["2.weight"][:, 1] = 0, 0, 0
    assert group.orbit_dimension(params) == 8
    net, group = linear()
    params = _params(net)
    assert group.orbit_dimension(params) == 20
    # only the translation moves biases alone; everything but the first bias can move while that stays
    assert group.orbit_dimension(params, ["0.bias", "2.bias"]) == 4
    assert group.orbit_dimension(params, [name for name in params if name != "0.bias"]) == 16
    assert set(group.tangents(params, ["2.weight"])) == {"2.weight"}
    with pytest.raises(InputError, match="no such parameter"):
        group.orbit_dimension(params, ["nothing"])


def test_too_large_components_are_refused(monkeypatch):
    net, group = linear()
    monkeypatch.setattr("orbitope.group.tangents.LARGEST_COUNT", 10)
    with pytest.raises(InputError, match="use group"):
        group.orbit_dimension(_params(net))


def test_rank_by_gap():
    assert rank_by_gap(torch.tensor([1.0, 1e-3, 3e-8, 2e-16, 1e-17])) == 3
    assert rank_by_gap(torch.tensor([1.0, 0.5, 0.2])) == 3
    assert rank_by_gap(torch.tensor([0.0, 0.0])) == 0 == rank_by_gap(torch.tensor([]))
    assert rank_by_gap(torch.tensor([1.0, 1e-4, 1e-9, 1e-15])) == 3


def test_approximate_and_loss_families_are_counted_apart():
    _, group = relu()
    first, second = group.continuous.scalings
    part = replace(group.continuous, scalings=(replace(first, approximate="at ε = 0"), replace(second, loss=True)))
    group = replace(group, continuous=part)
    assert group.dimension == 0 and group.dimension_of(approximate=True) == 5
    assert group.dimension_of(loss=True) == 4 and group.dimension_of(approximate=True, loss=True) == 9
    assert group.sample(0, "scales").is_identity
    assert not group.sample(0, "scales", loss=True, approximate=True).is_identity


# JSON ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NETWORKS)
def test_json_round_trip(name):
    net, group = NETWORKS[name]()
    again = SymmetryGroup.from_json(json.loads(json.dumps(group.to_json())))
    assert again.digest == group.digest and again.continuous == group.continuous
    g = group.sample(1, "all")
    back = Element.from_json(again, json.loads(json.dumps(g.to_json())))
    assert back == g and _distance(back.act(_params(net)), g.act(_params(net))) == 0
    assert replace(group, continuous=Continuous()).digest != group.digest


def test_old_symmetry_files_are_read():
    _, group = relu()
    document = group.to_json()
    del document["continuous"]
    assert SymmetryGroup.from_json(document).dimension == 0
    assert group.sample(0).to_json()["version"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["scalings"][0]["spots"][0].update(block=3),
        lambda c: c["scalings"][0]["spots"][0].update(dims=[1]),
        lambda c: c["scalings"][0]["spots"][0].update(dims=[-1]),
        lambda c: c["scalings"][0]["spots"][0].update(power=1.5),
        lambda c: c["scalings"][0]["spots"][0].update(parameter="nobody"),
        lambda c: c["scalings"][0].update(sizes=[5, 5]),
        lambda c: c["scalings"][0].update(name="m"),
        lambda c: c["matrices"][0].update(kind="magic"),
        lambda c: c["matrices"][0].update(ones=1),
        lambda c: c["translations"][0]["terms"][1].update(letters="oo"),
        lambda c: c["translations"][0]["terms"][1]["factors"][0].update(letters="ho"),
        lambda c: c["translations"][0]["terms"][1].update(coefficient=float("nan")),
        lambda c: c["flips"][0]["carries"][0].update(vector="ab"),
        lambda c: c["frames"]["0.weight"].pop(),
        lambda c: c["frames"].update(stranger=[1]),
        lambda c: c.pop("flips"),
        lambda c: c["names"].update(a=10**9),
    ],
)
def test_a_malformed_continuous_part_is_refused(change):
    document = json.loads(json.dumps(mixed()[1].to_json()))
    change(document["continuous"])
    with pytest.raises(SymmetryFileError):
        SymmetryGroup.from_json(document)


@pytest.mark.parametrize("change", [{"steps": [{"family": "x"}]}, {"steps": 3}, {"steps": [{"family": "s0"}]}])
def test_malformed_elements_are_refused(change):
    _, group = relu()
    with pytest.raises(ElementError):
        Element.from_json(group, {**group.sample(1, "all").to_json(), **change})


# blocks -------------------------------------------------------------------------------------------------------------
def test_blocks_are_numbered_alike_and_put_together_again():
    axes = (
        Segments((Moving("a", 3), Merged((Fixed(2), Segments((Moving("b", 2), Moving("c", 1))))))),
        Segments((Moving("c", 1), Fixed(4))),
    )
    tensor = torch.randn(9, 5)
    found = list(blocks("w", tensor, axes))
    marked = map_blocks(tensor, axes, lambda number, block, _: torch.full_like(block, number))
    assert [b.tensor.unique().tolist() for b in blocks("w", marked, axes)] == [[k] for k in range(len(found))]
    assert torch.equal(map_blocks(tensor, axes, lambda k, b, n: found[k].tensor + 0), tensor)
    assert map_blocks(tensor, axes, lambda k, b, n: b) is tensor


# stacked modules, fused tensors, tied names -------------------------------------------------------------------------
def _stacked():
    """Two parallel branches, a fused tensor, and a tied one: named by several state-dict names."""
    branch = Moving("branch", 2)
    wide = Moving("wide", 3)
    placements = {
        "w.*": Placement(("w.*",), (6, 2), (Merged((branch, wide)), Fixed(2)), members=(("w.0",), ("w.1",))),
        "qk[0:3]": Placement(("qk[0:3]",), (3, 2), (wide, Fixed(2)), members=(("qk",),), part=(0, 5)),
        "qk[3:5]": Placement(("qk[3:5]",), (2, 2), (Fixed(2), Fixed(2)), members=(("qk",),), part=(3, 5)),
        "tied": Placement(("tied", "alias"), (3,), (wide,)),
    }
    spots = (Spot("w.*", 0, (1, 0), 1), Spot("qk[0:3]", 0, (0,), -1), Spot("tied", 0, (0,), 2))
    part = Continuous(
        {name: placement.axes for name, placement in placements.items()},
        scalings=(
            Scaling("s", ("wide", "branch"), (3, 2), spots[:1]),
            Scaling("t", ("wide",), (3,), (*spots[1:], Spot("w.*", 0, (1,), 1))),
        ),
        flips=(Flips("f", ("branch",), (2,), (Spot("w.*", 0, (0,), 1),), (Term("tied", 0, "a", "b"),)),),
    )
    units = (Units("branch", 2), Units("wide", 3))
    return SymmetryGroup(units, placements, continuous=part)


def test_members_parts_and_tied_tensors():
    group = _stacked()
    tied = torch.rand(3) + 1
    params = {"w.0": torch.rand(3, 2), "w.1": torch.rand(3, 2), "qk": torch.rand(5, 2), "tied": tied, "alias": tied}
    g = group.element(values={"s": torch.arange(1.0, 7).reshape(3, 2), "t": [1.0, 2, 4]})
    moved = g.act(params)
    assert torch.equal(moved["w.0"], params["w.0"] * torch.tensor([1.0, 6, 20])[:, None])
    assert torch.equal(moved["w.1"], params["w.1"] * torch.tensor([2.0, 8, 24])[:, None])
    assert torch.equal(moved["qk"][:3], params["qk"][:3] / torch.tensor([1.0, 2, 4])[:, None])
    assert torch.equal(moved["qk"][3:], params["qk"][3:])
    assert moved["tied"] is moved["alias"] and torch.equal(moved["tied"], tied * torch.tensor([1.0, 4, 16]))
    flipped = group.flip("f", 1).act(params)
    assert torch.equal(flipped["w.1"], -params["w.1"]) and torch.equal(flipped["w.0"], params["w.0"])
    assert torch.allclose(flipped["alias"], tied + 1)
    for seed in SEEDS:
        g, h = group.sample(seed, "all"), group.sample(seed + 9, "all")
        wide = {name: tensor.double() for name, tensor in params.items()}
        assert _distance((g @ h).act(wide), g.act(h.act(wide))) < 1e-12
    found = group.tangents(params)
    assert {name: tuple(t.shape) for name, t in found.items()} == {
        "w.0": (9, 3, 2),
        "w.1": (9, 3, 2),
        "qk": (9, 5, 2),
        "tied": (9, 3),
    }
    assert float(found["qk"][:, 3:].abs().max()) == 0 and group.orbit_dimension(params) == 9
    assert group.orbit_dimension(params, ["w.0", "w.1"]) == 6 and group.orbit_dimension(params, ["w.1"]) == 3
    with pytest.raises(ParametersError, match="must move together"):
        group.scale("s", 2.0).act({"w.0": params["w.0"]}, partial=True)


# optimisers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)])
def test_optimiser_state_follows_signs(make):
    """Twin and original, trained on with their momenta, stay twins."""
    net, group = tanh()
    twin = tanh()[0]
    nets = [net, twin]
    x, y = _x(20), torch.randn(20, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    optimisers = [make(each.parameters(), lr=0.02) for each in nets]

    def train(each, optimiser):
        for _ in range(5):
            optimiser.zero_grad()
            nn.functional.mse_loss(each(x), y).backward()
            optimiser.step()

    for each, optimiser in zip(nets, optimisers, strict=True):
        train(each, optimiser)
    group.sample(2, ("permutations", "signs")).act_(twin, optimisers[1])
    for each, optimiser in zip(nets, optimisers, strict=True):
        train(each, optimiser)
    assert not torch.allclose(net[0].weight, twin[0].weight)
    assert torch.allclose(net(x), twin(x), rtol=1e-10, atol=1e-12)


def test_optimiser_state_is_not_scaled():
    net, group = relu()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    before = _params(net)
    with pytest.raises(ElementError, match="only be moved by permutations and signs"):
        group.scale("s0", 2.0).act_(net, optimiser)
    assert _distance(before, _params(net)) == 0


# verify -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_verify_covers_every_part(name, dtype):
    net, group = NETWORKS[name]()
    net = net.to(dtype)
    found = orbitope.verify(net, group.sample(4, "all"), (_x().to(dtype),))
    assert found.equal and found.sensitive and found.dtype == "float64" and found.max_rel < 1e-12


def test_verify_sees_a_wrong_family():
    net, group = relu()
    first, second = group.continuous.scalings
    wrong = replace(group, continuous=replace(group.continuous, scalings=(first, replace(second, spots=first.spots))))
    wrong = replace(wrong, continuous=replace(wrong.continuous, scalings=(replace(first, spots=first.spots[:2]),)))
    assert not orbitope.verify(net.float(), wrong.scale("s0", 1.001), (_x().float(),)).equal


# steps that pass each other -----------------------------------------------------------------------------------------
def _random_families(generator):
    """Families that are no symmetries of anything, but groups of maps, on w[a, b], u[a], v[b] with a and b alike."""

    def draw(n):
        return int(torch.randint(n, (), generator=generator))

    letters = {"w": "ab", "u": "a", "v": "b"}

    def spots(*powers):
        found = []
        for name in letters:
            if draw(2):
                found.append(Spot(name, 0, (draw(len(letters[name])),), powers[draw(len(powers))]))
        return tuple(found) or (Spot("w", 0, (0,), powers[0]),)

    def term():
        target, source = list(letters)[draw(3)], list(letters)[draw(3)]
        factors = () if source == target else (Factor(source, 0, letters[source], (1.0, 2.0)[draw(2)]),)
        return Term(target, 0, letters[target], "ab"[draw(2)], factors)

    terms = (term(), term())
    targets = {x.parameter for x in terms}
    terms = tuple(x if not {f.parameter for f in x.factors} & targets else replace(x, factors=()) for x in terms)
    space = ("x",), (3,)
    part = {
        "scalings": (Scaling("s", *space, spots(1, -1, 2)),),
        "flips": (Flips("f", *space, spots(1)),),
        "matrices": (Matrices("m", *space, spots(1, -1)), Matrices("n", *space, spots(1, -1))),
        "translations": (
            Translation("t", *space, terms),
            Translation("r", *space, (replace(term(), factors=()),)),
        ),
    }
    three = Moving("x", 3)
    return group_of({"w": (three, three), "u": (three,), "v": (three,)}, {"x": 3}, **part)


def test_steps_pass_each_other_only_where_they_may():
    """Random families: a product acts as its factors do, whatever was merged and brought past what."""
    merged = 0
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        group = _random_families(generator)
        params = {
            name: torch.rand(placement.shape, generator=generator, dtype=torch.float64) + 0.5
            for name, placement in group.placements.items()
        }
        g, moved = group.identity(), params
        for k in range(6):
            every = group.sample(10 * seed + k, "all", strength=0.3, condition=1.5)
            step = every.steps[int(torch.randint(len(every.steps), (), generator=generator))]
            factor = Element(group, every.permutations if k % 3 == 2 else {}, (step,))
            g, moved = factor @ g, factor.act(moved)
        merged += 6 - len(g.steps)
        assert max(float(((g.act(params)[n] - x).abs() / x.abs().max()).max()) for n, x in moved.items()) < 1e-11
    assert merged > 50
