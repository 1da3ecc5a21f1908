"""Other sizes of the example inputs: what is true of one size only is no fact about the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from orbitope.errors import InputError
from orbitope.frontends.fallbacks import exporting, input_names, input_shapes

Example = tuple[tuple[Any, ...], dict[str, Any]]
Spot = tuple[int, int]
"""Number of a tensor among the inputs, and an axis of it."""

TRIALS = 12
"""So often a model is run to find out which sizes it takes."""


def grown(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Example, dict[str, tuple[int, ...]]] | None:
    """The same inputs with as many axes longer as the model takes.

    Axes are grown together that look like one quantity: the leading axes (a batch), then axes of one size, as the
    lengths of tokens and of their mask. The model is run, without gradients, on each candidate.

    Returns:
        The longer inputs, and for each tensor that has longer axes its name and which they are. None where the model
        does not run outside of a trace, as on the meta device if it looks at its data.
    """
    return _Growth(model, args, kwargs).run()


class _Growth:
    def __init__(self, model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.model = model
        self.leaves, self.spec = pytree.tree_flatten((tuple(args), dict(kwargs)))
        self.tensors = [k for k, leaf in enumerate(self.leaves) if isinstance(leaf, torch.Tensor)]
        self.names = dict(zip(self.tensors, input_names(model, args, kwargs), strict=True))
        self.sizes: dict[Spot, int] = {}
        self.trials = 0

    def run(self) -> tuple[Example, dict[str, tuple[int, ...]]] | None:
        """See :func:`grown`."""
        for spots in self._candidates():
            known = [spot for spot in spots if spot in self.sizes]
            if known or self.trials >= TRIALS:
                continue
            for size in _longer(self._size(spots[0]), strided=any(axis for _, axis in spots)):
                tried = {**self.sizes, **dict.fromkeys(spots, size)}
                if self._runs(tried):
                    self.sizes = tried
                    break
        if not self.sizes and not self._runs({}):
            return None
        axes: dict[str, tuple[int, ...]] = {}
        for leaf, axis in sorted(self.sizes):
            axes[self.names[leaf]] = (*axes.get(self.names[leaf], ()), axis)
        return self._inputs(self.sizes), axes

    def _size(self, spot: Spot) -> int:
        return int(self.leaves[spot[0]].shape[spot[1]])

    def _candidates(self) -> Iterator[list[Spot]]:
        spots = [(k, axis) for k in self.tensors for axis in range(self.leaves[k].dim())]
        first = {self._size((k, 0)) for k in self.tensors if self.leaves[k].dim()}
        for size in sorted(first):
            yield [spot for spot in spots if spot[1] == 0 and self._size(spot) == size]
        for size in dict.fromkeys(self._size(spot) for spot in spots if spot[1]):
            alike = [spot for spot in spots if spot[1] and self._size(spot) == size]
            yield alike
            if len(alike) > 1:
                yield from ([spot] for spot in alike)

    def _inputs(self, sizes: Mapping[Spot, int]) -> Example:
        leaves = list(self.leaves)
        for (k, axis), size in sizes.items():
            leaves[k] = _extended(leaves[k], axis, size)
        return pytree.tree_unflatten(leaves, self.spec)

    def _runs(self, sizes: Mapping[Spot, int]) -> bool:
        args, kwargs = self._inputs(sizes)
        self.trials += 1
        for mode in (exporting, nullcontext):
            try:
                with torch.no_grad(), mode():
                    self.model(*args, **kwargs)
                return True
            except Exception:  # whatever the model raises on inputs that it does not take
                continue
        return False


def _longer(size: int, strided: bool) -> tuple[int, ...]:
    """Half as many more, which no stride rounds away; twice as many, for those who want a multiple; one more."""
    if size == 1:
        return (2,)
    return tuple(dict.fromkeys((size + (size + 1) // 2, 2 * size, size + 1) if strided else (size + 1, 2 * size)))


def _extended(tensor: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """A tensor repeated from its end backwards: positions that mark an end, as the last token does, stay at the end."""
    extra = size - tensor.shape[axis]
    return torch.cat([tensor.narrow(axis, tensor.shape[axis] - extra, extra), tensor], axis)


def refuse_length_one(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], axes: Mapping[str, Sequence[int]]
) -> None:
    """Refuse inputs with an axis of size 1, behind the batch, along which the model takes more.

    Args:
        model: for the message.
        args: example inputs.
        kwargs: example inputs by name.
        axes: which axes of which inputs the model takes longer.

    Raises:
        InputError: what happens along such an axis cannot be seen.
    """
    shapes = input_shapes(model, args, kwargs)
    short = [(name, axis) for name, found in axes.items() for axis in found if axis and shapes[name][axis] == 1]
    if short:
        raise InputError(
            "an example input is too short",
            at=", ".join(f"axis {axis} of input {name}" for name, axis in short),
            got=", ".join(f"{name} {shapes[name]}" for name in dict.fromkeys(name for name, _ in short)),
            why=f"{type(model).__name__} takes more positions there, and what it does along them would not be seen",
            fix="pass two positions or more",
        )


__all__ = ["grown", "refuse_length_one"]
