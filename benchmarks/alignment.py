"""Digits: the barrier between two independently trained networks, as they are and after weight matching.

Run: python benchmarks/alignment.py [--widths 32 128] [--pairs 3]

scikit-learn's 1797 handwritten digits, pixels divided by 16, 1347 for training and 450 for testing; ReLU networks
with one or three hidden layers of equal width, Adam with learning rate 1e-3, 60 epochs, batches of 128. Test-loss
barrier over 11 points, mean over pairs of seeds. The figures beside ours are those of other projects' weight matching
on the same task, measured on other seeds and another split, so that a difference of the size of the spread between
pairs means nothing.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from statistics import mean, stdev

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from orbitope import symmetries
from orbitope.alignment import ALIGNMENTS, align
from orbitope.landscapes import Barrier, barrier
from orbitope.objective import Objective

PEERS = {(1, 32): (0.56, 0.067), (1, 128): (0.24, 0.025), (3, 32): (2.04, 0.30), (3, 128): (1.18, 0.049)}
"""(hidden layers, width): barrier as trained, and after weight matching."""


def network(depth: int, width: int) -> nn.Sequential:
    """A ReLU network 64 – width – … – 10."""
    widths = [64, *[width] * depth, 10]
    layers = [layer for n, m in pairwise(widths) for layer in (nn.Linear(n, m), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def trained(depth: int, width: int, x: torch.Tensor, y: torch.Tensor, seed: int) -> nn.Sequential:
    """One network after 60 epochs."""
    torch.manual_seed(seed)
    model = network(depth, width)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        for batch in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model.eval()


def main() -> None:
    """Train, align, measure, print."""
    parser = argparse.ArgumentParser(description="barriers on digits before and after alignment")
    parser.add_argument("--widths", type=int, nargs="+", default=[32])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--method", choices=sorted(ALIGNMENTS), default="weights")
    options = parser.parse_args()
    digits = load_digits()
    split = train_test_split(digits.data / 16, digits.target, test_size=450, random_state=0, stratify=digits.target)
    x, test_x = (torch.tensor(part, dtype=torch.float32) for part in split[:2])
    y, test_y = (torch.tensor(part) for part in split[2:])
    print(f"mean (standard deviation) of {options.pairs} pairs; {torch.get_num_threads()} threads")
    for depth in (1, 3):
        for width in options.widths:
            naive: list[Barrier] = []
            after: list[Barrier] = []
            seconds = []
            for pair in range(options.pairs):
                a, b = (trained(depth, width, x, y, 2 * pair + k) for k in (0, 1))
                group = symmetries(a, (x[:3],))
                objective = Objective(a, "cross_entropy", (test_x, test_y))
                start = time.perf_counter()
                alignment = align(a.state_dict(), b.state_dict(), group, options.method, seed=pair)
                seconds.append(time.perf_counter() - start)
                naive.append(barrier(objective, a.state_dict(), b.state_dict(), points=11))
                twin = alignment.element.act(b.state_dict())
                after.append(barrier(objective, a.state_dict(), twin, points=11))
            print(f"\n{depth} hidden of {width}")
            for label, found, peer in zip(
                ("as trained", options.method), (naive, after), _peers(depth, width), strict=True
            ):
                heights = [each.height for each in found]
                spread = f" ({stdev(heights):.3f})" if len(heights) > 1 else ""
                accuracy = mean(each.midpoint_accuracy or 0.0 for each in found)
                print(
                    f"  {label:12} barrier {mean(heights):.3f}{spread}, peers {peer}; midpoint accuracy {accuracy:.1%}"
                )
            print(f"  alignment    {mean(seconds):.3f} s")


def _peers(depth: int, width: int) -> tuple[str, str]:
    naive, matched = PEERS.get((depth, width), (None, None))
    return ("–", "–") if naive is None else (f"{naive:.3f}", f"{matched:.3f}")


if __name__ == "__main__":
    main()
