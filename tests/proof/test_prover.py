"""prove: what must be proved is, what must not is not, and every stated bound encloses the exact value."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from torch import nn

from orbitope.arithmetic import ExactArithmetic
from orbitope.errors import InputError
from orbitope.infer import infer
from orbitope.objective import Objective
from orbitope.primitives import evaluate
from orbitope.proof import Certificate, NotProven, prove
from orbitope.proof import check as checker
from orbitope.proof.moves import Step, chain
from orbitope.proof.statistics import absorb, normalisations
from orbitope.proof.witnesses import averaged, moved


def _data(samples=23, features=5, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator)
    return x, torch.randint(0, classes, (samples,), generator=generator)


def _trained(model, x, y, loss, steps=150, rate=0.02, seed=0):
    torch.manual_seed(seed)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    optimizer = torch.optim.Adam(model.parameters(), rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    return model.eval()


def _mlp(activation=nn.ReLU, widths=(5, 6, 3, 4)):
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*layers[:-1])


NETWORKS = {
    "relu": lambda: _mlp(nn.ReLU),
    "tanh": lambda: _mlp(nn.Tanh),
    "leaky": lambda: _mlp(nn.LeakyReLU),
    "sigmoid": lambda: _mlp(nn.Sigmoid),
    "no bias": lambda: nn.Sequential(nn.Linear(5, 7, bias=False), nn.ReLU(), nn.Linear(7, 4, bias=False)),
}


@pytest.mark.parametrize("claim", ["midpoint", "orbit-average"])
@pytest.mark.parametrize("name", NETWORKS)
def test_trained_networks_are_proved_and_checked(name, claim):
    x, y = _data()
    model = _trained(NETWORKS[name](), x, y, nn.functional.cross_entropy)
    certificate = prove(Objective(model, "cross_entropy", (x, y)), claim=claim)
    assert isinstance(certificate, Certificate), str(certificate)
    verdict = checker.check(certificate.to_bytes())
    assert verdict.accepted, verdict.reason
    assert verdict.gap_float >= certificate.gap > 0
    assert certificate.claim == claim


class _Convolutional(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 2, stride=2, groups=2)
        self.pool = pool
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.first(x))))
        return self.last(torch.tanh(self.second(x)).mean((2, 3)))


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)])
def test_convolutional_network_with_running_statistics(pool):
    torch.manual_seed(3)
    x, y = torch.randn(12, 2, 8, 8), torch.randint(0, 3, (12,))
    model = _trained(_Convolutional(pool), x, y, nn.functional.cross_entropy, steps=60)
    objective = Objective(model, "cross_entropy", (x, y))
    certificate = prove(objective, claim="midpoint")
    assert isinstance(certificate, Certificate), str(certificate)
    assert checker.check(certificate.to_bytes()).accepted
    # the statistics are no variables: they were absorbed, and the loss at A is that of the model
    assert not {"norm.running_mean", "norm.running_var"} & set(certificate.variables)
    assert "absorbed" in certificate.document["agreement"]
    low, high = certificate.enclosures["points"][0]
    truth = nn.functional.cross_entropy(model.double()(x.double()), y).item()
    assert low - 1e-9 <= truth <= high + 1e-9


def test_absorbing_statistics_keeps_the_function():
    torch.manual_seed(1)
    model = _Convolutional(nn.MaxPool2d(2)).double().eval()
    with torch.no_grad():
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.3, 4.0)
        model.norm.weight.normal_()
        model.norm.bias.normal_()
    x, y = torch.randn(4, 2, 8, 8).double(), torch.randint(0, 3, (4,))
    objective = Objective(model, "cross_entropy", (x, y))
    assert len(normalisations(objective.network)) == 1
    changed, names = absorb(objective.network, objective.parameters)
    assert set(names) == {"norm.running_mean", "norm.running_var"}
    assert bool((changed["norm.running_mean"] == 0).all()) and bool((changed["norm.running_var"] == 1).all())
    assert objective.value(changed) == pytest.approx(objective.value(), rel=1e-12)


def test_statistics_without_gains_become_variables():
    torch.manual_seed(2)
    x, y = torch.randn(12, 2, 8, 8), torch.randint(0, 3, (12,))
    network = _Convolutional(nn.MaxPool2d(2))
    network.norm = nn.BatchNorm2d(4, affine=False)
    model = _trained(network, x, y, nn.functional.cross_entropy, steps=60)
    certificate = prove(Objective(model, "cross_entropy", (x, y)), claim="midpoint")
    if certificate:
        assert {"norm.running_mean", "norm.running_var"} <= set(certificate.variables)
        assert checker.check(certificate.to_bytes()).accepted


# the enclosures, against exact rationals ------------------------------------------------------------------------------
def _exact_value(objective, point):
    arithmetic = ExactArithmetic()
    lifted = {name: arithmetic.lift(point[name]) for name in objective.network.parameters}
    graph = objective.graph
    inputs = dict(zip(graph.inputs, map(arithmetic.lift, (objective.x, objective.target)), strict=True))
    losses = evaluate(graph, arithmetic, lifted, inputs)[0]
    total = sum((Fraction(int(v.p), int(v.q)) for v in losses.flatten().tolist()), Fraction(0))
    return total / objective.samples


def _exact_average(step, point):
    arithmetic = ExactArithmetic()
    lifted = {name: arithmetic.lift(tensor) for name, tensor in point.items()}
    image, total = dict(lifted), {name: lifted[name] for name in step.moves}
    for _ in range(step.order - 1):
        for name, axes in step.sources().items():
            for axis, source in axes:
                image[name] = arithmetic.take(image[name], source, axis)
        total = {name: arithmetic.add(total[name], image[name]) for name in total}
    shapes = {name: arithmetic.shape(total[name]) for name in total}
    mean = {name: arithmetic.div(t, arithmetic.full(shapes[name], step.order)) for name, t in total.items()}
    return {**lifted, **mean}


@pytest.mark.parametrize("seed", range(4))
def test_enclosures_contain_the_exact_values(seed):
    torch.manual_seed(seed)
    x = torch.randn(9, 4)
    y = torch.randn(9, 2)
    model = _trained(_mlp(widths=(4, 6, 2)), x, y, nn.functional.mse_loss, seed=seed)
    objective = Objective(model, "mse", (x, y))
    certificate = prove(objective, claim="midpoint")
    assert isinstance(certificate, Certificate)
    raw = certificate.document["steps"][0]
    step = Step(raw["units"], raw["order"], {n: [(a, p) for a, p in pairs] for n, pairs in raw["moves"].items()})
    low, high = certificate.enclosures["points"][0]
    at_start = _exact_value(objective, objective.parameters)
    assert Fraction(low) <= at_start <= Fraction(high)
    assert certificate.document["agreement"]["enclosure width"] < 1e-12  # what is stated leaves room for the checker
    assert high - low < certificate.gap / 100
    graph, arithmetic = objective.graph, ExactArithmetic()
    inputs = dict(zip(graph.inputs, map(arithmetic.lift, (objective.x, objective.target)), strict=True))
    losses = evaluate(graph, arithmetic, _exact_average(step, objective.parameters), inputs)[0].flatten().tolist()
    at_average = sum((Fraction(int(v.p), int(v.q)) for v in losses), Fraction(0)) / 9
    low, high = certificate.enclosures["average"]
    assert Fraction(low) <= at_average <= Fraction(high)
    assert at_average - at_start >= Fraction(certificate.gap) > 0


# what must not be proved ----------------------------------------------------------------------------------------------
class _SumOfWeights(nn.Module):
    """f = (w₁ + w₂)·x: symmetric and convex."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.3, -1.7]))

    def forward(self, x):
        return self.w.sum() * x


