"""One architecture of a survey: trained from several seeds, measured and proved before and after."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from orbitope.activations.known import ACTIVATIONS
from orbitope.errors import OrbitopeError
from orbitope.group import Moving
from orbitope.infer import symmetries
from orbitope.landscapes import subgradient
from orbitope.objective import Objective
from orbitope.proof import Certificate, NotProven, certify, check_certificate, prove
from orbitope.proof.moves import swap
from orbitope.proof.setting import Setting
from orbitope.proof.witnesses import Witness
from orbitope.surveys.measuring import floor, measure
from orbitope.surveys.networks import Function, Network
from orbitope.surveys.problems import Problem
from orbitope.surveys.training import train

VERSION = 1
"""Of a record."""

NEAR = 1e-5
"""An entry this close to a kink counts as on it."""

AGREEMENT = 1e-9
"""The loss by the survey and by the objective that is proved of differ by less than this share."""


@dataclass(frozen=True)
class Cell:
    """One architecture and the seeds that are wanted of it.

    Attributes:
        activation: its name. function: itself, where it is not known by name.
        width: of the hidden layers. depth: how many.
        seeds: of the initial weights.
        problem: data, loss and weight decay.
        prove: whether certificates are made.
    """

    activation: str
    width: int
    depth: int
    seeds: tuple[int, ...]
    problem: Problem
    function: Function | None = None
    prove: bool = True

    @property
    def network(self) -> Network:
        """The function F."""
        return Network(self.problem, self.function or ACTIVATIONS[self.activation].function, self.width, self.depth)

    def settings(self, seed: int) -> dict[str, Any]:
        """All that decides a record; two records of equal settings are the same measurement."""
        return {
            "activation": self.activation,
            "width": self.width,
            "depth": self.depth,
            "loss": self.problem.loss,
            "seed": seed,
            "weight_decay": self.problem.weight_decay,
            "data": self.problem.label,
            "digest": self.problem.digest,
            "function": "" if self.function is None else _digest(self.function),
            "proofs": self.prove,
            "version": VERSION,
        }

    def key(self, seed: int) -> str:
        """The settings as one line."""
        return " ".join(str(value) for value in self.settings(seed).values())


def _digest(function: Function) -> str:
    """Of its values on a few numbers: another function under the same name is another measurement."""
    with torch.no_grad():
        values = function(torch.linspace(-8, 8, 161, dtype=torch.float64))
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()[:12]


def run(cell: Cell) -> list[dict[str, Any]]:
    """A record for every seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return list(_records(cell))
    finally:
        torch.set_num_threads(threads)


def _records(cell: Cell) -> Iterator[dict[str, Any]]:
    network = cell.network
    proofs, failed = None, {}
    try:
        proofs = Proofs(network) if cell.prove else None
    except OrbitopeError as error:  # the activation cannot be traced: what was measured stays
        failed = {"ties": None, "generalised_a": None, "proved": None, "proved_gap": None, "reason": error.what}
    for seed in cell.seeds:
        began = time.perf_counter()
        start = network.initial(seed)
        trained = train(network, start)
        points = {"initial": start, "trained": trained.point}
        measured = {name: measure(network, point, seed) for name, point in points.items()}
        proved = {name: proofs.at(points[name], measured[name]) if proofs else failed for name in points}
        yield {
            "key": cell.key(seed),
            **cell.settings(seed),
            "parameters": network.size,
            "evaluations": trained.evaluations,
            **{name: measured[name] | proved[name] for name in points},
            "seconds": round(time.perf_counter() - began, 3),
        }


class Proofs:
    """Certificates for one architecture: made by ``prove``, saved, and verified by the independent checker."""

    def __init__(self, network: Network) -> None:
        """Trace the network and find its symmetries once."""
        problem = network.problem
        model = network.module()
        self.network = network
        self.objective = Objective(model, problem.loss, (problem.x, problem.y), weight_decay=problem.weight_decay)
        self.group = symmetries(model, (problem.x[:4],))

    def at(self, point: torch.Tensor, measured: dict[str, Any]) -> dict[str, Any]:
        """Whether the best swap proves that F is not convex, and if not, what else does.

        ``proved``: the strategy of the certificate that the checker accepted, None where there is none; ``proved_gap``:
        its gap; ``reason``: why no swap. ``ties``, ``generalised_a``: how many entries are within 10⁻⁵ of a kink, and
        the shortest vector that slopes between left and right derivative at these give.
        """
        params = self.network.split(point)
        self._agree(params, self.network.value(point))
        nearest = subgradient(self.objective, params, NEAR)
        return {"ties": nearest.ties, "generalised_a": nearest.found, **self._proved(params, measured)}

    def _proved(self, params: dict[str, torch.Tensor], measured: dict[str, Any]) -> dict[str, Any]:
        gap, best, reason = measured["best_gap"], measured["best_swap"], "there are no two units to exchange"
        if best is not None:
            reason = "no midpoint of a swap is worse than A"
        if best is not None and gap > floor(measured["loss"]):
            found = self._accepted(certify(self.objective, self.group, self._witness(best, gap), params=params))
            if found["proved"]:
                return found
            reason = found["reason"]
        return {**self._accepted(prove(self.objective, self.group, params=params)), "reason": reason}

    def _witness(self, best: list[int], gap: float) -> Callable[[Setting], Witness]:
        """The swap that was measured, in the symmetries that were inferred."""
        layer, i, j = best

        def make(setting: Setting) -> Witness:
            axis = setting.group.placements[f"{2 * layer}.bias"].axes[0]
            assert isinstance(axis, Moving)
            exchange = swap(setting.group, setting.group.by_name[axis.name], i, j)
            note = f"swap of units {i} and {j} of hidden layer {layer + 1}"
            return Witness("midpoint", "swap", setting.start, gap, (exchange,), note=note)

        return make

    def _accepted(self, found: Certificate | NotProven) -> dict[str, Any]:
        """A certificate counts once the checker has accepted its file."""
        if isinstance(found, NotProven):
            return {"proved": None, "proved_gap": None, "reason": found.reason}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "cell.orbitope")
            found.save(path)
            verdict = check_certificate(path)
        if not verdict.accepted:
            return {"proved": None, "proved_gap": None, "reason": f"the checker: {verdict.reason}"}
        return {"proved": found.document["agreement"]["strategy"], "proved_gap": found.gap, "reason": ""}

    def _agree(self, params: dict[str, torch.Tensor], value: float) -> None:
        """What is proved of is what was measured."""
        ours = self.objective.value(params)
        assert abs(ours - value) <= AGREEMENT * max(1.0, abs(value)), (ours, value)
