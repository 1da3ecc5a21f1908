"""Data as a model and a loss take them: inputs by position and by name, and targets, all in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader

from orbitope.errors import DataError

BUDGET = 1 << 31
"""So many bytes of data are read from a loader unless more are allowed."""

TARGETS = ("labels", "label", "targets", "target")
"""Names under which a batch that is a mapping may hold its targets."""

_FORMS = "pass data=(x, y), ((x1, x2), y) or ({'input_ids': …, 'attention_mask': …}, labels)"


@dataclass(frozen=True)
class Samples:
    """All samples.

    Attributes:
        args: inputs by position; tensors in them that have one entry for each sample along their first axis are data,
            everything else is passed as it is.
        kwargs: inputs by name, likewise.
        y: targets, samples first.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    y: torch.Tensor

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.y)

    def varies(self, leaf: Any) -> bool:
        """Whether an input has one entry for each sample."""
        return isinstance(leaf, torch.Tensor) and leaf.dim() > 0 and leaf.shape[0] == self.count

    def inputs(self, block: slice, dtype: torch.dtype | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the model is called with for some samples, floating tensors cast to ``dtype``."""

        def part(leaf: torch.Tensor) -> torch.Tensor:
            cut = leaf[block] if self.varies(leaf) else leaf
            return cut.to(dtype) if dtype is not None and cut.is_floating_point() else cut

        args, kwargs = pytree.tree_map_only(torch.Tensor, part, (self.args, dict(self.kwargs)))
        return args, kwargs

    def first(self, count: int) -> Samples:
        """So many samples from the beginning, over again where there are fewer."""
        places = torch.arange(count) % self.count

        def part(leaf: torch.Tensor) -> torch.Tensor:
            return leaf[places.to(leaf.device)] if self.varies(leaf) else leaf

        args, kwargs = pytree.tree_map_only(torch.Tensor, part, (self.args, dict(self.kwargs)))
        return Samples(args, kwargs, self.y[places.to(self.y.device)])


def read(data: Any, budget: int = BUDGET) -> Samples:
    """Inputs and targets, whatever they came as.

    Args:
        data: a pair of inputs and targets, a mapping that holds ``labels``, or a loader that yields either.
        budget: so many bytes are read from a loader.

    Raises:
        DataError: no samples, no targets, not numbers, not finite, different numbers of samples, or too many for the
            budget.
    """
    samples = _loaded(data, budget) if isinstance(data, DataLoader) else _pair(data)
    named = [("inputs", x) for x in _tensors(samples)]
    if not named:
        raise DataError("there are no inputs", got=f"{type(data).__name__} without a tensor", fix=_FORMS)
    first = named[0][1]
    if first.dim() == 0 or len(first) == 0:
        raise DataError("there are no samples", got=f"inputs of shape {list(first.shape)}")
    if samples.y.dim() == 0 or not any(map(samples.varies, _tensors(samples))):
        shapes = ", ".join(str(list(x.shape)) for _, x in named)
        raise DataError("inputs and targets differ in number", got=f"inputs {shapes}, targets {list(samples.y.shape)}")
    for name, tensor in (*named, ("targets", samples.y)):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DataError(f"the {name} are not finite", got=f"{int((~tensor.isfinite()).sum())} entries")
    return samples


def _tensors(samples: Samples) -> list[torch.Tensor]:
    leaves = pytree.tree_leaves((samples.args, dict(samples.kwargs)))
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _pair(data: Any) -> Samples:
    if isinstance(data, Mapping):
        name = next((name for name in TARGETS if name in data), None)
        if name is not None:
            data = ({key: value for key, value in data.items() if key != name}, data[name])
    if not isinstance(data, tuple | list) or len(data) != 2:
        got = f"{type(data).__name__} of {', '.join(map(str, data))}" if isinstance(data, Mapping) else None
        raise DataError("the data are not a pair of inputs and targets", got=got or type(data).__name__, fix=_FORMS)
    x, y = data
    target = _tensor("targets", y)
    if isinstance(x, Mapping):
        return Samples((), {name: _input(value) for name, value in x.items()}, target)
    if isinstance(x, tuple | list) and x and all(isinstance(item, torch.Tensor | np.ndarray) for item in x):
        return Samples(tuple(map(_input, x)), {}, target)
    return Samples((_tensor("inputs", x),), {}, target)


def _input(value: Any) -> Any:
    """An input of several: arrays become tensors; flags, numbers and nothing stay what they are."""
    return value if value is None or isinstance(value, bool | int | float | str) else _tensor("inputs", value)


def _tensor(name: str, value: Any) -> torch.Tensor:
    try:
        dense = np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value
        tensor = torch.as_tensor(dense)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the {name} are not numbers", got=f"{type(value).__name__}: {str(error)[:200]}", fix="pass tensors"
        ) from error
    if tensor.is_complex():
        raise DataError(f"the {name} are complex", got=str(tensor.dtype), fix="pass real and imaginary parts apart")
    return tensor.detach()


# loaders --------------------------------------------------------------------------------------------------------
def _loaded(loader: DataLoader[Any], budget: int) -> Samples:
    batches: list[Samples] = []
    size = 0
    for batch in loader:
        batches.append(_pair(batch))
        size += _bytes(batches[-1])
        batches_known = _length(loader)
        expected = size // len(batches) * batches_known if batches_known else size
        if max(size, expected) > budget:
            raise DataError(
                "the data are larger than what is read into memory",
                got=f"{len(batches):,} batches of {size:,} bytes so far, "
                + (f"{batches_known:,} batches in all" if batches_known else "and the loader goes on")
                + f"; {budget:,} bytes are allowed",
                why="F is one function of the parameters, so all samples must be there whenever it is evaluated",
                fix="pass a subset: torch.utils.data.Subset(dataset, range(1000)); or allow more: budget=BYTES",
            )
    if not batches:
        raise DataError("the data loader yields no batches")
    return _joined(batches)


def _length(loader: DataLoader[Any]) -> int | None:
    try:
        return len(loader)
    except TypeError:
        return None


def _bytes(samples: Samples) -> int:
    return sum(x.numel() * x.element_size() for x in (*_tensors(samples), samples.y))


def _joined(batches: Sequence[Samples]) -> Samples:
    flat = [pytree.tree_flatten((batch.args, dict(batch.kwargs))) for batch in batches]
    first, spec = flat[0]
    if any(other != spec for _, other in flat):
        raise DataError("the batches of the loader differ in their inputs", got=f"{spec} and others")
    leaves: list[Any] = []
    for k, leaf in enumerate(first):
        parts = [leaves_of[k] for leaves_of, _ in flat]
        leaves.append(_stacked("inputs", parts) if batches[0].varies(leaf) else leaf)
    args, kwargs = pytree.tree_unflatten(leaves, spec)
    return Samples(args, kwargs, _stacked("targets", [batch.y for batch in batches]))


def _stacked(name: str, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    shapes = {tuple(part.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise DataError(
            f"the {name} of the loader's batches have different shapes",
            got=", ".join(str(["n", *shape]) for shape in sorted(shapes)[:4]),
            fix="pad all samples to one length (with labels that are ignored: ignore_index)",
        )
    return torch.cat(list(parts))
