"""How sure a result is. Every result says it, so that a search is never mistaken for a proof."""

from __future__ import annotations

from typing import Literal

Guarantee = Literal["exact", "bounds", "numeric", "heuristic"]

GUARANTEES: dict[Guarantee, str] = {
    "exact": "a theorem or rigorous arithmetic; no tolerance anywhere",
    "bounds": "proved from both sides; the exact value lies between",
    "numeric": "measured in floating point, within a stated tolerance",
    "heuristic": "the result of a search; a better one may exist",
}
"""What each word means."""
