"""Digits: the time of a proof and of its check, as multiples of one float64 forward pass over the data.

Run: python benchmarks/proof.py

64-32-32-10, ReLU, cross-entropy, all 1797 images; the network is trained as in the demonstration. Everything runs in
one process, one after the other, on one thread; each time is the median of several.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # read once, when NumPy and torch are loaded

import torch

from orbitope.infer import infer
from orbitope.objective import Objective
from orbitope.proof import Certificate, check_certificate, prove
from orbitope.proof.prover import _Attempt
from orbitope.reports.digits import classifier, digits, train


def seconds(work: Callable[[], object], times: int) -> float:
    """The median time of several runs."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    x, y = digits()
    model = classifier(seed=0)
    train(model, x, y, seed=0)
    objective = Objective(model, "cross_entropy", (x, y))
    group = infer(objective.network)
    double, wide = classifier().double(), x.double()
    double.load_state_dict({name: tensor.double() for name, tensor in model.state_dict().items()})
    with torch.no_grad():
        forward = seconds(lambda: torch.nn.functional.cross_entropy(double(wide), y), 51)
    attempt = _Attempt(objective, group, None, lambda *_: None)
    ball = {name: attempt.balls.lift(tensor) for name, tensor in attempt.start.items()}
    enclosure = seconds(lambda: attempt._bounds(ball), 11)
    print(f"{'one float64 forward pass and loss':<44} {1e3 * forward:9.2f} ms      1 ×")
    print(f"{'one enclosure of the loss (float64 balls)':<44} {1e3 * enclosure:9.2f} ms {enclosure / forward:6.1f} ×")
    for claim in ("midpoint", "orbit-average"):
        found: list[Certificate] = []
        proving = seconds(lambda claim=claim, found=found: found.append(prove(objective, group, claim=claim)), 3)
        certificate = found[-1]
        data = certificate.to_bytes()
        checking = seconds(lambda data=data: check_certificate(data), 3)
        low, high = certificate.enclosures["average"]
        print(f"{claim + ': prove, search included':<44} {1e3 * proving:9.2f} ms {proving / forward:6.0f} ×")
        print(f"{claim + ': check (exact integers)':<44} {1e3 * checking:9.2f} ms {checking / forward:6.0f} ×")
        print(f"{'':<4}gap {certificate.gap:.6g} nats, enclosure {high - low:.1e} wide, {len(data):,} bytes")


if __name__ == "__main__":
    main()
