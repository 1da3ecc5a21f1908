"""More rules of the campaign: structure, masks, normalisation, pools, comparisons, orders, rounding, whole networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import flint
import numpy as np
import torch
from tests.arithmetic.campaign import (
    EXACT,
    KINDS,
    RADII,
    Campaign,
    array,
    ball,
    log_softmaxes,
    softmaxes,
)

from orbitope.arithmetic import ArbArithmetic, Ball, NormArithmetic
from orbitope.arithmetic.exact import LOWEST

PLAIN = ("normal", "dyadic", "near_one", "bf16", "f32", "special")
NARROW = RADII[:4]
SMOOTH: dict[str, Callable[[Any], Any]] = {
    "log1p": lambda x: flint.arb(x).log1p(),
    "expm1": lambda x: flint.arb(x).expm1(),
    "log2": lambda x: flint.arb(x).log() / flint.arb.const_log2(),
    "log10": lambda x: flint.arb(x).log() / flint.arb.const_log10(),
    "exp2": lambda x: flint.arb(2) ** flint.arb(x),
    "erfc": lambda x: flint.arb(x).erfc(),
}


class Rules(Campaign):
    """The campaign with everything that an arithmetic can do."""

    def structure(self, rounds: int = 1) -> None:
        """Entries that move; norms must follow them."""
        moves: list[tuple[str, Callable[[Any, Any], Any]]] = [
            ("reshape", lambda a, v: a.reshape(v[0], (3, 4, 10))),
            ("reshape", lambda a, v: a.reshape(v[0], (12, 10))),
            ("reshape", lambda a, v: a.reshape(v[0], (6, 2, 2, 5))),
            ("reshape", lambda a, v: a.reshape(a.reshape(v[0], (12, 10)), (3, 4, 2, 5))),
            ("transpose", lambda a, v: a.transpose(v[0], (2, 0, 3, 1))),
            ("broadcast", lambda a, v: a.broadcast(a.slice(v[0], 2, 0, 1), (2, 3, 4, 3, 5))),
            ("broadcast", lambda a, v: a.broadcast(a.slice(v[0], 0, 1, 2), (3, 4, 2, 5))),
            ("concat", lambda a, v: a.concat([v[0], a.neg(v[0])], 1)),
            ("concat", lambda a, v: a.concat([v[0], a.full((2, 4, 2, 5), 1), v[0]], 0)),
            ("slice", lambda a, v: a.slice(v[0], 0, 0, 3, 2)),
            ("slice", lambda a, v: a.slice(v[0], 3, 1, 4)),
            ("pad", lambda a, v: a.pad(v[0], [(0, 0), (1, 2), (0, 0), (2, 0)], 0.5)),
            ("pad", lambda a, v: a.pad(v[0], [(1, 0), (0, 0), (0, 0), (0, 0)])),
            ("take", lambda a, v: a.take(v[0], torch.tensor([[2, 2], [0, 2]]), 1)),
            ("take", lambda a, v: a.take(v[0], torch.tensor([2, 0, 2]), 0)),
            ("pick", lambda a, v: a.pick(v[0], 1, torch.tensor([3, 3, 1]).reshape(1, 3, 1, 1).expand(3, 3, 2, 5))),
            ("windows", lambda a, v: a.windows(v[0], (2, 3), stride=(1, 1), dilation=(1, 1))),
            ("windows", lambda a, v: a.windows(v[0], (2, 2), stride=(1, 2), dilation=(1, 2))),
            *(("scatter", partial(_scattered, mode)) for mode in ("set", "sum", "amax")),
            ("sum", lambda a, v: a.sum(v[0], (1, 3))),
            ("mean", lambda a, v: a.mean(v[0], (2, 3))),
            ("mean", lambda a, v: a.mean(v[0], (0, 1, 2, 3))),
            ("amax", lambda a, v: a.amax(v[0], (1,))),
        ]
        for (name, move), kind, radius, _ in itertools.product(moves, PLAIN, NARROW, range(rounds)):
            self.run(name, move, ball(self.rng, (3, 4, 2, 5), kind, radius))

    def orders(self, rounds: int = 1) -> None:
        """Comparisons, choices and rankings, with ties and balls that touch."""
        shape = (4, 7)
        for kind, radius, _ in itertools.product(("normal", "dyadic", "special", "f32"), NARROW, range(rounds)):
            x = ball(self.rng, shape, kind, radius)
            y = ball(self.rng, shape, kind, radius)
            if self.rng.random() < 0.5:  # just apart, touching or the same
                reach = np.zeros(shape) if x.radius is None else 2.0 * x.radius
                gap = self.rng.choice([1.0, 1.0 + 2.0**-40, -1.0, 0.0], shape)
                y = Ball(x.center + reach * gap, x.radius)
            for fn in ("lt", "le", "gt", "ge", "eq", "ne"):
                for row in range(shape[0]):
                    cut = [Ball(z.center[row], None if z.radius is None else z.radius[row]) for z in (x, y)]
                    self.run(fn, lambda a, v, fn=fn: a.compare(fn, v[0], v[1]), *cut)
            condition = torch.tensor(self.rng.integers(0, 2, shape))
            self.run("where", lambda a, v, c=condition: a.where(a.lift(c), v[0], v[1]), x, y)
            for largest, count, what in itertools.product((True, False), (1, 3, 7), ("values", "indices", "choice")):
                chosen = (1, count, largest, what, "sort")
                self.run(f"order {what}", lambda a, v, c=chosen: a.order(v[0], *c), x)
            if x.radius is not None:  # rows that are nearly in disorder
                steps = np.cumsum(self.rng.choice([0.9, 1.1, 2.0], shape), axis=1) * 2e-3
                self._close_orders(Ball(self.rng.permuted(steps, axis=1), np.full(shape, 1e-3)))

    def _close_orders(self, x: Ball) -> None:
        for largest, what, row in itertools.product((True, False), ("values", "indices", "choice"), range(x.shape[0])):
            assert x.radius is not None
            cut = Ball(x.center[row : row + 1], x.radius[row : row + 1])
            self.run(f"order {what}", lambda a, v, c=(1, 2, largest, what, "topk"): a.order(v[0], *c), cut)

    def pools(self, rounds: int = 1) -> None:
        """Maxima and means over windows, padded, with ties."""
        for kind, radius, fn, inside, _ in itertools.product(
            PLAIN, NARROW, ("max", "mean"), (True, False), range(rounds)
        ):
            x = ball(self.rng, (2, 3, 5, 6), kind, radius)
            for window in (
                ((2, 3), (1, 2), (1, 1), (1, 1)),
                ((2, 2), (2, 2), (0, 0), (1, 2)),
                ((3, 3), (1, 1), (1, 1), (1, 1)),
            ):
                self.run(f"pool {fn}", lambda a, v, w=window, f=fn, i=inside: a.pool(v[0], f, *w, i), x)

    def masked(self, rounds: int = 1) -> None:
        """Rows of which entries are hidden, one of them altogether."""
        for scale, radius, _ in itertools.product((1e-2, 1.0, 30.0, 1e3), NARROW, range(rounds)):
            x = ball(self.rng, (6, 5), "normal", radius)
            hide = self.rng.random((6, 5)) < 0.4
            hide[:, 0] = False
            r = None if x.radius is None else np.where(hide, 0.0, x.radius * scale)
            x = Ball(np.where(hide, -np.inf, x.center * scale), r)
            self.run("softmax", lambda a, v: a.softmax(v[0], 1), x, oracle=softmaxes)
            self.run("softmax", lambda a, v: a.softmax(v[0], 1, safe=True), x, oracle=softmaxes)
            self.run("log_softmax", lambda a, v: a.log_softmax(v[0], 1), x, oracle=log_softmaxes)
            self.run("hidden", lambda a, v: a.hidden(v[0]), x)
            none = Ball(
                np.where(np.arange(6)[:, None] == 3, -np.inf, x.center),
                r if r is None else r * (np.arange(6) != 3)[:, None],
            )
            self.run("softmax safe", lambda a, v: a.softmax(v[0], 1, safe=True), none, oracle=_safe)

    def norms_of_groups(self, rounds: int = 1) -> None:
        """Layer and root-mean-square norms, of nearly equal entries too."""
        for kind, radius, scheme, eps, _ in itertools.product(
            PLAIN, NARROW, ("standard", "rms"), (1e-5, 0.5, 1e-12), range(rounds)
        ):
            x = ball(self.rng, (3, 2, 6), kind, radius)
            if self.rng.random() < 0.2:
                x = Ball(1.0 + x.center * 1e-6, None if x.radius is None else x.radius * 1e-6)
            for axes in ((2,), (1, 2)):
                self.run(
                    f"normalise {scheme}",
                    lambda a, v, c=(axes, eps, scheme): a.normalise(v[0], *c),
                    x,
                    oracle=partial(_normalised, axes=axes, eps=eps, kind=scheme),
                )

    def entrywise(self, rounds: int = 1, size: int = 24) -> None:
        """Compositions: rounding, signs, remainders, logic, and smooth functions against Arb."""
        one = ("round", "sign", "integer", "nonzero", "logical_not", "isnan", "isinf", "isfinite", "real")
        two = ("floor_divide", "div_trunc", "remainder", "fmod", "logical_and", "logical_or", "logical_xor")
        for kind, radius, _ in itertools.product(("normal", "dyadic", "whole", "halves"), NARROW, range(rounds)):
            x, y = (self._plain(size, kind, radius) for _ in range(2))
            y = Ball(np.where(np.abs(y.center) < 0.25, 2.0, y.center), y.radius)
            for name, k in itertools.product(one, range(0, size, 4)):
                self.run(name, lambda a, v, n=name: a.entrywise(n, v), _cut(x, k))
            for name, k in itertools.product(two, range(0, size, 4)):
                self.run(name, lambda a, v, n=name: a.entrywise(n, v), _cut(x, k), _cut(y, k))
            for factor in (3.0, 0.25, -8.0, 2.0**-1040, 2.0**900, -0.1):
                self.run("scaled", lambda a, v, f=factor: a.mul(v[0], a.full(a.shape(v[0]), f)), x)
                self.run("scaled", lambda a, v, f=factor: a.div(v[0], a.full(a.shape(v[0]), f)), x)
            for exponent in (-3, -1, 0, 1, 2, 5):
                power = lambda a, v, e=exponent: a.entrywise("pow", [v[0], a.full(a.shape(v[0]), e)])  # noqa: E731
                self.run("pow", power, y)
        for name, kind, radius, _ in itertools.product(SMOOTH, ("normal", "f32", "dyadic"), NARROW, range(rounds)):
            x = ball(self.rng, (size,), kind, radius)
            if name in ("log1p", "log2", "log10"):
                floor = 0.0 if x.radius is None else x.radius
                x = Ball(np.abs(x.center) + floor * 1.5 + 1e-3, x.radius)
            oracle = partial(_each, SMOOTH[name])
            self.run(name, lambda a, v, n=name: a.entrywise(n, v), x, oracle=oracle)

    def _plain(self, size: int, kind: str, radius: str) -> Ball:
        if kind == "whole":
            return Ball(self.rng.integers(-9, 10, size).astype(np.float64))
        if kind == "halves":
            return Ball(self.rng.integers(-9, 10, size) / 2.0)
        return ball(self.rng, (size,), kind, radius)

    def convolutions(self, rounds: int = 1) -> None:
        """Strides, dilations, groups, one to three axes of space."""
        cases: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
            ((2, 3, 7), (4, 3, 3), {"stride": (1,), "padding": (1,), "dilation": (1,), "groups": 1}),
            ((2, 4, 9), (4, 2, 3), {"stride": (2,), "padding": (0,), "dilation": (2,), "groups": 2}),
            ((2, 2, 5, 6), (3, 2, 3, 3), {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}),
            ((1, 3, 4, 4), (2, 3, 2, 2), {"stride": (2, 2), "padding": (0, 0), "dilation": (1, 1), "groups": 1}),
            (
                (1, 2, 3, 4, 3),
                (2, 2, 2, 2, 1),
                {"stride": (1, 1, 1), "padding": (0, 1, 0), "dilation": (1, 1, 1), "groups": 1},
            ),
        ]
        for (shape, kernel, chosen), kind, other, _ in itertools.product(
            cases, PLAIN, ("exact", "small"), range(rounds)
        ):
            x, w = ball(self.rng, shape, kind), ball(self.rng, kernel, "normal", other)
            self.run("convolve", lambda a, v, c=chosen: a.convolve(*v, **c), x, w)

    def networks(self, rounds: int = 10) -> None:
        """Small networks of everything, against the same programs in Arb at exact points."""
        for program, shapes in _PROGRAMS:
            for _ in range(rounds):
                kind = str(self.rng.choice(["normal", "bf16", "f32"]))
                operands = [ball(self.rng, shapes[0], kind, str(self.rng.choice(NARROW)))]
                operands += [ball(self.rng, s, kind, str(self.rng.choice(["exact", "last_place"]))) for s in shapes[1:]]
                self.run(program.__name__.strip("_"), program, *operands, oracle=partial(_by_arb, program))

    def everything(self, rounds: int = 1) -> None:
        """All rules."""
        self.elementwise(rounds)
        self.subnormal_radii(rounds)
        self.unary(rounds)
        self.sums_of_products(rounds)
        self.functions(rounds=rounds)
        self.functions(("erf", "sin", "cos"), size=12)
        self.log_softmaxes(rounds)
        self.compositions(30 * rounds)
        self.structure(rounds)
        self.orders(rounds)
        self.pools(rounds)
        self.masked(rounds)
        self.norms_of_groups(rounds)
        self.entrywise(rounds)
        self.convolutions(rounds)
        self.networks(12 * rounds)


def _scattered(mode: str, a: Any, v: Any) -> Any:
    places = a.lift(torch.tensor([2, 0, 2]).reshape(1, 3, 1, 1).expand(3, 3, 2, 5))
    return a.scatter(v[0], 1, places, a.neg(a.slice(v[0], 1, 0, 3)), mode)


def _cut(x: Ball, k: int) -> Ball:
    return Ball(x.center[k : k + 4], None if x.radius is None else x.radius[k : k + 4])


def _each(function: Callable[[Any], Any], values: Any) -> Any:
    return array([partial(function, v) for v in values.ravel().tolist()], values.shape)


def _safe(values: Any) -> Any:
    found = softmaxes(np.where(np.arange(6)[:, None] == 3, flint.fmpq(0), values))
    found[3] = flint.fmpq(0)
    return found


def _normalised(values: Any, axes: Sequence[int], eps: float, kind: str) -> Any:
    first = min(axes)
    rows = values.reshape(math.prod(values.shape[:first]), -1)
    entries: list[Any] = []
    for row in rows.tolist():
        mean = sum(row, flint.fmpq(0)) / len(row) if kind == "standard" else flint.fmpq(0)
        square = sum(((v - mean) ** 2 for v in row), flint.fmpq(0)) / len(row) + flint.fmpq(*eps.as_integer_ratio())
        entries += [partial(_quotient, v - mean, square) for v in row]
    return array(entries, values.shape)


def _quotient(x: Any, square: Any) -> Any:
    return flint.arb(x) / flint.arb(square).sqrt()


def _by_arb(program: Callable[[Any, Any], Any], *points: Any) -> Any:
    arithmetic = ArbArithmetic(512)
    with flint.ctx.workprec(512):
        lifted = [array([flint.arb(v) for v in x.ravel().tolist()], x.shape) for x in points]
    result = program(arithmetic, lifted)
    return array([lambda v=v: v for v in result.ravel().tolist()], result.shape)


# programs -----------------------------------------------------------------------------------------------------------
def _perceptron(a: Any, v: Any) -> Any:
    x, w, b, u = v
    y = a.contract("bi,oi->bo", [x, w])
    y = a.relu(a.add(y, a.broadcast(b, a.shape(y))))
    return a.log_softmax(a.contract("bi,oi->bo", [y, u]), 1)


def _residual(a: Any, v: Any) -> Any:
    x, w, u, o = v
    chosen: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    y = a.relu(a.convolve(x, w, **chosen))
    y = a.relu(a.add(x, a.convolve(y, u, **chosen)))
    y = a.pool(y, "max", (2, 2), (2, 2), (0, 0), (1, 1), True)
    return a.contract("bi,oi->bo", [a.mean(y, (2, 3)), o])


def _attention(a: Any, v: Any) -> Any:
    x, q, k, w = v
    y = a.normalise(x, (2,), 1e-5, "standard")
    scores = a.contract("btc,bsc->bts", [a.contract("btd,cd->btc", [y, q]), a.contract("btd,cd->btc", [y, k])])
    earlier = a.broadcast(a.lift(torch.tril(torch.ones(4, 4))), a.shape(scores))
    scores = a.where(earlier, scores, a.full(a.shape(scores), -math.inf))
    mixed = a.contract("bts,bsd->btd", [a.softmax(scores, 2), y])
    return a.add(x, a.function("tanh", a.contract("btd,cd->btc", [mixed, w])))


def _gated(a: Any, v: Any) -> Any:
    x, w, u = v
    steps, samples, _ = a.shape(x)
    state = a.full((samples, 3), 0)
    for t in range(steps):
        part = a.reshape(a.slice(x, 0, t, t + 1), (samples, 5))
        gate = a.add(a.contract("bi,oi->bo", [part, w]), a.contract("bi,oi->bo", [state, u]))
        state = a.mul(a.function("sigmoid", gate), a.function("tanh", gate))
    return a.mul(state, a.full((samples, 3), Fraction(1, 3)))


_PROGRAMS: list[tuple[Callable[[Any, Any], Any], list[tuple[int, ...]]]] = [
    (_perceptron, [(4, 5), (6, 5), (6,), (3, 6)]),
    (_residual, [(2, 3, 4, 4), (3, 3, 3, 3), (3, 3, 3, 3), (2, 3)]),
    (_attention, [(2, 4, 6), (3, 6), (3, 6), (6, 6)]),
    (_gated, [(3, 4, 5), (3, 5), (3, 3)]),
]

__all__ = ["EXACT", "KINDS", "LOWEST", "NormArithmetic", "Rules"]
