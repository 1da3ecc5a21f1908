"""Handwritten digits, and small networks that learn them in seconds.

The images come with scikit-learn: 1797 of 8 × 8 pixels, nothing is downloaded. Everything here is a function of
its seed: weights and the order of samples come from generators of their own, and training runs on one thread, so
that sums are taken in one order however many cores there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from orbitope.errors import InputError

Split = Literal["all", "train", "test"]
Progress = Callable[[int, int], object]

PIXELS, CLASSES = 64, 10

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}
"""By the name that :func:`classifier` takes."""


def digits(split: Split = "all") -> tuple[torch.Tensor, torch.Tensor]:
    """Images and their classes.

    Args:
        split: ``all`` 1797 images in the order of scikit-learn; ``test``, every fifth of them (numbers 4, 9, 14, …,
            359 images); ``train``, the other 1438. Neighbours often come from one writer, so both splits hold
            images of every writer.

    Returns:
        x: Float[Tensor, "n 64"], brightness from 0 to 1 in steps of 1/16, row by row from the top. y: Int64[Tensor,
        "n"], the digit.

    Raises:
        InputError: scikit-learn is not installed, or there is no such split.
    """
    if split not in ("all", "train", "test"):
        raise InputError(f"there is no split {split!r} of the digits", fix="choose all, train or test")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError(
            "the handwritten digits need scikit-learn, which is not installed",
            why="the images are part of that package; Orbitope downloads nothing",
            fix='pip install "orbitope[demo]"',
        ) from error
    images, classes = load_digits(return_X_y=True)
    x = torch.from_numpy(images).to(torch.float32) / 16
    y = torch.from_numpy(classes).to(torch.int64)
    if split == "all":
        return x, y
    test = torch.arange(len(x)) % 5 == 4
    chosen = test if split == "test" else ~test
    return x[chosen], y[chosen]


def classifier(hidden: Sequence[int] = (32, 32), activation: str = "relu", seed: int = 0) -> nn.Module:
    """A fully connected network from 64 pixels to 10 logits, in evaluation mode.

    Args:
        hidden: widths of the hidden layers; none gives logistic regression.
        activation: a key of :data:`ACTIVATIONS`.
        seed: of the initial weights.

    Raises:
        InputError: no such activation.
    """
    if activation not in ACTIVATIONS:
        raise InputError(f"unknown activation {activation!r}", fix=f"choose among {', '.join(ACTIVATIONS)}")
    widths = (PIXELS, *hidden)
    with _seeded(seed):
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], CLASSES)).eval()


def cnn(seed: int = 0) -> nn.Module:
    """A convolutional network from 64 pixels to 10 logits: two convolutions with ReLU, then a dense layer."""
    with _seeded(seed):
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, CLASSES),
        ).eval()


def train(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    epochs: int = 40,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[float]:
    """Fit a classifier in place by Adam on the cross-entropy, with a learning rate that rises, then falls to zero.

    Args:
        model: from inputs to logits; it is left in evaluation mode.
        x: inputs, one sample a row.
        y: Int64[Tensor, "n"], classes.
        epochs: how often every sample is seen.
        seed: of the order of samples.
        progress: called as ``progress(done, total)`` after every epoch.

    Returns:
        For every epoch the mean loss of its batches, in nats.
    """
    order = torch.Generator().manual_seed(seed)
    batches = -(-len(x) // BATCH)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=RATE, total_steps=max(2, epochs * batches))
    losses = []
    with one_thread():
        model.train()
        for epoch in range(epochs):
            total = 0.0
            for chosen in torch.randperm(len(x), generator=order).split(BATCH):
                optimiser.zero_grad()
                loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
                loss.backward()
                optimiser.step()
                schedule.step()
                total += loss.item() * len(chosen)
            losses.append(total / len(x))
            if progress is not None:
                progress(epoch + 1, epochs)
        model.eval()
    return losses


BATCH, RATE = 64, 0.01


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Initial weights from a seed; the caller's random state is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for the time of a block: sums are taken in one order, on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
