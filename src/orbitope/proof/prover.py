"""prove: from an objective to a certificate that its loss is not convex in the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from orbitope.arithmetic import BallArithmetic
from orbitope.arithmetic.balls import Ball
from orbitope.errors import CertificateError, EnclosureError, InputError
from orbitope.group import SymmetryGroup
from orbitope.infer import infer
from orbitope.objective import Objective
from orbitope.primitives import evaluate
from orbitope.proof import check
from orbitope.proof.certificate import Certificate
from orbitope.proof.moves import Step
from orbitope.proof.statistics import absorb
from orbitope.proof.witnesses import Witness, averaged, best_swap, moved, orbit_average

Claim = Literal["midpoint", "orbit-average", "best"]
Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``."""


@dataclass(frozen=True)
class NotProven:
    """No certificate, and why. False where a Certificate is true.

    Attributes:
        reason: one sentence.
        tried: what was tried, in order, with its numbers.
        best_gap: the largest float64 gap that was met, None where there was nothing to try.
    """

    reason: str
    tried: tuple[str, ...] = ()
    best_gap: float | None = None

    def __bool__(self) -> bool:
        """False."""
        return False

    def __str__(self) -> str:
        """The reason, then what was tried."""
        return "\n".join([f"not proven: {self.reason}", *(f"  tried {text}" for text in self.tried)])

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"proven": False, "reason": self.reason, "tried": list(self.tried), "best_gap": self.best_gap}


def prove(
    objective: Objective,
    group: SymmetryGroup | None = None,
    *,
    params: Mapping[str, torch.Tensor] | None = None,
    claim: Claim = "best",
    progress: Progress | None = None,
) -> Certificate | NotProven:
    """A certificate that F is not convex in the variables, or the reason why there is none.

    A swap of two units whose midpoint is worse refutes convexity (claim ``midpoint``); so does the average over all
    permutations, led to by a chain of averages of which one violates Jensen's inequality (``orbit-average``).

    Args:
        objective: model, loss and data.
        group: its symmetries; inferred if not given. They suggest witnesses; no proof depends on them.
        params: the point A; the model's own parameters by default.
        claim: ``midpoint``, ``orbit-average``, or ``best``: the first that succeeds, in this order.
        progress: called now and then.

    Guarantee: exact. F is enclosed at every point in rigorous ball arithmetic; the certificate states real numbers and
        carries what an independent checker needs. NotProven is not a proof of convexity.
    Source: DESIGN of the argument in docs/proof.md; Jensen's inequality.
    """
    if claim not in ("midpoint", "orbit-average", "best"):
        raise InputError(f"unknown claim {claim!r}", fix="choose midpoint, orbit-average or best")
    attempt = _Attempt(objective, _without_modules(objective, group), params, progress or (lambda *_: None))
    first = attempt.refused()
    if first is not None:
        return first
    result: Certificate | NotProven = NotProven("nothing was tried")
    for kind in ("midpoint", "orbit-average") if claim == "best" else (claim,):
        result = attempt.midpoint() if kind == "midpoint" else attempt.orbit_average()
        if result:
            return result
    return result


def _without_modules(objective: Objective, group: SymmetryGroup | None) -> SymmetryGroup:
    """A group whose moves are permutations of single parameters' axes, as a certificate states them."""
    if group is None:
        return infer(objective.network, modules=False)
    if not any(placement.members for placement in group.placements.values()):
        return group
    moved = [p for p in group.placements.values() if p.moved_by() & group.by_name.keys()]
    scope = [alias for placement in moved for names in placement.tensors for alias in names]
    return infer(objective.network, scope, modules=False)


