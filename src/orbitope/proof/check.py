"""Check a certificate of non-convexity, with nothing but the Python standard library.

    python -I check.py proof.orbitope [--format json] [--limit N] [--plain]

A certificate names a real-valued program, data, a point A of its parameters and other points made from A: permuted
copies and their averages, or listed ones. Every value that the claim rests on is recomputed; nothing else in the
file is believed.

A tensor is a list of integers over one common denominator with ONE integer radius (`Ball`): every entry is a real
number within radius/den of v/den. Parameters and points are exact. What is computed from them has the denominator
2^S, where the certificate chooses S, and each rounding is counted in the radius: every bound holds for the real
numbers. There is no tolerance. What is zero whatever the data are, because of zeros among the parameters, is known
beforehand: it is not stored, and what it is multiplied by is not computed.

Work is counted before it is done, in units of one multiply-add of numbers of up to about 200 bits; whatever costs
more (wider numbers, roundings, elementary functions, a node at all) is counted as several. The limit of 10^9 is at
most about two minutes on one core of 2020. Where python-flint is installed, and not refused by `--plain`, it
computes the large products of integer matrices: the same numbers, faster, and the limit is higher.

Exit code: 0 accepted; 1 read, but the claim is not established; 2 unreadable, malformed or altered.
The file is long because it leans on nothing: reading, numbers, operations, zeros, program, points, claim; each part
uses only what stands before it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import operator
import os
import re
import struct
import sys
import time
from array import array as compact
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from functools import cache, cached_property
from functools import reduce as folded
from itertools import pairwise
from math import gcd, inf, isfinite, isqrt, lcm, nextafter, prod
from operator import add, mul, sub
from typing import Any, NamedTuple

FORMAT, VERSION = "orbitope certificate", 2
LIMIT, FLINT_LIMIT = 10**9, 6 * 10**9  # units of work without python-flint, and with it
MAX_BYTES, MAX_DEPTH, MAX_BITS = 1 << 27, 12, 1 << 32  # of the file; of all its numbers and their averages in memory
MAX_COUNTS = {b",": 1 << 22, b'"': 1 << 21, b":": 1 << 20, **dict.fromkeys((b"[", b"]", b"{", b"}"), 1 << 19)}
MAX_NUMBERS, MAX_NOMINAL, MAX_NODES = 1 << 23, 1 << 40, 20_000  # stored in an array, with its zeros, nodes
MAX_INDEX, MAX_VALUES = 1 << 24, 1 << 31  # positions in a program's operations; bits of its values at any one time
NARROW = 1 << 72  # below it, rows are multiplied by many others at once
WEIGHT = 320  # bits in memory of a number without its digits
NAME = r"[A-Za-z0-9_.:/\[\]#*-]{1,200}"
DTYPES = {
    **{"float64": "d", "float32": "f", "float16": "e", "bfloat16": "H", "bool": "?", "uint8": "B"},
    **{"int8": "b", "int16": "h", "int32": "i", "int64": "q"},
}
SECTIONS = (
    *("format", "version", "generator", "claim", "statement", "variables", "precision", "program", "constants"),
    *("parameters", "steps", "points", "times", "violated", "data", "enclosures", "agreement"),
)
CLAIMS = ("midpoint", "average", "orbit-average", "slopes")
Json = Any  # what a JSON document may hold, before it is validated
Shape = tuple[int, ...]
Axes = tuple[Sequence[int], ...]  # for every axis the places that may be nonzero
Box = Axes | None  # None: zero everywhere
Point = dict[str, tuple[list[int], int]]  # name -> integers, denominator
Bounds = tuple[Fraction, Fraction]
Progress = Callable[[int, int], object] | None


class MalformedError(Exception):
    """The file cannot be read as a certificate, or it was altered."""

    def __init__(self, message: str) -> None:
        """One short printable line, whatever the file holds."""
        super().__init__("".join(c if c.isprintable() else "?" for c in message[:300]))


class RejectedError(Exception):
    """The certificate is readable, but what it claims is not established."""


class Verdict:
    """What was established; `gap`: a proven lower bound of F(average) - mean of the F(P_j), or of the fall of slope."""

    def __init__(self, **known: Any) -> None:
        """Nothing is established beyond what is known."""
        self.accepted = self.convex_refuted = self.quasiconvex_refuted = False
        self.claim = self.statement = self.reason = self.arithmetic = ""
        self.gap = self.gap_float = self.weight_decay = self.curvature = None
        self.enclosures, self.multiply_adds, self.seconds = {}, 0, 0.0
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


def claim_room(room: list[int], count: int) -> None:
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
    fits = (type(value) is int and abs(value) < 1 << 300) or (type(value) is float and isfinite(value))
    need(fits, f"{where} is not a finite number")
    return Fraction(value)


def rational(value: Json, where: str) -> Fraction:
    """[n, d] in lowest terms, both below 2^64."""
    n, d = integers(value, 1 - (1 << 64), (1 << 64) - 1, where, 2)
    need(d > 0 and gcd(n, d) == 1, f"{where} is not a fraction in lowest terms")
    return Fraction(n, d)


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
    need(len(shape) <= 12 and prod(shape) <= MAX_NOMINAL, f"{where} is too large")
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
    need(isinstance(document, dict) and document.get("format") == FORMAT, f"not an {FORMAT}")
    old = document.get("version")
    need(type(old) is not int or old != 1, "written in format version 1; this checker reads version 2: prove again")
    integer(old, VERSION, VERSION, "version")
    fields(document, (*SECTIONS, "digests"), "the certificate")
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


class Stored(NamedTuple):
    """An exact tensor: integers v over den for the listed rows (places of axis 0), zero in all other rows."""

    shape: Shape
    rows: Sequence[int]
    v: list[int]
    den: int

    def over(self, rows: Sequence[int], room: list[int]) -> Stored:
        """The same, with zeros, for more rows."""
        if len(rows) == len(self.rows):
            return self
        width, found = prod(self.shape[1:]), {}
        claim_room(room, len(rows) * width * WEIGHT)
        for k, row in enumerate(self.rows):
            found[row] = self.v[k * width : (k + 1) * width]
        zeros = [0] * width
        return Stored(self.shape, rows, [a for row in rows for a in found.get(row, zeros)], self.den)


def array(value: Json, room: list[int], where: str) -> Stored:
    """A stored tensor, exactly: all entries, or those of some rows, or one for all of them ("fill")."""
    form = next((f for f in ("rows", "fill") if isinstance(value, dict) and f in value), None)
    fields(value, ("dtype", "shape", *((form,) if form else ()), *(() if form == "fill" else ("data",))), where)
    shape, dtype = shape_of(value["shape"], where), value["dtype"]
    need(isinstance(dtype, str) and dtype in DTYPES, f"{where}: unknown dtype")
    rows: Sequence[int] = range(shape[0] if shape else 1)
    count, code = prod(shape), DTYPES[dtype]
    if form == "fill":
        number = finite(value["fill"], where)
        try:
            raw = struct.pack("<f" if dtype == "bfloat16" else f"<{code}", value["fill"])
        except (struct.error, OverflowError):
            raise MalformedError(f"{where}: the number is none of its dtype") from None
        exact = struct.unpack("<f" if dtype == "bfloat16" else f"<{code}", raw)[0] == number
        need(exact and (dtype != "bfloat16" or raw[:2] == b"\0\0"), f"{where}: the number is none of its dtype")
        if number == 0 and shape:
            return Stored(shape, (), [], 1)
        need(count <= MAX_NUMBERS, f"{where} is too large")
        claim_room(room, count * WEIGHT + number.numerator.bit_length() + number.denominator.bit_length())
        return Stored(shape, rows, [number.numerator] * count, number.denominator)
    if form == "rows":
        need(shape, f"{where} has no rows")
        rows = integers(value["rows"], 0, shape[0] - 1, f"{where}: rows")
        need(all(map(operator.lt, rows, rows[1:])), f"{where}: rows are not in order")
        claim_room(room, len(rows) * WEIGHT)
        count = len(rows) * prod(shape[1:])
    need(count <= MAX_NUMBERS, f"{where} is too large")
    text, size = value["data"], count * struct.calcsize("<" + code)
    need(isinstance(text, str) and len(text) == -(-size // 3) * 4, f"{where}: the data do not fit the shape")
    claim_room(room, count * WEIGHT)
    try:
        numbers = struct.unpack(f"<{count}{code}", base64.b64decode(text, validate=True))
    except (ValueError, struct.error):
        raise MalformedError(f"{where}: the data are not base64 of {count} numbers") from None
    if dtype == "bfloat16":  # the upper half of a float32
        numbers = struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *(n << 16 for n in numbers)))
    need(all(map(isfinite, numbers)), f"{where}: an entry is not finite")
    den = max((x.as_integer_ratio()[1] for x in numbers), default=1)  # all of them are powers of two
    n, d = max(map(abs, numbers), default=0).as_integer_ratio()
    claim_room(room, count * (n * (den // d)).bit_length())
    return Stored(shape, rows, [n * (den // d) for n, d in (x.as_integer_ratio() for x in numbers)], den)


# ---- numbers -----------------------------------------------------------------------------------------------


class Ball:
    """A tensor, row-major: entry i is a real number within radius/den of v[i]/den."""

    __slots__ = ("den", "memo", "radius", "v")

    def __init__(self, v: list[int], den: int, radius: int = 0) -> None:
        """Without a radius the numbers are exact."""
        self.v, self.den, self.radius, self.memo = v, den, radius, {}

    def once(self, key: Hashable, make: Callable[[Ball], Any]) -> Any:
        """What `make` says of this tensor, computed once."""
        if key not in self.memo:
            self.memo[key] = make(self)
        return self.memo[key]

    def bound(self) -> int:
        """The largest |v[i]|."""
        return self.once("bound", lambda x: max(max(x.v), -min(x.v)))

    def pick(self, index: Iterable[int]) -> Ball:
        """The entries at these positions."""
        return Ball([*map(self.v.__getitem__, index)], self.den, self.radius)

    def pick_or_zero(self, index: Iterable[int]) -> Ball:
        """The entries at these positions, zero at position -1."""
        return Ball([*map([*self.v, 0].__getitem__, index)], self.den, self.radius)

    def exact(self, what: str) -> list[int]:
        """The numerators, where the numbers are known exactly."""
        if self.radius:
            raise RejectedError(f"{what} is not known exactly")
        return self.v


Entry = Callable[[int], tuple[int, int]]
GUARD = 48


class Fixed:
    """Fixed point: an integer v stands for v/one, one = 2^s. Elementary functions work in `units` of 2^-w, w = s + 48.

    Every elementary function is given one number exactly and returns y and e: its value is within e/one of y/one.
    Its error in units is below 2^36 for 64 <= s <= 2048 (see there), so that rounding down to a multiple of 2^-s
    leaves an error below 2; only exp of positive numbers errs by more, and says so.
    """

    def __init__(self, s: int, matrix: Any = None) -> None:
        """Numbers of s fractional bits; and python-flint's integer matrices, if they are to be used."""
        self.matrix = matrix
        self.s, self.w, self.one, self.unit = s, s + GUARD, 1 << s, 1 << (s + GUARD)
        self.top = 1 << (s + 256)  # no computed integer may reach this

    def settle(self, v: list[int], den: int, radius: int) -> Ball:
        """The same numbers over one. Rounding down moves a value by less than one: one more radius."""
        if den != self.one:
            common = gcd(self.one, den)
            up, down = self.one // common, den // common
            v = [a * up // down for a in v] if down > 1 else [a * up for a in v]
            radius = -(-radius * up // down) + (down > 1)
        if radius >= self.top or max(v) >= self.top or -min(v) >= self.top:
            raise RejectedError("a value outgrows the range of the arithmetic")
        return Ball(v, self.one, radius)

    def fixed(self, x: Ball) -> Ball:
        """The same over one."""
        return x if x.den == self.one else x.once(self.s, lambda x: self.settle(x.v, x.den, x.radius))

    # elementary functions of one number --------------------------------------------------------------------

    def atanh(self, z: int) -> int:
        """Evaluate atanh at z units, 0 <= z <= 1/3: low by less than w/2 + 5 units.

        A power is low by at most 1.5 (old error/9, 1/3 from the square, 1), a quotient by one more than power/n;
        there are at most w/3 + 2 of them; the powers after the last one add up to less than 2.
        """
        square, power, total, n = z * z >> self.w, z, 0, 1
        while power:
            total += power // n
            power = power * square >> self.w
            n += 2
        return total

    @cached_property
    def ln2(self) -> int:
        """2 atanh(1/3), low by less than w + 13 < 2^12 units."""
        return 2 * self.atanh(self.unit // 3)

    @cached_property
    def pi(self) -> int:
        """16 atan(1/5) - 4 atan(1/239), within 9 w + 60 < 2^15 units: each term of a series errs by at most 2."""

        def atan(q: int) -> int:
            power, total, n = self.unit // q, 0, 1
            while power:
                total += power // n if n & 2 == 0 else -(power // n)
                power //= q * q
                n += 2
            return total

        return 16 * atan(5) - 4 * atan(239)

    def power(self, u: int) -> tuple[int, int]:
        """Find m and k with exp(u units) = 2^k m units; m is about 1 to 2, within 2^27 units, for |k| < 2^12.

        u = k ln 2 + t. Taylor for t/2^r, r = 8 to 16: every term is low by at most 2.01 and less than 2^-r times the
        one before, so that there are at most w/r + 2; with the tail (4) and the argument (2) the sum is low by
        E < 300 units. r squarings make of it less than 2^(r+1) (E + 1) < 2^26: they double the relative error
        and add one unit. ln 2 is low by less than 2^12, k times: less than 2^26, since m is below 2.01.
        """
        k, t = divmod(u, self.ln2)
        r = 8 + self.s // 256
        total = term = self.unit
        t, n = t >> r, 1
        while term:
            term = (term * t >> self.w) // n
            total += term
            n += 1
        for _ in range(r):
            total = total * total >> self.w
        return total, k

    def exp(self, v: int) -> tuple[int, int]:
        """By `power`: 2^27 units times 2^k, one for rounding down, one for rounding this bound down."""
        k = (v << GUARD) // self.ln2
        if k < -self.s - 2:
            return 0, 1
        if k > 512:
            raise ValueError
        m, k = self.power(v << GUARD)
        y = m << k >> GUARD if k >= 0 else m >> (GUARD - k)
        return y, (1 << (27 + max(k, 0)) >> GUARD) + 2

    def log(self, v: int) -> tuple[int, int]:
        """v/one = m 2^k with 3/4 <= m < 3/2 and log m = 2 atanh((m - 1)/(m + 1)).

        In units, log m errs by less than w + 15 (twice atanh and its argument), k log 2 by 2^12 |k| < 2^30.
        """
        if v <= 0:
            raise ValueError
        k = v.bit_length()
        if (v << 2) < 3 << k:
            k -= 1
        m = v << self.w >> k
        part = 2 * self.atanh((abs(m - self.unit) << self.w) // (m + self.unit))
        return ((k - self.s) * self.ln2 + (part if m >= self.unit else -part)) >> GUARD, 2

    def tanh(self, v: int) -> tuple[int, int]:
        """(1 - u)/(1 + u), u = exp(-2|v|), changes by at most 2 |du|."""
        u, e = self.exp(-2 * abs(v))
        y = ((self.one - u) << self.s) // (self.one + u)
        return (y if v >= 0 else -y), 2 * e + 1

    def sigmoid(self, v: int) -> tuple[int, int]:
        """1/(1 + u), u = exp(-|v|), changes by at most |du|."""
        u, e = self.exp(-abs(v))
        y = (self.one << self.s) // (self.one + u)
        return (y if v >= 0 else self.one - y), e + 1

    @cached_property
    def two_by_root_pi(self) -> int:
        """2/sqrt(pi), within 2^15 units: half of pi's relative error, and 1."""
        return isqrt((4 << 3 * self.w) // self.pi)

    def erf(self, v: int) -> tuple[int, int]:
        """2/sqrt(pi) exp(-y) f, y = x^2, f = sum of t_n, t_0 = x, t_n+1 = t_n 2y/(2n + 3): no cancellation.

        Where y >= 3/4 s, 1 - erf x < exp(-y) < 2^-s. Else: 1. A term's error is that of the term before times
        2y/(2n + 3), and at most 2; an error of 1 in any term grows, summed over all later ones, by at most
        f/x <= exp(y). Fewer than 2^14 terms (after 4y each is below 1/4 of the last) therefore err by less than
        2^15 exp(y) units; the sum ends beyond n = 2y, where the rest is less than the error of its first term.
        Times 2/sqrt(pi) exp(-y), at most 2^17 units are left. 2. y is low by less than a unit; the sum of n t_n is
        at most y f, so f exp(-y) changes by less than 2 units. 3. exp(y) errs by 2^27 units of its mantissa,
        2/sqrt(pi) by 2^15: relative errors of a number below 1. Together less than 2^28.
        """
        a = abs(v)
        if 4 * a * a >= 3 * self.s << 2 * self.s:
            return (self.one if v > 0 else -self.one), 1
        y = a * a >> (2 * self.s - self.w)
        total = term = a << GUARD
        n = 3
        while term or n << self.w < 4 * y:
            term = (term * y >> (self.w - 1)) // n
            total += term
            n += 2
        m, k = self.power(y)
        result = total * self.two_by_root_pi // (m << k) >> GUARD
        return (result if v >= 0 else -result), 2

    def turn(self, v: int, quarters: int) -> tuple[int, int]:
        """The sine of v/one + quarters pi/2, |v/one| <= 2^20: v = k pi/2 + t, |t| <= pi/4, and Taylor at t.

        k pi/2 errs by less than 2^20 2^15 units; a term by at most 2, fewer than w of them, and the tail by less.
        """
        if abs(v) > self.one << 20:
            raise ValueError
        quarter = self.pi >> 1
        k, t = divmod((v << GUARD) + (quarter >> 1), quarter)
        t -= quarter >> 1
        k += quarters
        square, size = t * t >> self.w, abs(t)
        term, n = (self.unit, 1) if k & 1 else (size, 2)
        total, sign = term, -1
        while term:
            term = (term * square >> self.w) // (n * (n + 1))
            total += sign * term
            sign, n = -sign, n + 2
        negative = (k & 2 > 0) ^ (k & 1 == 0 and t < 0)
        return (-total if negative else total) >> GUARD, 2

    def sqrt(self, v: int) -> tuple[int, int]:
        """Rounded down."""
        return isqrt(v << self.s), 1

    def rsqrt(self, v: int) -> tuple[int, int]:
        """Rounded down: the integer part of a root does not depend on the fraction under it."""
        return isqrt((1 << 3 * self.s) // v), 1

    def slope(self, fn: str, low: int, high: int) -> int:
        """At least |derivative|, times one, of a function between low/one and high/one."""
        if fn == "exp":
            return sum(self.exp(high))
        if fn in ("log", "sqrt", "rsqrt"):
            if low <= 0:
                raise ValueError
            if fn == "log":  # 1/x
                return -(-(1 << 2 * self.s) // low)
            if fn == "sqrt":  # 1/(2 sqrt x)
                return (1 << 2 * self.s) // (2 * isqrt(low << self.s)) + 1
            return ((isqrt((1 << 3 * self.s) // low) + 1) ** 3 >> (2 * self.s + 1)) + 1  # (1/sqrt x)^3/2
        if fn == "sigmoid":
            return self.one // 4
        return self.one * 113 // 100 + 1 if fn == "erf" else self.one  # 2/sqrt(pi) < 1.13

    # functions of tensors -----------------------------------------------------------------------------------

    def elementary(self, fn: str, x: Ball) -> Ball:
        """A function of ELEMENTARY, entry by entry. |f(x + d) - f(x)| <= |d| max |f'|."""
        x = self.fixed(x)
        try:
            table = {a: self.entry(fn)(a) for a in {*x.v}}
            steep = self.slope(fn, min(x.v) - x.radius, max(x.v) + x.radius) if x.radius else 0
        except (ValueError, ZeroDivisionError):
            raise RejectedError(f"{fn} of an interval that is not inside its domain, or too large") from None
        worst = max(e for _, e in table.values())
        return self.settle([table[a][0] for a in x.v], self.one, -(-x.radius * steep >> self.s) + worst)

    def entry(self, fn: str) -> Entry:
        """The function of one number."""
        return (lambda v: self.turn(v, fn == "cos")) if fn in ("sin", "cos") else getattr(self, fn)

    def combine(self, f: Callable[[int, int], int], x: Ball, y: Ball) -> Ball:
        """Sum or difference."""
        x, y = self.fixed(x), self.fixed(y)
        return self.settle([*map(f, x.v, y.v)], self.one, x.radius + y.radius)

    def extreme(self, f: Callable[[int, int], int], x: Ball, y: Ball) -> Ball:
        """Maximum or minimum."""
        x, y = self.fixed(x), self.fixed(y)
        return Ball([*map(f, x.v, y.v)], self.one, max(x.radius, y.radius))

    def multiply(self, x: Ball, y: Ball) -> Ball:
        """|a'b' - ab| <= |a| |db| + |b| |da| + |da| |db|."""
        radius = x.bound() * y.radius + y.bound() * x.radius + x.radius * y.radius
        return self.settle([*map(mul, x.v, y.v)], x.den * y.den, radius)

    def divide(self, x: Ball, y: Ball) -> Ball:
        """|(a + da)/(b + db) - a/b| <= (|da| + |a/b| |db|) / (|b| - |db|), and one for rounding a/b down."""
        x, y = self.fixed(x), self.fixed(y)
        smallest = min(map(abs, y.v)) - y.radius
        if smallest <= 0:
            raise RejectedError("division by an interval that contains zero")
        v = [(a << self.s) // b for a, b in zip(x.v, y.v, strict=True)]
        worst = max(map(abs, v)) + 1
        return self.settle(v, self.one, -(-((x.radius << self.s) + worst * y.radius) // smallest) + 1)

    def leaky(self, slope: Fraction, x: Ball) -> Ball:
        """Leaky ReLU, Lipschitz with constant max(1, |slope|)."""
        n, d = slope.as_integer_ratio()
        return self.settle([a * (d if a >= 0 else n) for a in x.v], x.den * d, x.radius * max(d, abs(n)))

    def floor(self, x: Ball) -> Ball:
        """The integer part, where the whole interval has the same."""
        low = [(a - x.radius) // x.den for a in x.v]
        if x.radius and low != [(a + x.radius) // x.den for a in x.v]:
            raise RejectedError("floor of an interval that contains an integer")
        return Ball(low, 1)

    def compare(self, fn: str, x: Ball, y: Ball) -> Ball:
        """1 where x fn y, else 0, where the intervals decide it: x - y is farther from 0 than both radii reach."""
        p, q = (1, 1) if x.den == y.den else (y.den, x.den)
        gaps, reach = [a * p - b * q for a, b in zip(x.v, y.v, strict=True)], x.radius * p + y.radius * q
        if reach and min(map(abs, gaps)) <= reach:
            raise RejectedError(f"{fn} of intervals that overlap")
        test = getattr(operator, fn)
        return Ball([int(test(gap, 0)) for gap in gaps], 1)

    def where(self, condition: Ball, x: Ball, y: Ball) -> Ball:
        """Take x where the condition is not zero, else y."""
        truth = condition.exact("a condition")
        x, y = (x, y) if x.den == y.den else (self.fixed(x), self.fixed(y))
        v = [a if t else b for t, a, b in zip(truth, x.v, y.v, strict=True)]
        return Ball(v, x.den, max(x.radius, y.radius))


UNARY = {
    "identity": lambda n, x: x,
    "neg": lambda n, x: Ball([-a for a in x.v], x.den, x.radius),
    "abs": lambda n, x: Ball([*map(abs, x.v)], x.den, x.radius),
    "relu": lambda n, x: Ball([a if a > 0 else 0 for a in x.v], x.den, x.radius),
    "square": lambda n, x: n.multiply(x, x),
    "floor": Fixed.floor,
}
BINARY = {
    "add": lambda n, x, y: n.combine(add, x, y),
    "sub": lambda n, x, y: n.combine(sub, x, y),
    "mul": Fixed.multiply,
    "div": Fixed.divide,
    "maximum": lambda n, x, y: n.extreme(max, x, y),
    "minimum": lambda n, x, y: n.extreme(min, x, y),
}
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
ELEMENTARY = {"exp": 1, "log": 1, "tanh": 1, "sigmoid": 1, "erf": 5, "sin": 1, "cos": 1, "sqrt": 1, "rsqrt": 1}  # cost
POSITIVE = {"log": 1, "sqrt": 0, "rsqrt": 1}  # functions that are not defined everywhere; the least integer they take
FUNCTIONS = {"leaky_relu", "where", *UNARY, *BINARY, *COMPARISONS, *ELEMENTARY}

# ---- operations ---------------------------------------------------------------------------------------------


class Built(NamedTuple):
    """An operation of given shapes: its cost, its function of balls, the positions it lists, domain and products.

    `work`: units, which grow with the square of the precision; `light`: others. `guard`: None where it is defined for
    all real numbers, else an operand and a function that rejects values of that operand where the operation may be
    undefined, whatever the others are. `products`: how many multiply-adds, and how many entries would be turned into
    matrices of python-flint, 0 if that is not worth while.
    """

    work: int
    run: Callable[..., Ball]
    positions: int = 0
    guard: tuple[int, Callable[[Ball], Any]] | None = None
    products: tuple[int, int] = (0, 0)
    light: int = 0


def strides(shape: Sequence[int]) -> list[int]:
    """Row-major strides."""
    return [prod(shape[k + 1 :]) for k in range(len(shape))]


def extents(axes: Axes) -> Shape:
    """How many places are listed on each axis."""
    return tuple(map(len, axes))


def whole(shape: Shape) -> Axes:
    """All places."""
    return tuple(map(range, shape))


def lazily(make: Callable[[], list[int]]) -> Callable[[], Sequence[int]]:
    """Positions that are listed when they are first needed, in little memory."""
    return cache(lambda: compact("q", make()))


def view(shape: Sequence[int], steps: Sequence[int], offset: int = 0) -> list[int]:
    """Flat positions of a strided view, row-major."""
    out = [offset]
    for n, step in zip(shape, steps, strict=True):
        out = [i + step * k for i in out for k in range(n)]
    return out


def places(source: Axes, target: Axes) -> list[int]:
    """For all places in the target, where they stand in a tensor of the places in the source; -1 if nowhere."""
    out = [0]
    for have, want, step in zip(source, target, strides(extents(source)), strict=True):
        at = {k: i for i, k in enumerate(have)}
        found = [at.get(k, -1) for k in want]
        out = [-1 if i < 0 or k < 0 else i + step * k for i in out for k in found]
    return out


def along(shape: Shape, axes: Sequence[int]) -> tuple[Callable[[Ball], list[list[int]]], Callable[[Ball], Ball], int]:
    """Cut a tensor into rows along `axes`, and put the rows back; and the length of a row."""
    need(axes and len({*axes}) == len(axes), "no axes, or repeated ones")
    order, length = [*(k for k in range(len(shape)) if k not in axes), *axes], prod(shape[k] for k in axes)
    if order == [*range(len(shape))]:
        return (lambda x: cut(x.v, length)), (lambda x: x), length
    index = lazily(lambda: view([shape[k] for k in order], [strides(shape)[k] for k in order]))
    back = lazily(lambda: sorted(range(prod(shape)), key=index().__getitem__))
    return (lambda x: cut(x.pick(index()).v, length)), (lambda x: x.pick(back())), length


def cut(v: list[Any], width: int) -> list[list[Any]]:
    """Consecutive pieces of one length."""
    return [v[k : k + width] for k in range(0, len(v), width)]


def pointwise(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """One function, entry by entry."""
    fn = a.get("fn")
    fields(a, ("fn", "slope") if fn == "leaky_relu" else ("fn",), "attributes")
    need(isinstance(fn, str) and fn in FUNCTIONS, f"unknown function {fn!r}")
    need(shapes == [out] * (3 if fn == "where" else 1 + (fn in BINARY or fn in COMPARISONS)), "operands do not fit")
    size = prod(out)
    if fn in ELEMENTARY:
        guard = (0, lambda x: at_least(n.fixed(x), POSITIVE[fn])) if fn in POSITIVE else None
        return Built(100 * ELEMENTARY[fn] * size, lambda x: n.elementary(fn, x), 0, guard)
    if fn == "leaky_relu":
        slope = finite(a["slope"], "slope")
        return Built(8 * size, lambda x: n.leaky(slope, x))
    if fn == "where":
        return Built(0, n.where, light=8 * size)
    if fn in COMPARISONS:
        return Built(0, lambda x, y: n.compare(fn, x, y), light=8 * size)
    function = UNARY.get(fn) or BINARY[fn]
    guard = (1, lambda y: at_least(Ball([*map(abs, y.v)], y.den, y.radius), 1)) if fn == "div" else None
    heavy = {"div": 16, "mul": 4, "square": 4}.get(fn, 0)
    return Built(heavy * size, lambda *xs: function(n, *xs), 0, guard, light=8 * size)


def at_least(x: Ball, least: int) -> None:
    """Reject a tensor that may have an entry below least/den."""
    if min(x.v) - x.radius < least:
        raise RejectedError("a function outside its domain, in a part that is multiplied by zero")


def full(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """One rational number everywhere."""
    value = rational(a["value"], "value")
    need(shape_of(a["shape"], "shape") == out, "the shape does not fit")
    return Built(0, lambda: Ball([value.numerator] * prod(out), value.denominator), light=prod(out))


def labels(spec: Json, shapes: Sequence[Shape]) -> tuple[list[str], str, dict[str, int]]:
    """The operands' labels, the output's, and the size of each."""
    match = re.fullmatch("([A-Za-z]{0,12})(?:,([A-Za-z]{0,12}))?->([A-Za-z]{0,12})", spec if type(spec) is str else "")
    if match is None or len(shapes) != 1 + (match[2] is not None):
        raise MalformedError("spec is no einsum of these operands")
    terms, result, size = [match[1], match[2]][: len(shapes)], match[3], {}
    need([*map(len, terms)] == [*map(len, shapes)], "spec does not fit the operands")
    for term, shape in zip(terms, shapes, strict=True):
        fits = [size.setdefault(c, n) == n for c, n in zip(term, shape, strict=True)]
        need(all(fits), "a label has two sizes")
    need(len({*result}) == len(result) and {*result} <= {*size}, "spec's output repeats or invents a label")
    return terms, result, size


def packed(narrow: list[list[int]], wide: list[list[int]]) -> list[list[int]]:
    """The dot products of every row with every wide row: a column of the wide ones is one long integer.

    Its digits are the entries, to a base of whole bytes in which no result reaches half the base: what is added to
    all digits makes them positive while they are put together and taken apart. (Fewer, longer products: faster.)
    """
    most = max(max(map(abs, row)) for row in wide)
    size = max(most, most * max(sum(map(abs, row)) for row in narrow)).bit_length() // 8 + 1
    half, ends = 1 << (8 * size - 1), range(0, size * len(wide), size)
    shift = half * int.from_bytes((b"\1" + bytes(size - 1)) * len(wide), "little")
    raw = (b"".join((a + half).to_bytes(size, "little") for a in column) for column in zip(*wide, strict=True))
    columns = [int.from_bytes(digits, "little") - shift for digits in raw]
    found = []
    for row in narrow:
        digits = (sum(map(mul, row, columns)) + shift).to_bytes(size * len(wide), "little")
        found.append([int.from_bytes(digits[k : k + size], "little") - half for k in ends])
    return found


def contract(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Both operands become rows over the labels that they share in the sum; an entry is one dot product.

    Labels of one operand alone are summed before; a single operand is multiplied by the number 1.
    """
    found, result, size = labels(a["spec"], shapes)
    need(out == tuple(size[c] for c in result), "the shape does not fit the spec")
    terms, shapes = [*found, ""][:2], [*shapes, ()][:2]
    batch = [c for c in result if c in terms[0] and c in terms[1]]
    shared = [c for c in size if c in terms[0] and c in terms[1] and c not in result]
    own = [[c for c in result if c in term and c not in batch] for term in terms]
    length, per_x, per_y, many = (prod(size[c] for c in part) for part in (shared, *own, batch))

    def positions(term: str, shape: Shape, order: Sequence[str]) -> tuple[int, Callable[[], Sequence[int]] | None]:
        if "".join(order) == term:
            return 0, None
        step = {c: sum(s for d, s in zip(term, strides(shape), strict=True) if d == c) for c in order}
        lengths = [size[c] for c in order]
        return prod(lengths), lazily(lambda: view(lengths, [*step.values()]))

    def rows(k: int) -> tuple[int, int, Callable[[Ball], list[list[int]]], Callable[[Ball], int]]:
        private = [c for c in size if c in terms[k] and c not in (*result, *shared)]
        listed, index = positions(terms[k], shapes[k], [*batch, *own[k], *shared, *private])
        each = prod(size[c] for c in private)

        def table(x: Ball) -> list[list[int]]:
            v = x.v if index is None else x.pick(index()).v
            return cut([*map(sum, cut(v, each))] if each > 1 else v, length)

        return listed, each, table, lambda x: max(sum(map(abs, row)) for row in x.once(table, table))

    (listed_x, each_x, table_x, norm_x), (listed_y, each_y, table_y, norm_y) = rows(0), rows(1)
    order, unit = [*batch, *own[0], *own[1]], Ball([1], 1)
    listed, final = positions("".join(order), tuple(size[c] for c in order), result)
    large = min(per_x, per_y, length) >= 4 and length * per_x * per_y >= 1 << 12

    def matrices(x: Ball, table: Callable[[Ball], Any], per: int) -> list[Any]:
        return [*map(n.matrix, cut(x.once(table, table), per))]

    def products(x: Ball, y: Ball) -> list[int]:
        if large and n.matrix:
            left = x.once((table_x, 0), lambda x: matrices(x, table_x, per_x))
            right = y.once((table_y, 0), lambda y: [m.transpose() for m in matrices(y, table_y, per_y)])
            return [int(entry) for p, q in zip(left, right, strict=True) for entry in (p * q).entries()]
        tables = (cut(x.once(table_x, table_x), per_x), cut(y.once(table_y, table_y), per_y))
        if large and per_x >= 8 and y.bound() < NARROW:
            return [
                z for ps, qs in zip(*tables, strict=True) for line in zip(*packed(qs, ps), strict=True) for z in line
            ]
        if large and per_y >= 8 and x.bound() < NARROW:
            return [z for ps, qs in zip(*tables, strict=True) for line in packed(ps, qs) for z in line]
        return [sum(map(mul, p, q)) for ps, qs in zip(*tables, strict=True) for p in ps for q in qs]

    def run(x: Ball, y: Ball = unit) -> Ball:
        rx, ry = x.radius * each_x, y.radius * each_y
        of_x, of_y = rx and rx * y.once((table_y, 1), norm_y), ry and ry * x.once((table_x, 1), norm_x)
        z = n.settle(products(x, y), x.den * y.den, of_x + of_y + length * rx * ry)
        return z if final is None else z.pick(final())

    entries = many * (per_x * length + per_y * length + per_x * per_y)
    products_and_entries = many * per_x * per_y * length, large * entries
    light = 8 * prod(out) + prod(shapes[0]) + prod(shapes[1])
    return Built(4 * prod(out), run, listed_x + listed_y + listed, None, products_and_entries, light)


def windows(a: Json, shape: Sequence[int], kernel: list[int], groups: int) -> tuple[list[int], int, Any]:
    """Output extents, and positions [group, *output, channel of the group, *kernel]; -1 is padding."""
    stride, dilation = (integers(a[name], 1, 1 << 24, name, len(kernel)) for name in ("stride", "dilation"))
    padding = integers(a["padding"], 0, 1 << 10, "padding", len(kernel))
    channels, *space = shape
    wide = [n + 2 * p for n, p in zip(space, padding, strict=True)]
    out = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(wide, dilation, kernel, stride, strict=True)]
    need(min(out) >= 1, "the kernel is larger than the padded input")
    positions = channels * (prod(wide) + prod(out) * prod(kernel))
    need(positions <= MAX_INDEX, "too many windows")
    per, (first, *steps) = channels // groups, strides((channels, *wide))
    moves = [per * first, *map(mul, stride, steps), first, *map(mul, dilation, steps)]

    def listed() -> list[int]:
        target = [range(-p, n + p) for n, p in zip(space, padding, strict=True)]
        base = places(whole(tuple(shape)), (range(channels), *target))
        return [*map(base.__getitem__, view([groups, *out, per, *kernel], moves))]

    return out, positions, listed


def taps(size: int, kernel: int, dilation: int, first: int) -> bool:
    """Whether a window along one axis, which begins at `first`, reads an entry."""
    tap = max(0, -(first // dilation))  # the first one that is not before the axis
    return tap < kernel and first + tap * dilation < size


def convolve(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Windows of the input against the rows of the weight, as a contraction."""
    need(len(shapes[0]) == len(shapes[1]) >= 3, "operands of a convolution")
    (samples, channels, *space), (outputs, per, *kernel) = shapes
    g = integer(a["groups"], 1, channels, "groups")
    need(channels == per * g and outputs % g == 0, "groups do not divide the channels")
    extent, positions, listed = windows(a, [samples * channels, *space], kernel, samples * g)
    need(out == (samples, outputs, *extent), "the shape does not fit the convolution")
    b, s, o, k, index = samples, prod(extent), outputs // g, per * prod(kernel), lazily(listed)
    built = contract(n, {"spec": "bgsk,gok->bgos"}, [(b, g, s, k), (g, o, k)], (b, g, o, s))
    return built._replace(run=lambda x, w: built.run(x.pick_or_zero(index()), w), positions=built.positions + positions)


def pool(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Maximum or mean over windows of the trailing axes; padding is -infinity or 0."""
    kernel = integers(a["kernel"], 1, 1 << 24, "kernel")
    need(1 <= len(kernel) < len(shapes[0]), "kernel of as many axes as the operand")
    need(a["fn"] in ("max", "mean") and type(a["count_include_pad"]) is bool, "settings of a pool")
    lead, space, size = shapes[0][: -len(kernel)], shapes[0][-len(kernel) :], prod(kernel)
    extent, positions, listed = windows(a, (prod(lead), *space), kernel, prod(lead))
    need(out == (*lead, *extent), "the shape does not fit the pool")
    settings = [a["stride"], a["dilation"], a["padding"]]
    for m, k, stride, dilation, low, count in zip(space, kernel, *settings, extent, strict=True):
        early = range(0, min(count, -(-low // stride)))  # the others begin at an entry, or the last one does not
        some = all(taps(m, k, dilation, place * stride - low) for place in (*early, count - 1))
        need(some, "a window lies in the padding altogether")
    index = lazily(listed)

    def run(x: Ball) -> Ball:
        rows = [[i for i in row if i >= 0] for row in cut([*index()], size)]
        if a["fn"] == "max":
            return Ball([max(map(x.v.__getitem__, row)) for row in rows], x.den, x.radius)
        x = n.fixed(x)  # a mean of entries keeps the radius; rounding down adds one
        v = [sum(map(x.v.__getitem__, row)) // (size if a["count_include_pad"] else len(row)) for row in rows]
        return Ball(v, n.one, x.radius + 1)

    return Built(0, run, positions, light=3 * prod(out) * size + 8 * prod(out))


def reduce(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Sum, mean or maximum over axes, which disappear; `count`: of how many entries, the rest being zeros."""
    axes = integers(a["axes"], 0, len(shapes[0]) - 1, "axes")
    rows, _, length = along(shapes[0], axes)
    need(out == tuple(n for k, n in enumerate(shapes[0]) if k not in axes), "the shape does not fit")
    need(a["fn"] in ("sum", "mean", "amax"), "unknown reduction")
    count = a.get("count", length) if a["fn"] == "mean" else 1

    def run(x: Ball) -> Ball:
        if a["fn"] == "amax":
            return Ball([*map(max, rows(x))], x.den, x.radius)
        return n.settle([*map(sum, rows(x))], x.den * count, x.radius * length)

    return Built(4 * prod(out), run, 2 * prod(shapes[0]), light=8 * prod(out))


def softmax(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Softmax ("softmax", "safe") or its logarithm ("log") of the entries that are shown; others get 0.

    At the midpoints. In the maximum norm log-softmax has Lipschitz constant 2, softmax at most 1. A row with nothing
    shown is zero if safe, and else has no value.
    """
    kind, masked = a["kind"], len(shapes) == 2
    need(kind in ("softmax", "log", "safe") and shapes in ([out], [out, out]), "kind or shape of a softmax")
    rows, back, length = along(out, [integer(a["axis"], 0, len(out) - 1, "axis")])

    def shown(mask: Ball) -> list[list[int]]:
        mask.exact("which entries are shown")
        found = rows(mask)
        if kind != "safe" and not all(map(any, found)):
            raise RejectedError("softmax of a row of which nothing is shown")
        return found

    def run(x: Ball, mask: Ball | None = None) -> Ball:
        x, v, worst, known = n.fixed(x), [], 0, {}
        masks = mask.once((shown, kind), shown) if mask else [[1] * length] * (prod(out) // length)
        for row, seen in zip(rows(x), masks, strict=True):
            top = max((b for b, s in zip(row, seen, strict=True) if s), default=0)
            terms = [b - top for b, s in zip(row, seen, strict=True) if s]
            known |= {b: n.exp(b) for b in {*terms} - known.keys()}
            powers = [known[b] for b in terms]
            total, error = sum(y for y, _ in powers), sum(e for _, e in powers)  # exp(0) is exact: total >= 1
            if kind == "log":
                level, e = n.log(total)  # the derivative is at most 1
                found = [b - level for b in terms]
                worst = max(worst, error + e)
            else:
                found = [(y << n.s) // total for y, _ in powers]
                worst = max(worst, 2 * error + 1)  # a quotient below 1, of which both parts move
            entries = iter(found)
            v += [next(entries) if s else 0 for s in seen]
        return back(n.settle(v, n.one, x.radius * (2 if kind == "log" else 1) + worst))

    guard = (1, lambda mask: mask.once((shown, kind), shown)) if masked and kind != "safe" else None
    return Built(100 * prod(out), run, 2 * prod(out), guard)


def normalise(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """(x - mean) / sqrt(variance + eps), or x / sqrt(mean square + eps), over axes."""
    need(shapes == [out] and a["kind"] in ("standard", "rms"), "kind or shape of a normalisation")
    rows, back, length = along(out, integers(a["axes"], 0, len(out) - 1, "axes"))
    eps, spread = finite(a["eps"], "eps"), [0] * length

    def mean(x: Ball) -> Ball:
        return n.settle([sum(x.v)], x.den * length, x.radius * length)

    def run(x: Ball) -> Ball:
        done: list[Ball] = []
        for row in rows(x):
            y = Ball(row, x.den, x.radius)
            if a["kind"] == "standard":
                y = n.combine(sub, y, mean(y).pick(spread))
            level = n.combine(add, mean(n.multiply(y, y)), Ball([eps.numerator], eps.denominator))
            done.append(n.divide(y, n.elementary("sqrt", level).pick(spread)))
        return back(Ball([b for y in done for b in y.v], n.one, max(y.radius for y in done)))

    guard = None if eps > 0 else (0, run)
    return Built(50 * prod(out) + 200 * prod(out) // length, run, 2 * prod(out), guard)


def reshape(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Row-major reshape."""
    need(shape_of(a["shape"], "shape") == out and prod(out) == prod(shapes[0]), "shapes of different size")
    return Built(0, lambda x: x)


def transpose(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Axes in another order."""
    order = integers(a["permutation"], 0, len(out) - 1, "permutation", len(out))
    need(sorted(order) == [*range(len(shapes[0]))], "no permutation of the axes")
    need(out == tuple(shapes[0][k] for k in order), "the shape does not fit the permutation")
    index = lazily(lambda: view(out, [strides(shapes[0])[k] for k in order]))
    return Built(0, lambda x: x.pick(index()), prod(out))


def broadcast(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Right-aligned broadcasting."""
    narrow = (1,) * (len(out) - len(shapes[0])) + shapes[0]
    need(shape_of(a["shape"], "shape") == out and len(narrow) == len(out), "the shape does not fit")
    need(all(n in (1, m) for n, m in zip(narrow, out, strict=True)), "shapes that do not broadcast")
    if narrow == out:
        return Built(0, lambda x: x)
    index = lazily(lambda: view(out, [s if n > 1 else 0 for n, s in zip(narrow, strides(narrow), strict=True)]))
    return Built(0, lambda x: x.pick(index()), prod(out))


def slice_(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Entries start, start + step, ... below stop of one axis."""
    axis = integer(a["axis"], 0, len(shapes[0]) - 1, "axis")
    start, stop = (integer(a[name], 0, shapes[0][axis], name) for name in ("start", "stop"))
    chosen = range(start, stop, integer(a["step"], 1, 1 << 24, "step"))
    need(out == (*shapes[0][:axis], len(chosen), *shapes[0][axis + 1 :]), "the shape does not fit the slice")
    target = whole(shapes[0])
    index = lazily(lambda: places(target, (*target[:axis], chosen, *target[axis + 1 :])))
    return Built(0, lambda x: x.pick(index()), prod(out))


def concat(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Operands one after the other along an axis."""
    axis = integer(a["axis"], 0, len(out) - 1, "axis")
    need(shapes and all(len(s) == len(out) for s in shapes), "operands of another number of axes")
    need(out[axis] == sum(s[axis] for s in shapes), "the shape does not fit the concatenation")
    rest = {s[:axis] + s[axis + 1 :] for s in (out, *shapes)}
    need(len(rest) == 1, "operands of other shapes")
    widths = [prod(s[axis:]) for s in shapes]

    def run(*xs: Ball) -> Ball:
        parts = [cut(n.fixed(x).v, width) for x, width in zip(xs, widths, strict=True)]
        v = [b for pieces in zip(*parts, strict=True) for piece in pieces for b in piece]
        return Ball(v, n.one, max(n.fixed(x).radius for x in xs))

    return Built(0, run, light=8 * prod(out))


def pad(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Constant padding before and after each axis."""
    need(isinstance(a["widths"], list) and len(a["widths"]) == len(shapes[0]), "widths")
    widths, value = [integers(w, 0, 1 << 24, "widths", 2) for w in a["widths"]], finite(a["value"], "value")
    need(out == tuple(n + sum(w) for n, w in zip(shapes[0], widths, strict=True)), "the shape does not fit")
    target = tuple(range(-low, k + high) for k, (low, high) in zip(shapes[0], widths, strict=True))
    index = lazily(lambda: places(whole(shapes[0]), target))

    def run(x: Ball) -> Ball:
        x, last = n.fixed(x), n.fixed(Ball([value.numerator], value.denominator))
        return Ball([*x.v, *last.v], n.one, max(x.radius, last.radius)).pick(index())

    return Built(0, run, prod(out), light=8 * prod(out))


def whole_numbers(x: Ball, size: int) -> list[int]:
    """The entries, which must be places of an axis of that size."""
    if any(a % x.den for a in x.exact("an index")) or not 0 <= min(x.v) <= max(x.v) < size * x.den:
        raise RejectedError("an index that is no place of its axis")
    return [a // x.den for a in x.v]


def take(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """Slices of x along an axis; the indices' axes replace it; `rows`: the places that x lists, others are 0."""
    axis = integer(a["axis"], 0, len(shapes[0]) - 1, "axis")
    lead, (size, *tail) = prod(shapes[0][:axis]), shapes[0][axis:]
    rows, size, width = a.get("rows", range(size)), a.get("size", size), prod(tail)
    need(out == (*shapes[0][:axis], *shapes[1], *tail), "the shape does not fit")

    def run(x: Ball, indices: Ball) -> Ball:
        at, pieces, zeros = {row: k for k, row in enumerate(rows)}, cut(x.v, width), [0] * width
        chosen = [at.get(i, -1) for i in whole_numbers(indices, size)]
        parts = (pieces[k * len(rows) + i] if i >= 0 else zeros for k in range(lead) for i in chosen)
        return Ball([b for part in parts for b in part], x.den, x.radius)

    light = prod(shapes[0]) + prod(out) + 8 * prod(shapes[1])
    return Built(0, run, len(rows), (1, lambda y: whole_numbers(y, size)), light=light)


def pick(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """One entry for each index, at the same place of the other axes (torch.gather)."""
    axis = integer(a["axis"], 0, len(shapes[0]) - 1, "axis")
    need(shapes[1] == out and len(shapes[0]) == len(out), "the shape does not fit")
    need(all(m <= k for j, (m, k) in enumerate(zip(out, shapes[0], strict=True)) if j != axis), "too many indices")
    size, steps = shapes[0][axis], strides(shapes[0])
    base = lazily(lambda: view(out, [0 if k == axis else step for k, step in enumerate(steps)]))

    def run(x: Ball, indices: Ball) -> Ball:
        at = whole_numbers(indices, size)
        return x.pick(i + steps[axis] * k for i, k in zip(base(), at, strict=True))

    return Built(0, run, prod(out), (1, lambda y: whole_numbers(y, size)), light=4 * prod(out))


def order(n: Fixed, a: Json, shapes: list[Shape], out: Shape) -> Built:
    """The `count` largest or smallest entries along an axis in order, or where they are.

    The k-th largest entry moves by no more than the entries do. Where it is ("indices"; "choice": 1 in its slice of a
    new leading axis, else 0) is certain if the chosen entries and the next one are more than two radii apart.
    """
    axis = integer(a["axis"], 0, len(shapes[0]) - 1, "axis")
    size = shapes[0][axis]
    count, what, sign = integer(a["count"], 1, size, "count"), a["what"], -1 if a["largest"] is True else 1
    need(type(a["largest"]) is bool and what in ("values", "indices", "choice"), "settings of an order")
    chosen = (*shapes[0][:axis], count, *shapes[0][axis + 1 :])
    need(out == ((size, *chosen) if what == "choice" else chosen), "the shape does not fit")
    (rows, _, _), (_, back, _) = along(shapes[0], [axis]), along(chosen, [axis])

    def run(x: Ball) -> Ball:
        v: list[int] = []
        for row in rows(x):
            ranks = sorted(range(size), key=lambda i: sign * row[i])[: count + 1]
            close = any(abs(row[i] - row[j]) <= 2 * x.radius for i, j in pairwise(ranks))
            if close and what != "values":
                raise RejectedError("an order that is not decided")
            v += (row[i] for i in ranks[:count]) if what == "values" else ranks[:count]
        found = back(Ball(v, x.den, x.radius) if what == "values" else Ball(v, 1))
        return Ball([int(i == k) for k in range(size) for i in found.v], 1) if what == "choice" else found

    return Built(0, run, 2 * prod(shapes[0]) + 2 * prod(chosen), light=10 * prod(shapes[0]) + prod(out))


OPERATIONS = {  # builder, numbers of operands, attributes
    "pointwise": (pointwise, (1, 2, 3), None),
    "full": (full, (0,), ("shape", "value")),
    "contract": (contract, (1, 2), ("spec",)),
    "convolve": (convolve, (2,), ("stride", "padding", "dilation", "groups")),
    "pool": (pool, (1,), ("fn", "kernel", "stride", "padding", "dilation", "count_include_pad")),
    "reduce": (reduce, (1,), ("fn", "axes")),
    "softmax": (softmax, (1, 2), ("kind", "axis")),
    "normalise": (normalise, (1,), ("kind", "axes", "eps")),
    "reshape": (reshape, (1,), ("shape",)),
    "transpose": (transpose, (1,), ("permutation",)),
    "broadcast": (broadcast, (1,), ("shape",)),
    "slice": (slice_, (1,), ("axis", "start", "stop", "step")),
    "concat": (concat, None, ("axis",)),
    "pad": (pad, (1,), ("widths", "value")),
    "take": (take, (2,), ("axis",)),
    "pick": (pick, (2,), ("axis",)),
    "order": (order, (1,), ("axis", "count", "largest", "what")),
}

# ---- zeros --------------------------------------------------------------------------------------------------

KEEP_ZERO = ("identity", "neg", "abs", "relu", "square", "leaky_relu", "tanh", "erf", "sin", "sqrt", "floor")
KEEP_ZEROS = ("add", "sub", "maximum", "minimum")
OF_FIRST = ("reshape", "transpose", "broadcast", "slice", "reduce", "pool", "take", "pick", *KEEP_ZERO)


def meet(a: Sequence[int], b: Sequence[int]) -> Sequence[int]:
    """The places in both, in order; a range is the whole axis."""
    return a if isinstance(b, range) else b if isinstance(a, range) else sorted({*a} & {*b})


def join(a: Sequence[int], b: Sequence[int]) -> Sequence[int]:
    """The places in either, in order; a range is the whole axis."""
    return a if isinstance(a, range) else b if isinstance(b, range) else sorted({*a} | {*b})


def joined(boxes: Iterable[Box]) -> Box:
    """The smallest box around boxes."""
    some = [box for box in boxes if box is not None]
    return tuple(folded(join, axis) for axis in zip(*some, strict=True)) if some else None


def zeros(op: str, a: Json, boxes: list[Box], shapes: list[Shape], out: Shape) -> tuple[Box, list[Axes], Json]:
    """The box outside which a result is zero because its operands are zero outside theirs.

    And the boxes of the operands that suffice to compute it there, and the attributes of the operation between such
    smaller tensors. A box is the set of all places whose every coordinate is listed.
    """
    kind = a["fn"] if op == "pointwise" else op
    nothing: tuple[Box, list[Axes], Json] = (None, [], a)
    if kind in OF_FIRST and boxes[0] is None:
        return nothing
    if kind in ("contract", "convolve", "mul") and None in boxes:
        return nothing
    some = [box for box in boxes if box is not None]
    if kind == "full" and a["value"] == [0, 1]:
        return nothing
    if kind in KEEP_ZERO:
        return some[0], some, a
    if kind == "mul":
        box = tuple(map(meet, *some))
        return (box, [box, box], a) if all(map(len, box)) else nothing
    if kind in KEEP_ZEROS or kind == "where":
        box = joined(boxes[-2:])
        return (box, [box] * len(boxes), a) if box is not None else nothing
    if kind == "concat" and not some:
        return nothing
    if kind == "contract":
        found: dict[str, Sequence[int]] = {}
        terms, result, _ = labels(a["spec"], shapes)
        for term, box in zip(terms, some, strict=True):
            for c, axis in zip(term, box, strict=True):
                found[c] = meet(found.get(c, axis), axis)
        if not all(map(len, found.values())):
            return nothing
        return tuple(found[c] for c in result), [tuple(found[c] for c in term) for term in terms], a
    if kind == "transpose":
        return tuple(some[0][k] for k in a["permutation"]), some, a
    long = [axis for axis, n in zip(some[0], shapes[0], strict=True) if n > 1] if kind == "reshape" else []
    if kind == "reshape" and [n for n in shapes[0] if n > 1] == [n for n in out if n > 1]:  # axes of size 1 come and go
        rest = iter(long)
        box = tuple(next(rest) if n > 1 else range(1) for n in out)
        return box, some, {"shape": [*extents(box)]}
    if kind == "broadcast":
        lead = len(out) - len(shapes[0])
        kept = [axis if n == m else range(m) for axis, n, m in zip(some[0], shapes[0], out[lead:], strict=True)]
        box = (*whole(out[:lead]), *kept)
        return box, some, {"shape": [*extents(box)]}
    if kind == "reduce" and a["fn"] != "amax":
        box = tuple(axis for k, axis in enumerate(some[0]) if k not in a["axes"])
        return box, some, {**a, "count": prod(shapes[0][k] for k in a["axes"])}
    if kind == "convolve" and a["groups"] == 1:  # channels that are zero, of the image or of the kernel
        x, w = some
        channels = meet(x[1], w[1])
        box = (x[0], w[0], *whole(out[2:]))
        inner = [(x[0], channels, *whole(shapes[0][2:])), (w[0], channels, *whole(shapes[1][2:]))]
        return (box, inner, a) if channels else nothing
    if kind == "pool":
        lead = len(out) - len(a["kernel"])
        box = (*some[0][:lead], *whole(out[lead:]))
        return box, [(*some[0][:lead], *whole(shapes[0][lead:]))], a
    if kind == "take":
        axis, x = a["axis"], some[0]
        box = (*x[:axis], *whole(shapes[1]), *x[axis + 1 :])
        return box, [x, whole(shapes[1])], {**a, "rows": x[axis], "size": shapes[0][axis]}
    return whole(out), [*map(whole, shapes)], a


# ---- the program --------------------------------------------------------------------------------------------

DATA, POINT = 1, 2  # what a value depends on
SAME_WIDTH = ("reshape", "transpose", "broadcast", "slice", "take", "pick", "order")


class Leaf(NamedTuple):
    """A stored tensor as all points have it, who list its entries inside one box, and bits of a number."""

    shape: Shape
    box: Box
    bits: int


class Node(NamedTuple):
    """A node, before it is known whether its value is needed.

    `total`: None if it must be computed to be sure that it is defined; else the nodes (bits of an integer) whose
    guards, which read no value that depends on the point, make sure of it.
    """

    shape: Shape
    box: Box
    ins: list[int]
    boxes: list[Axes]
    built: Built | None
    guard: tuple[int, Callable[[Ball], Any]] | None
    depends: int
    bits: int
    total: int | None


class Program:
    """A validated program; one value of F costs static_work + blocks * block_work units."""

    def __init__(self, program: Json, leaves: dict[str, dict[str, Leaf]], n: Fixed) -> None:
        """`leaves`: kind of leaf -> name -> that parameter, constant, or block of an input."""
        fields(program, ("nodes", "inputs", "output"), "program")
        nodes, output = program["nodes"], program["output"]
        need(names_of(program["inputs"], "inputs") == {*leaves["input"]}, "inputs are not the names of the data")
        need(isinstance(nodes, list) and len(nodes) <= MAX_NODES, "nodes is not a list, or too long")
        self.n, self.nodes, self.leaves, self.room = n, [], [], [MAX_INDEX]
        place: dict[str, int] = {}
        for k, node in enumerate(nodes):
            fields(node, ("name", "op", "inputs", "shape", "attributes"), f"node {k}")
            name, op = name_of(node["name"], f"node {k}"), node["op"]
            where = f"node {name} ({op})"
            need(name not in place, f"two nodes are named {name}")
            need(isinstance(node["attributes"], dict) and isinstance(op, str), where)
            need(op in leaves or op in OPERATIONS, f"{where}: an operation that this checker does not know")
            need(isinstance(node["inputs"], list) and len(node["inputs"]) <= 1000, f"{where}: operands")
            known = all(isinstance(i, str) and i in place for i in node["inputs"])
            need(known, f"{where} reads a node that does not come before it")
            try:
                make = self.leaf if op in leaves else self.operation
                shape = shape_of(node["shape"], "the result")
                made = make(op, node["attributes"], [place[i] for i in node["inputs"]], shape, leaves)
            except MalformedError as error:
                raise MalformedError(f"{where}: {error}") from None
            self.nodes.append(made)
            place[name] = k
        need(isinstance(output, str) and output in place, "the output is not a node")
        self.output = place[output]
        self.plan()

    def leaf(self, op: str, a: Json, ins: list[int], shape: Shape, leaves: dict[str, dict[str, Leaf]]) -> Node:
        """A parameter, a constant or an input."""
        fields(a, (op,), "attributes")
        need(isinstance(a[op], str) and a[op] in leaves[op], f"there is no such {op}")
        need(not ins, "operands of a leaf")
        known = leaves[op][a[op]]
        need(shape == known.shape, f"not the shape of {a[op]}")
        self.leaves.append((len(self.nodes), op, a[op]))
        depends = {"parameter": POINT, "constant": 0, "input": DATA}[op]
        return Node(shape, known.box, [], [], None, None, depends, known.bits, 0)

    def operation(self, op: str, a: Json, ins: list[int], shape: Shape, leaves: object) -> Node:
        """What a node computes, and where it is zero."""
        build, operands, attributes = OPERATIONS[op]
        need(operands is None or len(ins) in operands, "another number of operands")
        fields(a, a if attributes is None else attributes, "attributes")
        given, shapes = [self.nodes[i] for i in ins], [self.nodes[i].shape for i in ins]
        built = build(self.n, a, shapes, shape)
        listed = [axis for x in given if x.box is not None for axis in x.box if not isinstance(axis, range)]
        claim_room(self.room, sum(map(len, listed)))
        box, boxes, inner = zeros(op, a, [x.box for x in given], shapes, shape)
        guard, depends, total = built.guard, folded(operator.or_, (x.depends for x in given), 0), 0
        if box is None:
            built = None
        elif [*map(extents, boxes)] != shapes:
            built = build(self.n, inner, [*map(extents, boxes)], extents(box))
        if guard:
            total = None if given[guard[0]].depends & POINT else 1 << len(self.nodes)
        if total is None or any(x.total is None for x in given):
            total = None
        else:
            total = folded(operator.or_, (x.total for x in given), total)
        kept = op in SAME_WIDTH or a.get("fn") in ("identity", "neg")
        bits = max(x.bits for x in given) if kept else self.n.s + 32
        return Node(shape, box, ins, boxes, built, guard, depends, bits, total)

    def plan(self) -> None:
        """Which nodes are needed, in which order, at which cost, and when a value is used for the last time.

        A value that is zero everywhere needs no operand, if all that it depends on is defined.
        """
        needed, guarded, seen, stack = set(), 0, 0, [self.output]
        while stack or guarded & ~seen:
            if not stack:  # the operands that the guards read
                new, seen = guarded & ~seen, guarded
                stack += [x.ins[x.guard[0]] for k, x in enumerate(self.nodes) if x.guard and new >> k & 1]
                continue
            k = stack.pop()
            if k not in needed:
                needed.add(k)
                node = self.nodes[k]
                if node.box is None and node.total is not None:
                    guarded |= node.total
                else:
                    stack += node.ins
                    guarded |= (1 << k) * (node.box is None and node.guard is not None)
        self.steps: tuple[list[Any], list[Any]] = [], []  # once for a point, once for a block of samples
        self.work = [50, 50]
        self.leaves = [leaf for leaf in self.leaves if leaf[0] in needed]
        for k in sorted(needed):
            node = self.nodes[k]
            if node.built is not None:
                pairs = [(i, self.fit(i, self.nodes[i].box, box)) for i, box in zip(node.ins, node.boxes, strict=True)]
                self.schedule(k, node.built.run, pairs, node.depends & DATA, self.cost(node.built, node.ins))
        for operand, check, node in ((*x.guard, x) for k, x in enumerate(self.nodes) if x.guard and guarded >> k & 1):
            i = node.ins[operand]
            size = prod(self.nodes[i].shape)
            pairs = [(i, self.fit(i, self.nodes[i].box, whole(self.nodes[i].shape)))]
            self.schedule(None, check, pairs, self.nodes[i].depends & DATA, 100 * size)
        self.forget()

    def fit(self, k: int, have: Box, want: Box) -> Callable[[Any], Ball] | None:
        """How to make of node k's value, which lists the places `have`, one that lists the places `want`."""
        if have == want or want is None:
            return None
        size = prod(extents(want))
        claim_room(self.room, size)
        self.work[bool(self.nodes[k].depends & DATA)] += size
        if have is None:
            return lambda _: Ball([0] * size, 1)
        index = lazily(lambda: places(have, want))
        return lambda x: x.pick_or_zero(index())

    def schedule(self, k: int | None, run: Any, pairs: list[Any], varies: int, work: int) -> None:
        """One more thing to do."""
        self.steps[varies].append((k, run, pairs, []))
        self.work[varies] += 50 + work

    def cost(self, built: Built, ins: Sequence[int]) -> int:
        """Units of work of a node, and room for its positions."""
        s, widths = self.n.s, [self.nodes[i].bits for i in ins][:2]
        claim_room(self.room, built.positions)
        wide = (widths[0] * widths[-1] if widths else 0) >> 16
        products, entries = built.products
        if self.n.matrix and entries:
            products = products * (400 + sum(widths)) // 12800 + 4 * entries
        else:
            products *= 1 + wide
        return products + built.light + built.positions + built.work * (1 + max(wide, (s + 32) ** 2 >> 16))

    def forget(self) -> None:
        """Note after which step a value is of no more use, and refuse what needs too much memory at once."""
        room, last = [MAX_VALUES], {}
        every = [*self.steps[0], *self.steps[1]]
        for number, (_, _, pairs, _) in enumerate(every):
            last.update({i: number for i, _ in pairs})

        def bits(k: int) -> int:
            return prod(extents(self.nodes[k].box or ())) * (WEIGHT + self.n.s)

        for number, (k, _, pairs, done) in enumerate(every):
            if k is not None:
                claim_room(room, bits(k))
            for i in {i for i, _ in pairs}:
                node = self.nodes[i]
                if last[i] == number and node.depends & DATA and node.built and i != self.output:
                    done.append(i)
                    room[0] += bits(i)

    def value(self, point: Point, constants: Point, data: Point, blocks: int, tick: Callable[[], None]) -> Bounds:
        """Lower and upper bound of F, the mean over the blocks and the entries of the output, at a point."""
        n, inputs = self.n, []
        values: list[Any] = [None] * len(self.nodes)
        here = {"parameter": point, "constant": constants}

        def go(steps: list[Any]) -> None:
            for k, run, pairs, done in steps:
                result = run(*[fit(values[i]) if fit else values[i] for i, fit in pairs])
                if k is not None:
                    values[k] = result
                for i in done:
                    values[i] = None

        for k, kind, name in self.leaves:
            if self.nodes[k].box is not None:
                if kind == "input":
                    inputs.append((k, *data[name], len(data[name][0]) // blocks))
                else:
                    values[k] = Ball(*here[kind][name])
        go(self.steps[0])
        middle = radius = 0
        node = self.nodes[self.output]
        for block in range(blocks):
            for k, v, den, width in inputs:
                values[k] = Ball(v[block * width : (block + 1) * width], den)
            go(self.steps[1])
            if node.box is not None:
                y = n.fixed(values[self.output])
                middle, radius = middle + sum(y.v), radius + y.radius * len(y.v)
            tick()
        count = n.one * blocks * prod(node.shape)
        return Fraction(middle - radius, count), Fraction(middle + radius, count)


# ---- points -------------------------------------------------------------------------------------------------


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


def closed(chosen: Sequence[int], size: int, permutations: Sequence[Sequence[int]]) -> Sequence[int]:
    """All places that permutations carry the chosen ones to; a range is the whole axis."""
    if isinstance(chosen, range) or not permutations:
        return chosen
    some = {*chosen}
    return sorted(i for orbit in orbits(size, permutations) if not some.isdisjoint(orbit) for i in orbit)


class Step:
    """One average M' = (1/p) sum_j move^j(M); a point is name -> (integers, denominator)."""

    def __init__(self, value: Json, shapes: Mapping[str, Shape], variables: set[str], where: str) -> None:
        """Validate; `shapes` are those of the parameters."""
        fields(value, ("units", "order", "moves"), where)
        self.units = name_of(value["units"], where)
        self.order = integer(value["order"], 2, 1 << 16, f"{where}: order")
        need(isinstance(value["moves"], dict) and value["moves"], f"{where} moves nothing")
        self.shapes, self.moves = {}, {}
        for name, pairs in value["moves"].items():
            need(name in variables, f"{where} moves {name}, which is not a variable")
            need(isinstance(pairs, list) and pairs, f"{where}: moves of {name}")
            self.shapes[name], axes = shapes[name], self.moves.setdefault(name, {})
            for pair in pairs:
                need(isinstance(pair, list) and len(pair) == 2, f"{where}: a move is not [axis, permutation]")
                axis = integer(pair[0], 0, len(shapes[name]) - 1, f"{where}: axis of {name}")
                size = shapes[name][axis]
                p = integers(pair[1], 0, size - 1, f"{where}: permutation", size)
                need(axis not in axes and len({*p}) == size, f"{where}: repeated axis, or no permutation")
                back = all(self.order % len(cycle) == 0 for cycle in orbits(size, [p]))
                need(back, f"{where}: {self.order} moves do not lead back")
                axes[axis] = p

    def narrow(self, leaves: Mapping[str, Leaf]) -> int:
        """Go on inside the boxes, which the moves carry into themselves; the cost of an average."""
        for name, axes in self.moves.items():
            box = leaves[name].box or ((),) * len(self.shapes[name])
            for axis, p in axes.items():
                at = {place: k for k, place in enumerate(box[axis])}
                axes[axis] = [at[p[place]] for place in box[axis]]
            self.shapes[name] = extents(box)
        return (self.order + 2) * sum(50 + prod(shape) for shape in self.shapes.values())

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
        """Their mean, exactly."""
        weight = Fraction(1, self.order)
        return combination(((p, weight) for p in self.points(point)), self.moves)


def combination(terms: Iterable[tuple[Point, Fraction]], names: Iterable[str]) -> Point:
    """The weighted sum of points in these names, exactly and in lowest terms; the others are those of the last."""
    totals: dict[str, tuple[list[int], int]] = {}
    point: Point = {}
    for point, weight in terms:
        for name in names:
            v, den = point[name]
            den *= weight.denominator
            old, common = totals.get(name, ([0] * len(v), 1))
            new = lcm(common, den)
            up, factor = new // common, new // den * weight.numerator
            totals[name] = [a * up + b * factor for a, b in zip(old, v, strict=True)], new
    for name, (v, den) in totals.items():
        common = gcd(den, *v)
        totals[name] = [a // common for a in v], den // common
    return point | totals


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


def nonzero(tensor: Stored) -> Box:
    """The smallest box around the entries that are not zero; whole axes where more than a quarter of them are not."""
    shape, some = (len(tensor.rows), *tensor.shape[1:]), [i for i, a in enumerate(tensor.v) if a]
    if not some:
        return None
    box: list[Sequence[int]] = [tensor.rows, *whole(tensor.shape[1:])][: len(tensor.shape)]
    if 4 * len(some) <= len(tensor.v):
        for axis, (size, step) in enumerate(zip(shape, strides(shape), strict=True)):
            found = sorted({i // step % size for i in some}) if tensor.shape else []
            if 0 < len(found) < size:
                box[axis] = [tensor.rows[k] for k in found] if axis == 0 else found
    return tuple(box)


def inside(tensor: Stored, box: Box, room: list[int]) -> tuple[list[int], int]:
    """Its entries in a box around all that is not zero."""
    have = (tensor.rows, *whole(tensor.shape[1:])) if tensor.shape else ()
    if box == have:
        return tensor.v, tensor.den
    v = [] if box is None else [*map([*tensor.v, 0].__getitem__, places(have, box))]
    room[0] += (len(tensor.v) - len(v)) * WEIGHT
    return v, tensor.den


class Setting:
    """The exact numbers of a certificate: constants, data, point A, its variables, and the points listed besides."""

    def __init__(self, document: Json) -> None:
        """Read and validate them."""
        self.room = [MAX_BITS]
        tables: dict[str, dict[str, Stored]] = {}
        for section in ("parameters", "constants", "data"):
            table = document[section]
            need(isinstance(table, dict) and len(table) <= MAX_NODES, f"{section} is not a table")
            tables[section] = {name_of(k, section): array(v, self.room, f"{section} {k}") for k, v in table.items()}
        stored, data = tables["parameters"], tables["data"]
        self.shapes = {name: tensor.shape for name, tensor in stored.items()}
        self.names = names_of(document["variables"], "variables")
        need(self.names and self.names <= {*stored}, "variables: none, or not parameters")
        need(data and all(tensor.shape for tensor in data.values()), "the data have no sample axis")
        self.samples, *others = [tensor.shape[0] for tensor in data.values()]
        need(all(n == self.samples for n in others), "the data differ in their number of samples")
        self.block = block_of(document, self.samples)

        need(isinstance(document["steps"], list) and len(document["steps"]) <= 4096, "steps is no such list")
        self.steps = [Step(v, self.shapes, self.names, f"step {k}") for k, v in enumerate(document["steps"])]
        need(isinstance(document["points"], list) and len(document["points"]) <= 1000, "points is no such list")
        listed: list[dict[str, Stored]] = []
        for k, table in enumerate(document["points"]):
            need(isinstance(table, dict) and {*table} <= self.names, f"point {k} is no table of variables")
            listed.append({name: array(v, self.room, f"point {k}: {name}") for name, v in table.items()})
            for name, tensor in listed[-1].items():
                need(tensor.shape == self.shapes[name], f"point {k}: {name} has another shape")
        self.replaced = sorted({name for table in listed for name in table})

        widening = sum(step.order.bit_length() for step in self.steps) + 140 * (len(listed) > 0)  # by averages, times
        leaves, values = {}, {}  # a parameter is zero where it is in all tables, and where no step moves anything
        for name, tensor in stored.items():
            every = [tensor, *(table[name] for table in listed if name in table)]
            moves = [[s.moves[name][k] for s in self.steps if k in s.moves.get(name, ())] for k in range(12)]
            if all(isinstance(t.rows, range) for t in every):
                rows: Sequence[int] = every[0].rows
            else:
                rows = closed(folded(join, (t.rows for t in every)), tensor.shape[0], moves[0])
            every = [t.over(rows, self.room) for t in every]
            box = joined(map(nonzero, every))
            if box is not None:
                box = tuple(map(closed, box, tensor.shape, moves))
            values[name] = [inside(t, box, self.room) for t in every]
            scale = [t.den.bit_length() for t in every]  # one denominator for all points, and for what is made of them
            bits = max(width(t) - k for t, k in zip(every, scale, strict=True)) + max(scale)
            leaves[name] = Leaf(tensor.shape, box, bits + (widening if len(every) > 1 or any(moves) else 0))
        self.start: Point = {name: every[0] for name, every in values.items()}
        self.points = []
        for table in listed:  # the values are in their order
            self.points.append(self.start | {name: values[name].pop(1) for name in table})

        data = {name: t.over(range(t.shape[0]), self.room) for name, t in data.items()}
        self.data: Point = {name: (t.v, t.den) for name, t in data.items()}
        fixed = tables["constants"]
        boxes = {name: nonzero(t) for name, t in fixed.items()}
        self.constants: Point = {name: inside(t, boxes[name], self.room) for name, t in fixed.items()}
        self.leaves = {
            "parameter": leaves,
            "constant": {name: Leaf(t.shape, boxes[name], width(t)) for name, t in fixed.items()},
            "input": {
                k: Leaf((self.block, *t.shape[1:]), whole((self.block, *t.shape[1:])), width(t))
                for k, t in data.items()
            },
        }


def width(tensor: Stored) -> int:
    """Bits of its largest number."""
    return max(map(abs, tensor.v), default=0).bit_length()


def block_of(document: Json, samples: int) -> int:
    """How many samples the program evaluates at once: the first extent of its inputs."""
    program = document["program"]
    nodes = program["nodes"] if isinstance(program, dict) and isinstance(program.get("nodes"), list) else []
    inputs = [node for node in nodes if isinstance(node, dict) and node.get("op") == "input"]
    first = {shape_of(node.get("shape"), "an input")[:1] for node in inputs} or {(samples,)}
    need(len(first) == 1 and () not in first, "the inputs differ in their number of samples")
    ((block,),) = first
    need(samples % block == 0, "the samples do not make whole blocks")
    return block


# ---- the claim ---------------------------------------------------------------------------------------------


def claimed(document: Json) -> dict[str, Any]:
    """The stated enclosures as exact pairs, None where the claim has none, and the times."""

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

    table, claim = document["enclosures"], document["claim"]
    need(claim in CLAIMS, f"claim is none of {', '.join(CLAIMS)}")
    fields(table, ("start", "points", "average", "end"), "enclosures")
    need(isinstance(table["points"], list) and 2 <= len(table["points"]) <= 1 << 16, "enclosures of the points")
    bounds: dict[str, Any] = {"points": [*map(pair, table["points"])]}
    for name in ("start", "average", "end"):
        has = claim == "orbit-average" or (name == "average" and claim != "slopes")
        need(has or table[name] is None, f"the claim has no enclosure of the {name}")
        bounds[name] = pair(table[name]) if has else None
    need(isinstance(document["times"], list), "times is no list")
    times = bounds["times"] = [rational(t, "a time") for t in document["times"]]
    need(len(times) == (4 if claim == "slopes" else 0), "another number of times")
    need(not times or times[0] < times[1] <= times[2] < times[3], "the times are not in order")
    need(not times or len(bounds["points"]) == 4, "enclosures of another number of points")
    return bounds


def flat(bounds: dict[str, Any]) -> list[Bounds]:
    """All enclosures in one list."""
    return [*bounds["points"], *(bounds[n] for n in ("average", "start", "end") if bounds[n] is not None)]


def excess(bounds: dict[str, Any]) -> tuple[Fraction, bool]:
    """Lower bound of what the claim says is positive, and whether quasi-convexity is refuted too.

    F(M) minus the mean of the F(P_j), and whether F(M) exceeds their maximum. Of slopes: the first minus the second,
    and whether F is higher at one of the two inner points than at both outer ones.
    """
    points, times = bounds["points"], bounds["times"]
    tops = [high for _, high in points]
    if not times:
        return bounds["average"][0] - sum(tops) / len(tops), bounds["average"][0] > max(tops)
    (_, first), (second, _), (third, _), (_, fourth) = points
    rise = (second - first) / (times[1] - times[0])
    return rise - (fourth - third) / (times[3] - times[2]), max(second, third) > max(first, fourth)


def shown(value: Fraction) -> str:
    """A positive number in decimals, rounded down."""
    return str(Context(prec=6, rounding=ROUND_FLOOR).divide(*map(Decimal, value.as_integer_ratio())))


def listed(names: Sequence[str], what: str) -> str:
    """Names, or how many there are."""
    return ", ".join(names) if len(names) <= 12 else f"the {len(names)} {what} listed in the certificate"


def statement(document: Json) -> str:
    """The sentence that an accepted certificate proves, made from its other fields alone."""
    bounds, names, steps, claim = claimed(document), document["variables"], document["steps"], document["claim"]
    gap, above_all = excess(bounds)
    samples = max(array["shape"][0] for array in document["data"].values())
    block = block_of(document, samples)
    at_once = "" if block == 1 else " together" if block == samples else f", {block} at a time"
    text = f"Let F be the mean of the program's outputs over {samples} samples{at_once}, as a function of "
    text += f"{listed(names, 'variables')}, every other parameter and constant being held fixed. "
    units, count = [*dict.fromkeys(step["units"] for step in steps)], len(bounds["points"])
    new = listed(sorted({name for table in document["points"] for name in table}), "variables")
    if claim == "slopes":
        t = [str(time) for time in bounds["times"]]
        text += f"Let P and Q be the two points listed in the certificate, equal to its parameters but for {new}, "
        text += f"and X(t) = P + t(Q - P). Then the slope (F(X(t)) - F(X(s)))/(t - s) of F from s = {t[0]} to "
        text += f"t = {t[1]} exceeds that from s = {t[2]} to t = {t[3]} by at least {shown(gap)}"
    elif claim != "orbit-average":
        if steps:
            name = "B be the point A" if count == 2 else f"P_1, ..., P_{count} be the point A and its images"
            text += f"Let {name} with the entries of {listed(sorted(steps[0]['moves']), 'moved variables')} permuted "
            text += f"as listed in the certificate (a move called {units[0]})"
            text += "" if count == 2 else f" 1 to {count - 1} times"
        else:
            name = "A and B" if count == 2 else f"P_1, ..., P_{count}"
            text += f"Let {name} be the {count} points listed in the certificate, equal to its parameters but for {new}"
        text += f", and M = {'(A + B)/2' if count == 2 else 'their mean'}. Then F(M) exceeds "
        text += f"{'(F(A) + F(B))/2' if count == 2 else 'the mean of F at these points'} by at least {shown(gap)}"
    else:
        rise, order = shown(bounds["end"][0] - bounds["start"][1]), steps[document["violated"]]["order"]
        number, count = document["violated"] + 1, len(steps)
        text += f"Let M be the average of A over the group that the {count} moves listed in the certificate (called "
        text += f"{listed(units, 'names')}) generate; every one of these moves leaves M as it is"
        sets = [line for line in (tied(steps, name) for name in units) if line] if len(units) <= 12 else []
        text += "".join(f", and {line}" for line in sets)
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


def establish(document: Json, limit: int | None, progress: Progress, plain: bool, known: dict[str, Any]) -> None:
    """Fill `known` with what is proved; RejectedError where the claim is not."""
    s, matrix = integer(document["precision"], 64, 2048, "precision"), None if plain else matrices()
    need(s % 32 == 0, "precision is no multiple of 32")
    limit = (FLINT_LIMIT if matrix else LIMIT) if limit is None else limit
    bounds, claim, setting = claimed(document), document["claim"], Setting(document)
    steps, listed, count = setting.steps, setting.points, len(bounds["points"])
    violated = integer(document["violated"], 0, max(0, len(steps) - 1), "violated")
    orbit, slopes = claim == "orbit-average", claim == "slopes"
    need(orbit or violated == 0, "only an orbit average has a violated step")
    need(not orbit or (steps and not listed), "an orbit average has steps, and no listed points")
    need(not slopes or (not steps and len(listed) == 2), "slopes have two listed points, and no steps")
    need(orbit or slopes or len(steps) == (not listed), "a midpoint or average has one step, or listed points")
    need(orbit or slopes or (claim == "midpoint") == (count == 2), "a midpoint is of two points, an average of more")
    need(slopes or count == (steps[violated].order if steps else len(listed)), "enclosures of another number of points")

    if excess(bounds)[0] <= 0:
        raise RejectedError("the stated enclosures do not violate the inequality of convex functions")
    if orbit and bounds["end"][0] <= bounds["start"][1]:
        raise RejectedError("the stated enclosures do not place the orbit average above the start")
    if document["statement"] != statement(document):
        raise RejectedError("the statement is not the one that the other fields make")
    moving = sum(step.narrow(setting.leaves["parameter"]) for step in steps)
    program = Program(document["program"], setting.leaves, Fixed(s, matrix))
    first, last = violated == 0, violated == len(steps) - 1  # start or end is a point of the step itself
    evaluations = len(flat(bounds)) - (orbit and first) - (orbit and last)
    used = [*setting.start.values(), *setting.constants.values(), *setting.data.values()]
    used += [point[name] for point in listed for name in setting.replaced]
    bits = max(max(map(abs, v), default=0).bit_length() + den.bit_length() for v, den in used)
    bits += sum(step.order.bit_length() for step in steps) + (260 if slopes else len(listed).bit_length())
    changing = {*setting.replaced, *(name for step in steps for name in step.moves)}
    changed = sum(len(setting.start[name][0]) for name in changing)
    claim_room(setting.room, 4 * changed * (WEIGHT + bits))  # here, the average, the end, and a total
    moving = (moving + 6 * len(listed) * changed) * (1 + (bits * bits >> 16))
    blocks, (static, sampled) = setting.samples // setting.block, program.work
    work = evaluations * (static + blocks * sampled) + moving
    by = "with python-flint for large products of integer matrices" if matrix else "Python standard library"
    known.update(claim=claim, multiply_adds=work, arithmetic=f"exact integers, fixed point 2^-{s}, {by}")
    if work > limit:
        hint = "" if matrix else "; with python-flint installed the check may be cheaper"
        raise RejectedError(f"the check needs {work:,} units of work: more than the limit of {limit:,}{hint}")

    start = end = here = average = setting.start
    for k, step in enumerate(steps):
        before, end = end, step.average(end)
        if k == violated:
            here, average = before, end
    for step in steps if orbit else ():
        if step.move(end) != end:
            raise RejectedError(f"the end of the chain is not fixed by the moves of {step.units}")
    points: Iterable[Point] = listed
    spread: Fraction
    if slopes:
        p, q = listed
        points = [combination([(p, 1 - t), (q, t)], setting.replaced) for t in bounds["times"]]
        (t1, t2, t3, t4), change = bounds["times"], combination([(q, Fraction(1)), (p, Fraction(-1))], setting.replaced)
        spread = squares(change, setting.replaced) * (t3 + t4 - t1 - t2)
    elif listed:
        average = combination([(point, Fraction(1, count)) for point in listed], setting.replaced)
        apart = sum((squares(point, setting.replaced) for point in listed), Fraction(0)) / count
        spread = apart - squares(average, setting.replaced)
    else:
        step = steps[violated]
        points, spread = step.points(here), squares(here, step.moves) - squares(average, step.moves)  # equal |P_j|
    if spread == 0:
        raise RejectedError("all points are one")
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress and (done % 16 == 0 or done == evaluations * blocks):
            progress(done, evaluations * blocks)

    def value(point: Point) -> Bounds:
        return program.value(point, setting.constants, setting.data, blocks, tick)

    own: dict[str, Any] = {"times": bounds["times"], "average": None, "start": None, "end": None}
    if not slopes:
        own["average"] = value(average)
    own["points"] = [*map(value, points)]
    if orbit:
        own["start"] = own["points"][0] if first else value(start)
        own["end"] = own["average"] if last else value(end)
    parts = {n: own[n] for n in ("points", "average", "start", "end")}
    known["enclosures"] = {n: [*map(outward, v)] if n == "points" else v and outward(v) for n, v in parts.items()}
    for stated, (low, high) in zip(flat(bounds), flat(own), strict=True):
        if not stated[0] <= low <= high <= stated[1]:
            raise RejectedError("a stated enclosure does not contain the computed value of F")
    gap, above_all = excess(own)
    if gap <= 0:
        raise RejectedError("the inequality of convex functions is not proved to be violated")
    # F + (mu/2)|x|^2 at these points adds mu/2 spread to the other side; with mu < 2 gap/spread the gap stays. So
    # if F is twice differentiable, its second derivative along the segment of two points falls to -2 gap/spread.
    weight_decay = rounded_down(2 * gap / spread)
    known.update(accepted=True, convex_refuted=True, quasiconvex_refuted=above_all, gap=gap)
    known.update(statement=document["statement"], gap_float=rounded_down(gap), weight_decay=weight_decay)
    known["curvature"] = -weight_decay if slopes or count == 2 else None


def outward(bounds: Bounds) -> list[float]:
    """Floats around exact bounds."""
    return [rounded_down(bounds[0]), -rounded_down(-bounds[1])]


@cache
def matrices() -> Any:
    """Integer matrices of python-flint, or None."""
    try:
        from flint import fmpz_mat
    except ImportError:
        return None
    return fmpz_mat


def check(
    source: str | os.PathLike[str] | bytes,
    *,
    limit: int | None = None,
    progress: Progress = None,
    plain: bool = False,
) -> Verdict:
    """Verdict on a certificate, given as a path or as bytes.

    `limit`: refuse to begin beyond this many units of work; `progress(done, total)` is called now and then; `plain`:
    do without python-flint. Raises MalformedError where the source is not a certificate, or was altered.
    """
    began, known = time.perf_counter(), {}
    try:
        establish(read(source), limit, progress, plain, known)
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
    parser.add_argument("--limit", type=int, help=f"units of work (default {LIMIT}, with python-flint {FLINT_LIMIT})")
    parser.add_argument("--plain", action="store_true", help="do without python-flint")
    options = parser.parse_args(arguments)
    try:
        verdict = check(options.file, limit=options.limit, plain=options.plain)
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
        if verdict.curvature is not None:
            print(f"curvature    at most {verdict.curvature!r} somewhere on the segment, if F is C^2")
        print(f"arithmetic   {verdict.arithmetic}")
        print(f"cost         {verdict.multiply_adds:,} units of work in {verdict.seconds:.1f} s")
    else:
        print(f"REJECTED     {verdict.reason}")
    return 0 if verdict else 1


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
