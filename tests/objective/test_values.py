"""Objective: F and its gradient against PyTorch, and every kind of bad data."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from orbitope.errors import DataError, InputError, ParametersError, TrainingModeError
from orbitope.objective import Objective


@pytest.fixture
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


@pytest.fixture
def data():
    torch.manual_seed(1)
    return torch.randn(17, 6), torch.randint(0, 3, (17,))


def test_value_and_gradient_are_pytorchs(mlp, data):
    x, y = data
    objective = Objective(mlp, "cross_entropy", data)
    double = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    double.load_state_dict(mlp.state_dict())
    loss = nn.functional.cross_entropy(double(x.double()), y)
    loss.backward()
    assert objective.value() == pytest.approx(loss.item(), rel=1e-13)
    gradient = objective.gradient()
    assert set(gradient) == {name for name, _ in double.named_parameters()}
    for name, parameter in double.named_parameters():
        assert torch.allclose(gradient[name], parameter.grad, rtol=1e-12, atol=1e-14)


def test_mse_means_over_entries_too(mlp, data):
    x, _ = data
    target = torch.randn(17, 3)
    truth = nn.functional.mse_loss(mlp(x), target).item()
    assert Objective(mlp, "mse", (x, target)).value() == pytest.approx(truth, rel=1e-5)


def test_blocks_give_the_same_value(mlp, data, monkeypatch):
    whole = Objective(mlp, "cross_entropy", data).value()
    monkeypatch.setattr("orbitope.objective.function.BLOCK_ENTRIES", 20)
    objective = Objective(mlp, "cross_entropy", data)
    assert len(list(objective.blocks())) > 3
    assert objective.value() == pytest.approx(whole, rel=1e-14)


def test_arrays_and_loaders_are_data_too(mlp, data):
    x, y = data
    truth = Objective(mlp, "cross_entropy", data).value()
    assert Objective(mlp, "cross_entropy", (x.numpy(), y.numpy())).value() == truth
    loader = DataLoader(TensorDataset(x, y), batch_size=4)
    assert Objective(mlp, "cross_entropy", loader).value() == pytest.approx(truth, rel=1e-14)


def test_one_sample(mlp, data):
    x, y = data
    truth = nn.functional.cross_entropy(mlp(x[:1]), y[:1]).item()
    assert Objective(mlp, "cross_entropy", (x[:1], y[:1])).value() == pytest.approx(truth, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x, y: (x[:, :4], y), "do not fit the model"),
        (lambda x, y: (x, y.float()), "one class number for each sample"),
        (lambda x, y: (x, torch.full_like(y, 3)), "labels are out of range"),
        (lambda x, y: (x, y - 1), "labels are out of range"),
        (lambda x, y: (x, y[:-1]), "differ in number"),
        (lambda x, y: (x[:0], y[:0]), "no samples"),
        (lambda x, y: (x / 0, y), "not finite"),
        (lambda x, y: x, "not a pair"),
        (lambda x, y: (x, y, y), "not a pair"),
        (lambda x, y: DataLoader(TensorDataset(x)), "not a pair"),
        (lambda x, y: DataLoader([{"x": x[0], "y": y[0]}]), "not a pair"),
        (lambda x, y: (["a"], y), "not numbers"),
        (lambda x, y: (np.array([None] * 17), y), "not numbers"),
        (lambda x, y: (x.to(torch.complex64), y), "complex"),
    ],
)
def test_bad_data_get_one_clear_error(mlp, data, make, words):
    with pytest.raises(DataError, match=words):
        Objective(mlp, "cross_entropy", make(*data))


def test_targets_are_never_broadcast(mlp, data):
    with pytest.raises(DataError, match="output's shape"):
        Objective(mlp, "mse", (data[0], torch.randn(17)))


def test_all_bad_parameters_are_named_at_once(mlp, data):
    objective = Objective(mlp, "cross_entropy", data)
    params = dict(mlp.state_dict())
    params["0.weight"] = params["0.weight"][:4]
    params["extra"] = torch.zeros(2)
    del params["2.bias"]
    with pytest.raises(ParametersError) as error:
        objective.value(params)
    text = str(error.value)
    assert "0.weight" in text and "extra" in text and "2.bias" in text


def test_parameters_that_are_not_finite_are_refused(mlp, data):
    with torch.no_grad():
        mlp[0].weight[1, 2] = float("nan")
    with pytest.raises(ParametersError, match=r"(?s)0\.weight has 1"):
        Objective(mlp, "cross_entropy", data)


def test_training_mode_and_unknown_losses_are_refused(mlp, data):
    with pytest.raises(InputError, match="'hing'") as error:
        Objective(mlp, "hing", data)
    assert "cross_entropy, nll, mse" in str(error.value)
    with pytest.raises(InputError, match="no option 'smoothing'"):
        Objective(mlp, "cross_entropy:smoothing=0.1", data)
    with pytest.raises(TrainingModeError):
        Objective(mlp.train(), "cross_entropy", data)


def test_numpy_integer_labels_of_any_width(mlp, data):
    x, y = data
    truth = Objective(mlp, "cross_entropy", data).value()
    assert Objective(mlp, "cross_entropy", (x.numpy(), y.numpy().astype(np.int16))).value() == truth
