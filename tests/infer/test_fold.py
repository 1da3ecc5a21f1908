"""Folding gains of norms: the function stays, rotations appear, and what cannot be folded is left with a reason."""

import pytest
import torch
import torch.nn.functional as F
from tests.zoo.core import L, case_of, difference, model, outputs, randomise
from torch import nn
from torch.func import functional_call, jacrev

import orbitope
from orbitope.errors import ParametersError
from orbitope.frontends import graphs
from orbitope.infer import equivalents
from orbitope.infer.equivalents import fold
from orbitope.infer.gains import gains


class Arithmetic(nn.Module):
    """RMSNorm as language models write it; with ``one`` the gain is 1 + weight."""

    def __init__(self, width, one=0.0):
        super().__init__()
        self.weight, self.one = nn.Parameter(torch.ones(width)), one

    def forward(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return (self.one + self.weight) * x if self.one else self.weight * x


def rms(width):
    return nn.RMSNorm(width, eps=1e-5)


def gemma(width):
    return Arithmetic(width, 1.0)


class Net(nn.Module):
    """Two layers on a stream of 4, before or after whose sums norms stand."""

    def __init__(self, norm, bias=False, tied=False, post=False):
        super().__init__()
        self.e, self.o = nn.Embedding(9, 4), L(4, 9, bias=bias)
        self.a, self.b, self.a2, self.b2 = L(4, 6, bias), L(6, 4, bias), L(4, 5, bias), L(5, 4, bias)
        self.n1, self.n2, self.n3 = norm(4), norm(4), norm(4)
        if tied:
            self.o.weight = self.e.weight
        self.post = post

    def forward(self, ids):
        h = self.e(ids)
        h = h + 0.5 * h.flip(1)
        if self.post:
            h = self.n1(h + self.b(F.gelu(self.a(h))))
            return self.o(self.n2(h + self.b2(F.gelu(self.a2(h)))))
        h = h + self.b(F.gelu(self.a(self.n1(h))))
        return self.o(self.n3(h + self.b2(F.gelu(self.a2(self.n2(h))))))


def ids():
    return (torch.randint(0, 9, (16, 4), generator=torch.Generator().manual_seed(1)),)


def folded(net, inputs):
    net = randomise(net.eval(), 3).double()
    params = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = fold(net, inputs)
    assert difference(outputs(net, params, inputs), outputs(net, found.params, inputs)) < 1e-12
    return net, params, found


def turning(group):
    return [(each.sizes, each.ones) for each in group.continuous.matrices if each.kind == "orthogonal"]


def measured(net, params, names, inputs):
    """Flat directions at generic values of the named parameters: by the gap in the singular values, the best of two."""
    found = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        at = {name: torch.randn(params[name].shape, generator=generator, dtype=torch.float64) * 0.7 for name in names}
        rest = {name: tensor for name, tensor in params.items() if name not in at}

        def run(at, rest=rest):
            return functional_call(net, {**rest, **at}, inputs).flatten()

        jacobian = jacrev(run)(at)
        matrix = torch.cat([jacobian[name].reshape(-1, at[name].numel()) for name in names], 1)
        assert matrix.shape[0] > matrix.shape[1] + 20
        values = torch.linalg.svdvals(matrix / matrix.norm(dim=0).clamp_min(1e-12))
        logs = (values / values[0]).clamp_min(1e-18).log10()
        gaps = [(float(logs[k] - logs[k + 1]), k + 1) for k in range(len(logs) - 1) if logs[k + 1] < -13]
        found.append(matrix.shape[1] - (max(gaps)[1] if gaps else matrix.shape[1]))
    return min(found)


@pytest.mark.parametrize("norm", [rms, Arithmetic, gemma])
@pytest.mark.parametrize("bias", [False, True])
def test_rotations_of_the_stream_appear(norm, bias):
    net, before, found = folded(Net(norm, bias), ids())
    assert not found.left
    assert found.folded["n1.weight"] == ("a.weight",) and found.folded["n3.weight"] == ("o.weight",)
    for name in ("n1.weight", "n2.weight", "n3.weight"):
        assert bool((found.params[name] == (0.0 if norm is gemma else 1.0)).all())
    assert torch.allclose(found.params["a.weight"], before["a.weight"] * (before["n1.weight"] + (norm is gemma)))
    assert not turning(orbitope.symmetries(net, ids())) and turning(found.group) == [((4,), False)]
    names = [name for name in found.params if found.group.placement(name) is not None]
    assert found.group.dimension == 6 == measured(net, found.params, names, ids())
    g = found.group.sample(seed=1, parts="all")
    moved = g.act(found.params)
    assert difference(outputs(net, found.params, ids()), outputs(net, moved, ids())) < 1e-10
    assert bool((moved["n1.weight"] == found.params["n1.weight"]).all())


@pytest.mark.parametrize("norm", [rms, gemma])
def test_a_tied_embedding_keeps_the_last_gain(norm):
    _, _, found = folded(Net(norm, tied=True), ids())
    assert set(found.folded) == {"n1.weight", "n2.weight"}
    assert "O(4) reduced to signed permutations by the tied embedding" in found.left["n3.weight"]
    assert "e.weight is tied to o.weight" in found.left["n3.weight"] and not turning(found.group)


def test_layer_norm_with_biases():
    inputs = (torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)),)

    def forward(m, x):
        h = m.e(x)
        return m.o(m.n2(h + m.b(F.gelu(m.a(m.n1(h))))))

    net = model(forward, e=L(3, 4), a=L(4, 6), b=L(6, 4), o=L(4, 3), n1=nn.LayerNorm(4), n2=nn.LayerNorm(4))
    net, before, found = folded(net, inputs)
    assert not found.left and found.folded["n1.bias"] == ("a.bias",)
    assert torch.allclose(found.params["a.bias"], before["a.bias"] + before["a.weight"] @ before["n1.bias"])
    assert not bool(found.params["n1.bias"].any()) and turning(found.group) == [((4,), True)]
    names = [name for name in found.params if found.group.placement(name) is not None]
    # O(3) beside the ones; the same added to all outputs of each writer; the direction of the ones of each reader
    assert found.group.dimension == 3 + (3 + 1) + (6 + 1) + 6 + 3 == measured(net, found.params, names, inputs)


