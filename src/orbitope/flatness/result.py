"""What an audit says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orbitope.guarantee import Guarantee

Verdict = Literal["explained", "unexplained", "undecided", "unsound"]

PERCENT = 0.005
"""Parameters with a smaller share of the unexplained directions are not named."""


@dataclass(frozen=True)
class Finding:
    """Flat directions of some parameters.

    Attributes:
        explained: dimension of the orbit of the group.
        measured: number of parameters less the rank of the derivative.
        rank: of the derivative.
        above: the smallest singular value that counts, relative to the largest.
        below: the largest that does not.
        decided: whether there is a clear gap between the two.
        shares: for each parameter on which unexplained directions live, its share of their squared length.
        unread: entries of parameters on which no output depended at all, which no family moves by themselves.
        unsound: families of the group that do move the outputs, with the largest relative change.
    """

    explained: int
    measured: int
    rank: int
    above: float
    below: float
    decided: bool
    shares: Mapping[str, float]
    unread: int
    unsound: Mapping[str, float]

    @property
    def verdict(self) -> Verdict:
        """Whether the group explains what was measured; ``unsound`` where it claims more."""
        if self.unsound:
            return "unsound"
        if not self.decided:
            return "undecided"
        if self.explained > self.measured:
            return "unsound"
        return "explained" if self.explained == self.measured else "unexplained"

    @property
    def unexplained(self) -> int:
        """How many flat directions the group does not explain."""
        return max(self.measured - self.explained, 0)

    def __str__(self) -> str:
        """One sentence, and where the unexplained directions live."""
        match self.verdict:
            case "unsound" if self.unsound:
                named = ", ".join(f"{name} (changes outputs by {change:.0e})" for name, change in self.unsound.items())
                return f"UNSOUND: the group contains what is no symmetry: {named}"
            case "unsound":
                return f"UNSOUND: the group explains {self.explained} flat directions, and there are {self.measured}"
            case "undecided":
                return (
                    f"undecided: singular values fall from {self.above:.0e} to {self.below:.0e} of the largest without "
                    f"a clear gap; {self.explained} of about {self.measured} flat directions explained"
                )
            case _:
                text = f"{self.explained} of {self.measured} flat directions explained"
        if not self.unexplained:
            return text
        return f"{text}; {_others(self.unexplained)} on {self.where()}" + self._hint()

    def where(self) -> str:
        """The parameters on which unexplained directions live, with their shares."""
        return ", ".join(f"{name} ({share:.0%})" for name, share in self.shares.items())

    def _hint(self) -> str:
        if not self.unread:
            return ""
        entries = "1 entry" if self.unread == 1 else f"{self.unread} entries"
        return f"; no output depended on {entries} at all"

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"verdict": self.verdict, "unexplained": self.unexplained, **asdict(self)}


def _others(count: int) -> str:
    return "the other one lives" if count == 1 else f"the other {count} live"


@dataclass(frozen=True)
class Audit:
    """Flat directions that a group explains, beside those that are measured.

    Attributes:
        parameters: number of entries that vary.
        loss: whether this is about what a cross-entropy loss sees, not about the outputs.
        seeds: so many random parameters were looked at.
        generic: at random parameters; of the rank the largest.
        own: at the given parameters, which may have more, as where units are dead or equal.
        approximate: dimension of what the group knows to hold at ε = 0 only, and does not count.
        reasons: what made matrices of the group smaller, as the gain of a norm that is not folded.
        guarantee: ``numeric``.
    """

    parameters: int
    loss: bool
    seeds: int
    generic: Finding
    own: Finding
    approximate: int = 0
    reasons: tuple[str, ...] = ()
    guarantee: Guarantee = "numeric"

    @property
    def verdict(self) -> Verdict:
        """At generic parameters, unless a family of the group moves the outputs at the given ones."""
        return "unsound" if self.own.verdict == "unsound" else self.generic.verdict

    def __bool__(self) -> bool:
        """Whether every flat direction of generic parameters is explained, and nothing else."""
        return self.verdict == "explained"

    def __str__(self) -> str:
        """A few lines."""
        of = "the log-softmax of the outputs" if self.loss else "the outputs"
        lines = [
            f"generic parameters: {self.generic}",
            f"these parameters: {self.own}",
            f"{self.parameters:,} entries vary, the derivative of {of} has rank {self.generic.rank:,}; singular values "
            f"fall from {self.generic.above:.0e} to {self.generic.below:.0e} of the largest",
        ]
        if self.approximate:
            lines.append(f"{self.approximate} more hold at ε = 0 only, and are not counted")
        if self.generic.unexplained:
            lines.extend(f"in the way: {reason}" for reason in self.reasons)
        return "\n".join([*lines, f"guarantee: {self.guarantee}"])

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "verdict": self.verdict,
            "parameters": self.parameters,
            "loss": self.loss,
            "seeds": self.seeds,
            "generic": self.generic.to_json(),
            "own": self.own.to_json(),
            "approximate": self.approximate,
            "reasons": list(self.reasons),
            "guarantee": self.guarantee,
        }
