"""What is declared of an activation: read from the questionnaire of the trait table, and from the facts beside it."""

from __future__ import annotations

from math import inf, isfinite, pi

from orbitope.activations.known import Activation
from orbitope.primitives.activations import Reflection


def declared(activation: Activation) -> dict[str, str]:
    """The traits that hold, each with its numbers; a trait that is missing is not claimed.

    Guarantee: exact: calculus; tests try each over the real line.
    """
    behaviour, facts = activation.behaviour, activation.facts
    found: dict[str, str] = {}
    if behaviour.form in ("convex", "affine"):
        found["convex"] = ""
    if behaviour.form in ("concave", "affine"):
        found["concave"] = ""
    if behaviour.monotone[0] > 0:
        found["non-decreasing"] = ""
    if behaviour.monotone[0] < 0:
        found["non-increasing"] = ""
    mirror = activation.reflection
    plain = mirror is not None and not mirror.before and not mirror.after
    odd = any(behaviour.odd[:1]) or (plain and mirror is not None and mirror.sign < 0)
    even = any(behaviour.even[:1]) or (plain and mirror is not None and mirror.sign > 0)
    if odd:
        found["odd"] = ""
    if even:
        found["even"] = ""
    degree = behaviour.homogeneous[0] if behaviour.homogeneous else None
    if degree is not None:
        found["homogeneous"] = f"d = {number(degree)}"
    if mirror is not None and not plain:
        found["mirrored"] = mirrored(mirror.before, mirror.sign, mirror.after)
    if activation.tilt and behaviour.form != "affine":
        found["tilted"] = f"k = {number(activation.tilt)}"
    shift = shift_of(mirror, odd, even)
    if shift is not None:
        found["shifted"] = shifted(*shift)
    if isfinite(facts.lipschitz):
        found["Lipschitz"] = f"L = {number(facts.lipschitz)}"
    if isfinite(facts.low) and isfinite(facts.high):
        found["bounded"] = f"{number(facts.low)} to {number(facts.high)}"
    if facts.order == inf:
        found["smooth"] = ""
    if facts.linear:
        found["piecewise linear"] = f"cut at {', '.join(map(number, facts.breaks))}" if facts.breaks else "in one piece"
    return found


def shift_of(mirror: Reflection | None, odd: bool, even: bool) -> tuple[float, int, float] | None:
    """p, sign and c of ``f(x + p) = ±f(x) + c``: a reflection at one place after a reflection at another.

    With f(b − z) = s·f(z) + c and z = −x: f(b + x) = s·f(−x) + c, and f(−x) is ±f(x).
    """
    if mirror is None or not (odd or even) or not mirror.before:
        return None
    return mirror.before, -mirror.sign if odd else mirror.sign, mirror.after


def mirrored(before: float, sign: int, after: float) -> str:
    """The formula of a reflection."""
    left = f"f({number(before)} − x)" if before else "f(−x)"
    return f"{left} = {_signed(sign, after)}"


def shifted(period: float, sign: int, after: float) -> str:
    """The formula of a shift."""
    return f"f(x + {number(period)}) = {_signed(sign, after)}"


def _signed(sign: int, after: float) -> str:
    if not after:
        return "f(x)" if sign > 0 else "−f(x)"
    if sign < 0:
        return f"{number(after)} − f(x)"
    return f"f(x) {'+' if after > 0 else '−'} {number(abs(after))}"


def number(value: float) -> str:
    """A number in few digits, as a multiple of π where it is one."""
    for whole in (1, 2, 3, 4, 6):
        parts = value * whole / pi
        if abs(value) > 0.1 and abs(parts - round(parts)) < 1e-9 and round(parts):
            top = {1: "π", -1: "−π"}.get(round(parts), f"{round(parts)}π".replace("-", "−"))
            return top if whole == 1 else f"{top}/{whole}"
    return f"{value + 0.0:.6g}".replace("-", "−")