def test_a_consumer_without_bias_leaves_the_bias_divided_by_the_gain():
    _, before, found = folded(Net(nn.LayerNorm), ids())
    assert "has no bias" in found.left["n3.bias"] and "n3.weight" in found.folded
    assert torch.allclose(found.params["n3.bias"], before["n3.bias"] / before["n3.weight"])
    assert turning(found.group) == [((4,), True)]  # what is left is a vector in the stream, and turns with it


def test_a_zero_gain_before_a_bias_that_stays():
    net = randomise(Net(nn.LayerNorm).eval()).double()
    with torch.no_grad():
        net.n3.weight[1] = 0.0
    before = outputs(net, net.state_dict(), ids())
    found = fold(net, ids())
    assert "n3.weight" in found.left and found.group.placement("n3.weight") is not None
    assert difference(before, outputs(net, found.params, ids())) < 1e-12


def test_biases_that_are_zero_need_no_place():
    net = randomise(Net(nn.LayerNorm).eval()).double()
    for norm in (net.n1, net.n2, net.n3):
        norm.bias.data.zero_()
    found = fold(net, ids())
    assert not found.left and found.folded["n3.bias"] == ()


def test_norms_behind_the_sums_stay():
    _, _, found = folded(Net(nn.LayerNorm, bias=True, post=True), ids())
    assert "written to the stream" in found.left["n1.weight"] and "n2.weight" in found.folded
    assert not turning(found.group)


def _norm_and(forward, **parts):
    return model(forward, n=rms(4), a=L(4, 6, bias=False), **parts)


