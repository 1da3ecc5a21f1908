"""The digits, and the networks that learn them."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from tests.cli.conftest import Runner

from orbitope.errors import InputError
from orbitope.reports.digits import ACTIVATIONS, classifier, cnn, digits, train


def test_digits_and_their_splits() -> None:
    x, y = digits()
    assert x.shape == (1797, 64) and x.dtype == torch.float32 and y.dtype == torch.int64
    assert x.min() == 0 and x.max() == 1 and torch.equal(x * 16, (x * 16).round())
    (a, b), (c, d) = digits("train"), digits("test")
    assert (len(a), len(c)) == (1438, 359) and len(b) == len(a) and len(d) == len(c)
    assert torch.equal(c, x[4::5]) and torch.equal(d, y[4::5])
    assert torch.equal(torch.cat([a, c]).sum(0), x.sum(0))
    assert {*d.tolist()} == {*range(10)}
    with pytest.raises(InputError, match="no split 'half'"):
        digits("half")


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch, run: Runner) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError) as caught:
        digits()
    assert str(caught.value) == (
        "error[E100] the handwritten digits need scikit-learn, which is not installed\n"
        "  why  the images are part of that package; Orbitope downloads nothing\n"
        '  fix  pip install "orbitope[demo]"'
    )
    done = run("explain", "demo:digits-mlp", "--data", "digits")
    assert done.code == 2 and 'pip install "orbitope[demo]"' in done.err


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("threads", [1, 2])
def test_training_is_a_function_of_its_seed(threads: int) -> None:
    x, y = digits("train")
    before, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(threads)
    try:
        found = []
        for noise in (1, 2):
            torch.manual_seed(noise)
            model = classifier(seed=3)
            losses = train(model, x, y, epochs=2, seed=5)
            found.append(weights(model))
            assert len(losses) == 2 and losses[1] < losses[0] and not model.training
        assert torch.equal(found[0], found[1])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
        torch.set_rng_state(state)
    other = classifier(seed=4)
    train(other, x, y, epochs=2, seed=5)
    assert not torch.equal(weights(other), found[0])


def test_building_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    classifier(seed=1), cnn(seed=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_classifier_learns() -> None:
    x, y = digits("train")
    seen: list[Any] = []
    model = classifier(seed=0)
    train(model, x, y, epochs=15, seed=0, progress=lambda done, total: seen.append((done, total)))
    assert (model(x).argmax(1) == y).float().mean() > 0.97
    assert seen == [(k + 1, 15) for k in range(15)]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name: str) -> None:
    assert classifier((8,), name)(torch.zeros(2, 64)).shape == (2, 10)


def test_unknown_activation() -> None:
    with pytest.raises(InputError, match="unknown activation"):
        classifier(activation="step")


def test_cnn() -> None:
    x, _ = digits("test")
    assert cnn(0)(x).shape == (359, 10) and torch.equal(weights(cnn(2)), weights(cnn(2)))
