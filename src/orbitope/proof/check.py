"""Check a certificate of non-convexity, with nothing but the Python standard library.

    python -I check.py proof.orbitope [--format json] [--limit N]

A certificate names a real-valued program, data, a point A of its parameters and a chain of averages over
permuted copies. Every value that the claim rests on is recomputed; nothing else in the file is believed.

A tensor is a list of integers over one common denominator with ONE integer radius (`Ball`): every entry
is a real number within radius/den of v/den. Parameters and their averages are exact. What is computed from
them has the denominator 2^128, and each rounding is counted in the radius: every bound holds for the real
numbers. There is no tolerance.

Work is counted before it is done, in multiply-adds of numbers of up to about 150 bits against any computed
one; whatever costs more (wider numbers, roundings, elementary functions, a node at all) is counted as several.
The limit of 10^9 is at most about two minutes on one core of 2020; an ordinary network takes half of that.

Exit code: 0 accepted; 1 read, but the claim is not established; 2 unreadable, malformed or altered.
The file is long because it leans on nothing: reading, numbers, operations, program, averages, claim; each
part uses only what stands before it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from math import gcd, inf, isfinite, isqrt, nextafter, prod
from operator import add, mul, sub
from typing import Any

FORMAT, VERSION = "orbitope certificate", 1
S = 128  # computed values are multiples of 2^-S ...
ONE = 1 << S
W = S + 32  # ... and elementary functions work with multiples of 2^-W
TOP = 1 << 384  # no computed integer may reach this
LIMIT = 10**9  # multiply-adds
MAX_BYTES, MAX_DEPTH, MAX_BITS = 1 << 27, 12, 1 << 32  # of the file; of all its numbers and their averages in memory
MAX_COUNTS = {b",": 1 << 22, b'"': 1 << 21, b":": 1 << 20, **dict.fromkeys((b"[", b"]", b"{", b"}"), 1 << 19)}
MAX_NUMBERS, MAX_ENTRIES, MAX_NODES = 1 << 23, 1 << 23, 20_000  # in arrays, in a program's values, nodes
WEIGHT = 320  # bits in memory of a number without its digits
NAME = r"[A-Za-z0-9_.:/\[\]#*-]{1,200}"
DTYPES = {
    **{"float64": "d", "float32": "f", "float16": "e", "bfloat16": "H", "bool": "?", "uint8": "B"},
    **{"int8": "b", "int16": "h", "int32": "i", "int64": "q"},
}
SECTIONS = (
    *("format", "version", "generator", "claim", "statement", "variables", "program", "constants"),
    *("parameters", "steps", "violated", "data", "enclosures", "agreement"),
)
Json = Any  # what a JSON document may hold, before it is validated
Shape = tuple[int, ...]
Shapes = dict[str, dict[str, Shape]]
Point = dict[str, tuple[list[int], int]]  # name -> integers, denominator
Bounds = tuple[Fraction, Fraction]
Progress = Callable[[int, int], object] | None
Built = tuple[int, Callable[..., Any]]  # multiply-adds, function of balls


class MalformedError(Exception):
    """The file cannot be read as a certificate, or it was altered."""

    def __init__(self, message: str) -> None:
        """One short printable line, whatever the file holds."""
        super().__init__("".join(c if c.isprintable() else "?" for c in message[:300]))


class RejectedError(Exception):
    """The certificate is readable, but what it claims is not established."""


class Verdict:
    """What was established; `gap` is a proven lower bound of F(average) - mean of the F(P_j)."""

    def __init__(self, **known: Any) -> None:
        """Nothing is established beyond what is known."""
        self.accepted = self.convex_refuted = self.quasiconvex_refuted = False
        self.claim = self.statement = self.reason = ""
        self.gap = self.gap_float = self.weight_decay = None
        self.enclosures, self.multiply_adds, self.seconds = {}, 0, 0.0
        self.arithmetic = f"exact integers, fixed point 2^-{S}, Python standard library"
        self.__dict__.update(known)

    def __bool__(self) -> bool:
        """Accepted."""
        return self.accepted

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object; the exact gap is a string."""
        return self.__dict__ | {"gap": None if self.gap is None else str(self.gap)}


# ---- reading -----------------------------------------------------------------------------------------------


def need(condition: object, message: str) -> None:
    """Refuse the file unless the condition holds."""
    if not condition:
        raise MalformedError(message)


def take(room: list[int], count: int) -> None:
    """Ask for space before it is used."""
    room[0] -= count
    need(room[0] >= 0, "too many numbers, or too many orders of magnitude")


def fields(value: Json, names: Iterable[str], where: str) -> None:
    """Refuse anything but a table of exactly these names."""
    need(isinstance(value, dict), f"{where} is not a table")
    need(set(value) == set(names), f"{where}: unknown or missing {sorted(set(value) ^ set(names))[:4]}")


def integer(value: Json, low: int, high: int, where: str) -> int:
    """An integer (no bool) within bounds."""
    need(type(value) is int and low <= value <= high, f"{where}: no integer from {low} to {high}")
    return value


def integers(value: Json, low: int, high: int, where: str, count: int | None = None) -> list[int]:
    """A list of integers within bounds."""
    need(isinstance(value, list) and count in (None, len(value)), f"{where}: no list of that length")
    return [integer(k, low, high, where) for k in value]


def finite(value: Json, where: str) -> Fraction:
    """A finite number, exactly."""
    fits = (type(value) is int and abs(value) < TOP) or (type(value) is float and isfinite(value))
    need(fits, f"{where} is not a finite number")
    return Fraction(value)


def name_of(value: Json, where: str) -> str:
    """A name that cannot disguise a statement."""
    need(isinstance(value, str) and re.fullmatch(NAME, value), f"{where}: a name is not of the form {NAME}")
    return value


def names_of(value: Json, where: str) -> set[str]:
    """The set of names in a list."""
    need(isinstance(value, list), f"{where} is not a list of names")
    names = {name_of(name, where) for name in value}
    need(len(names) == len(value), f"{where}: a name is repeated")
    return names


def shape_of(value: Json, where: str) -> Shape:
    """A shape without empty axes."""
    shape = tuple(integers(value, 1, MAX_NUMBERS, f"the shape of {where}"))
    need(len(shape) <= 12 and prod(shape) <= MAX_NUMBERS, f"{where} is too large")
    return shape


