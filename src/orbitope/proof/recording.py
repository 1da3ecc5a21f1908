"""The program of a certificate: a graph evaluated with arrays that write down how they come about.

Whatever evaluates in an arithmetic can be written in the few operations of arithmetic, so that the checker needs to
know only these.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from orbitope.arithmetic.base import Arithmetic
from orbitope.errors import EnclosureError
from orbitope.graph import Graph
from orbitope.primitives import PRIMITIVES

Shape = tuple[int, ...]

LARGEST = 1 << 64
"""Numerators and denominators of constants are smaller; other constants are stored as floats."""


@dataclass(frozen=True)
class Symbol:
    """An array that is known by the name of the node that computes it.

    Attributes:
        node: its name.
        shape: of the array.
        shown: None, or the array of zeros and ones that is 0 where the entry is −∞, whatever the node says there.
    """

    node: str
    shape: Shape
    shown: Symbol | None = None


@dataclass(frozen=True)
class Program:
    """What a certificate writes down.

    Attributes:
        nodes: in order, as JSON.
        inputs: names of the data that it reads.
        output: name of the node whose entries F is the mean of.
        constants: tensors that it reads, by name.
        data: for each input its entries for all samples.
    """

    nodes: list[dict[str, Any]]
    inputs: list[str]
    output: str
    constants: dict[str, torch.Tensor]
    data: dict[str, torch.Tensor]

    def to_json(self) -> dict[str, Any]:
        """As a certificate states it."""
        return {"nodes": self.nodes, "inputs": self.inputs, "output": self.output}


def record(graph: Graph, data: Mapping[str, torch.Tensor]) -> Program:
    """The program of a graph in the operations of a certificate.

    Args:
        graph: of the losses of a block of samples; one output.
        data: for each input its entries for all samples, samples first.

    Raises:
        EnclosureError: an operation has no evaluation in exact arithmetic.
    """
    recorder = Recorder()
    values: dict[str, Symbol] = {}
    for node in graph:
        recorder.stem = node.name
        a, operands = node.attributes, [values[name] for name in node.inputs]
        match node.op:
            case "parameter":
                value = recorder.leaf("parameter", a["parameter"], node.shape)
            case "input":
                value = recorder.data(a["input"], data[a["input"]], node.shape)
            case "constant":
                value = recorder.lift(graph.constants[a["constant"]], a["constant"])
            case "output":
                value = operands[0]
            case _:
                try:
                    value = PRIMITIVES[node.op].evaluate(recorder, node, operands)
                except EnclosureError as error:
                    error.at = error.at or node.place
                    raise
        values[node.name] = value
    end = values[graph.outputs[0]]
    return recorder.program(recorder.finite(end))


class Recorder(Arithmetic[Symbol]):
    """Writes down every operation as a node of a program; equal nodes are written once."""

    name = "certificate"

    def __init__(self) -> None:
        """An empty program."""
        self.stem = "value"
        self.nodes: list[dict[str, Any]] = []
        self.constants: dict[str, torch.Tensor] = {}
        self.inputs: dict[str, torch.Tensor] = {}
        self._names: set[str] = set()
        self._known: dict[str, Symbol] = {}
        self._uniform: dict[str, Fraction] = {}
        self._spread: dict[str, Symbol] = {}

    def program(self, end: Symbol) -> Program:
        """What has been written, as far as the value at its end needs it."""
        needed, kept = {end.node}, []
        for node in reversed(self.nodes):
            if node["name"] in needed:
                needed.update(node["inputs"])
                kept.append(node)
        kept.reverse()
        read = {kind: {n["attributes"][kind] for n in kept if n["op"] == kind} for kind in ("constant", "input")}
        return Program(
            kept,
            [name for name in self.inputs if name in read["input"]],
            end.node,
            {name: tensor for name, tensor in self.constants.items() if name in read["constant"]},
            {name: tensor for name, tensor in self.inputs.items() if name in read["input"]},
        )

    def emit(self, op: str, operands: Sequence[Symbol], shape: Sequence[int], /, **attributes: Any) -> Symbol:
        """The value of an operation."""
        inputs, out = [x.node for x in operands], tuple(shape)
        key = json.dumps([op, inputs, attributes, out], sort_keys=True)
        if key not in self._known:
            name = self._named()
            self.nodes.append({"name": name, "op": op, "inputs": inputs, "shape": list(out), "attributes": attributes})
            self._known[key] = Symbol(name, out)
        return self._known[key]

    def _named(self) -> str:
        stem = re.sub(r"[^A-Za-z0-9_.:/\[\]#*-]", "_", self.stem)[:180] or "value"
        name, count = stem, 1
        while name in self._names:
            count += 1
            name = f"{stem}#{count}"
        self._names.add(name)
        return name

    def _pointwise(self, fn: str, *operands: Symbol, **settings: Any) -> Symbol:
        finite = [self.finite(x) for x in operands]
        return self.emit("pointwise", finite, operands[0].shape, fn=fn, **settings)

    def finite(self, x: Symbol) -> Symbol:
        """The same, of which the checker sees that no entry is −∞: a division by one, or by zero where it is."""
        return x if x.shown is None else self.emit("pointwise", (_bare(x), x.shown), x.shape, fn="div")

    # numbers ---------------------------------------------------------------------------------------------------------
    def leaf(self, kind: str, name: str, shape: Sequence[int]) -> Symbol:
        """A parameter, constant or input of that name."""
        return self.emit(kind, (), shape, **{kind: name})

    def lift(self, tensor: torch.Tensor, name: str = "") -> Symbol:
        """A constant."""
        if tensor.numel() and not bool(tensor.isnan().any()) and bool((tensor == tensor.flatten()[0]).all()):
            return self.full(tensor.shape, tensor.flatten()[0].item())
        name = name or f"{self.stem}:constant"
        finite, shown = _parts(tensor, name)
        return self._both(name, finite, shown, self.constants, "constant", tuple(tensor.shape))

    def data(self, name: str, entries: torch.Tensor, shape: Sequence[int]) -> Symbol:
        """An input with its entries for all samples."""
        finite, shown = _parts(entries, name)
        return self._both(name, finite, shown, self.inputs, "input", tuple(shape))

    def _both(
        self,
        name: str,
        finite: torch.Tensor,
        shown: torch.Tensor | None,
        table: dict[str, torch.Tensor],
        kind: str,
        shape: Shape,
    ) -> Symbol:
        table[name] = finite
        value = self.leaf(kind, name, shape)
        if shown is None:
            return value
        table[f"{name}:shown"] = shown
        return Symbol(value.node, shape, self.leaf(kind, f"{name}:shown", shape))

    def full(self, shape: Sequence[int], value: Fraction | float | int, like: Symbol | None = None) -> Symbol:
        """An array of one value."""
        if value == -math.inf:
            zero = self.full(shape, 0)
            return Symbol(zero.node, zero.shape, zero)
        try:
            exact = Fraction(value)
        except (ValueError, OverflowError) as error:
            raise EnclosureError("a constant is not finite", got=str(value)) from error
        if max(abs(exact.numerator), exact.denominator) >= LARGEST:
            number = torch.tensor(float(exact), dtype=torch.float64)
            if Fraction(number.item()) != exact:
                raise EnclosureError("a constant is neither a float nor a ratio of small integers", got=str(value))
            name = f"{float(exact).hex()}".replace("+", "")
            self.constants[name] = number
            made = self.broadcast(self.leaf("constant", name, ()), shape)
            self._uniform[made.node] = exact
            return made
        made = self.emit("full", (), shape, shape=list(shape), value=[exact.numerator, exact.denominator])
        self._uniform[made.node] = exact
        return made

    def uniform(self, x: Symbol) -> Fraction | None:
        """The number that all entries are, where it was written down as one."""
        return None if x.shown is not None else self._uniform.get(x.node)

    def hidden(self, x: Symbol) -> Symbol:
        """One where an entry is −∞, else zero."""
        return self.full(x.shape, 0) if x.shown is None else self.emit_not(x.shown)

    def emit_not(self, x: Symbol) -> Symbol:
        """One where there is zero and the other way round."""
        return self.sub(self.full(x.shape, 1), x)

    # structure -------------------------------------------------------------------------------------------------------
    def shape(self, x: Symbol) -> Shape:
        """Shape."""
        return x.shape

    def _move(self, op: str, x: Symbol, shape: Sequence[int], /, **attributes: Any) -> Symbol:
        value = self.emit(op, (x,), shape, **attributes)
        if x.shown is None:
            return value
        return Symbol(value.node, value.shape, self.emit(op, (x.shown,), shape, **attributes))

    def reshape(self, x: Symbol, shape: Sequence[int]) -> Symbol:
        """Row-major reshape."""
        shape = tuple(int(n) for n in shape)
        return x if shape == x.shape else self._move("reshape", x, shape, shape=list(shape))

    def transpose(self, x: Symbol, permutation: Sequence[int]) -> Symbol:
        """Axes in another order."""
        order = [int(k) for k in permutation]
        if order == list(range(len(order))):
            return x
        return self._move("transpose", x, [x.shape[k] for k in order], permutation=order)

    def broadcast(self, x: Symbol, shape: Sequence[int]) -> Symbol:
        """Right-aligned broadcasting."""
        shape = tuple(int(n) for n in shape)
        if shape == x.shape:
            return x
        value = self._move("broadcast", x, shape, shape=list(shape))
        self._spread[value.node] = x
        return value

    def concat(self, xs: Sequence[Symbol], axis: int) -> Symbol:
        """Concatenation along one axis."""
        if len(xs) == 1:
            return xs[0]
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        value = self.emit("concat", xs, shape, axis=axis)
        if all(x.shown is None for x in xs):
            return value
        return Symbol(value.node, value.shape, self.emit("concat", [self._shown(x) for x in xs], shape, axis=axis))

    def _shown(self, x: Symbol) -> Symbol:
        return self.full(x.shape, 1) if x.shown is None else x.shown

    def slice(self, x: Symbol, axis: int, start: int, stop: int, step: int = 1) -> Symbol:
        """Entries start, start + step, … below stop of one axis."""
        size = x.shape[axis]
        start, stop = min(start, size), min(stop, size)
        if (start, stop, step) == (0, size, 1):
            return x
        shape = (*x.shape[:axis], len(range(start, stop, step)), *x.shape[axis + 1 :])
        return self._move("slice", x, shape, axis=axis, start=start, stop=stop, step=step)

    def pad(self, x: Symbol, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Symbol:
        """Constant padding before and after each axis."""
        pairs = [[int(low), int(high)] for low, high in widths]
        if not any(map(any, pairs)):
            return x
        shape = [n + low + high for n, (low, high) in zip(x.shape, pairs, strict=True)]
        hides = value == -math.inf
        padded = self.emit("pad", (x,), shape, widths=pairs, value=0.0 if hides else float(value))
        if not hides and x.shown is None:
            return padded
        shown = self.emit("pad", (self._shown(x),), shape, widths=pairs, value=0.0 if hides else 1.0)
        return Symbol(padded.node, padded.shape, shown)

    def take(self, x: Symbol, indices: Any, axis: int) -> Symbol:
        """Entries of an axis at integer indices."""
        places = self._indices(indices)
        shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
        return self._lookup("take", x, places, shape, axis)

    def pick(self, x: Symbol, axis: int, indices: Any) -> Symbol:
        """One entry along an axis for each index."""
        places = self._indices(indices)
        return self._lookup("pick", x, places, places.shape, axis)

    def _lookup(self, op: str, x: Symbol, places: Symbol, shape: Sequence[int], axis: int) -> Symbol:
        value = self.emit(op, (x, places), shape, axis=axis)
        if x.shown is None:
            return value
        return Symbol(value.node, value.shape, self.emit(op, (x.shown, places), shape, axis=axis))

    def _indices(self, indices: Any) -> Symbol:
        if isinstance(indices, Symbol):
            return self.finite(indices)
        return self.lift(indices, f"{self.stem}:indices#{len(self.constants)}")

    def integers(self, x: Symbol) -> Any:
        """The symbol itself: whether it is a whole number is for the checker to see."""
        return x

    # field -----------------------------------------------------------------------------------------------------------
    def add(self, x: Symbol, y: Symbol) -> Symbol:
        """Sum; −∞ and a number make −∞."""
        value = self.emit("pointwise", (x, y), x.shape, fn="add")
        return self._hidden_in_either(value, x, y)

    def _hidden_in_either(self, value: Symbol, x: Symbol, y: Symbol) -> Symbol:
        masks = [part.shown for part in (x, y) if part.shown is not None]
        if not masks:
            return value
        shown = masks[0] if len(masks) == 1 else self.mul(masks[0], masks[1])
        return Symbol(value.node, value.shape, shown)

    def sub(self, x: Symbol, y: Symbol) -> Symbol:
        """Difference."""
        y = self.finite(y)
        value = self.emit("pointwise", (x, y), x.shape, fn="sub")
        return self._hidden_in_either(value, x, y)

    def mul(self, x: Symbol, y: Symbol) -> Symbol:
        """Product, entry by entry."""
        return self._pointwise("mul", x, y) if x != y else self._pointwise("square", x)

    def div(self, x: Symbol, y: Symbol) -> Symbol:
        """Quotient, entry by entry; a product with the reciprocals of what was broadcast, of which there are fewer."""
        few = self._spread.get(y.node)
        if few is None or y.shown is not None or few.node in self._uniform:
            return self._pointwise("div", x, y)
        return self.mul(x, self.broadcast(self._pointwise("div", self.full(few.shape, 1), few), y.shape))

    def neg(self, x: Symbol) -> Symbol:
        """Negative."""
        return self._pointwise("neg", x)

    def relu(self, x: Symbol) -> Symbol:
        """Larger of the entry and zero."""
        return self._pointwise("relu", x)

    def contract(self, spec: str, xs: Sequence[Symbol]) -> Symbol:
        """Sum of products, two operands at a time."""
        left, out = spec.split("->")
        terms = left.split(",")
        sizes = {c: n for term, x in zip(terms, xs, strict=True) for c, n in zip(term, x.shape, strict=True)}
        xs = [self.finite(x) for x in xs]
        value, labels = xs[0], terms[0]
        for k, (term, x) in enumerate(zip(terms, xs, strict=True)):
            if k == 0 and len(xs) > 1:
                continue
            later = set(out).union(*terms[k + 1 :])
            kept = out if k == len(xs) - 1 else "".join(c for c in dict.fromkeys(labels + term) if c in later)
            operands = [value] if len(xs) == 1 else [value, x]
            parts = labels if len(xs) == 1 else f"{labels},{term}"
            value = self.emit("contract", operands, [sizes[c] for c in kept], spec=f"{parts}->{kept}")
            labels = kept
        return value

    def convolve(
        self,
        x: Symbol,
        weight: Symbol,
        *,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> Symbol:
        """Cross-correlation."""
        x, weight = self.finite(x), self.finite(weight)
        sizes = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
        space = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes]
        settings = {"stride": list(stride), "padding": list(padding), "dilation": list(dilation), "groups": groups}
        return self.emit("convolve", (x, weight), (x.shape[0], weight.shape[0], *space), **settings)

    def pool(
        self,
        x: Symbol,
        fn: str,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        count_include_pad: bool,
    ) -> Symbol:
        """Maximum or mean over windows of the trailing axes."""
        x = self.finite(x)
        lead = len(x.shape) - len(kernel)
        sizes = zip(x.shape[lead:], kernel, stride, padding, dilation, strict=True)
        space = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes]
        settings = {"kernel": list(kernel), "stride": list(stride), "padding": list(padding)}
        more = {"dilation": list(dilation), "count_include_pad": bool(count_include_pad)}
        return self.emit("pool", (x,), (*x.shape[:lead], *space), fn=fn, **settings, **more)

    def _reduce(self, fn: str, x: Symbol, axes: Sequence[int]) -> Symbol:
        places = sorted(int(k) for k in axes)
        shape = [n for k, n in enumerate(x.shape) if k not in places]
        if not places:
            return x
        return self.emit("reduce", (self.finite(x),), shape, fn=fn, axes=places)

    def sum(self, x: Symbol, axes: Sequence[int]) -> Symbol:
        """Sum over axes, which disappear."""
        return self._reduce("sum", x, axes)

    def mean(self, x: Symbol, axes: Sequence[int]) -> Symbol:
        """Mean over axes, which disappear."""
        return self._reduce("mean", x, axes)

    def softmax(self, x: Symbol, axis: int, safe: bool = False) -> Symbol:
        """Softmax; entries that are −∞ get weight zero."""
        return self._softmax("safe" if safe else "softmax", x, axis)

    def log_softmax(self, x: Symbol, axis: int) -> Symbol:
        """Logarithm of the softmax; entries that are −∞ stay so."""
        value = self._softmax("log", x, axis)
        return value if x.shown is None else Symbol(value.node, value.shape, x.shown)

    def _softmax(self, kind: str, x: Symbol, axis: int) -> Symbol:
        if x.shown is None:
            return self.emit("softmax", (x,), x.shape, kind="softmax" if kind == "safe" else kind, axis=axis)
        return self.emit("softmax", (_bare(x), x.shown), x.shape, kind=kind, axis=axis)

    def normalise(self, x: Symbol, axes: Sequence[int], eps: float, kind: str) -> Symbol:
        """Divided by the root of the mean square, after the mean was subtracted if ``standard``."""
        places = sorted(int(k) for k in axes)
        return self.emit("normalise", (self.finite(x),), x.shape, kind=kind, axes=places, eps=eps)

    # order -----------------------------------------------------------------------------------------------------------
    def maximum(self, x: Symbol, y: Symbol) -> Symbol:
        """Larger of two, entry by entry; −∞ loses."""
        if x.shown is None and y.shown is None:
            return self._pointwise("maximum", x, y)
        if x.shown is None:
            x, y = y, x
        bare, other = _bare(x), _bare(y)
        larger = self._pointwise("maximum", bare, other)
        if y.shown is None:
            return self.where(self._shown(x), larger, other)
        value = self.where(self._shown(x), self.where(y.shown, larger, bare), other)
        return Symbol(value.node, value.shape, self.maximum(self._shown(x), y.shown))

    def amax(self, x: Symbol, axes: Sequence[int]) -> Symbol:
        """Largest over axes, which disappear; −∞ where all entries are."""
        if x.shown is None or not axes:
            return self._reduce("amax", x, axes)
        value = self._reduce("amax", self._lowered(x, axes), axes)
        return Symbol(value.node, value.shape, self._reduce("amax", x.shown, axes))

    def _lowered(self, x: Symbol, axes: Sequence[int]) -> Symbol:
        """Finite entries with the same order along these axes: −∞ becomes less than everything else."""
        assert x.shown is not None
        bare = _bare(x)
        least = self.neg(self._reduce("amax", self.neg(bare), axes))
        keep = [1 if k in axes else n for k, n in enumerate(x.shape)]
        below = self.sub(least, self.full(least.shape, 1))
        return self.where(x.shown, bare, self.broadcast(self.reshape(below, keep), x.shape))

    def compare(self, fn: str, x: Symbol, y: Symbol) -> Symbol:
        """One where a comparison holds, else zero."""
        if x.shown is None and y.shown is None:
            return self._pointwise(fn, x, y)
        shown = (self._shown(x), self._shown(y))
        both = self.mul(*shown)  # where one is −∞, zeros and ones compare as −∞ and numbers do
        return self.where(both, self._pointwise(fn, _bare(x), _bare(y)), self._pointwise(fn, *shown))

    def where(self, condition: Symbol, x: Symbol, y: Symbol) -> Symbol:
        """The entry of x where the condition is not zero, else that of y."""
        condition = self.finite(condition)
        value = self.emit("pointwise", (condition, x, y), x.shape, fn="where")
        if x.shown is None and y.shown is None:
            return value
        masks = (self._shown(x), self._shown(y))
        return Symbol(value.node, value.shape, self.emit("pointwise", (condition, *masks), x.shape, fn="where"))

    def order(self, x: Symbol, axis: int, count: int, largest: bool, what: str, rule: str) -> Symbol:
        """The largest or smallest entries along an axis, in order."""
        if x.shown is not None and what == "values":
            return self.pick(x, axis, self.order(x, axis, count, largest, "indices", rule))
        if x.shown is not None:
            x = self._lowered(x, (axis,))
        shape = [*x.shape[:axis], count, *x.shape[axis + 1 :]]
        if what == "choice":
            shape = [x.shape[axis], *shape]
        return self.emit("order", (x,), shape, axis=axis, count=count, largest=largest, what=what)

    # functions -------------------------------------------------------------------------------------------------------
    def function(self, name: str, x: Symbol) -> Symbol:
        """An elementary function, entry by entry."""
        if name == "exp" and x.shown is not None:
            bare = _bare(x)
            held = self.where(x.shown, bare, self.full(x.shape, 0))  # so that no exponential is needlessly large
            return self.mul(self._pointwise("exp", held), x.shown)
        return self._pointwise(name, x)


def _bare(x: Symbol) -> Symbol:
    """What the node says, also where the entry is −∞."""
    return Symbol(x.node, x.shape)


def _parts(tensor: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A tensor with zeros for −∞, and where it is not −∞, if it is so anywhere."""
    if tensor.is_complex():
        raise EnclosureError(f"{name} is complex")
    if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
        return tensor, None
    hidden = tensor == -math.inf
    if not bool(tensor.masked_fill(hidden, 0.0).isfinite().all()):
        raise EnclosureError(f"{name} is not finite", got="NaN or +∞")
    return tensor.masked_fill(hidden, 0.0), ~hidden


__all__ = ["Program", "Recorder", "Symbol", "record"]
