"""What a proof is about: the point A, the variables, and the symmetries that move nothing but variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.graph import Graph
from orbitope.group import SymmetryGroup
from orbitope.infer import infer
from orbitope.objective import Objective
from orbitope.primitives import evaluate
from orbitope.proof.moves import Step
from orbitope.proof.pieces import Pieces
from orbitope.proof.pruning import zeros
from orbitope.proof.statistics import absorb
from orbitope.proof.witnesses import Point, Witness

SEARCHED, FEWEST = 1 << 23, 8
"""A search evaluates about so many numbers for one value of F, and no fewer samples than that."""


def entries(graph: Graph) -> int:
    """How many numbers the values of a program are."""
    return sum(torch.Size(node.shape).numel() for node in graph)


@dataclass(frozen=True)
class Setting:
    """Everything that all strategies share.

    Attributes:
        objective: model, loss and data.
        group: symmetries that exchange no parameters that are held fixed.
        given: the parameters as they were given.
        start: the point A: the same with running statistics absorbed where exchanged channels do not share them.
        absorbed: names of the statistics that were.
        variables: what F is a function of.
        held: parameters that are not trained, and on whose account units were left out.
    """

    objective: Objective
    group: SymmetryGroup
    given: Point
    start: Point
    absorbed: tuple[str, ...]
    variables: tuple[str, ...]
    held: tuple[str, ...]

    @classmethod
    def of(
        cls, objective: Objective, group: SymmetryGroup | None, params: Mapping[str, torch.Tensor] | None
    ) -> Setting:
        """The setting of a proof at some parameters, the model's own by default."""
        given = {name: tensor.detach().cpu() for name, tensor in objective.canonical(params).items()}
        free, held = _without_held(_without_modules(objective, group), objective, given)
        start, absorbed, variables = given, (), objective.variables
        if _uneven(free, given):
            start, absorbed = absorb(objective.network, given)
            variables = (*variables, *_uneven(free, start))
        return cls(objective, free, given, dict(start), absorbed, variables, held)

    @property
    def units(self) -> bool:
        """Whether there are any two units that can be exchanged."""
        return any(unit.size > 1 for unit in self.group.units)

    def value(self, point: Mapping[str, torch.Tensor], samples: int | None = None) -> float:
        """F in float64, or its mean over so many of the first samples."""
        with torch.no_grad():
            return self.loss(point, samples).item()

    def loss(self, point: Mapping[str, torch.Tensor], samples: int | None = None) -> torch.Tensor:
        """The same, differentiable in the parameters."""
        arithmetic, off, parts = TorchArithmetic(torch.float64), zeros(point), []
        lifted: dict[str, torch.Tensor] = {}
        for graph, data in self.pieces.blocks(samples, off):
            for node in graph:
                name = node.attributes["parameter"] if node.op == "parameter" else ""
                if name and name not in lifted:
                    lifted[name] = arithmetic.lift(point[name])
            inputs = {name: arithmetic.lift(tensor) for name, tensor in data.items()}
            parts.append(evaluate(graph, arithmetic, lifted, inputs)[0].reshape(-1))
        return torch.cat(parts).mean()

    @cached_property
    def pieces(self) -> Pieces:
        """F, block by block."""
        return Pieces(self.objective)

    @cached_property
    def few(self) -> int | None:
        """How many samples a search looks at; None for all of them."""
        objective = self.objective
        if objective.whole:
            return None
        most = max(FEWEST, SEARCHED // entries(self.pieces.program(1)[0]))
        return None if most >= objective.samples else most

    def only_variables(self, witness: Witness) -> Witness:
        """The witness without moves of buffers that are alike in all positions: moving them changes nothing."""
        kept = set(self.variables)
        steps = tuple(
            Step(s.units, s.order, {name: pairs for name, pairs in s.moves.items() if name in kept})
            for s in witness.steps
        )
        return replace(witness, steps=steps)


def _without_modules(objective: Objective, group: SymmetryGroup | None) -> SymmetryGroup:
    """A group whose moves are permutations of single parameters' axes, as a certificate states them."""
    if group is None:
        return infer(objective.network, modules=False)
    if not any(placement.members for placement in group.placements.values()):
        return group
    moved = [p for p in group.placements.values() if p.moved_by() & group.by_name.keys()]
    scope = [alias for placement in moved for names in placement.tensors for alias in names]
    return infer(objective.network, scope, modules=False)


def _without_held(group: SymmetryGroup, objective: Objective, given: Point) -> tuple[SymmetryGroup, tuple[str, ...]]:
    """The group without units that index a parameter which is not trained: its entries must stay in place."""
    held = {
        name: placement.moved_by()
        for name, placement in group.placements.items()
        if placement.trainable and name not in objective.variables and _differ(given[name])
    }
    stuck = {unit for moving in held.values() for unit in moving}
    kept = tuple(unit for unit in group.units if unit.name not in stuck)
    names = tuple(name for name, moving in held.items() if moving & group.by_name.keys())
    return replace(group, units=kept), names


def _uneven(group: SymmetryGroup, point: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
    """Moved buffers whose entries differ: they must be absorbed, or become variables too."""
    return tuple(
        name
        for name, placement in group.placements.items()
        if not placement.trainable and placement.moved_by() & group.by_name.keys() and _differ(point[name])
    )


def _differ(tensor: torch.Tensor) -> bool:
    """Whether a tensor has two different entries."""
    return bool((tensor != tensor.flatten()[:1]).any())
