"""Generalised gradients at kinks: which slopes are allowed where an input of a ReLU is exactly 0, and what follows.

F is a composition of smooth functions and of functions with kinks (ReLU, the absolute value, …). A *tie* is one entry
of one sample that stands exactly on a kink. At each tie the slope may be anything from the derivative on the left to
that on the right; each choice for all ties gives, by the chain rule, a vector. Clarke's generalised gradient lies in
the convex hull of these vectors, and contains every vector whose choice is realised by a direction of parameter space:
for independent ties that is all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog, lsq_linear, nnls

from orbitope.activations.facts import FACTS, Kink
from orbitope.arithmetic import TorchArithmetic
from orbitope.graph import Node
from orbitope.guarantee import Guarantee
from orbitope.objective import Objective
from orbitope.primitives import PRIMITIVES

Parameters = Mapping[str, torch.Tensor]
Choice = Sequence[float] | np.ndarray

FEW = 10
"""Up to so many ties all choices are enumerated: 1024 vectors."""

MANY = 400
"""Up to so many ties that do not feed each other the nearest point is found without enumeration."""

INDEPENDENT = 1e-9
"""Vectors are independent if their smallest singular value is above this share of the largest."""


@dataclass(frozen=True)
class Subgradient:
    """What is known of Clarke's generalised gradient at one point.

    Attributes:
        ties: how many entries stand on a kink.
        places: operations with ties, and how many each has.
        gradient: length of the vector that automatic differentiation returns.
        smallest: length of the shortest vector of the hull of all choices; no generalised gradient is shorter. None
            where there are too many ties to say.
        realised: length of the shortest vector of the hull of the choices that a direction realises: a generalised
            gradient of this length exists. None where there are too many ties to say.
        found: length of the shortest vector that any choice of slopes was found to give.
        unseen: operations with kinks or jumps that are not looked at.
        tolerance: entries this close to a kink count as ties.
        guarantee: ``numeric``; ``heuristic`` where there are too many ties, or the tolerance is not 0.
    """

    ties: int
    places: tuple[tuple[str, int], ...]
    gradient: float
    smallest: float | None
    realised: float | None
    found: float
    unseen: tuple[str, ...] = ()
    tolerance: float = 0.0
    guarantee: Guarantee = "numeric"

    @property
    def exact(self) -> bool:
        """Whether the generalised gradient is the hull of all choices, so that ``smallest`` is its distance from 0."""
        if self.smallest is None or self.realised is None:
            return False
        return abs(self.smallest - self.realised) <= 1e-9 * max(1.0, self.gradient)

    def __str__(self) -> str:
        """One sentence."""
        if not self.ties:
            return f"no entry is on a kink; ‖∇F‖ = {self.gradient:.4g}"
        where = ", ".join(f"{count} at {place}" for place, count in self.places)
        head = f"{self.ties} ties ({where}); automatic differentiation says ‖∇F‖ = {self.gradient:.4g}"
        if self.exact:
            return f"{head}; the shortest generalised gradient has length {self.smallest:.4g}"
        if self.smallest is not None:
            upper = f", one of length {self.realised:.4g} exists" if self.realised is not None else ""
            return f"{head}; no generalised gradient is shorter than {self.smallest:.4g}{upper}"
        return f"{head}; too many ties to enumerate; slopes were found that give length {self.found:.4g}"

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ties": self.ties,
            "places": [list(place) for place in self.places],
            "gradient": self.gradient,
            "smallest": self.smallest,
            "realised": self.realised,
            "found": self.found,
            "exact": self.exact,
            "unseen": list(self.unseen),
            "tolerance": self.tolerance,
            "guarantee": self.guarantee,
        }


def subgradient(objective: Objective, params: Parameters | None = None, tolerance: float = 0.0) -> Subgradient:
    """The shortest generalised gradient of F at one point, as far as it can be had.

    Args:
        objective: the loss F.
        params: the point; the model's own parameters by default.
        tolerance: entries this close to a kink count as ties too. A point to which an optimiser came has almost never
            an entry exactly on a kink; the answer is then about a point nearby, and is a heuristic.

    Raises:
        ParametersError: the parameters do not fit.

    Guarantee: numeric, in float64; heuristic with a tolerance.
    Source: Clarke 1983, chapter 2: the chain rule is an inclusion, and an equality for realised choices [clarke1983].
    """
    return _Point(objective, objective.canonical(params), tolerance).result()


@dataclass(frozen=True)
class _Tie:
    """One entry on a kink: the node, and its input, which is differentiable."""

    node: str
    value: torch.Tensor


class _Run:
    """F evaluated once, with a chosen slope at every tie."""

    def __init__(self, point: _Point, choice: Choice | None) -> None:
        self.point, self.choice = point, choice
        self.leaves = {name: point.params[name].clone().requires_grad_() for name in point.objective.variables}
        self.ties: list[_Tie] = []
        self.places: dict[str, int] = {}
        self.unseen: dict[str, None] = {}
        with torch.enable_grad():
            self.loss = self._loss()

    def _loss(self) -> torch.Tensor:
        objective = self.point.objective
        given = {**self.point.params, **self.leaves}
        value = torch.cat([self._block(given, block) for block in objective.blocks()]).mean()
        squares = [(leaf**2).sum() for leaf in self.leaves.values()]
        return value + objective.weight_decay / 2 * torch.stack(squares).sum() if objective.weight_decay else value

    def _block(self, given: Parameters, block: slice) -> torch.Tensor:
        graph = self.point.objective.graph_for(block.stop - block.start)
        arithmetic = TorchArithmetic(torch.float64)
        values: dict[str, torch.Tensor] = {}
        for node in graph:
            match node.op:
                case "parameter":
                    values[node.name] = arithmetic.lift(given[node.attributes["parameter"]])
                case "input":
                    values[node.name] = arithmetic.lift(self.point.objective.data[node.attributes["input"]][block])
                case "constant":
                    values[node.name] = arithmetic.lift(graph.constants[node.attributes["constant"]])
                case "output":
                    values[node.name] = values[node.inputs[0]]
                case _:
                    values[node.name] = self._value(arithmetic, node, [values[name] for name in node.inputs])
        return values[graph.outputs[0]].reshape(-1)

    def _value(self, arithmetic: TorchArithmetic, node: Node, operands: list[torch.Tensor]) -> torch.Tensor:
        """The value of a node, with the chosen slopes where an operand is on a kink."""
        plain = PRIMITIVES[node.op].evaluate(arithmetic, node, operands)
        if not any(x.requires_grad for x in operands):
            return plain
        fn = node.attributes.get("fn") if node.op == "pointwise" else None
        if fn in ("maximum", "minimum"):  # max(x, y) = y + relu(x − y), min(x, y) = x − relu(x − y)
            sign, rest = (1.0, operands[1]) if fn == "maximum" else (-1.0, operands[0])
            return self._bent(node, plain, operands[0] - operands[1], Kink(0.0, 0.0, sign), rest)
        if fn not in FACTS:
            if bends(node):
                self.unseen[f"{node.place}: {node.target or node.op}"] = None
            return plain
        facts = FACTS[fn](node.attributes)
        if facts.order < 0:
            self.unseen[f"{node.place}: {fn} jumps"] = None
        for kink in facts.kinks:
            plain = self._bent(node, plain, operands[0], kink, None)
        return plain

    def _bent(
        self, node: Node, plain: torch.Tensor, z: torch.Tensor, kink: Kink, rest: torch.Tensor | None
    ) -> torch.Tensor:
        mask = (z.detach() - kink.at).abs() <= self.point.tolerance
        count = int(mask.sum())
        if not count:
            return plain
        at_ties, first = z[mask], len(self.ties)
        share = torch.zeros(count, dtype=z.dtype)
        if self.choice is not None:
            share = torch.as_tensor(np.asarray(self.choice)[first : first + count], dtype=z.dtype)
        slopes = kink.left + (kink.right - kink.left) * share
        moved = plain[mask].detach() + slopes * (at_ties - at_ties.detach())
        if rest is not None:
            moved = moved + rest[mask] - rest[mask].detach()
        self.ties += [_Tie(node.name, value) for value in at_ties]
        place = f"{node.module or node.name} ({node.attributes['fn']})"
        self.places[place] = self.places.get(place, 0) + count
        return plain.masked_scatter(mask, moved)

    def vector(self, value: torch.Tensor | None = None) -> np.ndarray:
        """The gradient of F, or of another value, by the chain rule with these slopes."""
        told = self.loss if value is None else value
        leaves = list(self.leaves.values())
        if not told.requires_grad:
            return np.zeros(sum(leaf.numel() for leaf in leaves))
        found = torch.autograd.grad(told, leaves, retain_graph=True, allow_unused=True)
        parts = [(torch.zeros_like(x) if g is None else g).flatten() for x, g in zip(leaves, found, strict=True)]
        return torch.cat(parts).numpy()

    def directions(self) -> np.ndarray:
        """For each tie the gradient of its input."""
        return np.stack([self.vector(tie.value) for tie in self.ties])


def bends(node: Node) -> bool:
    """Whether an operation may have kinks or jumps that are not looked at here."""
    fn = node.attributes.get("fn", "")
    return (
        node.op in ("order", "scatter", "opaque", "scan")
        or (node.op in ("pool", "reduce") and fn in ("max", "amax", "amin", "argmax"))
        or (node.op == "pointwise" and fn in JUMPING)
    )


JUMPING = frozenset(
    ("floor", "ceil", "trunc", "round", "sign", "remainder", "fmod", "floor_divide", "div_trunc", "where", "sqrt")
)
"""Functions of the trait table with jumps, or without a derivative at the end of their domain."""


class _Point:
    """One point, and all choices of slopes at it."""

    def __init__(self, objective: Objective, params: Parameters, tolerance: float) -> None:
        self.objective, self.tolerance = objective, tolerance
        self.params = {n: t.detach().double() if t.is_floating_point() else t for n, t in params.items()}

    def result(self) -> Subgradient:
        """All that can be said."""
        left = _Run(self, None)
        plain = torch.cat([g.flatten() for g in self.objective.gradient(self.params).values()]).norm().item()
        count = len(left.ties)
        smallest = realised = None
        if not count:
            smallest = realised = found = plain
        elif count <= MANY and not self._coupled(left):
            start = left.vector()
            edges = np.stack([self.vector(row) - start for row in np.eye(count)])
            smallest = found = _nearest_in_box(start, edges)
            if _independent(left.directions()):
                realised = smallest
            elif count <= FEW:
                realised = self._realised(count)
        elif count <= FEW:
            vertices = [self.vector(choice) for choice in itertools.product((0.0, 1.0), repeat=count)]
            smallest = found = _nearest_in_hull(np.stack(vertices))
            realised = self._realised(count)
        else:
            found = plain if plain <= ZERO else min(plain, self._searched(count))
        sure = not self.tolerance and smallest is not None
        return Subgradient(
            count,
            tuple(left.places.items()),
            plain,
            smallest,
            realised,
            found,
            tuple(left.unseen),
            self.tolerance,
            "numeric" if sure else "heuristic",
        )

    def vector(self, choice: Choice) -> np.ndarray:
        """The vector of one choice: for each tie the share of the way from the left slope to the right one."""
        return _Run(self, choice).vector()

    def _coupled(self, run: _Run) -> bool:
        """Whether a tie feeds another one, so that the vector is not affine in the choice."""
        nodes = {tie.node for tie in run.ties}
        if len(nodes) < 2:
            return False
        block = self.objective.blocks()[0]
        above: dict[str, set[str]] = {}
        for node in self.objective.graph_for(block.stop - block.start):
            above[node.name] = {name for x in node.inputs for name in above[x] | ({x} & nodes)}
        return any(above[name] for name in nodes)

    def _realised(self, count: int) -> float | None:
        """The shortest vector of the hull of choices that some direction realises: it moves every tie off its kink."""
        vertices = []
        for choice in itertools.product((0.0, 1.0), repeat=count):
            run = _Run(self, choice)
            signs = np.where(np.array(choice) > 0, 1.0, -1.0)
            rows = run.directions()
            lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
            wanted = {"A_ub": -signs[:, None] * rows / lengths, "b_ub": -np.full(count, 1e-6)}
            if linprog(np.zeros(rows.shape[1]), bounds=(-1, 1), method="highs", **wanted).status == 0:
                vertices.append(run.vector())
        return _nearest_in_hull(np.stack(vertices)) if vertices else None

    def _searched(self, count: int) -> float:
        """The shortest vector that a local search over the slopes meets."""
        best = np.full(count, 0.5)
        length = float(np.linalg.norm(self.vector(best)))
        for share in (0.0, 1.0):
            trial = np.full(count, share)
            other = float(np.linalg.norm(self.vector(trial)))
            if other < length:
                best, length = trial, other
        for _ in range(SWEEPS):
            start = self.vector(best)
            edges = []
            for k in range(min(count, MANY)):
                moved = best.copy()
                moved[k] = 0.0 if best[k] > 0.5 else 1.0
                edges.append((self.vector(moved) - start) / (moved[k] - best[k]))
            rows = np.stack(edges)
            low, high = -best[: len(rows)], 1 - best[: len(rows)]
            step = lsq_linear(rows.T, -start, bounds=(low - 1e-12, high + 1e-12)).x
            trial = best.copy()
            trial[: len(rows)] = np.clip(best[: len(rows)] + step, 0, 1)
            other = float(np.linalg.norm(self.vector(trial)))
            if not other < 0.999 * length:
                break
            best, length = trial, other
        return length


ZERO = 1e-8
"""A gradient of this length is not worth a search for a shorter one."""

SWEEPS = 4
"""Rounds of the search where ties feed each other."""


def _independent(rows: np.ndarray) -> bool:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if len(rows) > rows.shape[1] or not lengths.all():
        return False
    values = np.linalg.svd(rows / lengths, compute_uv=False)
    return bool(values[-1] > INDEPENDENT * values[0])


def _nearest_in_box(start: np.ndarray, edges: np.ndarray) -> float:
    """Distance of 0 from all start + Σ tⱼ·edgeⱼ with 0 ≤ tⱼ ≤ 1."""
    found = lsq_linear(edges.T, -start, bounds=(0, 1), tol=1e-14)
    return float(np.linalg.norm(start + found.x @ edges))


def _nearest_in_hull(vertices: np.ndarray) -> float:
    """Distance of 0 from the convex hull of the rows: nonnegative least squares with a heavy row for the sum."""
    scale = max(1.0, float(np.abs(vertices).max()))
    heavy = 1e4 * scale
    matrix = np.vstack([vertices.T, np.full(len(vertices), heavy)])
    weights, _ = nnls(matrix, np.append(np.zeros(vertices.shape[1]), heavy))
    weights /= weights.sum()
    return float(np.linalg.norm(weights @ vertices))