REFUSED = {
    "nonlinear": (_norm_and(lambda m, x: m.a(torch.tanh(m.n(x)))), "not linear"),
    "output": (_norm_and(lambda m, x: (m.n(x), m.a(m.n(x)))), "output of the network"),
    "summed without weights": (_norm_and(lambda m, x: m.a(m.n(x)).sum(-1) + m.n(x).sum(-1)), "without weights"),
    "squared": (_norm_and(lambda m, x: m.a(m.n(x) * m.n(x))), "itself"),
    "weight read elsewhere": (_norm_and(lambda m, x: m.a(m.n(x)) + m.a(torch.relu(x))), "a.weight"),
    "weight read twice": (_norm_and(lambda m, x: m.a(m.n(x)) @ m.a.weight), "a.weight"),
    "gain read elsewhere": (_norm_and(lambda m, x: m.a(m.n(x)) + m.n.weight.sum()), "n.weight is also read"),
    "two gains, one weight": (_norm_and(lambda m, x: m.a(m.n(x)) + m.a(m.k(x)), k=rms(4)), "a.weight"),
    "activation": (_norm_and(lambda m, x: m.n(x) @ m.a(x)[:, :4].T), "another activation"),
    "entry by entry": (_norm_and(lambda m, x: m.a(m.n(x) + x)), "added to something else"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_not_be_folded(name):
    net, why = REFUSED[name]
    inputs = (torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)
    _, _, found = folded(net, inputs)
    assert why in found.left["n.weight"], found.left


def test_weights_and_gains_shared_alike_fold_once():
    net = _norm_and(lambda m, x: m.a(m.n(x)) + m.a(m.n(torch.relu(x))))
    inputs = (torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)
    _, before, found = folded(net, inputs)
    assert torch.allclose(found.params["a.weight"], before["a.weight"] * before["n.weight"])


def test_weights_made_of_several_parameters():
    net = _norm_and(
        lambda m, x: F.linear(m.n(x), m.a.weight + m.b.weight @ m.c.weight), b=L(2, 6, False), c=L(4, 2, False)
    )
    inputs = (torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)
    _, _, found = folded(net, inputs)
    assert set(found.folded["n.weight"]) == {"a.weight", "c.weight"}


def test_flattened_positions_repeat_the_gain():
    net = model(lambda m, x: m.a(m.n(x).flatten(1)), n=nn.LayerNorm(4), a=L(12, 5))
    inputs = (torch.randn(5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)
    _, before, found = folded(net, inputs)
    assert set(found.folded) == {"n.weight", "n.bias"}
    assert torch.allclose(found.params["a.weight"], before["a.weight"] * before["n.weight"].repeat(3))


def test_a_fault_is_seen(monkeypatch):
    """Without the check that nothing else reads the weights the function changes, and the comparison notices."""
    from orbitope.infer import takers

    monkeypatch.setattr(takers.Walk, "finish", lambda self: None)
    with pytest.raises(AssertionError):
        folded(REFUSED["weight read elsewhere"][0], (torch.randn(5, 4, dtype=torch.float64),))


PUBLISHED = ["llama", "gpt2", "gemma2", "bert", "albert", "t5", "moe_top_k_gathered", "lora", "wav2vec"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_architectures_keep_their_function(name):
    case = case_of(name)
    net = randomise(case.build()).double()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in case.inputs())
    params = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    plan = equivalents.plan(graphs(net, inputs))
    assert plan.gains
    after = equivalents.folded_parameters(plan, params)
    assert difference(outputs(net, params, inputs), outputs(net, after, inputs)) < 1e-12


def test_reasons_are_recorded():
    def reasons(net):
        return orbitope.symmetries(net.eval(), ids()).continuous.reasons

    assert reasons(Net(rms)) == (
        "O(4) of the residual stream reduced to signed permutations by the gain n1.weight; fold it",
    )
    (tied,) = reasons(Net(rms, tied=True))
    assert tied.startswith("O(4) of the residual stream reduced to signed permutations by the tied embedding")
    (post,) = reasons(Net(nn.LayerNorm, True, post=True))
    assert "reduced to permutations by the gain n1.weight, which cannot be folded" in post
    assert fold(Net(rms).eval(), ids()).group.continuous.reasons == ()


def test_no_entry_of_a_large_model_is_made():
    with torch.device("meta"):
        net = Net(rms).eval()
    found = fold(net, ids())
    assert all(tensor.is_meta for tensor in found.params.values()) and turning(found.group) == [((4,), False)]


def test_other_dtypes_and_bad_parameters():
    net = randomise(Net(rms).eval())
    half = {name: tensor.bfloat16() for name, tensor in net.state_dict().items()}
    found = fold(net, ids(), params=half)
    assert {tensor.dtype for tensor in found.params.values()} == {torch.bfloat16}
    exact = half["a.weight"].double() * half["n1.weight"].double()
    assert torch.equal(found.params["a.weight"], exact.bfloat16())
    half["n1.weight"] = half["n1.weight"] * torch.nan
    with pytest.raises(ParametersError, match="fit"):
        fold(net, ids(), params=half)


def test_inputs_that_do_not_reach_a_layer_fold_nothing():
    """What a path that was not taken reads of a norm is not known."""

    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.n, self.a, self.c = rms(4), L(4, 6), L(4, 6)

        def forward(self, x):
            y = self.n(x)
            return self.a(y) if x.sum() > 0 else self.c(y)

    found = graphs(Branching().eval(), (torch.ones(3, 4),), specialise=True)
    assert all("did not reach" in gain.kept for gain in gains(found[0]))
