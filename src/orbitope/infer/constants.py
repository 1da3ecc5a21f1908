"""Axis words of constants: which permutations of its axes leave a tensor as it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import torch

from orbitope.infer.words import Atom, Reason, Word, Words


def constant_words(words: Words, tensor: torch.Tensor, reason: Reason) -> tuple[Word, ...]:
    """Words of the axes of a constant, fresh at every use.

    Wild along axes on which it is constant; runs of equal slices are wild segments; two axes that a permutation may
    act on alike, as those of the identity matrix, are one atom; all else is fixed.
    """
    if tensor.is_meta:
        return tuple(words.atom(size, reason) for size in tensor.shape)
    found = [_axis(words, tensor, axis, reason) for axis in range(tensor.dim())]
    for first, second in combinations(range(tensor.dim()), 2):
        if _is_fixed(found[first]) and _is_fixed(found[second]) and _diagonal(tensor, first, second):
            found[first] = found[second] = words.atom(tensor.shape[first])
    return tuple(found)


def _axis(words: Words, tensor: torch.Tensor, axis: int, reason: Reason) -> Word:
    size = tensor.shape[axis]
    if size == 1 or tensor.numel() == 0:
        return words.atom(size, reason)
    changed = _differ(tensor.narrow(axis, 0, size - 1), tensor.narrow(axis, 1, size - 1))
    changed = changed.movedim(axis, 0).reshape(size - 1, -1).any(dim=1)
    cuts = [0, *(changed.nonzero().flatten() + 1).tolist(), size]
    runs = [b - a for a, b in pairwise(cuts)]
    if len(runs) == 1:
        return words.wild(size)
    if max(runs) == 1:
        return words.atom(size, reason)
    return words.sum([words.wild(run) for run in runs])


def _diagonal(tensor: torch.Tensor, first: int, second: int) -> bool:
    """Whether all entries on the diagonal of two axes are equal, and all beside it are."""
    size = tensor.shape[first]
    if size != tensor.shape[second]:
        return False
    square = tensor.movedim((first, second), (0, 1)).reshape(size, size, -1)
    if bool(_differ(square[0, 1], square[1, 0]).any() | _differ(square[0, 0], square[1, 1]).any()):
        return False  # most masks end here
    on = torch.eye(size, dtype=torch.bool, device=tensor.device)[..., None]
    return not bool(_differ(square, torch.where(on, square[0, 0], square[0, 1])).any())


def _differ(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Entries that are not the same number; zeros of two signs are, but not after a division."""
    differ = x != y
    if x.is_floating_point():
        differ |= x.signbit() != y.signbit()
    return differ


def _is_fixed(word: Sequence[object]) -> bool:
    return len(word) == 1 and isinstance(word[0], Atom) and word[0].fixed is not None


__all__ = ["constant_words"]
