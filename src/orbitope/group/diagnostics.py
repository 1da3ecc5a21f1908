"""Why some positions of a parameter do not move."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """Why some positions of a parameter's axis are fixed.

    Attributes:
        parameter: canonical name.
        axis: its axis.
        size: how many positions.
        reason: one sentence.
        place: node, source line and module that fixed them.
        unknown: whether an operation without a rule is the cause.
    """

    parameter: str
    axis: int
    size: int
    reason: str
    place: str = ""
    unknown: bool = False

    def __str__(self) -> str:
        """One line."""
        where = f" ({self.place})" if self.place else ""
        return f"{self.parameter} axis {self.axis}: {self.size} fixed, {self.reason}{where}"


__all__ = ["Diagnostic"]