def canonical(value: Json) -> str:
    """The only accepted spelling: sorted keys, no spaces. It excludes repeated keys, NaN and Infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digests(document: Json) -> dict[str, str]:
    """SHA-256 of the canonical spelling of every section."""
    return {name: hashlib.sha256(canonical(document[name]).encode()).hexdigest() for name in SECTIONS}


def read(source: str | os.PathLike[str] | bytes) -> Json:
    """The document in a file or in bytes, of the right outer form and with matching digests."""
    if not isinstance(source, bytes):
        try:
            with open(source, "rb") as file:
                source = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise MalformedError(f"cannot read the file: {error}") from None
    need(len(source) <= MAX_BYTES, "the file is too large")
    need(all(source.count(c) <= most for c, most in MAX_COUNTS.items()), "the file has too many parts")
    need(b"\\" not in source, "a backslash occurs; certificates contain no escape sequences")
    depth = 0
    for c in re.sub(b'"[^"]*"', b"", source).translate(None, bytes({*range(256)} - {*b"[]{}"})):
        depth += 1 if c in b"[{" else -1
        need(depth <= MAX_DEPTH, f"nested deeper than {MAX_DEPTH}")
    try:
        document = json.loads(source.decode())
        form = canonical(document).encode() + b"\n"
    except (ValueError, RecursionError) as error:  # UTF-8 and NaN are ValueErrors
        raise MalformedError(f"not a JSON document in UTF-8: {error}") from None
    need(form == source, "not in canonical form (sorted keys, each once, no spaces, one newline at the end)")
    fields(document, (*SECTIONS, "digests"), "the certificate")
    need(document["format"] == FORMAT, f"not an {FORMAT}")
    integer(document["version"], VERSION, VERSION, "version")
    fields(document["digests"], SECTIONS, "digests")
    for name, digest in digests(document).items():
        need(document["digests"][name] == digest, f"section {name} was altered: its digest differs")
    for name in ("generator", "statement"):
        text = document[name]
        need(isinstance(text, str) and text.isprintable(), f"{name} is not a line of text")
    facts = document["agreement"]
    need(isinstance(facts, dict) and len(facts) <= 100, "agreement is not a table of at most 100 facts")
    need(all(type(fact) in (str, int, float, bool) for fact in facts.values()), "agreement: not plain facts")
    return document


def array(value: Json, room: list[int], where: str) -> tuple[Shape, list[int], int]:
    """(shape, integers, denominator) of a stored tensor, exactly."""
    fields(value, ("dtype", "shape", "data"), where)
    shape, dtype, text = shape_of(value["shape"], where), value["dtype"], value["data"]
    need(isinstance(dtype, str) and dtype in DTYPES, f"{where}: unknown dtype")
    count, code = prod(shape), DTYPES[dtype]
    size = count * struct.calcsize("<" + code)
    need(isinstance(text, str) and len(text) == -(-size // 3) * 4, f"{where}: the data do not fit the shape")
    take(room, count * WEIGHT)
    try:
        numbers = struct.unpack(f"<{count}{code}", base64.b64decode(text, validate=True))
    except (ValueError, struct.error):
        raise MalformedError(f"{where}: the data are not base64 of {count} numbers") from None
    if dtype == "bfloat16":  # the upper half of a float32
        numbers = struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *(n << 16 for n in numbers)))
    need(all(map(isfinite, numbers)), f"{where}: an entry is not finite")
    den = max(x.as_integer_ratio()[1] for x in numbers)  # all of them are powers of two
    n, d = max(map(abs, numbers)).as_integer_ratio()
    take(room, count * (n * (den // d)).bit_length())
    return shape, [n * (den // d) for n, d in (x.as_integer_ratio() for x in numbers)], den


# ---- numbers -----------------------------------------------------------------------------------------------


class Ball:
    """A tensor, row-major: entry i is a real number within radius/den of v[i]/den."""

    __slots__ = ("den", "memo", "radius", "v")

    def __init__(self, v: list[int], den: int = ONE, radius: int = 0) -> None:
        """Without a radius the numbers are exact."""
        self.v, self.den, self.radius, self.memo = v, den, radius, {}

    def once(self, key: Hashable, make: Callable[[Ball], Any]) -> Any:
        """What `make` says of this tensor, computed once."""
        if key not in self.memo:
            self.memo[key] = make(self)
        return self.memo[key]

    def fixed(self) -> Ball:
        """The same over ONE."""
        return self if self.den == ONE else self.once("fixed", lambda x: settle(x.v, x.den, x.radius))

    def bound(self) -> int:
        """The largest |v[i]|."""
        return self.once("bound", lambda x: max(max(x.v), -min(x.v)))

    def pick(self, index: Iterable[int]) -> Ball:
        """The entries at these positions."""
        return Ball([*map(self.v.__getitem__, index)], self.den, self.radius)


def settle(v: list[int], den: int, radius: int) -> Ball:
    """The same numbers over ONE. Rounding down moves a value by less than one unit: one more radius."""
    if den != ONE:
        common = gcd(ONE, den)
        up, down = ONE // common, den // common
        v = [a * up // down for a in v]
        radius = -(-radius * up // down) + (down > 1)
    if radius >= TOP or max(v) >= TOP or -min(v) >= TOP:
        raise RejectedError("a value outgrows the range of the arithmetic")
    return Ball(v, ONE, radius)


def atanh(z: int) -> int:
    """Evaluate atanh, times 2^W, at z/2^W for 0 <= z <= 2^W/3, low by at most 60.

    A power is low by at most 1.5 (old error/9 + 1/3 from z^2 + 1), each of at most 52 quotients by one
    more; the powers after the last one add up to less than 2.
    """
    square, power, total, n = z * z >> W, z, 0, 1
    while power:
        total += power // n
        power = power * square >> W
        n += 2
    return total


LN2 = 2 * atanh((1 << W) // 3)  # low by less than 128 units of 2^-W


def exp(v: int) -> tuple[int, int]:
    """Find y and e such that the exponential of v/ONE is within e/ONE of y/ONE.

    v = k ln 2 + t. Taylor for t/256 is low by at most 20 units of 2^-W (17 terms, tail, argument). Eight
    squarings multiply errors by less than 2^9 and add less than 2^9: below 2^14. LN2 adds at most 256 |k|,
    that is 2^17. Together below 2^18, times 2^k; one for the last rounding, one for rounding this bound.
    """
    k, t = divmod(v << (W - S), LN2)
    if k < -S - 2:
        return 0, 1
    if k > 512:
        raise ValueError
    total = term = 1 << W
    t, n = t >> 8, 1
    while term:
        term = (term * t >> W) // n
        total += term
        n += 1
    for _ in range(8):
        total = total * total >> W
    y = total << k >> (W - S) if k >= 0 else total >> (W - S - k)
    return y, (1 << (18 + max(k, 0)) >> (W - S)) + 2


def log(v: int) -> tuple[int, int]:
    """As exp. v/ONE = m 2^k with 3/4 <= m < 3/2 and log m = 2 atanh((m - 1)/(m + 1)).

    log m errs by at most 128 units of 2^-W (atanh 120, its argument 3, m 2), k log 2 by 128 |k| <= 2^17; one for
    the last rounding.
    """
    if v <= 0:
        raise ValueError
    k, unit = v.bit_length(), 1 << W
    if (v << 2) < 3 << k:
        k -= 1
    m = v << W >> k
    part = 2 * atanh((abs(m - unit) << W) // (m + unit))
    return ((k - S) * LN2 + (part if m >= unit else -part)) >> (W - S), 2


def tanh(v: int) -> tuple[int, int]:
    """As exp. (1 - u)/(1 + u), u = exp(-2|v|), changes by at most 2 |du|."""
    u, e = exp(-2 * abs(v))
    y = ((ONE - u) << S) // (ONE + u)
    return (y if v >= 0 else -y), 2 * e + 1


def sigmoid(v: int) -> tuple[int, int]:
    """As exp. 1/(1 + u), u = exp(-|v|), changes by at most |du|."""
    u, e = exp(-abs(v))
    y = (ONE << S) // (ONE + u)
    return (y if v >= 0 else ONE - y), e + 1


# function, and 0 where its derivative is at most 1 in size, else 1 where it increases, -1 where it decreases
ELEMENTARY = {"exp": (exp, 1), "log": (log, 1), "tanh": (tanh, 0), "sigmoid": (sigmoid, 0)}
ELEMENTARY["sqrt"] = (lambda v: (isqrt(v << S), 1), 1)
ELEMENTARY["rsqrt"] = (lambda v: (isqrt((1 << 3 * S) // v), 1), -1)


def elementary(fn: str, x: Ball) -> Ball:
    """A function of ELEMENTARY, entry by entry."""
    (f, direction), x = ELEMENTARY[fn], x.fixed()
    try:
        if direction == 0 or x.radius == 0:
            pairs = [*map(f, x.v)]
            return settle([y for y, _ in pairs], ONE, x.radius + max(e for _, e in pairs))
        low = [y - e for y, e in (f(a - direction * x.radius) for a in x.v)]  # monotone: the ends enclose
        high = [y + e for y, e in (f(a + direction * x.radius) for a in x.v)]
    except (ValueError, ZeroDivisionError):
        raise RejectedError(f"{fn} of an interval that is not inside its domain, or too large") from None
    middle = [a + b >> 1 for a, b in zip(low, high, strict=True)]
    return settle(middle, ONE, max(map(sub, high, middle)))


def combine(f: Callable[[int, int], int], x: Ball, y: Ball) -> Ball:
    """Sum or difference."""
    x, y = x.fixed(), y.fixed()
    return settle([*map(f, x.v, y.v)], ONE, x.radius + y.radius)


def extreme(f: Callable[[int, int], int], x: Ball, y: Ball) -> Ball:
    """Maximum or minimum."""
    x, y = x.fixed(), y.fixed()
    return Ball([*map(f, x.v, y.v)], ONE, max(x.radius, y.radius))


def multiply(x: Ball, y: Ball) -> Ball:
    """|a'b' - ab| <= |a| |db| + |b| |da| + |da| |db|."""
    radius = x.bound() * y.radius + y.bound() * x.radius + x.radius * y.radius
    return settle([*map(mul, x.v, y.v)], x.den * y.den, radius)


def divide(x: Ball, y: Ball) -> Ball:
    """|(a + da)/(b + db) - a/b| <= (|da| + |a/b| |db|) / (|b| - |db|), and one for rounding a/b down."""
    x, y = x.fixed(), y.fixed()
    smallest = min(map(abs, y.v)) - y.radius
    if smallest <= 0:
        raise RejectedError("division by an interval that contains zero")
    v = [(a << S) // b for a, b in zip(x.v, y.v, strict=True)]
    worst = max(map(abs, v)) + 1
    return settle(v, ONE, -(-((x.radius << S) + worst * y.radius) // smallest) + 1)


def leaky(slope: Fraction, x: Ball) -> Ball:
    """Leaky ReLU, Lipschitz with constant max(1, |slope|)."""
    n, d = slope.as_integer_ratio()
    return settle([a * (d if a >= 0 else n) for a in x.v], x.den * d, x.radius * max(d, abs(n)))


UNARY = {
    "identity": lambda x: x,
    "neg": lambda x: Ball([-a for a in x.v], x.den, x.radius),
    "abs": lambda x: Ball([*map(abs, x.v)], x.den, x.radius),
    "relu": lambda x: Ball([a if a > 0 else 0 for a in x.v], x.den, x.radius),
    "square": lambda x: multiply(x, x),
}
BINARY = {
    "add": lambda x, y: combine(add, x, y),
    "sub": lambda x, y: combine(sub, x, y),
    "mul": multiply,
    "div": divide,
    "maximum": lambda x, y: extreme(max, x, y),
    "minimum": lambda x, y: extreme(min, x, y),
}
FUNCTIONS = {"leaky_relu", *UNARY, *BINARY, *ELEMENTARY}
EINSUM = "([A-Za-z]*)(?:,([A-Za-z]*))?->([A-Za-z]*)"

# ---- operations ---------------------------------------------------------------------------------------------


def strides(shape: Sequence[int]) -> list[int]:
    """Row-major strides."""
    return [prod(shape[k + 1 :]) for k in range(len(shape))]


def view(shape: Sequence[int], steps: Sequence[int], offset: int = 0) -> list[int]:
    """Flat positions of a strided view, row-major."""
    out = [offset]
    for n, step in zip(shape, steps, strict=True):
        out = [i + step * k for i in out for k in range(n)]
    return out


def padded(shape: Sequence[int], widths: Sequence[Sequence[int]]) -> list[int]:
    """For every place of the padded array the flat position of its entry, -1 in the padding."""
    out = [0]
    for n, (low, high), step in zip(shape, widths, strides(shape), strict=True):
        places = [k if 0 <= k < n else None for k in range(-low, n + high)]
        out = [-1 if i < 0 or k is None else i + step * k for i in out for k in places]
    return out


def along(shape: Shape, axes: Sequence[int]) -> tuple[list[int], list[int], int]:
    """Positions with `axes` last, where each of them belongs in the result, and the length of a row."""
    need(axes and len({*axes}) == len(axes), "no axes, or repeated ones")
    order = [*(k for k in range(len(shape)) if k not in axes), *axes]
    index = view([shape[k] for k in order], [strides(shape)[k] for k in order])
    return index, sorted(range(len(index)), key=index.__getitem__), prod(shape[k] for k in axes)


def cut(v: list[Any], width: int) -> list[list[Any]]:
    """Consecutive pieces of one length."""
    return [v[k : k + width] for k in range(0, len(v), width)]


def pointwise(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """One function, entry by entry."""
    fn = a.get("fn")
    fields(a, ("fn", "slope") if fn == "leaky_relu" else ("fn",), "attributes")
    need(isinstance(fn, str) and fn in FUNCTIONS, f"unknown function {fn!r}")
    need(shapes == [out] * (1 + (fn in BINARY)), "operands of another number or shape")
    if fn in ELEMENTARY:
        return 100 * prod(out), lambda x: elementary(fn, x)
    if fn == "leaky_relu":
        slope = finite(a["slope"], "slope")
        return 8 * prod(out), lambda x: leaky(slope, x)
    return 8 * prod(out), UNARY.get(fn) or BINARY[fn]


def contract(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Both operands become rows over the labels that they share in the sum; an entry is one dot product.

    Labels of one operand alone are summed before; a single operand is multiplied by the number 1.
    """
    match = re.fullmatch(EINSUM, str(a["spec"]))
    if match is None or len(shapes) != 1 + (match[2] is not None):
        raise MalformedError("spec is no einsum of these operands")
    terms, result, shapes = (match[1], match[2] or ""), match[3], [*shapes, ()][:2]
    need([*map(len, terms)] == [*map(len, shapes)], "spec does not fit the operands")
    size: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        fits = [size.setdefault(c, n) == n for c, n in zip(term, shape, strict=True)]
        need(all(fits), "a label has two sizes")
    need(len({*result}) == len(result) and {*result} <= {*size}, "spec's output repeats or invents a label")
    need(out == tuple(size[c] for c in result), "the shape does not fit the spec")
    batch = [c for c in result if c in terms[0] and c in terms[1]]
    shared = [c for c in size if c in terms[0] and c in terms[1] and c not in result]
    own = [[c for c in result if c in term and c not in batch] for term in terms]
    length, per_x, per_y = (prod(size[c] for c in labels) for labels in (shared, *own))

    def positions(labels: Sequence[str], shape: Sequence[int], order: Sequence[str]) -> list[int] | None:
        step = {c: sum(s for d, s in zip(labels, strides(shape), strict=True) if d == c) for c in order}
        index = view([size[c] for c in order], [step[c] for c in order])
        return None if index == [*range(prod(shape))] else index

    def rows(k: int) -> tuple[int, Callable[[Ball], Any], Callable[[Ball], int]]:
        private = [c for c in size if c in terms[k] and c not in (*result, *shared)]
        index = positions(terms[k], shapes[k], [*batch, *own[k], *shared, *private])
        many = prod(size[c] for c in private)

        def table(x: Ball) -> list[list[int]]:
            v = x.v if index is None else x.pick(index).v
            return cut([*map(sum, cut(v, many))] if many > 1 else v, length)

        return many, table, lambda x: max(sum(map(abs, row)) for row in x.once(table, table))

    (many_x, table_x, norm_x), (many_y, table_y, norm_y) = rows(0), rows(1)
    order = [*batch, *own[0], *own[1]]
    final, unit = positions(order, [size[c] for c in order], result), Ball([1], 1)

    def run(x: Ball, y: Ball = unit) -> Ball:
        left, right = x.once(table_x, table_x), y.once(table_y, table_y)
        pairs = zip(cut(left, per_x), cut(right, per_y), strict=True)
        v = [sum(map(mul, p, q)) for ps, qs in pairs for p in ps for q in qs]
        rx, ry = x.radius * many_x, y.radius * many_y
        of_x, of_y = rx and rx * y.once(norm_y, norm_y), ry and ry * x.once(norm_x, norm_x)
        z = settle(v, x.den * y.den, of_x + of_y + length * rx * ry)
        return z if final is None else z.pick(final)

    return prod(size.values()) + 8 * prod(out), run


