"""Random elements: permutations, signs, scales, matrices and translations, each of a strength that can be chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import log, pi
from typing import TYPE_CHECKING

import torch

from orbitope.errors import ElementError, ParametersError
from orbitope.group.continuous import Family, Flips, Matrices, Rotations, Scaling, Translation
from orbitope.group.effects import evaluate
from orbitope.group.element import Element
from orbitope.group.steps import Step

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup

PARTS = ("permutations", "signs", "scales", "matrices", "translations")
"""What an element can be made of, in the order in which the parts act."""


def chosen(parts: str | Sequence[str]) -> tuple[str, ...]:
    """The names of parts, in the order in which they act.

    Raises:
        ElementError: there is no such part.
    """
    wanted = PARTS if parts == "all" else (parts,) if isinstance(parts, str) else tuple(parts)
    if unknown := [str(part) for part in wanted if part not in PARTS]:
        raise ElementError(
            "an element has no such part",
            got=", ".join(unknown),
            fix=f"choose among {', '.join(PARTS)}, or all; rotations are among the matrices, shifts are translations",
        )
    return tuple(part for part in PARTS if part in wanted)


def sample(
    group: SymmetryGroup,
    seed: int,
    parts: str | Sequence[str],
    strength: float,
    powers_of_two: bool,
    condition: float,
    loss: bool,
    approximate: bool,
    params: Mapping[str, torch.Tensor] | None,
) -> Element:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.sample`."""
    wanted = chosen(parts)
    if not (strength >= 0 and condition >= 1):
        raise ElementError(
            "the strength is at least 0 and the condition number at least 1",
            got=f"strength={strength}, condition={condition}",
        )
    steps: list[Step] = []
    for family in group.families.values():
        if part_of(family) not in wanted or (family_loss(family) and not loss):
            continue
        if isinstance(family, Scaling) and family.approximate and not approximate:
            continue
        generator = _generator(seed, family.name)
        match family:
            case Flips():
                value = torch.rand(family.sizes, generator=generator, dtype=torch.float64) < 0.5
            case Scaling():
                value = _scales(family, generator, strength, powers_of_two)
            case Matrices():
                value = matrices(family, generator, condition)
            case Rotations():
                value = (2 * torch.rand(family.sizes, generator=generator, dtype=torch.float64) - 1) * pi
            case Translation():
                value = torch.randn(family.sizes, generator=generator, dtype=torch.float64) * strength
                value = value if params is None else value * _size(group, family, value / max(strength, 1e-300), params)
        steps.append(Step(family, value))
    ordered = sorted(steps, key=lambda step: PARTS.index(part_of(step.family)))
    tables = permutations(group, seed) if "permutations" in wanted else {}
    return Element(group, tables, tuple(step for step in ordered if not step.trivial))


def permutations(group: SymmetryGroup, seed: int) -> dict[str, torch.Tensor]:
    """Uniformly random permutations of all units."""
    generator = torch.Generator().manual_seed(seed)
    tables = {}
    for unit in group.units:
        noise = torch.rand((*unit.over_sizes, unit.size), generator=generator, dtype=torch.float64)
        tables[unit.name] = noise.argsort(dim=-1)
    return tables


def part_of(family: Family) -> str:
    """The name of the part that a family belongs to."""
    match family:
        case Flips():
            return "signs"
        case Scaling():
            return "scales"
        case Matrices() | Rotations():
            return "matrices"
        case Translation():
            return "translations"


def family_loss(family: Family) -> bool:
    """Whether a family keeps the loss only."""
    return not isinstance(family, Matrices | Rotations) and family.loss


def _generator(seed: int, name: str) -> torch.Generator:
    """Random numbers of its own for each family, so that they do not depend on what else is sampled."""
    word = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(word[:7], "big"))


def _scales(family: Scaling, generator: torch.Generator, strength: float, powers_of_two: bool) -> torch.Tensor:
    exponents = (2 * torch.rand(family.sizes, generator=generator, dtype=torch.float64) - 1) * strength
    if not powers_of_two:
        return exponents.exp()
    return torch.exp2((exponents / log(2)).round())


def matrices(family: Matrices, generator: torch.Generator, condition: float) -> torch.Tensor:
    """Random matrices of a family: singular values are log-uniform between 1/√condition and √condition.

    Args:
        family: of which kind.
        generator: of random numbers.
        condition: bound of the condition number, of those that keep the vector of ones a multiple of it.

    Returns:
        Float[Tensor, "*over n n"], float64.
    """
    size, over = family.sizes[0], family.sizes[1:]
    if family.kind == "complex":
        draws = torch.rand((2, *over), generator=generator, dtype=torch.float64)
        radius, angle = ((draws[0] - 0.5) * log(condition)).exp(), 2 * pi * draws[1]
        a, b = radius * angle.cos(), radius * angle.sin()
        return torch.stack([torch.stack([a, -b], -1), torch.stack([b, a], -1)], -2)
    inner = size - 1 if family.ones else size
    left = _rotations((*over, inner, inner), generator)
    if family.kind == "general":
        singular = ((torch.rand((*over, inner), generator=generator, dtype=torch.float64) - 0.5) * log(condition)).exp()
        left = left @ (singular.unsqueeze(-1) * _rotations((*over, inner, inner), generator))
    if not family.ones:
        return left
    whole = torch.zeros((*over, size, size), dtype=torch.float64)
    whole[..., 0, 0] = 1.0
    whole[..., 1:, 1:] = left
    if family.kind == "general":
        row = torch.randn((*over, inner), generator=generator, dtype=torch.float64)
        whole[..., 0, 1:] = row / max(inner, 1) ** 0.5 * (1 - 1 / condition)
    basis = ones_first(size)
    return basis @ whole @ basis.mT


def ones_first(size: int) -> torch.Tensor:
    """An orthogonal matrix whose first column is a multiple of the vector of ones; float64 ``[n, n]``."""
    normal = torch.full((size,), -(size**-0.5), dtype=torch.float64)
    normal[0] += 1.0
    length = normal.square().sum()
    identity = torch.eye(size, dtype=torch.float64)
    return identity if size < 2 else identity - 2 * torch.outer(normal, normal) / length


def _rotations(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Orthogonal matrices, uniformly at random."""
    q, r = torch.linalg.qr(torch.randn(shape, generator=generator, dtype=torch.float64))
    return q * torch.sign(torch.diagonal(r, dim1=-2, dim2=-1)).unsqueeze(-2)


def _size(group: SymmetryGroup, family: Translation, unit: torch.Tensor, params: Mapping[str, torch.Tensor]) -> float:
    """What to multiply a translation with, so that no target moves by more than its standard deviation on average."""
    names = {term.parameter for term in family.terms} | {f.parameter for term in family.terms for f in term.factors}
    try:
        current = {name: group.placements[name].gather(params) for name in names}
    except KeyError as error:
        raise ParametersError("a parameter of a translation is missing", got=str(error.args[0])) from error
    worst = 0.0
    for term, added in zip(family.terms, evaluate(family.terms, unit, current, group.continuous.frames), strict=True):
        target = current[term.parameter].double()
        spread = float(target.std(correction=0)) or float(target.square().mean().sqrt()) or 1.0
        worst = max(worst, float(added.square().mean().sqrt()) / spread)
    return 1 / worst if worst else 1.0