class _Attempt:
    """Everything that both claims share: the point, the arithmetic, the record of what was tried."""

    def __init__(
        self,
        objective: Objective,
        group: SymmetryGroup,
        params: Mapping[str, torch.Tensor] | None,
        progress: Progress,
    ) -> None:
        self.objective = objective
        self.progress = progress
        self.tried: list[str] = []
        self.balls = BallArithmetic()
        given = {name: tensor.detach().cpu() for name, tensor in objective.canonical(params).items()}
        self.given = given
        self.start, self.absorbed = given, ()
        self.variables = objective.variables
        self.group, self.held = self._without_held(group)
        if self._uneven(given):
            self.start, self.absorbed = absorb(objective.network, given)
            self.variables = (*self.variables, *self._uneven(self.start))
        self.cost = _Cost(objective, self.start)

    def _without_held(self, group: SymmetryGroup) -> tuple[SymmetryGroup, tuple[str, ...]]:
        """The group without units that index a parameter which is not trained: its entries must stay in place."""
        held = {
            name: placement.moved_by()
            for name, placement in group.placements.items()
            if placement.trainable and name not in self.variables and _differ(self.given[name])
        }
        stuck = {unit for moving in held.values() for unit in moving}
        kept = tuple(unit for unit in group.units if unit.name not in stuck)
        names = tuple(name for name, moving in held.items() if moving & group.by_name.keys())
        return replace(group, units=kept), names

    def _uneven(self, point: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
        """Moved buffers whose entries differ: they must be absorbed, or become variables too."""
        return tuple(
            name
            for name, placement in self.group.placements.items()
            if not placement.trainable and placement.moved_by() & self.group.by_name.keys() and _differ(point[name])
        )

    def _movable_steps(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The steps without the buffers that are alike in all positions: moving them changes nothing."""
        kept = set(self.variables)
        return tuple(
            Step(s.units, s.order, {name: pairs for name, pairs in s.moves.items() if name in kept}) for s in steps
        )

    # reasons -------------------------------------------------------------------------------------------------------
    def refused(self) -> NotProven | None:
        """What rules a proof out before any search."""
        if self.held and not any(unit.size > 1 for unit in self.group.units):
            return self._not(f"every exchange moves parameters that are not trained: {', '.join(self.held)}")
        if not any(unit.size > 1 for unit in self.group.units):
            return self._not("no two units can be exchanged (every layer has width 1, or symmetry is broken)")
        if self.cost.problem:
            return self._not(self.cost.problem)
        return None

    def _not(self, reason: str, gap: float | None = None) -> NotProven:
        return NotProven(reason, tuple(self.tried), gap)

    def value(self, point: Mapping[str, torch.Tensor]) -> float:
        """F in float64."""
        with torch.no_grad():
            return self.objective.losses(point).mean().item()

    # claims --------------------------------------------------------------------------------------------------------
    def midpoint(self) -> Certificate | NotProven:
        """The best swap."""
        self.progress("searching swaps", 0, 1)
        witnesses, differing = best_swap(self.group, self.start, self.value)
        self.progress("searching swaps", 1, 1)
        if not differing:
            self.tried.append("every swap: all units of every layer are identical, so that no swap moves anything")
            return self._not("all units that can be exchanged are identical, so every copy is the same point")
        best = witnesses[0]
        self.tried.append(f"{len(witnesses)} swaps of two units: largest F(M) − F(A) = {best.gap:.6g}")
        if not best.gap > 0:
            return self._not("no swap of two units makes the midpoint worse", best.gap)
        return self._certify("midpoint", best)

    def orbit_average(self) -> Certificate | NotProven:
        """The average over all permutations of all units."""
        self.progress("averaging the orbit", 0, 1)
        best = orbit_average(self.group, self.start, self.value)
        self.progress("averaging the orbit", 1, 1)
        if best is None:
            return self._not("no units move along whole parameter axes")
        self.tried.append(f"{len(best.steps)} averages of the orbit: largest rise of F in one of them = {best.gap:.6g}")
        if not best.gap > 0:
            return self._not("no average on the way to the orbit average makes the loss higher", best.gap)
        return self._certify("orbit-average", best)

    # certification -------------------------------------------------------------------------------------------------
    def _certify(self, claim: Literal["midpoint", "orbit-average"], witness: Witness) -> Certificate | NotProven:
        steps = self._movable_steps(witness.steps)
        work = self.cost.work(steps, witness.violated)
        if work > check.LIMIT:
            self.tried.append(f"{claim}: the check would need {work:,} multiply-adds")
            return self._not(
                f"the independent checker computes up to {check.LIMIT:,} multiply-adds, this needs {work:,}; "
                "use fewer samples",
                witness.gap,
            )
        try:
            enclosures = self._enclose(steps, witness.violated)
        except EnclosureError as error:
            self.tried.append(f"{claim}: {error.what}")
            return self._not(f"the loss could not be enclosed: {error.what}", witness.gap)
        low = enclosures["average"][0]
        tops = [high for _, high in enclosures["points"]]
        rises = claim == "midpoint" or enclosures["end"][0] > enclosures["start"][1]
        if not (low > max(tops) and rises):
            width = max(high - low for low, high in [enclosures["average"], *enclosures["points"]])
            self.tried.append(f"{claim}: gap {witness.gap:.3g} in float64, enclosures {width:.3g} wide")
            return self._not(
                "the gap is below the width of the enclosure" if rises else "the orbit average is not above the start",
                witness.gap,
            )
        agreement = self._agreement(steps[witness.violated])
        differ = _disagreement(agreement)
        if differ:
            self.tried.append(f"{claim}: {differ}")
            return self._not(f"the program to be proved is not the model: {differ}", witness.gap)
        try:
            certificate = self._certificate(claim, steps, witness.violated, enclosures, agreement)
        except CertificateError as error:
            return self._not(f"the certificate could not be written: {error.what}", witness.gap)
        begun = check.check(certificate.to_bytes(), limit=0)  # everything but the evaluation
        if not 0 < begun.multiply_adds <= check.LIMIT:
            self.tried.append(f"{claim}: {begun.reason}")
            return self._not(f"the independent checker would not accept it: {begun.reason}", witness.gap)
        return certificate

    def _enclose(self, steps: Sequence[Step], violated: int) -> dict[str, Any]:
        """Bounds of F at the start, at the points of the violated step, at their average and at the end."""
        here = {name: self.balls.lift(tensor) for name, tensor in self.start.items()}
        total = steps[violated].order + 1 + (violated > 0) + (violated < len(steps) - 1)
        done = 0

        def bounds(point: Mapping[str, Ball]) -> tuple[float, float]:
            nonlocal done
            result = self._bounds(point)
            done += 1
            self.progress("enclosing the loss", done, total)
            return result

        found: dict[str, Any] = {"start": None, "end": None}
        for k, step in enumerate(steps):
            images = self._images(step, here)
            average = self._mean(step, here, images)
            if k == violated:
                found["points"] = [bounds(image) for image in images]
                found["average"] = bounds(average)
                found["start"] = found["points"][0] if k == 0 else found["start"]
                found["end"] = found["average"] if k == len(steps) - 1 else None
            elif k == 0:
                found["start"] = bounds(here)
            here = average
        found["end"] = found["end"] or bounds(here)
        return found

    def _images(self, step: Step, point: Mapping[str, Ball]) -> list[dict[str, Ball]]:
        images = [dict(point)]
        sources = step.sources()
        for _ in range(step.order - 1):
            image = dict(images[-1])
            for name, axes in sources.items():
                for axis, source in axes:
                    image[name] = self.balls.take(image[name], source, axis)
            images.append(image)
        return images

    def _mean(self, step: Step, point: Mapping[str, Ball], images: Sequence[Mapping[str, Ball]]) -> dict[str, Ball]:
        mean = dict(point)
        for name in step.moves:
            total = images[0][name]
            for image in images[1:]:
                total = self.balls.add(total, image[name])
            mean[name] = self.balls.div(total, self.balls.full(total.shape, step.order, like=total))
        return mean

    def _bounds(self, point: Mapping[str, Ball]) -> tuple[float, float]:
        objective, parts = self.objective, []
        for block in objective.blocks():
            graph = objective.graph_for(block.stop - block.start)
            x, target = objective.x[block], objective.target[block]
            inputs = dict(zip(graph.inputs, (self.balls.lift(x), self.balls.lift(target)), strict=True))
            parts.append(evaluate(graph, self.balls, point, inputs)[0])
        return self.balls.enclosing_mean(parts)

    # the document --------------------------------------------------------------------------------------------------
    def _certificate(
        self,
        claim: Literal["midpoint", "orbit-average"],
        steps: Sequence[Step],
        violated: int,
        enclosures: dict[str, Any],
        agreement: Mapping[str, str | float],
    ) -> Certificate:
        objective = self.objective
        graph = objective.graph_for(1)
        return Certificate.build(
            claim=claim,
            variables=self.variables,
            program=self.cost.program,
            constants=graph.constants,
            parameters=self.start,
            steps=[step.to_json() for step in steps],
            violated=violated,
            data=dict(zip(graph.inputs, (objective.x, objective.target), strict=True)),
            enclosures=enclosures,
            agreement=agreement,
        )

    def _agreement(self, step: Step) -> dict[str, str | float]:
        """How far the program and the PyTorch model differ, at A, after the move, and at the midpoint or average."""
        facts: dict[str, str | float] = {"guarantee": "numeric"}
        points = {"A": self.given, "moved": moved(step, self.start), "average": averaged(step, self.start)}
        for name, point in points.items():
            facts[f"loss of the PyTorch model at {name}"] = self._model_loss(point)
            facts[f"loss of the program at {name}"] = self.value(self.start if name == "A" else point)
        if self.absorbed:
            facts["absorbed"] = (
                "running statistics are 0 and 1 in the program; the model's own were absorbed into gains and shifts "
                "by an invertible linear change of these variables: " + ", ".join(self.absorbed)
            )
        return facts

    def _model_loss(self, point: Mapping[str, torch.Tensor]) -> float:
        """The loss of the user's own module, run by PyTorch in float64."""
        objective = self.objective
        names = objective.network.parameters
        state = {alias: point[name].double() for name in names for alias in names[name].names}
        x = objective.x.double() if objective.x.is_floating_point() else objective.x
        with torch.no_grad():
            output = torch.func.functional_call(objective.model, state, (x,), strict=False, tie_weights=False)
        if objective.loss == "cross_entropy":
            return torch.nn.functional.cross_entropy(output, objective.y.long()).item()
        return torch.nn.functional.mse_loss(output, objective.y.to(output.dtype)).item()


def _differ(tensor: torch.Tensor) -> bool:
    """Whether a tensor has two different entries."""
    return bool((tensor != tensor.flatten()[:1]).any())


def _disagreement(agreement: Mapping[str, str | float]) -> str:
    """Where the losses of the model and of the program differ by more than rounding; empty where they agree."""
    for place in ("A", "moved", "average"):
        model, program = (float(agreement[f"loss of the {what} at {place}"]) for what in ("PyTorch model", "program"))
        if not abs(model - program) <= 1e-6 * max(1.0, abs(model)):
            return f"at {place} the model's loss is {model:.9g}, the program's {program:.9g}"
    return ""


class _Cost:
    """The program as a certificate states it, and what a check of it costs."""

    def __init__(self, objective: Objective, point: Mapping[str, torch.Tensor]) -> None:
        graph = objective.graph_for(1)
        self.samples = objective.samples
        self.problem = ""
        self.program = {
            "nodes": [
                {
                    "name": node.name,
                    "op": node.op,
                    "inputs": list(node.inputs),
                    "shape": list(node.shape),
                    "attributes": dict(node.attributes),
                }
                for node in graph
                if node.op != "output"
            ],
            "inputs": list(graph.inputs),
            "output": graph.node(graph.outputs[0]).inputs[0],
        }
        shapes = {
            "parameter": {name: tuple(tensor.shape) for name, tensor in point.items()},
            "constant": {name: tuple(tensor.shape) for name, tensor in graph.constants.items()},
            "input": {name: graph.node(name).shape for name in graph.inputs},
        }
        self.entries = {name: tensor.numel() for name, tensor in point.items()}
        try:
            self.checked = check.Program(self.program, shapes)
        except check.MalformedError as error:
            self.problem = f"the independent checker cannot evaluate this network: {error}"

    def work(self, steps: Sequence[Step], violated: int) -> int:
        """Multiply-adds of a check."""
        evaluations = steps[violated].order + 1 + (violated > 0) + (violated < len(steps) - 1)
        moves = sum((step.order + 2) * sum(self.entries[name] for name in step.moves) for step in steps)
        return evaluations * (self.checked.static_work + self.samples * self.checked.sample_work) + moves
