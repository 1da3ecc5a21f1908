"""What the networks of a survey learn: a fixed subsample of the handwritten digits, or the user's own arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from orbitope.errors import DataError, InputError

LOSSES = ("mse", "cross_entropy")
SAMPLES = 100
"""So many digits, ten or so of each."""


@dataclass(frozen=True)
class Problem:
    """Data in float64, a loss, and weight decay: with it F grows in every direction, so that a minimum exists.

    Attributes:
        x: Float[Tensor, "samples inputs"].
        y: class numbers for cross-entropy; for mse values ``[samples, outputs]``, of classes 0 and 1.
        labels: class numbers, None where targets are values.
        loss: ``mse`` or ``cross_entropy``.
        weight_decay: λ of λ/2‖θ‖².
        outputs: how many.
        label: where the data come from.
    """

    x: torch.Tensor
    y: torch.Tensor
    labels: torch.Tensor | None
    loss: str
    weight_decay: float
    outputs: int
    label: str

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.x.shape[1]

    @property
    def digest(self) -> str:
        """Of all numbers."""
        told = hashlib.sha256(self.x.contiguous().numpy().tobytes() + self.y.contiguous().numpy().tobytes())
        return told.hexdigest()[:12]


def small_digits(samples: int = SAMPLES) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits 0, 17, 34, … of scikit-learn's, averaged over 2 × 2 pixels, with the mean of each pixel taken away.

    Returns:
        x: Float64[Tensor, "samples 16"]. y: Int64[Tensor, "samples"].
    """
    from orbitope.reports.digits import digits

    images, y = digits()
    chosen = torch.arange(samples) * (len(images) // samples)
    x = F.avg_pool2d(images[chosen].double().reshape(-1, 1, 8, 8), 2).reshape(samples, 16)
    return x - x.mean(0), y[chosen]


def problem(data: Any, loss: str, weight_decay: float, label: str = "data") -> Problem:
    """The problem of some data.

    Args:
        data: a pair of inputs, samples first, and of class numbers or values.
        loss: ``mse`` or ``cross_entropy``.
        weight_decay: λ.
        label: a name for the data.

    Raises:
        DataError: they are no such pair, or not finite. InputError: the loss is unknown, or λ is not positive.
    """
    if loss not in LOSSES:
        raise InputError(f"the survey does not know the loss {loss!r}", fix=f"choose among {', '.join(LOSSES)}")
    if not weight_decay > 0:
        raise InputError(
            "the weight decay is not positive",
            got=str(weight_decay),
            why="without it F need not have a minimum: weights of a network that separates its samples grow for ever",
            fix="leave it at 0.001",
        )
    from orbitope.objective.data import read

    samples = read(data)
    tensors = [t for t in (*samples.args, *samples.kwargs.values()) if isinstance(t, torch.Tensor)]
    if len(tensors) != 1 or len(tensors[0]) != samples.count:
        raise DataError("a survey needs one array of inputs, a row for each sample", got=f"{len(tensors)} arrays")
    x = tensors[0].double().reshape(samples.count, -1)
    if not samples.y.is_floating_point() and samples.y.dim() == 1:
        return _classes(x, samples.y.long(), loss, weight_decay, label)
    if loss == "cross_entropy":
        raise DataError(
            "cross_entropy needs one class number for each sample",
            got=f"targets {samples.y.dtype} {list(samples.y.shape)}",
            fix="pass whole numbers [N], or leave cross_entropy out: --loss mse",
        )
    y = samples.y.double().reshape(samples.count, -1)
    return Problem(x, y, None, loss, weight_decay, y.shape[1], label)


def _classes(x: torch.Tensor, labels: torch.Tensor, loss: str, weight_decay: float, label: str) -> Problem:
    if int(labels.min()) < 0:
        raise DataError("labels are out of range", got=f"a label {int(labels.min())}", fix="number classes from 0")
    classes = max(2, int(labels.max()) + 1)
    y = F.one_hot(labels, classes).double() if loss == "mse" else labels
    return Problem(x, y, labels, loss, weight_decay, classes, label)