def test_symmetric_but_convex_is_not_proved():
    x = torch.randn(20, 1)
    result = prove(Objective(_SumOfWeights().eval(), "mse", (x, 3 * x)), claim="best")
    assert isinstance(result, NotProven) and not result
    assert "higher" in result.reason
    assert result.best_gap is not None and result.best_gap <= 1e-12
    assert [text.partition(":")[0] for text in result.tried if "tried" in text][:2] == ["swap", "orbit-average"]


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("claim", ["midpoint", "orbit-average", "best"])
def test_linear_and_logistic_regression_are_not_proved(loss, claim):
    x, y = _data()
    target = y if loss == "cross_entropy" else torch.randn(len(x), 4)
    result = prove(Objective(nn.Linear(5, 4).eval(), loss, (x, target)), claim=claim)
    assert isinstance(result, NotProven)
    assert "width 1" in result.reason


def test_features_that_are_not_trained_make_a_convex_problem():
    """Least squares on fixed features: the first layer is frozen, so no exchange is allowed."""
    x, _ = _data()
    model = _mlp(widths=(5, 6, 4)).eval()
    model[0].requires_grad_(False)
    objective = Objective(model, "mse", (x, torch.randn(len(x), 4)))
    assert objective.variables == ("2.weight", "2.bias")
    result = prove(objective, claim="swap")
    assert isinstance(result, NotProven) and "not trained: 0.weight, 0.bias" in result.reason
    assert isinstance(prove(objective), NotProven)
    model.requires_grad_(False)
    assert len(Objective(model, "mse", (x, torch.randn(len(x), 4))).variables) == 4


class _ReadsItsStatistics(nn.Module):
    """The running variance is read a second time, so that absorbing it would change the function."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.norm(self.first(x)) * torch.relu(2 - self.norm.running_var))


class _TiedGain(nn.Module):
    """The gain of the normalisation is the bias of a layer too."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.first.bias = self.norm.weight

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))


