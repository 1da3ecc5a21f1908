"""From a witness and its enclosures to a certificate that the independent checker accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import torch

from orbitope.errors import CertificateError, EnclosureError
from orbitope.proof import check
from orbitope.proof.certificate import Certificate
from orbitope.proof.enclosing import Bounds, Enclosures, Progress
from orbitope.proof.pieces import decay
from orbitope.proof.recording import Program, record
from orbitope.proof.setting import Setting
from orbitope.proof.witnesses import Point, Witness, averaged, mean, moved

CHECKED = 10**8
"""A certificate whose check costs no more units of work is checked as a whole before it is handed out."""

BLOCK_ENTRIES = 1 << 15
"""About how many numbers the widest value of a block of samples may have in the checker."""

MARGIN = 1024
"""Stated bounds are wider than what was computed by the gap over this number, so that the checker has room."""

PRECISIONS = (128, 256, 512, 1024)


def usual_limit() -> int:
    """Units of work that the checker does here without being told more."""
    return check.FLINT_LIMIT if find_spec("flint") else check.LIMIT


class NotIssued(Exception):
    """Why there is no certificate, in one sentence."""


@dataclass(frozen=True)
class Issuer:
    """Writes certificates about one setting.

    Attributes:
        setting: what is proved.
        progress: told now and then.
        limit: units of work that a check may cost.
    """

    setting: Setting
    progress: Progress
    limit: int

    @cached_property
    def program(self) -> Program:
        """The program of a block of samples, in the operations of a certificate.

        Raises:
            EnclosureError: an operation has no exact evaluation.
        """
        objective = self.setting.objective
        graph, data = self.setting.pieces.program(objective.samples if objective.whole else self._block)
        return record(graph, data)

    @property
    def _block(self) -> int:
        """The largest divisor of the number of samples for which no value of the program gets too wide."""
        objective = self.setting.objective
        widest = max(torch.Size(node.shape).numel() for node in self.setting.pieces.program(1)[0])
        most = max(1, BLOCK_ENTRIES // max(widest, 1))
        return max(b for b in range(1, min(most, objective.samples) + 1) if objective.samples % b == 0)

    def problem(self) -> str:
        """Why the network cannot be written down for the checker; empty where it can."""
        try:
            self.program  # noqa: B018 - made once, here
        except EnclosureError as error:
            where = f" at {error.at}" if error.at else ""
            return f"no exact arithmetic evaluates this network: {error.what}{where}"
        return ""

    def too_large(self) -> str:
        """Why the checker would not evaluate the network as a whole; empty where it would.

        Raises:
            NotIssued: it would not even without a limit.
        """
        setting = self.setting
        size = sum(tensor.numel() for tensor in setting.start.values())
        if size > check.MAX_NUMBERS:
            return f"the network has {size:,} parameters, a certificate holds {check.MAX_NUMBERS:,} numbers"
        name = next(name for name in setting.variables if name in self._read)
        points = ({}, {name: setting.start[name]})
        trial = Witness("midpoint", "", setting.start, 0.0, points=points)
        bounds = {"points": [(0.0, 0.0)] * 2, "average": (1.0, 1.0)}
        try:
            begun = check.check(self._written(trial, bounds, {}, PRECISIONS[0], self.program.data).to_bytes(), limit=0)
        except check.MalformedError as error:
            raise NotIssued(f"the independent checker cannot evaluate this network: {error}") from None
        too_much = f"a check would need {begun.multiply_adds:,} units of work, its limit is {self.limit:,}"
        return too_much if begun.multiply_adds > self.limit else ""

    @cached_property
    def _read(self) -> frozenset[str]:
        """Names of the parameters that the program reads."""
        return frozenset(n["attributes"]["parameter"] for n in self.program.nodes if n["op"] == "parameter")

    def issue(self, witness: Witness, enclosures: Enclosures) -> Certificate:
        """A certificate.

        Raises:
            NotIssued: the checker would not accept it, or the program is not the model.
        """
        room = violation(witness, enclosures) / MARGIN
        stated = _widened(witness, enclosures, room)
        agreement = self.agreement(witness)
        agreement |= {"bits": enclosures.precision, "enclosure width": enclosures.width}
        problem = ""
        for precision in PRECISIONS:
            if precision < PRECISIONS[-1] and not self._fine(witness, stated, precision, room):
                continue
            certificate = self._written(witness, stated, agreement, precision, self.program.data)
            problem = self._refused(certificate)
            if not problem:
                return certificate
        raise NotIssued(f"the independent checker would not accept it: {problem}")

    def _fine(self, witness: Witness, stated: Mapping[str, Any], precision: int, room: float) -> bool:
        """Whether the checker's own enclosures of one block of samples are narrow enough in some precision."""
        block = next(n["shape"][0] for n in self.program.nodes if n["op"] == "input")
        few = {name: tensor[:block] for name, tensor in self.program.data.items()}
        self.progress(f"trying the checker with {precision} bits", 0, 1)
        try:
            found = check.check(self._written(witness, stated, {}, precision, few).to_bytes(), limit=self.limit)
        except check.MalformedError as error:  # so many bits take more memory than the checker grants
            raise NotIssued(f"the independent checker would not read it: {error}") from None
        bounds = [pair for value in found.enclosures.values() for pair in _pairs(value)]
        return bool(bounds) and max(high - low for low, high in bounds) < room / MARGIN

    def _written(
        self,
        witness: Witness,
        stated: Mapping[str, Any],
        agreement: Mapping[str, str | float],
        precision: int,
        data: Mapping[str, torch.Tensor],
    ) -> Certificate:
        program, read = self.program, self._read
        try:
            return Certificate.build(
                claim=witness.claim,
                precision=precision,
                variables=[name for name in self.setting.variables if name in read],
                program=program.to_json(),
                constants=program.constants,
                parameters={name: t for name, t in witness.start.items() if name in read},
                steps=[step.to_json() for step in witness.steps],
                violated=witness.violated,
                points=witness.points,
                times=witness.times,
                data=data,
                enclosures=stated,
                agreement=agreement,
            )
        except CertificateError as error:
            raise NotIssued(f"the certificate could not be written: {error.what}") from error

    def _refused(self, certificate: Certificate) -> str:
        """Why the checker refuses a certificate; empty where it accepts it, or it would take long to say."""
        content = certificate.to_bytes()
        begun = check.check(content, limit=0)  # everything but the evaluation
        if not 0 < begun.multiply_adds <= self.limit:
            raise NotIssued(f"a check would need {begun.multiply_adds:,} units of work, its limit is {self.limit:,}")
        if begun.multiply_adds > CHECKED:
            return ""

        def tick(done: int, total: int) -> None:
            self.progress("checking the certificate", done, total)

        verdict = check.check(content, progress=tick)
        return "" if verdict.accepted else verdict.reason

    # agreement with the model ----------------------------------------------------------------------------------------
    def agreement(self, witness: Witness) -> dict[str, str | float]:
        """How far the program and the PyTorch model differ, at the points of the claim.

        Raises:
            NotIssued: they differ by more than rounding.
        """
        facts: dict[str, str | float] = {"guarantee": "numeric", "strategy": witness.strategy, "note": witness.note}
        setting = self.setting
        for name, point in _compared(witness).items():
            ours = setting.value(point)
            at = setting.given if point is setting.start else point
            try:
                model = setting.objective.reference(at) + decay(setting.objective, at)
            except RuntimeError as error:
                raise NotIssued(f"the PyTorch model does not run at {name}, in float64: {error}") from error
            facts[f"loss of the PyTorch model at {name}"] = model
            facts[f"loss of the program at {name}"] = ours
            if not abs(model - ours) <= 1e-6 * max(1.0, abs(model)):
                raise NotIssued(
                    "the program to be proved is not the model: "
                    f"at {name} the model's loss is {model:.9g}, the program's {ours:.9g}"
                )
        if setting.absorbed:
            facts["absorbed"] = (
                "running statistics are 0 and 1 in the program; the model's own were absorbed into gains and shifts "
                "by an invertible linear change of these variables: " + ", ".join(setting.absorbed)
            )
        return facts


