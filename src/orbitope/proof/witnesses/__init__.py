"""The search for a witness: parameters at which the loss contradicts convexity. Heuristics, not trusted by a proof."""

from orbitope.proof.witnesses.averages import orbit_average
from orbitope.proof.witnesses.bends import curvature, twins
from orbitope.proof.witnesses.gauge import flips, rescalings
from orbitope.proof.witnesses.slices import rows_read, slices
from orbitope.proof.witnesses.slopes import slopes
from orbitope.proof.witnesses.swaps import Pair, exchanges, pairs, position_labels, swaps
from orbitope.proof.witnesses.witness import Claim, Point, Witness, averaged, mean, measured, moved, places

__all__ = [
    "Claim",
    "Pair",
    "Point",
    "Witness",
    "averaged",
    "curvature",
    "exchanges",
    "flips",
    "mean",
    "measured",
    "moved",
    "orbit_average",
    "pairs",
    "places",
    "position_labels",
    "rescalings",
    "rows_read",
    "slices",
    "slopes",
    "swaps",
    "twins",
]