def windows(
    a: Json, shape: Sequence[int], kernel: list[int], groups: int, room: list[int]
) -> tuple[list[int], list[int]]:
    """Output extents, and positions [group, *output, channel of the group, *kernel]; -1 is padding."""
    stride, dilation = (integers(a[name], 1, 1 << 24, name, len(kernel)) for name in ("stride", "dilation"))
    padding = integers(a["padding"], 0, 1 << 24, "padding", len(kernel))
    channels, *space = shape
    wide = [n + 2 * p for n, p in zip(space, padding, strict=True)]
    out = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(wide, dilation, kernel, stride, strict=True)]
    need(min(out) >= 1, "the kernel is larger than the padded input")
    take(room, channels * (prod(wide) + prod(out) * prod(kernel)))
    base, per = padded(shape, [(0, 0), *((p, p) for p in padding)]), channels // groups
    first, *steps = strides((channels, *wide))
    moves = [per * first, *map(mul, stride, steps), first, *map(mul, dilation, steps)]
    return out, [*map(base.__getitem__, view([groups, *out, per, *kernel], moves))]


def convolve(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Windows of the input against the rows of the weight, as a contraction."""
    need(len(shapes[0]) == len(shapes[1]) >= 3 and shapes[0][0] == 1, "operands of a convolution")
    (_, *image), (outputs, per, *kernel) = shapes
    groups = integer(a["groups"], 1, image[0], "groups")
    need(image[0] == per * groups and outputs % groups == 0, "groups do not divide the channels")
    extent, index = windows(a, image, kernel, groups, room)
    need(out == (1, outputs, *extent), "the shape does not fit the convolution")
    g, s, o, k = groups, prod(extent), outputs // groups, per * prod(kernel)
    work, run = contract({"spec": "gsk,gok->gos"}, [(g, s, k), (g, o, k)], (g, o, s), room)
    return work, lambda x, w: run(Ball([*x.v, 0], x.den, x.radius).pick(index), w)


def pool(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Maximum or mean over windows of the trailing axes; padding is -infinity or 0."""
    kernel = integers(a["kernel"], 1, 1 << 24, "kernel")
    need(1 <= len(kernel) < len(shapes[0]), "kernel of as many axes as the operand")
    need(a["fn"] in ("max", "mean") and type(a["count_include_pad"]) is bool, "settings of a pool")
    lead, space = shapes[0][: -len(kernel)], shapes[0][-len(kernel) :]
    extent, index = windows(a, (prod(lead), *space), kernel, prod(lead), room)
    need(out == (*lead, *extent), "the shape does not fit the pool")
    rows = [[i for i in row if i >= 0] for row in cut(index, prod(kernel))]
    need(all(rows), "a window lies in the padding altogether")
    counts = [prod(kernel) if a["count_include_pad"] else len(row) for row in rows]

    def run(x: Ball) -> Ball:
        if a["fn"] == "max":
            return Ball([max(map(x.v.__getitem__, row)) for row in rows], x.den, x.radius)
        x = x.fixed()  # a mean of entries keeps the radius; rounding down adds one
        v = [sum(map(x.v.__getitem__, row)) // n for row, n in zip(rows, counts, strict=True)]
        return Ball(v, ONE, x.radius + 1)

    return len(index) + 8 * prod(out), run


def reduce(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Sum, mean or maximum over axes, which disappear."""
    axes = integers(a["axes"], 0, len(shapes[0]) - 1, "axes")
    index, _, length = along(shapes[0], axes)
    need(out == tuple(n for k, n in enumerate(shapes[0]) if k not in axes), "the shape does not fit")
    need(a["fn"] in ("sum", "mean", "amax"), "unknown reduction")

    def run(x: Ball) -> Ball:
        rows = cut(x.pick(index).v, length)
        if a["fn"] == "amax":
            return Ball([*map(max, rows)], x.den, x.radius)
        return settle([*map(sum, rows)], x.den * (length if a["fn"] == "mean" else 1), x.radius * length)

    return len(index) + 8 * prod(out), run


def softmax(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """At the midpoints. In the maximum norm log-softmax has Lipschitz constant 2, softmax at most 1."""
    need(shapes[0] == out and a["kind"] in ("softmax", "log"), "kind or shape of a softmax")
    index, back, length = along(out, [integer(a["axis"], 0, len(out) - 1, "axis")])

    def run(x: Ball) -> Ball:
        x, v, worst = x.fixed(), [], 0
        for row in cut(x.pick(index).v, length):
            top = max(row)
            powers = [exp(b - top) for b in row]
            total, error = sum(y for y, _ in powers), sum(e for _, e in powers)  # exp(0) is exact: total >= 1
            if a["kind"] == "log":
                level, e = log(total)  # the derivative is at most 1
                v += [b - top - level for b in row]
                worst = max(worst, error + e)
            else:
                v += [(y << S) // total for y, _ in powers]
                worst = max(worst, 2 * error + 1)  # a quotient below 1, of which both parts move
        return settle(v, ONE, x.radius * (2 if a["kind"] == "log" else 1) + worst).pick(back)

    return 100 * prod(out), run


def normalise(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """(x - mean) / sqrt(variance + eps), or x / sqrt(mean square + eps), over axes."""
    need(shapes[0] == out and a["kind"] in ("standard", "rms"), "kind or shape of a normalisation")
    index, back, length = along(out, integers(a["axes"], 0, len(out) - 1, "axes"))
    eps, spread = finite(a["eps"], "eps"), [0] * length

    def mean(x: Ball) -> Ball:
        return settle([sum(x.v)], x.den * length, x.radius * length)

    def run(x: Ball) -> Ball:
        done: list[Ball] = []
        for row in cut(x.pick(index).v, length):
            y = Ball(row, x.den, x.radius)
            if a["kind"] == "standard":
                y = combine(sub, y, mean(y).pick(spread))
            level = combine(add, mean(multiply(y, y)), Ball([eps.numerator], eps.denominator))
            done.append(divide(y, elementary("sqrt", level).pick(spread)))
        return Ball([b for y in done for b in y.v], ONE, max(y.radius for y in done)).pick(back)

    return 200 * prod(out), run


def reshape(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Row-major reshape."""
    need(shape_of(a["shape"], "shape") == out and prod(out) == prod(shapes[0]), "shapes of different size")
    return 0, lambda x: x


def transpose(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Axes in another order."""
    order = integers(a["permutation"], 0, len(out) - 1, "permutation", len(out))
    need(sorted(order) == [*range(len(shapes[0]))], "no permutation of the axes")
    need(out == tuple(shapes[0][k] for k in order), "the shape does not fit the permutation")
    index = view(out, [strides(shapes[0])[k] for k in order])
    return prod(out), lambda x: x.pick(index)


def broadcast(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Right-aligned broadcasting."""
    narrow = (1,) * (len(out) - len(shapes[0])) + shapes[0]
    need(shape_of(a["shape"], "shape") == out and len(narrow) == len(out), "the shape does not fit")
    need(all(n in (1, m) for n, m in zip(narrow, out, strict=True)), "shapes that do not broadcast")
    index = view(out, [s if n > 1 else 0 for n, s in zip(narrow, strides(narrow), strict=True)])
    return prod(out), lambda x: x.pick(index)


def slice_(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Entries start, start + step, ... below stop of one axis."""
    axis = integer(a["axis"], 0, len(shapes[0]) - 1, "axis")
    size, steps = shapes[0][axis], strides(shapes[0])
    start, stop = integer(a["start"], 0, size, "start"), integer(a["stop"], 0, size, "stop")
    step = integer(a["step"], 1, 1 << 24, "step")
    shape = (*shapes[0][:axis], len(range(start, stop, step)), *shapes[0][axis + 1 :])
    need(out == shape, "the shape does not fit the slice")
    offset, steps[axis] = start * steps[axis], step * steps[axis]
    index = view(out, steps, offset)
    return prod(out), lambda x: x.pick(index)


def concat(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Operands one after the other along an axis."""
    axis = integer(a["axis"], 0, len(out) - 1, "axis")
    need(shapes and all(len(s) == len(out) for s in shapes), "operands of another number of axes")
    need(out[axis] == sum(s[axis] for s in shapes), "the shape does not fit the concatenation")
    rest = {s[:axis] + s[axis + 1 :] for s in (out, *shapes)}
    need(len(rest) == 1, "operands of other shapes")
    widths = [prod(s[axis:]) for s in shapes]

    def run(*xs: Ball) -> Ball:
        parts = [cut(x.fixed().v, width) for x, width in zip(xs, widths, strict=True)]
        v = [b for pieces in zip(*parts, strict=True) for piece in pieces for b in piece]
        return Ball(v, ONE, max(x.fixed().radius for x in xs))

    return 8 * prod(out), run


def pad(a: Json, shapes: list[Shape], out: Shape, room: list[int]) -> Built:
    """Constant padding before and after each axis."""
    need(isinstance(a["widths"], list) and len(a["widths"]) == len(shapes[0]), "widths")
    widths, value = [integers(w, 0, 1 << 24, "widths", 2) for w in a["widths"]], finite(a["value"], "value")
    need(out == tuple(n + sum(w) for n, w in zip(shapes[0], widths, strict=True)), "the shape does not fit")
    index, filler = padded(shapes[0], widths), Ball([value.numerator], value.denominator)

    def run(x: Ball) -> Ball:
        x, last = x.fixed(), filler.fixed()
        return Ball([*x.v, *last.v], ONE, max(x.radius, last.radius)).pick(index)

    return 8 * prod(out), run


OPERATIONS = {  # builder, number of operands, attributes
    "pointwise": (pointwise, None, None),
    "contract": (contract, None, ("spec",)),
    "convolve": (convolve, 2, ("stride", "padding", "dilation", "groups")),
    "pool": (pool, 1, ("fn", "kernel", "stride", "padding", "dilation", "count_include_pad")),
    "reduce": (reduce, 1, ("fn", "axes")),
    "softmax": (softmax, 1, ("kind", "axis")),
    "normalise": (normalise, 1, ("kind", "axes", "eps")),
    "reshape": (reshape, 1, ("shape",)),
    "transpose": (transpose, 1, ("permutation",)),
    "broadcast": (broadcast, 1, ("shape",)),
    "slice": (slice_, 1, ("axis", "start", "stop", "step")),
    "concat": (concat, None, ("axis",)),
    "pad": (pad, 1, ("widths", "value")),
}


class Program:
    """A validated program; one value of F costs static_work + samples * sample_work multiply-adds."""

    def __init__(self, program: Json, shapes: Shapes) -> None:
        """`shapes`: kind of leaf -> name -> shape of that parameter, constant or sample."""
        fields(program, ("nodes", "inputs", "output"), "program")
        nodes, output = program["nodes"], program["output"]
        need(names_of(program["inputs"], "inputs") == {*shapes["input"]}, "inputs are not the names of the data")
        need(isinstance(nodes, list) and len(nodes) <= MAX_NODES, "nodes is not a list, or too long")
        room, place, sizes, varies = [MAX_ENTRIES], {}, [], []  # varies: with the sample
        self.static_work, self.sample_work, self.leaves, self.static, self.dynamic = 50, 50, [], [], []
        for k, node in enumerate(nodes):
            fields(node, ("name", "op", "inputs", "shape", "attributes"), f"node {k}")
            name, op, a = name_of(node["name"], f"node {k}"), node["op"], node["attributes"]
            where = f"node {name} ({op})"
            need(name not in place, f"two nodes are named {name}")
            need(isinstance(a, dict) and isinstance(op, str) and isinstance(node["inputs"], list), where)
            need(op in shapes or op in OPERATIONS, f"{where}: an operation that this checker does not know")
            need(len(node["inputs"]) <= 1000, f"{where} has too many operands")
            known = all(isinstance(i, str) and i in place for i in node["inputs"])
            need(known, f"{where} reads a node that does not come before it")
            ins, out = [place[i] for i in node["inputs"]], shape_of(node["shape"], where)
            take(room, prod(out) + sum(prod(sizes[i]) for i in ins))
            varies.append(op == "input" or any(varies[i] for i in ins))
            if op in shapes:
                fields(a, (op,), where)
                need(isinstance(a[op], str) and a[op] in shapes[op], f"{where}: there is no such {op}")
                need(not ins, f"{where} has operands")
                need(out == shapes[op][a[op]], f"{where} has not the shape of {a[op]}")
                self.leaves.append((k, op, a[op]))
                work = prod(out)
            else:
                build, operands, attributes = OPERATIONS[op]
                try:
                    need(operands in (None, len(ins)), "another number of operands")
                    fields(a, a if attributes is None else attributes, "attributes")
                    work, run = build(a, [sizes[i] for i in ins], out, room)
                except MalformedError as error:
                    raise MalformedError(f"{where}: {error}") from None
                (self.dynamic if varies[k] else self.static).append((k, run, ins))
                if op in ("contract", "convolve") and not {*ins} & {j for j, *_ in self.leaves}:
                    work *= 2  # both operands may be as wide as computed numbers can be
            self.sample_work += (50 + work) * varies[k]  # 50 for the node itself
            self.static_work += (50 + work) * (not varies[k])
            place[name] = k
            sizes.append(out)
        need(isinstance(output, str) and output in place, "the output is not a node")
        self.output = place[output]
        need(prod(sizes[self.output]) == 1, "the output is not one number")

    def value(self, point: Point, constants: Point, data: Point, count: int, tick: Callable[[], None]) -> Bounds:
        """Lower and upper bound of F, the mean over the samples, at a point."""
        values: list[Any] = [None] * (len(self.leaves) + len(self.static) + len(self.dynamic))
        here, inputs = {"parameter": point, "constant": constants}, []
        for k, kind, name in self.leaves:
            if kind == "input":
                inputs.append((k, *data[name], len(data[name][0]) // count))
            else:
                values[k] = Ball(*here[kind][name])
        for k, run, ins in self.static:
            values[k] = run(*[values[i] for i in ins])
        middle = radius = 0
        for sample in range(count):
            for k, v, den, width in inputs:
                values[k] = Ball(v[sample * width : (sample + 1) * width], den)
            for k, run, ins in self.dynamic:
                values[k] = run(*[values[i] for i in ins])
            y = values[self.output].fixed()
            middle, radius = middle + y.v[0], radius + y.radius
            tick()
        return Fraction(middle - radius, ONE * count), Fraction(middle + radius, ONE * count)


# ---- the chain of averages ---------------------------------------------------------------------------------


def orbits(size: int, permutations: Sequence[Sequence[int]]) -> list[list[int]]:
    """The sets of positions that the permutations carry into each other."""
    seen, found = [False] * size, []
    for start in range(size):
        if not seen[start]:
            seen[start], orbit = True, [start]
            for i in orbit:  # grows while it is read
                for p in permutations:
                    if not seen[p[i]]:
                        seen[p[i]] = True
                        orbit.append(p[i])
            found.append(orbit)
    return found


class Step:
    """One average M' = (1/p) sum_j move^j(M); a point is name -> (integers, denominator)."""

    def __init__(self, value: Json, shapes: Mapping[str, Shape], variables: set[str], where: str) -> None:
        """Validate; `shapes` are those of the parameters."""
        fields(value, ("units", "order", "moves"), where)
        self.units = name_of(value["units"], where)
        self.order = integer(value["order"], 2, 1 << 16, f"{where}: order")
        need(isinstance(value["moves"], dict) and value["moves"], f"{where} moves nothing")
        self.shapes, self.moves = shapes, {}
        for name, pairs in value["moves"].items():
            need(name in variables, f"{where} moves {name}, which is not a variable")
            need(isinstance(pairs, list) and pairs, f"{where}: moves of {name}")
            axes = self.moves[name] = {}
            for pair in pairs:
                need(isinstance(pair, list) and len(pair) == 2, f"{where}: a move is not [axis, permutation]")
                axis = integer(pair[0], 0, len(shapes[name]) - 1, f"{where}: axis of {name}")
                size = shapes[name][axis]
                p = integers(pair[1], 0, size - 1, f"{where}: permutation", size)
                need(axis not in axes and len({*p}) == size, f"{where}: repeated axis, or no permutation")
                back = all(self.order % len(cycle) == 0 for cycle in orbits(size, [p]))
                need(back, f"{where}: {self.order} moves do not lead back")
                axes[axis] = p
        self.work = (self.order + 2) * sum(50 + prod(shapes[name]) for name in self.moves)

    def move(self, point: Point) -> Point:
        """new[p[i]] = old[i] along each moved axis."""
        moved = {}
        for name, axes in self.moves.items():
            index, shape = [0], self.shapes[name]
            for axis, (n, step) in enumerate(zip(shape, strides(shape), strict=True)):
                source = sorted(range(n), key=axes[axis].__getitem__) if axis in axes else range(n)
                index = [i + step * k for i in index for k in source]
            moved[name] = [*map(point[name][0].__getitem__, index)], point[name][1]
        return point | moved

    def points(self, point: Point) -> Iterator[Point]:
        """The point and its images."""
        for _ in range(self.order):
            yield point
            point = self.move(point)

    def average(self, point: Point) -> Point:
        """Their mean, exactly, in lowest terms."""
        totals = {name: [0] * len(point[name][0]) for name in self.moves}
        for moved in self.points(point):
            totals = {name: [*map(add, total, moved[name][0])] for name, total in totals.items()}
        lowest = {}
        for name, total in totals.items():
            common = gcd(point[name][1] * self.order, *total)
            lowest[name] = [a // common for a in total], point[name][1] * self.order // common
        return point | lowest


def tied(steps: Sequence[Json], units: str) -> str:
    """What the moves called `units` carry into one another: the positions of the first axis where it is one set."""
    moves: dict[tuple[str, int], list[list[int]]] = {}
    for step in steps:
        for name, pairs in step["moves"].items() if step["units"] == units else ():
            for axis, p in pairs:
                moves.setdefault((name, axis), []).append(p)
    for (name, axis), ps in sorted(moves.items()):  # no order of the file matters
        sizes = [len(orbit) for orbit in orbits(len(ps[0]), ps) if len(orbit) > 1]
        if len(sizes) == 1:
            return f"those called {units} carry {sizes[0]} positions of axis {axis} of {name} into one another"
    return ""


def squares(point: Point, names: Iterable[str]) -> Fraction:
    """The sum of the squares of these parameters."""
    terms = (Fraction(sum(map(mul, point[n][0], point[n][0])), point[n][1] ** 2) for n in names)
    return sum(terms, Fraction(0))


# ---- the claim ---------------------------------------------------------------------------------------------


def claimed(document: Json) -> dict[str, Any]:
    """The stated enclosures as exact pairs."""

    def pair(value: Json) -> Bounds:
        need(isinstance(value, list) and len(value) == 2, "an enclosure is not a pair")
        need(all(isinstance(x, str) and len(x) <= 30 for x in value), "an enclosure is not of hex floats")
        try:
            low, high = map(float.fromhex, value)
        except (ValueError, OverflowError):
            raise MalformedError("an enclosure is not of hex floats") from None
        need(isfinite(low) and isfinite(high) and low <= high, "an enclosure is empty or not finite")
        need([low.hex(), high.hex()] == value, "an enclosure is not of hex floats as Python writes them")
        return Fraction(low), Fraction(high)

    table = document["enclosures"]
    fields(table, ("start", "points", "average", "end"), "enclosures")
    need(isinstance(table["points"], list) and table["points"], "enclosures of the points")
    return {n: [pair(v) for v in value] if n == "points" else pair(value) for n, value in table.items()}


def flat(bounds: dict[str, Any]) -> list[Bounds]:
    """Start, end, average and the points in one list."""
    return [bounds["start"], bounds["end"], bounds["average"], *bounds["points"]]


def excess(bounds: dict[str, Any]) -> tuple[Fraction, bool]:
    """Lower bound of F(average) - mean of the F(P_j), and whether F(average) exceeds their maximum."""
    tops = [high for _, high in bounds["points"]]
    return bounds["average"][0] - sum(tops) / len(tops), bounds["average"][0] > max(tops)


def shown(value: Fraction) -> str:
    """A positive number in decimals, rounded down."""
    return str(Context(prec=6, rounding=ROUND_FLOOR).divide(*map(Decimal, value.as_integer_ratio())))


def statement(document: Json) -> str:
    """The sentence that an accepted certificate proves, made from its other fields alone."""
    bounds, names, steps = claimed(document), document["variables"], document["steps"]
    gap, above_all = excess(bounds)
    samples = max(array["shape"][0] for array in document["data"].values())

    def listed(names: Sequence[str], what: str) -> str:
        return ", ".join(names) if len(names) <= 12 else f"the {len(names)} {what} listed in the certificate"

    units = [*dict.fromkeys(step["units"] for step in steps)]
    text = f"Let F be the mean over {samples} samples of the program's output as a function of "
    text += f"{listed(names, 'variables')}, every other parameter and constant being held fixed. "
    if document["claim"] == "midpoint":
        moved = listed(sorted(steps[0]["moves"]), "moved variables")
        text += f"Let B be the point A with the entries of {moved} permuted as listed in the certificate (a move "
        text += f"called {units[0]}), and M = (A + B)/2. "
        text += f"Then F(M) exceeds (F(A) + F(B))/2 by at least {shown(gap)}"
    else:
        rise, order = shown(bounds["end"][0] - bounds["start"][1]), steps[document["violated"]]["order"]
        number, count = document["violated"] + 1, len(steps)
        text += f"Let M be the average of A over the group that the {count} moves listed in the certificate (called "
        text += f"{listed(units, 'names')}) generate; every one of these moves leaves M as it is"
        whole = [line for line in (tied(steps, name) for name in units) if line] if len(units) <= 12 else []
        text += "".join(f", and {line}" for line in whole)
        text += f". Then F(M) exceeds F(A) by at least {rise}. In step "
        text += f"{number} of the {count} averages that lead from A to M, F at the average of {order} points "
        text += f"exceeds the mean of F at these points by at least {shown(gap)}"
    return f"{text}; so F is {'neither convex nor quasi-convex' if above_all else 'not convex'}."


def rounded_down(value: Fraction) -> float:
    """The nearest float that is not above."""
    try:
        result = float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -inf
    return result if result <= value else nextafter(result, -inf)


def establish(document: Json, limit: int, progress: Progress, known: dict[str, Any]) -> None:
    """Fill `known` with what is proved; RejectedError where the claim is not."""
    room, tables, shapes = [MAX_BITS], {}, {}
    for section, kind in (("parameters", "parameter"), ("constants", "constant"), ("data", "input")):
        table = document[section]
        need(isinstance(table, dict) and len(table) <= MAX_NODES, f"{section} is not a table")
        arrays = {name_of(name, section): array(v, room, f"{section} {name}") for name, v in table.items()}
        shapes[kind] = {name: shape for name, (shape, _, _) in arrays.items()}
        tables[kind] = {name: (v, den) for name, (_, v, den) in arrays.items()}
    need(shapes["input"] and all(shapes["input"].values()), "the data have no sample axis")
    count, *others = [shape[0] for shape in shapes["input"].values()]
    need(all(n == count for n in others), "the data differ in their number of samples")
    shapes["input"] = {name: (1, *shape[1:]) for name, shape in shapes["input"].items()}
    program, names = Program(document["program"], shapes), names_of(document["variables"], "variables")
    need(names and names <= {*shapes["parameter"]}, "variables: none, or not parameters")
    need(isinstance(document["steps"], list) and 1 <= len(document["steps"]) <= 4096, "steps is no such list")
    steps = [Step(v, shapes["parameter"], names, f"step {k}") for k, v in enumerate(document["steps"])]
    violated, claim = integer(document["violated"], 0, len(steps) - 1, "violated"), document["claim"]
    step, bounds, midpoint = steps[violated], claimed(document), claim == "midpoint"
    need(claim in ("midpoint", "orbit-average"), "claim is neither midpoint nor orbit-average")
    need(not midpoint or (len(steps) == 1 and step.order == 2), "a midpoint is one step of order 2")
    need(len(bounds["points"]) == step.order, "enclosures of another number of points")

    if excess(bounds)[0] <= 0:
        raise RejectedError("the stated enclosures do not violate Jensen's inequality")
    if not midpoint and bounds["end"][0] <= bounds["start"][1]:
        raise RejectedError("the stated enclosures do not place the orbit average above the start")
    if document["statement"] != statement(document):
        raise RejectedError("the statement is not the one that the other fields make")
    first, last = violated == 0, violated == len(steps) - 1  # start or end is a point of the step itself
    evaluations = step.order + 1 + (not first) + (not last)
    bits = max(max(map(abs, v)).bit_length() for table in tables.values() for v, _ in table.values())
    bits += sum(s.order.bit_length() for s in steps)
    averaged = sum(prod(shapes["parameter"][name]) for name in {name for s in steps for name in s.moves})
    take(room, 4 * averaged * (WEIGHT + bits))  # here, the average, the end, and a total
    factor = 1 + (bits * max(bits, TOP.bit_length()) >> 16)
    work = evaluations * (program.static_work + count * program.sample_work) + sum(s.work for s in steps)
    known.update(claim=claim, multiply_adds=work * factor)
    if work * factor > limit:
        wide = f", each counted {factor} times for its {bits} bits" if factor > 1 else ""
        raise RejectedError(f"the check needs {work:,} multiply-adds{wide}: more than the limit of {limit:,}")

    start = end = here = average = tables["parameter"]
    for k, s in enumerate(steps):
        before, end = end, s.average(end)
        if k == violated:
            here, average = before, end
    for s in () if midpoint else steps:
        if s.move(end) != end:
            raise RejectedError(f"the end of the chain is not fixed by the moves of {s.units}")
    spread = squares(here, step.moves) - squares(average, step.moves)  # mean |P_j - M|^2, equal |P_j|
    if spread == 0:
        raise RejectedError("the moves move nothing: all points are one")
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress and (done % 16 == 0 or done == evaluations * count):
            progress(done, evaluations * count)

    def value(point: Point) -> Bounds:
        return program.value(point, tables["constant"], tables["input"], count, tick)

    own: dict[str, Any] = {"average": value(average), "points": [*map(value, step.points(here))]}
    own["start"] = own["points"][0] if first else value(start)
    own["end"] = own["average"] if last else value(end)
    for stated, (low, high) in zip(flat(bounds), flat(own), strict=True):
        if not stated[0] <= low <= high <= stated[1]:
            raise RejectedError("a stated enclosure does not contain the computed value of F")
    gap, above_all = excess(own)
    if gap <= 0:
        raise RejectedError("F at the average is not proved to exceed the mean of F at the points")
    known.update(accepted=True, convex_refuted=True, quasiconvex_refuted=above_all, gap=gap)
    known.update(statement=document["statement"], gap_float=rounded_down(gap))
    known.update(weight_decay=rounded_down(2 * gap / spread))
    of_start, of_end, of_average, *of_points = [[rounded_down(low), -rounded_down(-high)] for low, high in flat(own)]
    known["enclosures"] = {"start": of_start, "points": of_points, "average": of_average, "end": of_end}


def check(source: str | os.PathLike[str] | bytes, *, limit: int = LIMIT, progress: Progress = None) -> Verdict:
    """Verdict on a certificate, given as a path or as bytes.

    `limit`: refuse to begin beyond this many multiply-adds; `progress(done, total)` is called now and then.
    Raises MalformedError where the source is not a certificate, or was altered.
    """
    began, known = time.perf_counter(), {}
    try:
        establish(read(source), limit, progress, known)
    except RejectedError as reason:
        known["reason"] = str(reason)
    except MemoryError:
        raise MalformedError("not enough memory") from None
    return Verdict(**known, seconds=time.perf_counter() - began)


def main(arguments: list[str] | None = None) -> int:
    """The command: print a verdict, return the exit code."""
    parser = argparse.ArgumentParser(description="Check a certificate of non-convexity.")
    parser.add_argument("file")
    parser.add_argument("--format", choices=("human", "json"), default="human")
    parser.add_argument("--limit", type=int, default=LIMIT, help="multiply-adds (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        verdict = check(options.file, limit=options.limit)
    except KeyboardInterrupt:
        return 130
    except MalformedError as error:
        facts = {"accepted": False, "reason": str(error)}
        print(json.dumps(facts) if options.format == "json" else f"UNREADABLE  {error}")
        return 2
    if options.format == "json":
        print(json.dumps(verdict.to_json()))
    elif verdict:
        print(f"ACCEPTED     {verdict.statement}")
        print(f"gap          at least {verdict.gap_float!r}")
        print(f"quasi-convex {'refuted' if verdict.quasiconvex_refuted else 'not refuted'}")
        print(f"weight decay F + (mu/2)|variables|^2 is not convex for any mu < {verdict.weight_decay!r}")
        print(f"arithmetic   {verdict.arithmetic}")
        print(f"cost         {verdict.multiply_adds:,} multiply-adds in {verdict.seconds:.1f} s")
    else:
        print(f"REJECTED     {verdict.reason}")
    return 0 if verdict else 1


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
