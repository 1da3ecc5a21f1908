"""A certificate of non-convexity, and the sets of variables that it settles."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from orbitope.objective import Objective

_AGREEMENT = 1e-9
"""Relative; how well F at the certificate's point must agree with what the certificate says of it."""


class Evidence(Protocol):
    """What is read of a certificate."""

    @property
    def document(self) -> Mapping[str, Any]:
        """The certificate as JSON."""
        ...

    @property
    def statement(self) -> str:
        """What it proves."""
        ...

    @property
    def parameters(self) -> Mapping[str, torch.Tensor]:
        """The point A and what is held fixed."""
        ...

    @property
    def data(self) -> Mapping[str, torch.Tensor]:
        """The samples."""
        ...

    @property
    def moved(self) -> frozenset[str]:
        """Variables in which its points differ."""
        ...

    @property
    def first(self) -> tuple[Mapping[str, torch.Tensor], tuple[float, float]]:
        """A point, and bounds of F there."""
        ...


@dataclass(frozen=True)
class Witness:
    """Which parameters the certified points differ in, and what stands in the way of using them here.

    Attributes:
        statement: what the certificate proves.
        moved: parameters in which its points differ.
        differing: parameters whose value in the certificate is not the value here.
        objection: why the certificate is not about this F; empty if it is.
        certificate: itself.
    """

    statement: str
    moved: frozenset[str]
    differing: frozenset[str]
    objection: str = ""
    certificate: Evidence | None = None

    def settles(self, variables: frozenset[str]) -> bool:
        """Whether F is not convex in these variables: the points lie in the slice that is F's domain here."""
        return not self.objection and self.moved <= variables and self.differing <= variables


def read(certificate: Evidence, objective: Objective, params: Mapping[str, torch.Tensor]) -> Witness:
    """What a certificate says of this objective.

    Guarantee: exact for parameters and data, which are compared entry by entry; numeric for the program, which is
    compared by the value of F at the certificate's point.
    """
    document = certificate.document
    moved, theirs = certificate.moved, certificate.parameters
    if not set(theirs) <= set(params) or any(t.shape != params[n].shape for n, t in theirs.items()):
        return Witness(certificate.statement, moved, frozenset(), "it is about other parameters", certificate)
    absorbed = _absorbed(document, theirs)
    differing = frozenset(
        name
        for name, p in params.items()
        if name in theirs and name not in absorbed and not torch.equal(theirs[name].double(), p.cpu().double())
    )
    objection = _objection(certificate, params, objective)
    return Witness(certificate.statement, moved, differing, objection, certificate)


def restricted(objective: Objective, variables: Sequence[str]) -> Objective:
    """The same function of some of its variables, all others held. Weight decay counts these only.

    Weight decay of what is held is a constant, which makes no difference to convexity.
    """
    part = copy.copy(objective)
    part.__dict__["variables"] = tuple(variables)  # in place of the cached property
    return part


def _absorbed(document: Mapping[str, Any], theirs: Mapping[str, torch.Tensor]) -> frozenset[str]:
    """Running statistics that the prover absorbed: a linear change of gains and shifts, which keeps convexity."""
    _, _, names = str(document["agreement"].get("absorbed", "")).rpartition(": ")
    return frozenset(n for n in names.split(", ") if n in theirs and set(theirs[n].flatten().tolist()) <= {0.0, 1.0})


def _objection(certificate: Evidence, params: Mapping[str, torch.Tensor], objective: Objective) -> str:
    stored = list(certificate.data.values())
    given = objective.data if _missing(objective.data, stored) == () else objective.program(objective.samples)[1]
    for name in _missing(given, stored):
        return f"it is about other data: {'the targets' if name == 'target' else 'the inputs'} differ"
    point, (low, high) = certificate.first
    here = objective.value({name: tensor.to(objective.x.device) for name, tensor in {**params, **point}.items()})
    slack = _AGREEMENT * max(1.0, abs(here))
    if not low - slack <= here <= high + slack:
        return f"it is about another function: F at its point is {low:.6g} there and {here:.6g} here"
    return ""


def _missing(data: Mapping[str, torch.Tensor], stored: Sequence[torch.Tensor]) -> tuple[str, ...]:
    """Names of the data that are not among what is stored."""
    return tuple(
        name
        for name, ours in data.items()
        if not any(t.shape == ours.shape and torch.equal(t.double(), ours.cpu().double()) for t in stored)
    )
