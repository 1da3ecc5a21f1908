"""``traits``: what is declared of an activation, what a search finds, and where a trait fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orbitope.activations.conditions import TRAITS
from orbitope.activations.declared import declared
from orbitope.activations.known import ACTIVATIONS, known
from orbitope.activations.own import Function, own
from orbitope.activations.probing import probe
from orbitope.guarantee import Guarantee


@dataclass(frozen=True)
class Verdict:
    """One trait of one activation.

    Attributes:
        trait: its name.
        condition: when it holds.
        means: what follows for a network.
        holds: whether it does.
        detail: its numbers, as the degree.
        counterexample: numbers at which it fails; empty where it holds.
        guarantee: ``exact`` where it is declared of a known function; ``numeric`` where a counter-example was computed;
            ``heuristic`` where a search found none.
    """

    trait: str
    condition: str
    means: str
    holds: bool
    detail: str
    counterexample: str
    guarantee: Guarantee


@dataclass(frozen=True)
class Traits:
    """All traits of one activation.

    Attributes:
        name: of the activation.
        formula: in words of mathematics; empty where it is not known.
        verdicts: one for each trait.
    """

    name: str
    formula: str
    verdicts: tuple[Verdict, ...]

    @property
    def holding(self) -> tuple[str, ...]:
        """Names of the traits that hold."""
        return tuple(verdict.trait for verdict in self.verdicts if verdict.holds)

    def __getitem__(self, trait: str) -> Verdict:
        """The verdict on one trait."""
        return next(verdict for verdict in self.verdicts if verdict.trait == trait)

    def __str__(self) -> str:
        """One line for each trait."""
        head = f"{self.name}: {self.formula}" if self.formula else self.name
        lines = [
            f"  {'yes' if v.holds else 'no ':3}  {v.trait:16}  {v.detail or v.counterexample}" for v in self.verdicts
        ]
        return "\n".join([head, *(line.rstrip() for line in lines)])

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": "orbitope traits",
            "version": 1,
            "name": self.name,
            "formula": self.formula,
            "traits": [
                {
                    "trait": v.trait,
                    "condition": v.condition,
                    "means": v.means,
                    "holds": v.holds,
                    "detail": v.detail,
                    "counterexample": v.counterexample,
                    "guarantee": v.guarantee,
                }
                for v in self.verdicts
            ],
        }


def traits(activation: str | Function, name: str | None = None) -> Traits:
    """The traits of an activation: convex, monotone, odd, even, homogeneous, mirrored, Lipschitz, bounded, smooth.

    Args:
        activation: the name of a known one, or a function of your own: of one floating tensor, entry by entry. A module
            or its class will do.
        name: what to call your own.

    Raises:
        InputError: no known activation of that name.
        ActivationError: the function is no activation: it does not run, mixes entries, is random, not finite, or
            returns another shape or integers.

    Guarantee: exact for traits that hold of a known activation; numeric for traits that fail, each with numbers at
        which it does; heuristic for traits that your own function seems to have.
    """
    if isinstance(activation, str):
        entry = known(activation)
        function, claims, label, formula = entry.function, declared(entry), entry.name, entry.formula
    else:
        label, formula, claims = name or getattr(activation, "__name__", "activation"), "", None
        function = own(activation, label)
    found = probe(function)
    verdicts = []
    for trait in TRAITS.values():
        finding = found[trait.name]
        if claims is not None and trait.name in claims:
            told: tuple[bool, str, str, Guarantee] = (True, claims[trait.name], "", "exact")
        elif finding.holds:
            told = (True, finding.detail, "", "heuristic")
        else:
            told = (False, "", finding.counterexample, "numeric")
        verdicts.append(Verdict(trait.name, trait.condition, trait.means, *told))
    return Traits(label, formula, tuple(verdicts))


__all__ = ["ACTIVATIONS", "TRAITS", "Traits", "Verdict", "traits"]