def _compared(witness: Witness) -> dict[str, Point]:
    """The points at which program and model are compared."""
    start = witness.start
    if witness.claim == "slopes":
        return {"P": {**start, **witness.points[0]}, "Q": {**start, **witness.points[1]}}
    if witness.steps:
        step = witness.steps[witness.violated]
        return {"A": start, "moved": moved(step, start), "average": averaged(step, start)}
    listed = {f"point {k + 1}": {**start, **point} for k, point in enumerate(witness.points)}
    return {**listed, "average": mean(start, witness.points)}


def _widened(witness: Witness, enclosures: Enclosures, room: float) -> dict[str, Any]:
    """The enclosures, each a little wider on both sides."""
    if witness.claim == "slopes":
        room *= float(min(b - a for a, b in zip(witness.times[::2], witness.times[1::2], strict=True)))

    def wide(bounds: Bounds | None) -> Bounds | None:
        return None if bounds is None else (bounds[0] - room, bounds[1] + room)

    return {
        "points": [wide(bounds) for bounds in enclosures.points],
        **{name: wide(getattr(enclosures, name)) for name in ("average", "start", "end")},
    }


def _pairs(value: Any) -> list[Any]:
    """The bounds in one entry of a verdict's enclosures."""
    if value is None:
        return []
    return [value] if isinstance(value[0], float) else list(value)


def violation(witness: Witness, enclosures: Enclosures) -> float:
    """By how much the enclosures contradict convexity at least, in float64; negative where they do not."""
    if witness.claim == "slopes":
        t, f = [float(t) for t in witness.times], enclosures.points
        return (f[1][0] - f[0][1]) / (t[1] - t[0]) - (f[3][1] - f[2][0]) / (t[3] - t[2])
    assert enclosures.average is not None
    tops = [high for _, high in enclosures.points]
    gap = enclosures.average[0] - sum(tops) / len(tops)
    if enclosures.start is not None and enclosures.end is not None:
        gap = min(gap, enclosures.end[0] - enclosures.start[1])
    return gap
