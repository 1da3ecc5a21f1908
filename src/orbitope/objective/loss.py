"""A loss that fits one model and one set of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from orbitope.frontends.builder import Builder, Value

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Loss:
    """A loss that fits one model and one set of data.

    Attributes:
        data: what the program is given besides the model's inputs, by name, samples first.
        emit: appends the loss of each sample to the program.
        reference: the loss of each sample by torch, from the model's outputs for a block of samples.
        hits: for labels, which of those that count are the largest output, from the outputs of a block; None for
            losses without classes.
    """

    data: Mapping[str, torch.Tensor]
    emit: Callable[[Builder, Value, Mapping[str, Value]], Value]
    reference: Callable[[torch.Tensor, slice], torch.Tensor]
    hits: Callable[[torch.Tensor, slice], torch.Tensor] | None = None
