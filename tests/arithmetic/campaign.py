"""A campaign of adversarial operands: balls on one side, exact rationals and 256-bit Arb values on the other."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flint
import numpy as np
import torch

from orbitope.arithmetic import ArbArithmetic, Ball, ExactArithmetic, NormArithmetic, NormBall
from orbitope.arithmetic.exact import LOWEST
from orbitope.errors import EnclosureError

U = 2.0**-53
EXACT = ExactArithmetic()
KINDS = (
    "normal",
    "dyadic",
    "near_one",
    "power",
    "subnormal",
    "tiny",
    "huge",
    "range",
    "special",
    "bf16",
    "f32",
)
RADII = ("exact", "zero", "last_place", "small", "comparable", "dominant")
FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "sqrt")


def rational(value: float) -> Any:
    """The float as an exact rational."""
    return flint.fmpq(*value.as_integer_ratio())


def rationals(values: Any) -> Any:
    """An array of floats as exact rationals."""
    return EXACT.lift(torch.tensor(np.array(values, dtype=np.float64)))


def floats(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Any:
    """Floats of one adversarial kind."""
    normal, sign = rng.standard_normal(shape), rng.choice([-1.0, 1.0], shape)
    match kind:
        case "normal":
            return normal
        case "dyadic":
            return rng.integers(-64, 65, shape) / 8.0
        case "near_one":  # products and sums close above powers of two, where half a unit in the last place is u
            return sign * (1.0 + rng.integers(0, 64, shape) * 2.0**-27)
        case "power":
            return sign * np.nextafter(2.0 ** rng.integers(-30, 30, shape), rng.choice([0.0, np.inf], shape))
        case "subnormal":
            return sign * rng.integers(0, 2**20, shape) * 2.0**-1074
        case "tiny":
            return normal * 2.0 ** rng.integers(-1030, -900, shape)
        case "huge":
            return normal * 2.0 ** rng.integers(400, 1000, shape)
        case "range":
            return normal * 10.0 ** rng.uniform(-150, 150, shape)
        case "special":
            return rng.choice([0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 2.0**-1074, 2.0**-537, 2.0**500], shape)
        case "bf16":
            return torch.tensor(normal).to(torch.bfloat16).double().numpy()
        case _:
            return normal.astype(np.float32).astype(np.float64)


def ball(rng: np.random.Generator, shape: tuple[int, ...], kind: str | None = None, radius: str | None = None) -> Ball:
    """Balls with adversarial midpoints and radii."""
    center = floats(rng, shape, kind or str(rng.choice(KINDS)))
    match radius or str(rng.choice(RADII)):
        case "exact":
            return Ball(center)
        case "zero":
            return Ball(center, np.zeros(shape))
        case "last_place":
            return Ball(center, np.spacing(np.abs(center)) * rng.integers(0, 4, shape))
        case "small":
            return Ball(center, np.abs(center) * rng.random(shape) * 1e-6)
        case "comparable":
            return Ball(center, np.abs(center) * rng.choice([0.3, 0.5, 1.0, 0.999999], shape))
        case _:
            return Ball(center, np.abs(floats(rng, shape, "normal")) * 100.0)


def point(rng: np.random.Generator, x: Ball) -> Any:
    """One exact point of each ball, an end more often than not; of samples with norms, within these too."""
    if x.radius is None:
        return EXACT.lift(torch.tensor(np.array(x.center)))
    where = rng.choice([-1.0, 1.0, 1.0, -1.0, 0.0, 0.625, -0.3], x.shape)
    if rng.random() < 0.3:
        where = np.full(x.shape, rng.choice([-1.0, 1.0]))
    if rng.random() < 0.2:  # one entry alone may move as far as the norm lets it
        where = where * (np.arange(where.size).reshape(where.shape) % where.size == rng.integers(max(1, where.size)))
    moved = rationals(x.radius) * rationals(where)
    if isinstance(x, NormBall) and x.norm is not None:
        moved = _within(moved, x.norm, x.axis)
    return EXACT.add(EXACT.lift(torch.tensor(np.array(x.center))), moved)


def _within(moved: Any, norm: Any, axis: int) -> Any:
    """Deviations, shrunk in those runs whose 2-norm exceeds the given one."""
    rows = np.moveaxis(moved, axis, 0).copy()
    runs = rows.reshape(norm.size, -1)  # a view
    for row, limit in zip(runs, norm.tolist(), strict=True):
        square = sum((v * v for v in row), flint.fmpq(0))
        if math.isfinite(limit) and square > rational(limit) ** 2:
            factor = rational(limit) ** 2 / square  # its root lies between itself and one
            with flint.ctx.workprec(80):
                shrink = (flint.arb(factor).sqrt() * (1 - flint.arb(2) ** -60)).lower().fmpq()
            row[:] = [v * shrink for v in row]
            assert sum((v * v for v in row), flint.fmpq(0)) <= rational(limit) ** 2
    return np.moveaxis(rows, 0, axis)


class Campaign:
    """Counts checks by rule and collects escapes: exact values outside their ball, samples outside their norm."""

    def __init__(self, arithmetic: Any, seed: int) -> None:
        self.arithmetic = arithmetic
        self.rng = np.random.default_rng(seed)
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.norms: Counter[str] = Counter()
        self.escapes: list[str] = []

    @property
    def checks(self) -> int:
        """Entries compared."""
        return sum(self.counts.values())

    @property
    def refused(self) -> int:
        """Operations refused."""
        return sum(self.refusals.values())

    def dress(self, x: Ball, first: bool = True) -> Any:
        """An operand in this arithmetic: Arb's balls, or samples with norms that are often smaller than the radii's."""
        if isinstance(self.arithmetic, ArbArithmetic):
            return self.arithmetic.ball(x)
        marked = isinstance(self.arithmetic, NormArithmetic) and x.shape and (first or self.rng.random() < 0.3)
        if not marked or x.radius is None:
            return NormBall(x.center) if marked else x
        axis = 0 if self.rng.random() < 0.8 else int(self.rng.integers(len(x.shape)))
        count = x.shape[axis]
        own = NormArithmetic._norm(self.arithmetic, x.radius, axis, count)
        return NormBall(x.center, x.radius, own * self.rng.choice([1.0, 0.5, 0.05], count), axis)

    def compare(self, what: str, result: Any, values: Any) -> None:
        """Compare balls with exact rationals, or with functions that give Arb values."""
        values = np.asarray(values, dtype=object)
        assert tuple(self.arithmetic.shape(result)) == values.shape, what
        inside = values.ravel().tolist()
        for (c, r), value in zip(ends(result), inside, strict=True):
            self.counts[what] += 1
            if not holds(value, c, r):
                self.escapes.append(f"{what}: {c} ± {r}")
        if isinstance(result, NormBall) and result.norm is not None and result.norm.size:
            self._compare_norms(what, result, values)

    def _compare_norms(self, what: str, result: NormBall, values: Any) -> None:
        assert result.norm is not None
        rows = np.moveaxis(values, result.axis, 0).reshape(result.norm.size, -1)
        centers = np.moveaxis(result.center, result.axis, 0).reshape(result.norm.size, -1)
        for row, center, limit in zip(rows, centers, result.norm.tolist(), strict=True):
            if not (math.isfinite(limit) and np.isfinite(center).all()):
                continue
            self.norms[what] += 1
            if not _norm_holds(row.tolist(), center.tolist(), limit):
                self.escapes.append(f"{what}: a norm of {limit}")

    def run(self, what: str, operation: Callable[[Any, Any], Any], *operands: Ball, oracle: Any = None) -> None:
        """One operation on balls and on points of them; a refusal is no escape.

        Args:
            what: the rule.
            operation: ``operation(arithmetic, operands)``.
            operands: balls.
            oracle: gives values from the points; by default the operation itself, in rationals.
        """
        dressed = [self.dress(x, k == 0) for k, x in enumerate(operands)]
        points = [point(self.rng, y if isinstance(y, Ball) else x) for x, y in zip(operands, dressed, strict=True)]
        try:
            result = operation(self.arithmetic, dressed)
        except EnclosureError:
            self.refusals[what] += 1
            return
        self.compare(what, result, operation(EXACT, points) if oracle is None else oracle(*points))

    def elementwise(self, rounds: int = 1, size: int = 40) -> None:
        """Sums, products, quotients and orders of every kind with every kind."""
        for kind, other, _ in itertools.product(KINDS, KINDS, range(rounds)):
            x, y = ball(self.rng, (size,), kind), ball(self.rng, (size,), other)
            if self.rng.random() < 0.3:  # cancellation, and ties at the kinks of the maximum
                noise = self.rng.choice([1.0, 1.0 + 2.0**-40, 1.0 - 2.0**-52], size)
                y = Ball(x.center * -noise, y.radius)
            if self.rng.random() < 0.3:  # close together, so that balls overlap
                y = Ball(
                    x.center + self.rng.choice([0.0, 1.0, -1.0], size) * (0 if x.radius is None else x.radius),
                    y.radius,
                )
            self.run("add", lambda a, v: a.add(*v), x, y)
            self.run("sub", lambda a, v: a.sub(*v), x, y)
            self.run("mul", lambda a, v: a.mul(*v), x, y)
            self.run("maximum", lambda a, v: a.maximum(*v), x, y)
            keep = np.abs(y.center) > (0 if y.radius is None else y.radius)
            if keep.any():
                some = (Ball(z.center[keep], None if z.radius is None else z.radius[keep]) for z in (x, y))
                self.run("div", lambda a, v: a.div(*v), *some)

    def subnormal_radii(self, rounds: int = 1, size: int = 200) -> None:
        """Subnormal radii that meet large numbers: their rounding is magnified."""
        for _ in range(rounds):
            large = floats(self.rng, (size,), "normal") * 2.0**900
            x = Ball(large, np.zeros(size))
            y = Ball(floats(self.rng, (size,), "subnormal"), np.abs(floats(self.rng, (size,), "subnormal")))
            self.run("mul", lambda a, v: a.mul(*v), x, y)
            self.run("mul", lambda a, v: a.mul(*v), y, x)
            self.run("mul", lambda a, v: a.mul(*v), Ball(large), y)
            self.run("div", lambda a, v: a.div(*v), y, Ball(1.0 / large, np.zeros(size)))
            self.run("sum", lambda a, v: a.sum(v[0], (0,)), y)
            self.run("contract", lambda a, v: a.contract("i,i->i", v), y, x)

    def unary(self, rounds: int = 1, size: int = 48) -> None:
        """Reductions and functions with rational values."""
        for kind, radius, _ in itertools.product(KINDS, RADII, range(rounds)):
            x = ball(self.rng, (size // 8, 8), kind, radius)
            self.run("sum", lambda a, v: a.sum(v[0], (1,)), x)
            self.run("sum", lambda a, v: a.sum(v[0], (0, 1)), x)
            self.run("mean", lambda a, v: a.mean(v[0], (0,)), x)
            self.run("amax", lambda a, v: a.amax(v[0], (1,)), x)
            self.run("relu", lambda a, v: a.relu(v[0]), x)
            self.run("neg", lambda a, v: a.neg(v[0]), x)
            self.run("abs", lambda a, v: a.function("abs", v[0]), x)
            if kind not in ("huge", "range", "special"):
                self.run("floor", lambda a, v: a.function("floor", v[0]), x)

    def sums_of_products(self, rounds: int = 1) -> None:
        """Contractions and convolutions, with exact and with inexact operands on either side."""
        specs: list[tuple[str, list[tuple[int, ...]]]] = [
            ("bi,oi->bo", [(6, 9), (5, 9)]),
            ("bi,oi->bo", [(7, 33), (4, 33)]),
            ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 3, 4)]),
            ("i,bi->b", [(8,), (9, 8)]),
            ("bi,i->bi", [(5, 8), (8,)]),
            ("ai,ib,bc->ac", [(4, 3), (3, 5), (5, 4)]),
            ("bii->b", [(9, 4, 4)]),
        ]
        for (spec, shapes), kind, other, _ in itertools.product(specs, KINDS, ("normal", None), range(rounds)):
            operands = [ball(self.rng, s, kind if k == 0 else other) for k, s in enumerate(shapes)]
            self.run(spec, lambda a, v, spec=spec: a.contract(spec, v), *operands)
        for kind, groups, _ in itertools.product(KINDS, (1, 2), range(rounds)):
            x, w = ball(self.rng, (2, 4, 5, 6), kind), ball(self.rng, (4, 4 // groups, 2, 3), "normal")
            chosen: dict[str, Any] = {
                "stride": (1, 2),
                "padding": (1, 0),
                "dilation": (2, 1),
                "groups": groups,
            }
            self.run("convolve", lambda a, v, s=chosen: a.convolve(*v, **s), x, w)

    def functions(self, names: tuple[str, ...] = FUNCTIONS, rounds: int = 1, size: int = 40) -> None:
        """Elementary functions against Arb."""
        for name, kind, radius, k in itertools.product(names, (*KINDS, "spread", "edge"), RADII, range(rounds)):
            if kind == "spread":
                x = Ball(self.rng.uniform(-30, 30, size) * 10.0 ** self.rng.integers(-3, 2, size))
                x = Ball(
                    x.center,
                    None if radius == "exact" else np.abs(x.center) * 10.0 ** self.rng.uniform(-17, 0, size),
                )
            elif kind == "edge":  # arguments where the reduction changes its integer, and both saturations
                base = (self.rng.integers(-1022, 1023, size) + self.rng.choice([0.0, 0.5], size)) * math.log(2.0)
                x = Ball(np.clip(base + self.rng.choice([0.0, 1e-13, -1e-13], size), -800, 708.9))
            else:
                x = ball(self.rng, (size,), kind, radius)
            if name in ("log", "sqrt"):
                floor = np.zeros(size) if x.radius is None else x.radius
                center = np.maximum(np.abs(x.center), np.nextafter(floor * 1.25, np.inf))
                x = Ball(center, x.radius)
            if name == "exp":
                x = Ball(np.clip(x.center, -1e4, 700.0), None if x.radius is None else np.clip(x.radius, 0.0, 8.0))
            self.transcendental(name, x, k)

    def transcendental(self, name: str, x: Ball, k: int = 0) -> None:
        """One elementary function on points of balls."""
        self.run(name, lambda a, v: a.function(name, v[0]), x, oracle=partial(_mapped, name))

    def log_softmaxes(self, rounds: int = 1) -> None:
        """Rows of logits, also with entries far apart and equal entries."""
        for scale, radius, _ in itertools.product((1e-3, 1.0, 30.0, 1e4), RADII[:4], range(rounds)):
            x = ball(self.rng, (6, 5), "normal", radius)
            x = Ball(x.center * scale, None if x.radius is None else x.radius * scale)
            x.center[0] = x.center[0, 0]
            self.run("log_softmax", lambda a, v: a.log_softmax(v[0], 1), x, oracle=log_softmaxes)
            self.run("softmax", lambda a, v: a.softmax(v[0], 1), x, oracle=softmaxes)

    def compositions(self, rounds: int = 30) -> None:
        """Random programs: a few layers of everything, then one elementary function."""
        for _ in range(rounds):
            shape, depth = (4, 5), int(self.rng.integers(2, 7))
            kind = str(self.rng.choice(["normal", "dyadic", "near_one", "f32", "bf16"]))
            start = ball(self.rng, shape, kind, str(self.rng.choice(RADII[:4])))
            x = self.dress(start)
            value = point(self.rng, x if isinstance(x, Ball) else start)
            for _ in range(depth):
                x, value = self.step(x, value)
            self.compare("composition", x, value)
            name = str(self.rng.choice(["tanh", "sigmoid"]))
            values = [[partial(exact_value, name, v) for v in row] for row in value]
            self.compare(f"composition, {name}", self.arithmetic.function(name, x), values)

    def step(self, x: Any, value: Any) -> tuple[Any, Any]:
        """One random operation, on balls and on rationals."""
        a, rng = self.arithmetic, self.rng
        w = ball(rng, (5, 5), "normal", str(rng.choice(RADII[:4])))
        b = ball(rng, x.shape, "f32", str(rng.choice(RADII[:4])))
        v, c = point(rng, w), point(rng, b)
        w, b = (self.arithmetic.ball(y) if isinstance(a, ArbArithmetic) else y for y in (w, b))
        one = (a.full(x.shape, 1), EXACT.full(x.shape, 1))

        def shifted(s: Any, y: Any) -> Any:
            return s.sub(y, s.broadcast(s.reshape(s.amax(y, (1,)), (4, 1)), (4, 5)))

        match int(rng.integers(0, 8)):
            case 0 | 1:
                return a.contract("bi,oi->bo", [x, w]), EXACT.contract("bi,oi->bo", [value, v])
            case 2:
                return a.relu(a.add(x, b)), EXACT.relu(EXACT.add(value, c))
            case 3:
                return a.maximum(x, b), EXACT.maximum(value, c)
            case 4:
                return a.mul(x, b), EXACT.mul(value, c)
            case 5:
                return shifted(a, x), shifted(EXACT, value)
            case 6:
                below, exact = (
                    a.add(a.function("abs", x), one[0]),
                    EXACT.add(EXACT.function("abs", value), one[1]),
                )
                return a.div(b, below), EXACT.div(c, exact)
            case _:
                mean, exact = a.mean(x, (1,)), EXACT.mean(value, (1,))
                return a.sub(x, a.broadcast(a.reshape(mean, (4, 1)), (4, 5))), EXACT.sub(
                    value, EXACT.broadcast(EXACT.reshape(exact, (4, 1)), (4, 5))
                )


def exact_value(name: str, x: Any) -> Any:
    """The function of a rational at the current Arb precision."""
    if name == "sigmoid":
        return 1 / (1 + (-flint.arb(x)).exp())
    return getattr(flint.arb(x), name)()


def _mapped(name: str, values: Any) -> Any:
    flat = [partial(exact_value, name, v) for v in values.ravel().tolist()]
    return array(flat, values.shape)


def array(entries: list[Any], shape: tuple[int, ...]) -> Any:
    result = np.empty(len(entries), dtype=object)
    result[:] = entries
    return result.reshape(shape)


def _log_softmax(row: list[Any], k: int) -> Any:
    """One entry, shifted by the largest so that nothing overflows the precision; hidden entries take no part."""
    shown = [v for v in row if v is not LOWEST]
    logits = [flint.arb(v - max(shown)) for v in shown]
    return flint.arb(row[k] - max(shown)) - sum((v.exp() for v in logits), flint.arb(0)).log()


def _softmax(row: list[Any], k: int) -> Any:
    return flint.arb(0) if row[k] is LOWEST else _log_softmax(row, k).exp()


def log_softmaxes(values: Any) -> Any:
    rows = [row.tolist() for row in values]
    return array(
        [LOWEST if row[k] is LOWEST else partial(_log_softmax, row, k) for row in rows for k in range(len(row))],
        values.shape,
    )


def softmaxes(values: Any) -> Any:
    rows = [row.tolist() for row in values]
    return array([partial(_softmax, row, k) for row in rows for k in range(len(row))], values.shape)


def ends(result: Any) -> Iterator[tuple[Any, Any]]:
    """Midpoint and radius of every ball."""
    if isinstance(result, Ball):
        radius = np.zeros(result.shape) if result.radius is None else result.radius
        yield from zip(
            result.center.ravel().tolist(), np.broadcast_to(radius, result.shape).ravel().tolist(), strict=True
        )
        return
    for value in result.ravel().tolist():
        yield value.mid(), value.rad()


def holds(value: Any, c: Any, r: Any) -> bool:
    """Whether a value lies in a ball; −∞ must be known exactly."""
    if value is LOWEST:
        return bool(r == 0) and (c == -math.inf if isinstance(c, float) else not c.is_finite() and c < 0)
    if callable(value):
        return _arb_inside(value, c, r)
    if isinstance(c, float):
        return math.isfinite(c) and bool(abs(value - rational(c)) <= rational(r))
    return bool(c.is_finite()) and bool(abs(value - c.fmpq()) <= r.fmpq())


def _norm_holds(row: list[Any], center: list[float], limit: float) -> bool:
    """Whether Σ (value − midpoint)² ≤ limit²."""
    if not any(callable(v) for v in row):
        return bool(
            sum(((v - rational(c)) ** 2 for v, c in zip(row, center, strict=True)), flint.fmpq(0))
            <= rational(limit) ** 2
        )
    for bits in (256, 1024, 8192, 65536):
        with flint.ctx.workprec(bits):
            terms = ((v() if callable(v) else flint.arb(v)) - flint.arb(c) for v, c in zip(row, center, strict=True))
            distance, most = sum((t * t for t in terms), flint.arb(0)), flint.arb(limit) * flint.arb(limit)
            if distance <= most or distance > most:
                return bool(distance <= most)
    raise AssertionError(f"undecided: {limit!r}")


def _arb_inside(value: Callable[[], Any], c: Any, r: Any) -> bool:
    """Whether an Arb value lies in a ball; the precision grows from 256 bits until that is decided.

    Of Arb's own balls, which may be narrower than 2⁻⁶⁵⁵³⁶, it is enough that the value is not shown to lie outside.
    """
    for bits in (256, 1024, 8192, 65536):
        with flint.ctx.workprec(bits):
            distance, radius = abs(value() - flint.arb(c)), flint.arb(r)
            if distance <= radius or distance > radius:
                return bool(distance <= radius)
    if not isinstance(c, float):
        return True
    raise AssertionError(f"undecided: {c!r} ± {r!r}")


if __name__ == "__main__":
    import runpy

    runpy.run_module("tests.arithmetic.table", run_name="__main__")
