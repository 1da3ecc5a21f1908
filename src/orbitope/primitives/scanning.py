"""Recurrent cells, applied to one step after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Axes, Indexing, Label, Node, Sum
from orbitope.primitives.base import Behaviour, Primitive, Shape, register

GATES = {"tanh": 1, "relu": 1, "gru": 3, "lstm": 4}
"""For each cell how many quantities it computes of every hidden unit."""


@register
class Scan(Primitive):
    """One cell at every step of a sequence: ``state = cell(x[t], state)``; the value is the state after each step.

    With G gates and H hidden units the operands are, in order,

    * ``x [T, N, G·H]``: what the inputs add to the gates, one gate's units after another's,
    * ``weight [G·H, P]``: what the output of the step before adds to them, where P is H without a projection,
    * ``bias [G·H]`` if ``bias``: what belongs to that weight,
    * ``projection [P, H]`` if ``projected`` (``lstm`` only): makes the output of a step from its hidden units,
    * ``output [N, P]``: of the step before the first,
    * ``cell [N, H]`` (``lstm`` only): the other state, likewise.

    Attributes: ``cell`` is ``tanh``, ``relu``, ``gru`` (gates r, z, n) or ``lstm`` (gates i, f, g, o); ``reverse``
    begins at the last step. The value is ``[T, N, P]``, of ``lstm`` ``[T, N, P+H]``: nothing that is carried from step
    to step is left out, so that every index is seen without those that it does not stand beside.
    """

    name: ClassVar[str] = "scan"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Hidden units are shared by all gates and both sides of the recurrent weight; steps are told apart."""
        a = node.attributes
        steps, samples, width = shapes[0]
        t, n, h = Label("t", steps), Label("n", samples), Label("h", width // GATES[a["cell"]])
        p = Label("p", shapes[1][1]) if a["projected"] else h
        gates = Sum((h,) * GATES[a["cell"]])
        operands: list[Axes] = [(t, n, gates), (gates, p)]
        operands += [(gates,)] * a["bias"] + [(p, h)] * a["projected"]
        operands += [(n, p)] + [(n, h)] * (a["cell"] == "lstm")
        output = (t, n, Sum((p, h)) if a["cell"] == "lstm" else p)
        return Indexing(tuple(operands), output, mixed=frozenset({"t", h.name, p.name}), fixed=frozenset({"t"}))

    def behaviour(self, node: Node) -> Behaviour:
        """Nothing is claimed."""
        count = 4 + node.attributes["bias"] + node.attributes["projected"] - (node.attributes["cell"] != "lstm")
        return Behaviour("other", (0,) * count, homogeneous=(None,) * count, odd=(False,) * count)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Step by step."""
        a = node.attributes
        x, *rest = operands
        steps, samples, width = arithmetic.shape(x)
        run = _Cell(arithmetic, a["cell"], a["bias"], a["projected"], rest)
        found: list[Any] = [None] * steps
        for t in reversed(range(steps)) if a["reverse"] else range(steps):
            run.step(arithmetic.reshape(arithmetic.slice(x, 0, t, t + 1), (samples, width)))
            state = run.output if run.cell is None else arithmetic.concat([run.output, run.cell], 1)
            found[t] = arithmetic.reshape(state, (1, *arithmetic.shape(state)))
        return found[0] if steps == 1 else arithmetic.concat(found, 0)


class _Cell:
    """A cell and the states that it carries."""

    def __init__(
        self, arithmetic: Arithmetic[Any], kind: str, bias: bool, projected: bool, operands: Sequence[Any]
    ) -> None:
        self.arithmetic = arithmetic
        self.kind = kind
        left = list(operands)
        self.weight = left.pop(0)
        self.bias = left.pop(0) if bias else None
        self.projection = left.pop(0) if projected else None
        self.output = left.pop(0)
        self.cell = left.pop(0) if kind == "lstm" else None
        assert not left

    def step(self, x: Any) -> None:
        """The states after one more step."""
        a = self.arithmetic
        again = a.contract("np,gp->ng", [self.output, self.weight])
        if self.bias is not None:
            again = a.add(again, a.broadcast(self.bias, a.shape(again)))
        if self.kind == "lstm":
            i, f, g, o = self._gates(a.add(x, again))
            kept = a.mul(a.function("sigmoid", f), self.cell)
            self.cell = a.add(kept, a.mul(a.function("sigmoid", i), a.function("tanh", g)))
            hidden = a.mul(a.function("sigmoid", o), a.function("tanh", self.cell))
            projected = self.projection is not None
            self.output = a.contract("nh,ph->np", [hidden, self.projection]) if projected else hidden
        elif self.kind == "gru":
            (xr, xz, xn), (hr, hz, hn) = self._gates(x), self._gates(again)
            r, z = a.function("sigmoid", a.add(xr, hr)), a.function("sigmoid", a.add(xz, hz))
            new = a.function("tanh", a.add(xn, a.mul(r, hn)))
            self.output = a.add(new, a.mul(z, a.sub(self.output, new)))
        else:
            total = a.add(x, again)
            self.output = a.relu(total) if self.kind == "relu" else a.function("tanh", total)

    def _gates(self, x: Any) -> list[Any]:
        count = GATES[self.kind]
        size = self.arithmetic.shape(x)[1] // count
        return [self.arithmetic.slice(x, 1, k * size, (k + 1) * size) for k in range(count)]
