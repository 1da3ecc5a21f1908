"""The survey: its networks, measurements, records, resumption, exceptions and proofs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import orbitope
from orbitope.activations import ACTIVATIONS
from orbitope.errors import DataError, FileError, InputError
from orbitope.surveys import tables
from orbitope.surveys.cells import Cell, Proofs, run
from orbitope.surveys.measuring import curvature, dead, distinct, measure
from orbitope.surveys.networks import Network, collapsed, exchanged, pairs
from orbitope.surveys.page import page
from orbitope.surveys.problems import Problem, problem, small_digits
from orbitope.surveys.reading import exceptions, remarks
from orbitope.surveys.records import Records
from orbitope.surveys.running import Survey, survey
from orbitope.surveys.training import train


def toy(loss: str = "cross_entropy", weight_decay: float = 1e-2) -> Problem:
    g = torch.Generator().manual_seed(0)
    return problem((torch.randn(15, 3, generator=g).double(), torch.arange(15) % 4), loss, weight_decay, "toy")


def net(name: str = "tanh", width: int = 3, depth: int = 2, loss: str = "cross_entropy") -> Network:
    return Network(toy(loss), ACTIVATIONS[name].function, width, depth)


def loaded(network: Network, flat: torch.Tensor) -> nn.Module:
    module = network.module()
    module.load_state_dict(network.split(flat))
    return module


# the function ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_loss_is_torchs(loss: str) -> None:
    network = net(loss=loss)
    flat = network.initial(5)
    module = loaded(network, flat)
    outputs, y = module(network.problem.x), network.problem.y
    data = nn.functional.mse_loss(outputs, y) if loss == "mse" else nn.functional.cross_entropy(outputs, y)
    expected = data + 0.005 * sum((p**2).sum() for p in module.parameters())
    assert network.value(flat) == pytest.approx(expected.item(), abs=1e-12)
    assert network.values(torch.stack([flat, 2 * flat]))[1].item() == pytest.approx(network.value(2 * flat))
    assert Proofs(network).objective.value(network.split(flat)) == pytest.approx(expected.item(), abs=1e-12)


def test_exchanges_keep_the_function_and_the_average_is_over_all_of_them() -> None:
    network = net(width=3, depth=2)
    flat = network.initial(0)
    for pair in pairs(network):
        twin = exchanged(network, flat, *pair)
        assert not torch.equal(twin, flat)
        assert torch.allclose(network.hidden(twin)[-1], network.hidden(flat)[-1], atol=1e-13)
    p, total = network.split(flat), torch.zeros_like(flat)
    orders = [torch.tensor(order) for order in itertools.permutations(range(3))]
    for a, b in itertools.product(orders, orders):
        images = {
            "0.weight": p["0.weight"][a],
            "0.bias": p["0.bias"][a],
            "2.weight": p["2.weight"][b][:, a],
            "2.bias": p["2.bias"][b],
            "4.weight": p["4.weight"][:, b],
            "4.bias": p["4.bias"],
        }
        total += network.joined(images)
    assert torch.allclose(collapsed(network, flat), total / 36, atol=1e-13)


def test_training_ends_where_the_gradient_vanishes() -> None:
    for name in ("tanh", "hardsigmoid"):
        network = net(name, loss="mse")
        found = train(network, network.initial(0))
        leaf = found.point.clone().requires_grad_()
        gradient = torch.autograd.grad(network.loss(leaf), leaf)[0].norm().item()
        assert gradient == pytest.approx(found.gradient) and gradient < 1e-6
        assert network.value(found.point) < network.value(network.initial(0))


# measurements ---------------------------------------------------------------------------------------------------
def test_measurements_by_brute_force() -> None:
    network = net(width=3, depth=2)
    flat = network.initial(1)
    found = measure(network, flat, seed=4)
    gaps = {}
    for pair in pairs(network):
        middle = (flat + exchanged(network, flat, *pair)) / 2
        module = loaded(network, middle)
        data = nn.functional.cross_entropy(module(network.problem.x), network.problem.y)
        gaps[pair] = (data + 0.005 * middle.square().sum()).item() - found["loss"]
    assert found["swaps"] == 6 and found["bumps"] == sum(gap > 1e-12 for gap in gaps.values())
    assert tuple(found["best_swap"]) == max(gaps, key=gaps.__getitem__)
    assert found["best_gap"] == pytest.approx(max(gaps.values()))
    assert any(found["random_gap"] == pytest.approx(gap) for gap in gaps.values())
    assert found["gradient_b"] == pytest.approx(found["gradient_a"])
    hessian = torch.autograd.functional.hessian(network.loss, flat)
    assert found["curvature_a"] == pytest.approx(torch.linalg.eigvalsh(hessian)[0].item(), abs=1e-9)


def test_lanczos_and_differences_find_the_smallest_eigenvalue(monkeypatch: pytest.MonkeyPatch) -> None:
    network = net(width=8, depth=2)
    flat = network.initial(2)
    hessian = torch.autograd.functional.hessian(network.loss, flat)
    true = torch.linalg.eigvalsh(hessian)[0].item()
    assert network.size > 128
    found = curvature(network, flat)
    assert found is not None and true - 1e-9 <= found <= true + 1e-3 * abs(true)
    v = torch.randn(network.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    hard = net("hardsigmoid", width=8, depth=2)  # torch has no second derivative of it
    expected = (hard.gradient(flat + 1e-6 * v)[1] - hard.gradient(flat - 1e-6 * v)[1]) / 2e-6
    assert torch.allclose(hard.curve(flat)(v), expected, rtol=1e-4, atol=1e-6)


def test_identical_and_dead_units_are_counted() -> None:
    network = net("relu", width=4, depth=1)
    p = dict(network.split(network.initial(0)))
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("2.weight", 1)):
        order = torch.tensor([0, 0, 2, 3])
        p[name] = p[name].index_select(axis, order)
    p["0.bias"][3] = -100.0
    flat = network.joined(p)
    assert distinct(network, flat) == [3] and dead(network, flat) == [1]
    found = measure(network, flat, 0)
    same = [pair for pair in pairs(network) if pair == (0, 0, 1)]
    assert len(same) == 1 and found["bumps"] < found["swaps"]


# records ----------------------------------------------------------------------------------------------------------
TINY: dict[str, Any] = {"widths": (1, 2), "depths": (1,), "losses": ("mse",), "seeds": (0,), "prove": False, "jobs": 1}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    return toy().x, torch.arange(15) % 4


def without_time(records: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def test_an_interrupted_survey_goes_on(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(["tanh", "sin"], data=data(), folder=tmp_path, progress=stop, **TINY)
    file = tmp_path / "records.jsonl"
    assert len(file.read_text().splitlines()) == 2
    with open(file, "a") as f:  # and the power failed while a line was written
        f.write('{"key": "tanh 2 1 ms')
    ticks: list[tuple[int, int]] = []
    found = survey(["tanh", "sin"], data=data(), folder=tmp_path, progress=lambda *t: ticks.append(t), **TINY)
    assert found.fresh == 2 and ticks[0] == (2, 4) and ticks[-1] == (4, 4)
    assert without_time(found.records) == without_time(survey(["tanh", "sin"], data=data(), **TINY).records)
    assert all(json.loads(line) for line in file.read_text().splitlines())
    again = survey(["sin", "tanh"], data=data(), folder=tmp_path, **TINY)
    assert again.fresh == 0 and [r["activation"] for r in again.records] == ["sin"] * 2 + ["tanh"] * 2


def test_other_settings_are_other_records(tmp_path: Path) -> None:
    x, y = data()
    few = {**TINY, "widths": (2,)}
    assert survey(["tanh"], data=(x, y), folder=tmp_path, **few).fresh == 1
    assert survey(["tanh"], data=(x, y), folder=tmp_path, **few).fresh == 0
    assert survey(["tanh"], data=(x + 1, y), folder=tmp_path, **few).fresh == 1
    assert survey(["tanh"], data=(x, y), folder=tmp_path, weight_decay=0.1, **few).fresh == 1
    assert survey({"own": torch.sin}, data=(x, y), folder=tmp_path, **few).fresh == 1
    assert survey({"own": torch.cos}, data=(x, y), folder=tmp_path, **few).fresh == 1, "another function, one name"
    assert survey({"own": torch.sin}, data=(x, y), folder=tmp_path, **few).fresh == 0


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text('{"key": "a"}\nhello\n{"key": "b"}\n')
    before = (tmp_path / "records.jsonl").read_bytes()
    with pytest.raises(FileError, match="no file of survey records") as caught:
        Records(tmp_path / "records.jsonl")
    assert caught.value.at is not None and caught.value.at.endswith(":2")
    assert (tmp_path / "records.jsonl").read_bytes() == before
    with pytest.raises(FileError):
        Records(tmp_path / "records.jsonl" / "x.jsonl")


@pytest.mark.slow
def test_processes_give_the_same_records() -> None:
    alone, together = (survey(["tanh"], data=data(), **{**TINY, "jobs": jobs}) for jobs in (1, 2))
    assert without_time(alone.records) == without_time(together.records)
    with pytest.raises(InputError, match="cannot be sent to another process"):
        survey({"mine": lambda x: x}, data=data(), **{**TINY, "jobs": 2})


# proofs and what they say ---------------------------------------------------------------------------------------
def test_a_trained_network_is_proved_by_its_best_swap() -> None:
    (record,) = run(Cell("tanh", 3, 1, (0,), toy(weight_decay=1e-3)))
    last = record["trained"]
    assert last["proved"] == "swap" and last["best_gap"] > 0
    assert 0 < last["proved_gap"] <= last["best_gap"] and last["proved_gap"] > 0.9 * last["best_gap"]
    said = {(r.step, r.kind) for r in remarks(record)}
    assert ("Q2", "supports") in said and ("Q4", "supports") in said and ("Q5", "supports") in said


def test_honest_exceptions() -> None:
    (narrow,) = run(Cell("hardtanh", 1, 1, (0,), toy(weight_decay=1e-3)))
    assert narrow["trained"]["best_gap"] is None and "width 1" in exceptions(narrow, "trained")
    assert narrow["trained"]["proved"] != "swap" and {r.step for r in remarks(narrow)} <= {"Q1", "Q6"}
    # so much weight decay that all units die: one point, no swap, and F may even be convex around it
    (gone,) = run(Cell("tanh", 3, 1, (0,), toy("mse", weight_decay=5.0)))
    last = gone["trained"]
    assert last["distinct"] == [1] and last["bumps"] == 0 and last["proved"] is None
    assert exceptions(gone, "trained") == ["dead units", "identical units"]
    assert ("Q5", "corrects") in {(r.step, r.kind) for r in remarks(gone)}


def nothing(x: torch.Tensor) -> torch.Tensor:
    return 0 * x


def test_a_convex_control_is_never_proved() -> None:
    # with this activation the outputs are the last biases: F is convex
    found = survey({"nothing": nothing}, widths=(3,), depths=(1, 2), seeds=(0,), data=data(), jobs=1)
    assert len(found.records) == 4
    for record in found.records:
        for phase in ("initial", "trained"):
            assert record[phase]["proved"] is None and record[phase]["bumps"] == 0


def branching(x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 0 else 1.0 * x


def test_an_activation_that_cannot_be_traced_is_measured() -> None:
    found = survey({"branching": branching}, widths=(2,), depths=(1,), losses=("mse",), seeds=(0,), data=data(), jobs=1)
    last = found.records[0]["trained"]
    assert last["best_gap"] is not None and last["proved"] is None and last["reason"]


# pages ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def found() -> Survey:
    return survey(["tanh", "relu"], data=data(), **{**TINY, "widths": (1, 3)})


def test_the_page_counts_right(found: Survey) -> None:
    totals = tables.totals(found.records)
    wide = [r for r in found.records if r["width"] == 3]
    assert (totals["networks"], totals["wide"], totals["narrow"]) == (4, 2, 2)
    assert totals["worse"] == sum(r["trained"]["best_gap"] > 1e-12 for r in wide)
    text = page(found.records)
    assert text.count("| tanh |") >= 4 and "nan" not in text.lower() and str(found) in text
    assert f"Of {totals['wide']} trained networks" in text


def test_the_figure_is_drawn(found: Survey) -> None:
    from orbitope.reports.style import to_svg
    from orbitope.surveys.figure import figure

    drawn = figure(found.records)
    texts = [t.get_text() for axes in drawn.axes for t in axes.texts]
    shares = [f"{r['initial']['bumps'] / 3:.0%}" for r in found.records if r["width"] == 3]
    assert texts[:4] == ["–", shares[0], "–", shares[1]] and len(texts) == 8
    assert to_svg(drawn) == to_svg(figure(found.records))


# bad input --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"widths": (2, 0)}, "width 0: a layer without units"),
        ({"depths": (0,)}, "depth 0: without a hidden layer"),
        ({"seeds": ()}, "nothing to survey"),
        ({"losses": ("hinge",)}, "does not know the loss 'hinge'"),
        ({"weight_decay": 0.0}, "the weight decay is not positive"),
        ({"weight_decay": float("nan")}, "the weight decay is not positive"),
        ({"jobs": 0}, "one process at least"),
        ({"activations": ["rleu"]}, "unknown activation 'rleu'"),
        ({"activations": {"relu": nothing}}, "has a known name"),
        ({"activations": {"mine": torch.log}}, "not finite everywhere"),
    ],
)
def test_bad_settings(change: dict[str, Any], what: str) -> None:
    settings: dict[str, Any] = {"activations": ["tanh"], "data": data(), **TINY, **change}
    with pytest.raises(InputError) as caught:
        survey(settings.pop("activations"), **settings)
    assert what in str(caught.value)


def test_bad_data() -> None:
    x, y = data()
    with pytest.raises(DataError, match="class number"):
        survey(["tanh"], data=(x, x), **{**TINY, "losses": ("cross_entropy",)})
    with pytest.raises(DataError, match="not finite"):
        survey(["tanh"], data=(x * torch.nan, y), **TINY)
    assert {r["loss"] for r in survey(["tanh"], data=(x, x), **{**TINY, "losses": None, "widths": (1,)}).records} == {
        "mse"
    }


def test_the_digits_are_a_fixed_sample() -> None:
    x, y = small_digits()
    assert x.shape == (100, 16) and torch.allclose(x.mean(0), torch.zeros(16, dtype=torch.float64), atol=1e-12)
    assert torch.equal(y, small_digits()[1]) and len(y.unique()) == 10
    assert orbitope.survey is survey
