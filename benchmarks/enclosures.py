"""What rigour costs: one enclosure of the outputs beside one float64 forward pass of torch, on one thread.

Run: python benchmarks/enclosures.py

The networks have random weights but the first, which is trained as in the demonstration. Times are processor times, the
median of several runs, one after the other in one process. A width is that of the widest output.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # read once, when NumPy and torch are loaded

import torch
from torch import nn
from torch.nn import functional

from orbitope.arithmetic import ArbArithmetic, Ball, BallArithmetic, NormArithmetic
from orbitope.errors import EnclosureError
from orbitope.frontends import lower, trace
from orbitope.graph import Graph
from orbitope.primitives import evaluate
from orbitope.reports.digits import classifier, digits, train


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        """Random weights."""
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        self.short = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of both, rectified."""
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(y)) + self.short(x))


def resnet20() -> nn.Module:
    """For images of 32 × 32, with batch statistics of random images."""
    widths = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    model = nn.Sequential(*stem, *(Residual(*w) for w in widths), *head)
    with torch.no_grad():
        for _ in range(20):
            model(torch.rand(32, 3, 32, 32))
    return model


class Block(nn.Module):
    """Attention to what came before, and a layer for each token."""

    def __init__(self, width: int, heads: int) -> None:
        """Random weights."""
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both, each beside a shortcut."""
        samples, steps, width = x.shape
        split = self.mix(self.norms[0](x)).reshape(samples, steps, 3, self.heads, width // self.heads)
        mixed = functional.scaled_dot_product_attention(*split.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(samples, steps, width))
        return x + self.down(functional.gelu(self.up(self.norms[1](x))))


class Decoder(nn.Module):
    """A small GPT."""

    def __init__(self, layers: int, width: int, heads: int, steps: int) -> None:
        """Random weights."""
        super().__init__()
        self.tokens, self.places = nn.Embedding(96, width), nn.Parameter(0.02 * torch.randn(steps, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 96, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the next token."""
        return self.head(self.norm(self.blocks(self.tokens(x) + self.places)))


def seconds(work: Callable[[], object], times: int) -> float:
    """The median processor time of several runs."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return median(taken)


def lifted(model: nn.Module, graph: Graph, arithmetic: Any) -> Mapping[str, Any]:
    """The parameters by canonical name."""
    named = {**model.state_dict(), **dict(model.named_parameters(remove_duplicate=False))}
    found = {name: next(named[n] for n in p.names if n in named) for name, p in graph.parameters.items()}
    return {name: arithmetic.lift(tensor.detach()) for name, tensor in found.items()}


def widest(value: Any) -> float:
    """Of all entries."""
    if isinstance(value, Ball):
        return 0.0 if value.radius is None else 2.0 * float(value.radius.max())
    return 2.0 * max(float(v.rad()) for v in value.ravel().tolist())


def measure(name: str, model: nn.Module, x: torch.Tensor, arithmetics: list[Any], times: int) -> None:
    """The rows of one network."""
    model.eval()
    graph = lower(trace(model, (x,)))
    double, wide = model.double(), x.double() if x.is_floating_point() else x
    with torch.no_grad():
        plain = seconds(lambda: double(wide), times)
    print(f"| {name} | torch float64 | {1e3 * plain:.1f} ms | 1 | |", flush=True)
    for a in arithmetics:
        inputs, found = {graph.inputs[0]: a.samples(wide)}, [None]

        def run(a: Any = a, inputs: Any = inputs, found: list[Any] = found) -> None:
            found[0] = evaluate(graph, a, lifted(model, graph, a), inputs)[0]

        label = f"{a.name}, {a.precision} bits" if isinstance(a, ArbArithmetic) else a.name
        try:
            taken = seconds(run, 1 if isinstance(a, ArbArithmetic) else times)
        except EnclosureError as error:
            print(f"| {name} | {label} | | | {error.what} |", flush=True)
            continue
        print(f"| {name} | {label} | {1e3 * taken:.1f} ms | {taken / plain:.1f} | {widest(found[0]):.1e} |", flush=True)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    balls: list[Any] = [BallArithmetic(), NormArithmetic()]
    print("| network | arithmetic | time | × torch | width |\n|---|---|---|---|---|")
    x, y = digits()
    model = classifier(seed=0)
    train(model, x, y, seed=0)
    measure("digits 64-32-32-10, 1797 samples", model, x, [*balls, ArbArithmetic(53), ArbArithmetic(128)], 11)
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    measure("784-512-512-10, 10 000 samples", nn.Sequential(*layers), torch.rand(10_000, 784), balls, 5)
    measure("ResNet-20, 32 images", resnet20(), torch.rand(32, 3, 32, 32), balls, 1)
    small, large = Decoder(2, 64, 4, 64), Decoder(6, 192, 6, 128)
    measure("GPT, 2 layers of 64, 64 tokens", small, torch.randint(0, 96, (1, 64)), [*balls, ArbArithmetic(128)], 3)
    measure("GPT, 6 layers of 192, 128 tokens", large, torch.randint(0, 96, (1, 128)), [*balls, ArbArithmetic(256)], 1)


if __name__ == "__main__":
    main()
