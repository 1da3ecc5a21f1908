"""Weight matching: coordinate descent over units, each step an assignment problem, boundary first.

What it does. The squared distance |a − g·b|² depends on g only through ⟨a, g·b⟩. With all units but one held, that
is linear in the permutation of this one, so the best is the solution of an assignment problem whose matrix holds the
inner products of every position of ``a`` with every position of ``b``, over all parameters that the units index:
weights, biases and norm vectors alike.

Boundary first. The first sweep solves the units about which most is known, using only those parameters whose other
axes are fixed or solved already; started from the identity, a sweep over all parameters compares positions by entries
that do not belong together yet.

Fibred units. Positions of a base are compared by the best assignment of what lies over them, then both move together.

What it does not cover. Units that index one parameter twice (recurrent weights) make the step quadratic: it is
linearised, and taken only if it brings the networks closer. The result is a local optimum.

Source: Ainsworth et al. 2023, Alg. 1 [ainsworth2023], with the boundary-first sweep and the fibres added.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from orbitope.alignment.problem import Pair, Problem
from orbitope.errors import InputError
from orbitope.group import Element, Units
from orbitope.group.blocks import Block

_ENUMERATED = 4
"""Up to this size all permutations are compared at once instead of one assignment problem at a time."""

_NESTED_ENTRIES, _NESTED_PROBLEMS = 1 << 26, 1 << 16
_SMALLEST_GAIN = 1e-10


def match_weights(problem: Problem, *, seed: int = 0, starts: int = 2, sweeps: int = 100) -> tuple[Element, int]:
    """An element that brings b close to a in parameter space: the best of several descents.

    Args:
        problem: the two networks and their group.
        seed: of the order of the units in a sweep, and of the starts after the second.
        starts: descents: the first begins boundary first, the second where b is, all others at random elements.
        sweeps: at most so many in each descent.

    Returns:
        The element, and how many sweeps were made in all.

    Guarantee: heuristic; ⟨a, g·b⟩ grows with every step of a descent.
    """
    if starts < 1 or sweeps < 0:
        raise InputError("weight matching needs a start", got=f"starts={starts}, sweeps={sweeps}")
    descents = []
    for start in range(starts):
        descent = _Descent(problem)
        if start == 0:
            descent.boundary_first()
        elif start > 1:
            descent.scatter(seed + start)
        descent.descend(seed, sweeps)
        descents.append(descent)
    best = max(descents, key=lambda descent: problem.similarity(descent.b))
    return best.element, sum(descent.sweeps for descent in descents)


class _Descent:
    """The moved network, and the element that moved it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.group = problem.group
        self.b = dict(problem.b)
        self.element = problem.group.identity()
        self.sweeps = 0
        self.scale = _SMALLEST_GAIN * (problem.similarity(problem.a) * _norm(problem)) ** 0.5

    def boundary_first(self) -> None:
        """One step for each set of units, those about which most is known first."""
        solved: set[str] = set()
        waiting = {unit.name: unit for unit in self.group.units}
        while waiting:
            known = {name: self._known(unit, solved) for name, unit in waiting.items()}
            best = max(known, key=known.__getitem__)
            step = self._step(waiting.pop(best), solved if known[best] else None)
            self._take(step, self.problem.moved(step, self.b))
            solved.add(best)
        self.sweeps += 1

    def scatter(self, seed: int) -> None:
        """Start at a random element."""
        step = self.group.sample(seed)
        self._take(step, self.problem.moved(step, self.b))

    def descend(self, seed: int, sweeps: int) -> None:
        """Sweeps over all units until nothing improves."""
        generator = torch.Generator().manual_seed(seed)
        for _ in range(sweeps):
            self.sweeps += 1
            order = torch.randperm(len(self.group.units), generator=generator).tolist()
            improved = [self._improve(self.group.units[k]) for k in order]
            if not any(improved):
                return

    def _improve(self, unit: Units) -> bool:
        step = self._step(unit, None)
        if step.is_identity:
            return False
        moved = self.problem.moved(step, self.b)
        gain = self.problem.similarity(moved) - self.problem.similarity({name: self.b[name] for name in moved})
        if gain > self.scale:
            self._take(step, moved)
            return True
        return False

    def _take(self, step: Element, moved: dict[str, torch.Tensor]) -> None:
        self.b.update(moved)
        self.element = step @ self.element

    # what is known about some units ------------------------------------------------------------------------------
    def _known(self, unit: Units, solved: set[str]) -> float:
        """How many entries each position can be compared by."""
        pairs = self._usable(unit, solved)
        return sum(pair.block.tensor.numel() for pair in pairs) / (unit.copies * unit.size)

    def _usable(self, unit: Units, solved: set[str] | None) -> Iterator[Pair]:
        """The blocks that compare positions; in the first sweep only those whose other axes are in place."""
        for pair in self.problem.pairs(unit.name, self.b):
            moving = [name for name in pair.names if name in self.group.by_name]
            inner = self._inner(unit, pair.block, pair.block.places(unit.name)[0])
            fibre = None if inner is None else pair.names[inner]
            unknown = [name for name in moving if solved is not None and name not in {*solved, unit.name, fibre}]
            if not unknown and (solved is None or moving.count(unit.name) == 1):
                yield pair

    def _inner(self, unit: Units, block: Block, axis: int) -> int | None:
        """The axis of units over these ones and nothing else that can be assigned anew for each pair of positions."""
        over = {name: self.group.by_name[name].over for name in block.names if name in self.group.by_name}
        found = [
            k
            for k, name in enumerate(block.names)
            if name in over and unit.name in over[name] and block.bases(k, [unit.name]) == [axis]
        ]
        if len(found) != 1:
            return None
        fibre = self.group.by_name[block.names[found[0]] or ""]
        entries = prod(unit.over_sizes) * (unit.size * fibre.size) ** 2
        problems = prod(unit.over_sizes) * unit.size**2
        fits = entries <= _NESTED_ENTRIES and (problems <= _NESTED_PROBLEMS or fibre.size <= _ENUMERATED)
        return found[0] if {*fibre.over} == {unit.name, *unit.over} and fits else None

    # one step ------------------------------------------------------------------------------------------------------
    def _step(self, unit: Units, solved: set[str] | None) -> Element:
        """The best move of some units, and of what is over them, with all others held."""
        size, copies = unit.size, unit.copies
        score = torch.zeros(copies, size, size, dtype=torch.float64)
        nested: dict[str, torch.Tensor] = {}
        for pair in self._usable(unit, solved):
            for axis in pair.block.places(unit.name):
                inner = self._inner(unit, pair.block, axis)
                bases = pair.block.bases(axis, unit.over)
                if inner is None:
                    score += _products(pair, [*bases, axis])
                    continue
                fibre = self.group.by_name[pair.names[inner] or ""]
                product = _products(pair, [*bases, axis, inner], 2)
                shaped = product.reshape(copies, size, fibre.size, size, fibre.size).transpose(2, 3)
                nested[fibre.name] = nested[fibre.name] + shaped if fibre.name in nested else shaped
        inside = {}
        for name, products in nested.items():
            best, inside[name] = _best_inner(products.numpy())
            score += torch.from_numpy(best)
        chosen = np.stack([linear_sum_assignment(rows, maximize=True)[1] for rows in score.numpy()])
        tables = {unit.name: _sent(chosen).reshape(*unit.over_sizes, size)}
        for name, columns in inside.items():
            tables[name] = self._carried(unit, self.group.by_name[name], chosen, columns)
        return Element(self.group, {name: torch.from_numpy(table) for name, table in tables.items()})

    def _carried(
        self, unit: Units, fibre: Units, chosen: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The permutations of a fibre, indexed by where its base comes from, ``[*over, n]``."""
        rows = np.arange(len(chosen))[:, None]
        picked = columns[rows, np.arange(unit.size)[None], chosen]
        table = np.empty_like(picked)
        table[rows, chosen] = _sent(picked)
        shaped = table.reshape(*unit.over_sizes, unit.size, fibre.size)
        order = [(*unit.over, unit.name).index(base) for base in fibre.over]
        return np.ascontiguousarray(shaped.transpose(*order, len(order)))


def _norm(problem: Problem) -> float:
    return sum(float(tensor.abs().square().sum(dtype=torch.float32)) for tensor in problem.b.values())


def _products(pair: Pair, axes: list[int], kept: int = 1) -> torch.Tensor:
    """Inner products of the positions of both networks along some axes.

    Args:
        pair: a block of both.
        axes: the last ``kept`` of them are compared, the ones before are common to both.
        kept: how many.

    Returns:
        Float[Tensor, "batch n n"], float64 on the CPU.
    """
    x, y = (tensor.movedim(axes, list(range(len(axes)))) for tensor in pair.wide())
    batch, rows = prod(x.shape[: len(axes) - kept]), prod(x.shape[len(axes) - kept : len(axes)])
    product = x.reshape(batch, rows, -1) @ y.reshape(batch, rows, -1).mT
    return product.cpu().double()


def _best_inner(products: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each pair of base positions the best assignment of what lies over them.

    Args:
        products: ``[batch, v, w, i, j]``.

    Returns:
        Its value ``[batch, v, w]``, and for each ``i`` the assigned ``j``, ``[batch, v, w, i]``.
    """
    size = products.shape[-1]
    if size <= _ENUMERATED:
        tables = np.array(list(permutations(range(size))), dtype=np.int64)
        values = np.stack([products[..., i, tables[:, i]] for i in range(size)]).sum(axis=0)
        best = np.argmax(values, axis=-1)
        return np.take_along_axis(values, best[..., None], -1)[..., 0], tables[best]
    flat = products.reshape(-1, size, size)
    columns = np.stack([linear_sum_assignment(matrix, maximize=True)[1] for matrix in flat])
    values = np.take_along_axis(flat, columns[..., None], -1).sum(axis=(-2, -1))
    return values.reshape(products.shape[:3]), columns.reshape(products.shape[:4])


def _sent(columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each position goes, from the position that is assigned to each place: the inverse, row by row."""
    return np.argsort(columns, axis=-1)