@pytest.mark.parametrize("build", [_ReadsItsStatistics, _TiedGain])
def test_vectors_with_another_reader_are_not_absorbed(build):
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        model.norm.running_var.copy_(torch.tensor([3.0, 4.0, 5.0, 6.0]))
        model.norm.running_mean.normal_()
        model.norm.weight.normal_()
    x = torch.randn(9, 3)
    objective = Objective(model, "mse", (x, torch.randn(9, 2)))
    assert absorb(objective.network, objective.parameters) == (objective.parameters, ())
    certificate = prove(objective, claim="swap")
    if certificate:
        agreement = certificate.document["agreement"]
        for place in ("A", "moved", "average"):
            model_loss, program = (agreement[f"loss of the {w} at {place}"] for w in ("PyTorch model", "program"))
            assert model_loss == pytest.approx(program, rel=1e-9)
        assert {"norm.running_mean", "norm.running_var"} <= set(certificate.variables)


def test_a_program_that_is_not_the_model_is_not_proved(monkeypatch):
    x, y = _data()
    model = _trained(_mlp(), x, y, nn.functional.cross_entropy)
    original = Objective.reference
    monkeypatch.setattr(Objective, "reference", lambda self, point: original(self, point) + 0.01)
    result = prove(Objective(model, "cross_entropy", (x, y)), claim="midpoint")
    assert isinstance(result, NotProven) and "is not the model" in result.reason


def test_width_one_says_so():
    x, y = _data()
    objective = Objective(_mlp(widths=(5, 1, 4)).eval(), "cross_entropy", (x, y))
    result = prove(objective, claim="swap")
    assert isinstance(result, NotProven) and "width 1" in result.reason
    for claim in ("rescaling", "curvature"):  # which need no second unit
        certificate = prove(objective, claim=claim)
        assert certificate and checker.check(certificate.to_bytes()).accepted


def test_identical_units_say_so():
    x, y = _data()
    model = _mlp(widths=(5, 3, 4)).eval()
    with torch.no_grad():
        model[0].weight[:] = model[0].weight[0]
        model[0].bias[:] = model[0].bias[0]
        model[2].weight[:] = model[2].weight[:, :1]
    result = prove(Objective(model, "cross_entropy", (x, y)), claim="swap")
    assert isinstance(result, NotProven) and "identical" in result.reason


def test_a_gap_below_the_enclosure_is_not_proved(monkeypatch):
    x, y = _data()
    model = _trained(_mlp(), x, y, nn.functional.cross_entropy)
    from orbitope.proof import enclosing

    original = enclosing._bounds
    monkeypatch.setattr(
        enclosing,
        "_bounds",
        lambda *given: tuple(v + d for v, d in zip(original(*given), (-9, 9), strict=True)),
    )
    result = prove(Objective(model, "cross_entropy", (x, y)), claim="swap")
    assert isinstance(result, NotProven) and "width of the enclosure" in result.reason


class _Eigenvalue(nn.Module):
    """The determinant of a matrix has no enclosure."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.last(torch.relu(self.first(x))) * torch.linalg.det(self.first.weight[:5])


def test_an_operation_without_an_enclosure_is_named():
    x, y = _data()
    result = prove(Objective(_Eigenvalue().eval(), "cross_entropy", (x, y)))
    assert isinstance(result, NotProven) and "no exact arithmetic evaluates this network" in result.reason
    assert "det" in result.reason


@pytest.mark.parametrize("limit", [1000, 30_000])
def test_more_work_than_the_checker_does_is_refused(monkeypatch, limit):
    x, y = _data()
    model = _trained(_mlp(), x, y, nn.functional.cross_entropy)
    monkeypatch.setattr(checker, "FLINT_LIMIT", limit)
    result = prove(Objective(model, "cross_entropy", (x, y)), claim="swap")
    assert isinstance(result, NotProven) and "units of work" in result.reason


def test_unknown_claim_is_refused():
    x, y = _data()
    with pytest.raises(InputError, match="claim"):
        prove(Objective(_mlp().eval(), "cross_entropy", (x, y)), claim="convex")


# chains ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [2, 3, 4, 6, 7, 12])
def test_a_chain_makes_all_units_alike(width):
    x, y = _data()
    objective = Objective(_mlp(widths=(5, width, 4)).eval(), "cross_entropy", (x, y))
    group = infer(objective.network)
    steps = chain(group, group.units[0])
    orders = 1
    point = objective.parameters
    for step in steps:
        orders *= step.order
        image = point
        for _ in range(step.order):
            image = moved(step, image)
        assert all(torch.equal(image[name], point[name]) for name in point)
        point = averaged(step, point)
    assert orders == width
    mean = objective.parameters["0.weight"].double().mean(0)
    assert torch.allclose(point["0.weight"].double(), mean.expand(width, -1), atol=1e-12)
    outgoing = objective.parameters["2.weight"].double().mean(1, keepdim=True)
    assert torch.allclose(point["2.weight"].double(), outgoing.expand(-1, width), atol=1e-12)


class _InFloat32(nn.Module):
    """A model that fails in float64."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x):
        h = torch.relu(self.up(x))
        if h.dtype == torch.float64:
            raise RuntimeError("float32 only")
        return self.down(h)


def test_a_model_that_does_not_run_in_float64_is_not_proved():
    torch.manual_seed(0)
    found = prove(Objective(_InFloat32().eval(), "mse", (torch.randn(30, 3), torch.randn(30, 2))), claim="swap")
    assert not found
    assert "does not run at A" in str(found)
