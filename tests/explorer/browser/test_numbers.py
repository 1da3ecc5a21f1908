"""What the page shows is what torch and the library compute for the network and the data that the page saved."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.explorer.browser.driver import Explorer, fragment
from tests.explorer.fixtures import network
from torch import nn

import orbitope

EXACT = 1e-9
HIDDEN = [4, 3]
FAMILIES = {"tanh": ("cross_entropy", 0.01), "relu": ("mse", 0.0), "gelu": ("cross_entropy", 0.0)}

Parameters = dict[str, torch.Tensor]


class Bench:
    """What the page saved, computed by torch alone."""

    def __init__(self, explorer: Explorer, folder: Path, activation: str) -> None:
        """Take what is on the page."""
        saved = load_file(explorer.save("safetensors", folder / "explorer.safetensors"))
        self.state = explorer.state(folder)
        self.x, self.y = saved.pop("data.x"), saved.pop("data.y")
        self.model = network(activation, self.x.shape[1], HIDDEN, 2)
        self.a: Parameters = {name: saved.pop(name) for name in self.model.state_dict()}
        assert not saved and len(self.x) == 60

    def loss(self, p: Parameters) -> float:
        """Written out here, not taken from the library."""
        out = torch.func.functional_call(self.model, p, (self.x,))
        if self.state["loss"] == "cross_entropy":
            value = nn.functional.cross_entropy(out, self.y)
        else:
            value = nn.functional.mse_loss(out, nn.functional.one_hot(self.y, 2).double())
        return (value + self.state["decay"] / 2 * sum(v.square().sum() for v in p.values())).item()

    def permuted(self, first: tuple[int, ...], second: tuple[int, ...]) -> Parameters:
        """The network with the nodes of both hidden layers in another order."""
        a, (r, s) = self.a, (list(first), list(second))
        return {
            "0.weight": a["0.weight"][r],
            "0.bias": a["0.bias"][r],
            "2.weight": a["2.weight"][s][:, r],
            "2.bias": a["2.bias"][s],
            "4.weight": a["4.weight"][:, s],
            "4.bias": a["4.bias"],
        }

    def average(self) -> Parameters:
        """The mean of all 4!·3! networks, one by one."""
        copies = [self.permuted(r, s) for r, s in product(permutations(range(4)), permutations(range(3)))]
        return {name: torch.stack([copy[name] for copy in copies]).mean(0) for name in self.a}


def mixed(a: Parameters, b: Parameters, t: float) -> Parameters:
    return {name: (1 - t) * a[name] + t * b[name] for name in a}


def flat(p: Parameters) -> torch.Tensor:
    return torch.cat([value.flatten() for value in p.values()])


def shaped(v: torch.Tensor, like: Parameters) -> Parameters:
    parts = v.split([value.numel() for value in like.values()])
    return {name: part.view_as(value) for (name, value), part in zip(like.items(), parts, strict=True)}


@pytest.fixture(params=FAMILIES)
def bench(explorer, tmp_path, request) -> Iterator[tuple[Explorer, Bench]]:
    """The page with its nodes 1 and 3 of the first hidden layer exchanged."""
    loss, decay = FAMILIES[request.param]
    explorer.open(fragment(HIDDEN, seed=3, activation=request.param, loss=loss, decay=decay))
    explorer.drag("node-0-0", "node-0-2")
    explorer.find("loss-b").wait_for()
    yield explorer, Bench(explorer, tmp_path, request.param)


def test_the_numbers_of_the_page_are_torchs(bench):
    explorer, saved = bench
    a, b = saved.a, saved.permuted((2, 1, 0, 3), (0, 1, 2))
    assert saved.state["swap"] == [0, 0, 2]
    assert explorer.value("loss-a") == pytest.approx(saved.loss(a), rel=EXACT)
    assert explorer.value("loss-b") == pytest.approx(saved.loss(b), rel=EXACT)

    # The slider.
    slider = explorer.find("slider-t")
    for t in (0.135, 0.5, 0.83):
        slider.fill(str(t))
        assert explorer.value("loss-shown") == pytest.approx(saved.loss(mixed(a, b, t)), rel=EXACT)
        assert f"t = {t:.2f}" in explorer.text("loss-t")

    # The curve.
    explorer.find("curve-line").wait_for()
    values = [float(v) for v in (explorer.find("curve-line").get_attribute("data-values") or "").split(",")]
    assert len(values) > 10
    wanted = [saved.loss(mixed(a, b, k / (len(values) - 1))) for k in range(len(values))]
    assert values == pytest.approx(wanted, rel=EXACT)

    # The plane: one step along B − A, and across it towards the average.
    origin, average = flat(a), saved.average()
    along = flat(b) - origin
    along /= along.norm()
    across = flat(average) - origin
    across -= across.dot(along) * along
    across /= across.norm()
    explorer.find("plane-point").wait_for()
    map_ = explorer.find("contour").bounding_box()
    assert map_ is not None
    for right, down in ((0.31, 0.27), (0.7, 0.8)):
        explorer.page.mouse.click(map_["x"] + right * map_["width"], map_["y"] + down * map_["height"])
        u, v = (float(explorer.find("plane-point").get_attribute(f"data-{name}") or "nan") for name in "uv")
        place = shaped(origin + u * along + v * across, a)
        assert explorer.value("loss-shown") == pytest.approx(saved.loss(place), rel=EXACT)


def test_the_average_has_one_value_for_each_layer(bench):
    explorer, saved = bench
    explorer.click("button-average")
    average = saved.average()
    wanted = saved.loss(average)
    assert explorer.value("loss-m") == pytest.approx(wanted, rel=EXACT)
    assert explorer.value("loss-shown") == pytest.approx(wanted, rel=EXACT)

    objective = orbitope.Objective(
        saved.model, saved.state["loss"], (saved.x, targets(saved)), weight_decay=saved.state["decay"]
    )
    means = dict(saved.a)
    for units in orbitope.symmetries(saved.model, (saved.x[:4],)).units:
        for name, axis in units.acts_on:
            means[name] = means[name].mean(axis, keepdim=True).expand_as(means[name])
    assert explorer.value("loss-m") == pytest.approx(objective.value(means), rel=EXACT)

    # Every node says the same of itself but its number.
    for layer, width in enumerate(HIDDEN):
        said = set()
        for index in range(width):
            explorer.click(f"node-{layer}-{index}")
            said.add(explorer.text("node-bar").replace(f"Node {index + 1} ", "Node ", 1))
            explorer.click(f"node-{layer}-{index}")
        assert len(said) == 1 and "bias" in said.pop()
    weights = f"{average['0.weight'][0, 0]:+.2f}".replace("-", "−")
    explorer.click("node-0-1")
    assert weights in explorer.text("node-bar")


def targets(saved: Bench) -> torch.Tensor:
    return saved.y if saved.state["loss"] == "cross_entropy" else nn.functional.one_hot(saved.y, 2).double()


def test_training_lowers_the_loss(explorer):
    explorer.open(fragment([4], seed=5, rate=0.01))
    before = explorer.value("loss-a")
    explorer.click("button-step")
    explorer.until("""document.querySelector('[data-testid="steps"]').innerText === '1'""")
    stepped = explorer.value("loss-a")
    assert stepped < before
    explorer.click("button-train")
    explorer.until("""+document.querySelector('[data-testid="steps"]').innerText.replace(',', '') >= 60""")
    explorer.click("button-train")
    assert explorer.text("button-train") == "Train"
    assert explorer.value("loss-a") < 0.8 * before
    steps = explorer.text("steps")
    explorer.frames(10)
    assert explorer.text("steps") == steps
