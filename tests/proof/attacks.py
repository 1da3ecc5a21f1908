"""Small programs that need every term of every radius of the checker."""

import itertools
import random
from typing import ClassVar

from tests.proof.checking import checker
from tests.proof.examples import Sketch


class Attack:
    """A small program of one number, most of whose values carry an error of nearly their whole radius.

    ``a`` is just below one unit of the fixed point and is rounded to none; ``big`` blows that error up to 2^-28.
    """

    TABLE: ClassVar = {
        "a": ([(1 << 20) - 1] * 2, 1 << 148, (2,)),
        "big": ([1 << 100] * 2, 1, (2,)),
        "uneven": ([(1 << 20) - 1, 0], 1 << 148, (2,)),
        "second": ([(2 << 20) - 1] * 2, 1 << 148, (2,)),
        "part": ([29, 29], 32, (2,)),
        "third": ([1, 2], 3, (2,)),
        "thirds": ([1, 2, -5], 3, (3,)),
        "one": ([1, 1], 1, (2,)),
        "counts": ([1, 3], 1, (2,)),
        "near": ([1, 1], 1 << 26, (2,)),
        "scalar": ([3], 1, ()),
        "rows": ([1, 1, -5, 7], 1, (2, 2)),
        "negative": ([-5, -7, 1, 1], 1, (2, 2)),
        "ninths": ([2, -9, 4, 4], 9, (2, 2)),
        "kernel": ([5, -7], 1, (1, 1, 2)),
        "holes": ([5, 0, 0, 0, 0, 0], 1, (6,)),
        "nothing": ([0, 0], 1, (2,)),
        "minus": ([-1, -1], 1, (2,)),
        "table": ([0, 0, 0, 0, 7, 5, 0, 0, 0, 0, 0, 0], 1, (6, 2)),
        "wide": ([1, 0, 0, 0, 0, 0, 0, 0] * 2, 1, (2, 8)),
        "between": ([1, 1], 1 << 29, (2,)),
        "beyond": ([3, 3], 1 << 29, (2,)),
    }

    CONSTANTS: ClassVar = {"c": ([-1, -1], 1, (2,)), "none": ([0, 0], 1, (2,)), "far": ([0, 2], 1, (2,))}

    def __init__(self):
        self.s, self.used = Sketch(), {}

    def get(self, name, numbers=None):
        """The named tensor, exactly."""
        self.used[name] = numbers or self.TABLE[name]
        return self.s.leaf("parameter", name, self.used[name][2])

    def rounded(self, x):
        """The same after one rounding."""
        shape = self.s.shapes[x]
        return self.s.node("pad", [x], shape, widths=[[0, 0] for _ in shape], value=0)

    def blown(self, sign=1, big=None, name="a"):
        """Computed as 0, in truth 2^-28 (or another scale) less a little."""
        x = self.s.pointwise("mul", self.rounded(self.get(name)), self.get("big", big))
        return x if sign > 0 else self.s.pointwise("neg", x)

    def at(self, k, x):
        """One entry of a vector."""
        return self.s.node("slice", [x], [1], axis=0, start=k, stop=k + 1, step=1)

    def case(self, out):
        self.s.leaf("input", "x", (1, 1))
        read = {node["attributes"]["constant"] for node in self.s.nodes if node["op"] == "constant"}
        constants = {name: self.CONSTANTS[name] for name in read}
        return self.s.program(out, ["x"]), self.used, constants, {"x": ([0], 1, (1, 1))}


def attacks():
    """Programs that, together, need every term of every radius."""
    found, rng = [], random.Random(7)

    def attack(build):
        t = Attack()
        found.append(t.case(build(t, t.s)))

    for k in (0, 1):
        attack(lambda t, s, k=k: t.at(k, t.get("third")))
        attack(lambda t, s, k=k: t.at(k, t.rounded(t.get("third"))))
    attack(lambda t, s: t.at(0, s.pointwise("mul", t.rounded(t.get("second")), t.get("part"))))
    for fn in ("square", "neg", "abs", "relu", "tanh", "sigmoid", "exp", "erf", "sin"):
        attack(lambda t, s, fn=fn: t.at(0, s.pointwise(fn, t.blown())))
    for fn, sign in itertools.product(("add", "sub", "mul", "maximum", "minimum"), (1, -1)):
        attack(lambda t, s, fn=fn, sign=sign: t.at(0, s.pointwise(fn, t.blown(), t.blown(sign))))
    for fn, name in itertools.product(("maximum", "minimum"), ("counts", "near")):
        attack(lambda t, s, fn=fn, name=name: t.at(0, s.pointwise(fn, t.blown(-1), t.get(name))))
        attack(lambda t, s, fn=fn, name=name: t.at(0, s.pointwise(fn, t.get(name), t.blown())))
    for name, sign in itertools.product(("one", "counts", "near"), (1, -1)):
        attack(lambda t, s, n=name, g=sign: t.at(1, s.pointwise("mul", t.blown(g), t.get(n))))
        attack(lambda t, s, n=name, g=sign: t.at(1, s.pointwise("mul", t.get(n), s.pointwise("neg", t.blown(g)))))
        attack(lambda t, s, n=name, g=sign: t.at(0, s.pointwise("mul", s.pointwise("neg", t.get(n)), t.blown(g))))
    for slope, sign in ((4.0, 1), (4.0, -1), (-4.0, -1)):
        attack(lambda t, s, slope=slope, sign=sign: s.total(s.pointwise("leaky_relu", t.blown(sign), slope=slope)))
    for fn in ("sum", "mean", "amax"):
        attack(lambda t, s, fn=fn: s.reduce(fn, t.blown(), [0]))
    # contractions: labels of one operand, shared labels, both operands inexact
    attack(lambda t, s: s.node("contract", [t.blown()], (), spec="i->"))
    for spec, name in (("i,i->", None), ("i,j->", None), ("i,j->", "one"), ("i,->", "scalar")):
        attack(lambda t, s, c=spec, n=name: s.node("contract", [t.blown(), t.get(n) if n else t.blown()], (), spec=c))
    # rows that differ: the widest one, signed entries, on either side, exact weights and inexact ones
    choices = itertools.product(("rows", "negative", "ninths"), (0, 1), (True, False), ("a", "uneven"))
    for name, k, left, errors in choices:

        def dense(t, s, name=name, k=k, left=left, errors=errors):
            pair = [t.blown(name=errors), t.get(name)] if left else [t.get(name), t.blown(name=errors)]
            return t.at(k, s.node("contract", pair, (2,), spec="i,oi->o" if left else "oi,i->o"))

        attack(dense)
    for first in (True, False):

        def convolution(t, s, first=first):
            x, w = s.reshape(t.blown(), (1, 1, 2)), t.get("kernel")
            return s.reshape(s.convolve(x, w) if first else s.convolve(w, x), (1,))

        attack(convolution)
    for fn, include in itertools.product(("max", "mean"), (True, False)):

        def pooled(t, s, fn=fn, include=include):
            return s.total(s.pool(fn, s.reshape(t.get("third"), (1, 2)), (2,), padding=1, include=include))

        attack(pooled)
    # quotients: inexact numerators, denominators, both, and denominators that the radius nearly reaches
    attack(lambda t, s: t.at(0, s.pointwise("div", t.blown(), t.get("near"))))
    for sign in (1, -1):

        def quotient(t, s, sign=sign, both=False):
            below = s.pointwise("add", t.get("near"), t.blown(sign))
            above = s.pointwise("sub", t.get("counts"), t.blown(sign)) if both else t.get("counts")
            return t.at(1, s.pointwise("div", above, below))

        attack(quotient)
        attack(lambda t, s, sign=sign: quotient(t, s, sign, both=True))
    for a, b in ((1, 3), (-1, 3), (2, 7), (-5, 11), ((1 << 40) - 1, 1 << 170)):
        attack(lambda t, s, a=a, b=b: s.pointwise("div", t.get("p", ([a], 1, (1,))), t.get("q", ([b], 1, (1,)))))
    # monotone functions where they are steep
    for fn, sign in itertools.product(("log", "sqrt", "rsqrt"), (1, -1)):
        attack(lambda t, s, fn=fn, g=sign: t.at(0, s.pointwise(fn, s.pointwise("add", t.get("near"), t.blown(g)))))
    # softmax of entries with opposite errors, and at exact arguments
    for kind, k in itertools.product(("log", "softmax"), (0, 1, 2)):

        def opposite(t, s, kind=kind, k=k):
            wide = ([1 << 126] * 2, 1, (2,))
            both = s.node("concat", [t.blown(1, wide), t.blown(-1, wide)], (4,), axis=0)
            return t.at(k, s.node("softmax", [both], (4,), kind=kind, axis=0))

        attack(opposite)
        for _ in range(3):
            values = [rng.randint(-(1 << 50), 1 << 50) for _ in range(4)]
            numbers = (values, 1 << 48, (4,))
            attack(
                lambda t, s, kind=kind, k=k, numbers=numbers: t.at(
                    k, s.node("softmax", [t.get("v", numbers)], (4,), kind=kind, axis=0)
                )
            )
    for kind, k in itertools.product(("standard", "rms"), (0, 1, 2)):

        def normal(t, s, kind=kind, k=k):
            return t.at(k, s.node("normalise", [t.get("thirds")], (3,), kind=kind, axes=[0], eps=1e-3))

        attack(normal)
    for kind in ("standard", "rms"):  # errors of both signs: an entry and the mean move apart

        def apart(t, s, kind=kind):
            parts = [t.blown(1, ([1 << 126] * 2, 1, (2,))), t.blown(-1, ([1 << 126] * 2, 1, (2,)))]
            both = s.node("concat", [parts[0], t.at(0, parts[1])], (3,), axis=0)
            return t.at(2, s.node("normalise", [both], (3,), kind=kind, axes=[0], eps=64))

        attack(apart)
    attack(lambda t, s: t.at(0, s.pointwise("exp", t.blown(1, ([1 << 126] * 2, 1, (2,))))))
    attack(lambda t, s: s.pointwise("erf", t.get("v", ([17], 2, (1,)))))
    # concatenation and padding beside a number with another radius
    attack(lambda t, s: t.at(2, s.node("concat", [t.get("big"), t.blown()], (4,), axis=0)))
    attack(lambda t, s: t.at(0, s.node("concat", [t.blown(), t.get("one")], (4,), axis=0)))
    attack(lambda t, s: t.at(1, s.node("pad", [t.blown()], (4,), widths=[[1, 1]], value=0.1)))
    attack(lambda t, s: t.at(0, s.node("pad", [t.get("one")], (4,), widths=[[1, 1]], value=2.0**-130)))
    # elementary functions at exact arguments
    for fn, scale in itertools.product(checker.ELEMENTARY, (5, 1, 1 / 64)):
        for sign in (1, -1)[: 1 if fn in ("log", "sqrt", "rsqrt") else 2]:
            numbers = ([sign * rng.randint(1, int(scale * (1 << 60)))], 1 << 60, (1,))
            attack(lambda t, s, fn=fn, numbers=numbers: s.pointwise(fn, t.get("v", numbers)))
    attack(lambda t, s: s.pointwise("exp", t.get("v", ([150], 1, (1,)))))
    attack(lambda t, s: s.pointwise("log", t.get("v", ([3], 1 << 90, (1,)))))
    found += decisions() + zeros()
    return found


def decisions():
    """Comparisons, choices and orders that the midpoints would decide wrongly; indices that are no integers."""
    found = []

    def attack(build):
        t = Attack()
        found.append(t.case(build(t, t.s)))

    def shifted(t, s, sign, by):  # computed as by, in truth that and an error of nearly the radius
        return s.pointwise("add", t.blown(sign), t.get(by))

    attack(lambda t, s: t.at(0, s.pointwise("cos", s.pointwise("add", t.blown(), t.get("one")))))
    for sign in (1, -1):
        attack(lambda t, s, g=sign: t.at(0, s.pointwise("floor", s.pointwise("add", t.get("one"), t.blown(g)))))
    for fn in ("lt", "le", "gt", "ge", "eq", "ne"):
        attack(lambda t, s, fn=fn: t.at(0, s.pointwise(fn, t.get("between"), t.blown())))
        attack(lambda t, s, fn=fn: t.at(0, s.pointwise(fn, t.blown(), t.get("between"))))
        attack(lambda t, s, fn=fn: t.at(0, s.pointwise(fn, t.blown(), shifted(t, s, -1, "beyond"))))
        attack(lambda t, s, fn=fn: t.at(0, s.pointwise(fn, shifted(t, s, -1, "beyond"), t.blown())))
    attack(lambda t, s: t.at(0, s.pointwise("where", t.blown(), t.get("one"), t.get("minus"))))
    for first in (True, False):
        attack(
            lambda t, s, f=first: t.at(
                0, s.pointwise("where", t.get("one"), *[t.blown(), t.get("one")][:: 1 if f else -1])
            )
        )
        attack(
            lambda t, s, f=first: t.at(
                0, s.pointwise("where", t.get("nothing"), *[t.get("one"), t.blown()][:: 1 if f else -1])
            )
        )
    for what, largest in itertools.product(("values", "indices", "choice"), (True, False)):

        def ordered(t, s, what=what, largest=largest, pair=("between",)):
            if pair:
                parts = [t.at(0, t.blown()), t.at(0, t.get("between"))]
            else:
                parts = [t.at(0, t.blown()), t.at(0, shifted(t, s, -1, "beyond"))]
            both = s.node("concat", parts, (2,), axis=0)
            shape = (2, 1) if what == "choice" else (1,)
            found = s.node("order", [both], shape, axis=0, count=1, largest=largest, what=what)
            return t.at(0, s.reshape(found, (2,)) if what == "choice" else found)

        attack(ordered)
        attack(lambda t, s, w=what, g=largest: ordered(t, s, w, g, ()))
    attack(lambda t, s: t.at(0, s.node("take", [t.get("counts"), t.blown()], (2,), axis=0)))
    attack(lambda t, s: t.at(0, s.node("pick", [t.get("counts"), t.blown()], (2,), axis=0)))
    attack(lambda t, s: t.at(0, s.node("softmax", [t.get("counts"), t.blown()], (2,), kind="safe", axis=0)))
    attack(lambda t, s: s.node("full", [], (1,), shape=[1], value=[1, 3]))
    attack(lambda t, s: t.blown())  # the mean of two entries with the same error
    return found


def zeros():
    """Parameters with zeros: means over more than what is listed, sums of different boxes, parts that are skipped."""
    found = []

    def attack(build):
        t = Attack()
        found.append(t.case(build(t, t.s)))

    def times_zero(t, s, x):
        return t.at(0, s.pointwise("mul", x, t.get("nothing")))

    attack(lambda t, s: s.reduce("mean", t.get("holes"), [0]))
    attack(lambda t, s: t.get("holes"))
    for fn in ("exp", "sigmoid", "cos", "square", "neg"):
        attack(lambda t, s, fn=fn: s.total(s.pointwise(fn, t.get("holes"))))
    for fn in ("add", "sub", "maximum", "minimum", "mul"):

        def both(t, s, fn=fn):
            other = t.get("other", ([0, 0, 0, -3, 0, 0], 1, (6,)))
            return s.total(s.pointwise("square", s.pointwise(fn, t.get("holes"), other)))

        attack(both)
    attack(
        lambda t, s: s.total(
            s.pointwise(
                "where",
                t.get("holes"),
                t.get("other", ([0, 1, 0, 0, 0, 0], 1, (6,))),
                t.get("more", ([0, 0, 2, 0, 0, 0], 1, (6,))),
            )
        )
    )
    for spec in ("ij,ij->", "ij,kj->", "ij,kj->ik", "ij->j", "ij->"):

        def product(t, s, spec=spec):
            out = tuple(6 for _ in spec.split("->")[1]) if spec != "ij->j" else (2,)
            x = s.node("contract", [t.get("table")] * (1 + ("," in spec)), out, spec=spec)
            return s.total(s.pointwise("square", x)) if out else x

        attack(product)
    attack(lambda t, s: s.total(s.node("transpose", [t.get("table")], (2, 6), permutation=[1, 0])))
    attack(lambda t, s: s.total(s.broadcast(t.get("table"), (3, 6, 2))))
    attack(lambda t, s: s.total(s.broadcast(t.get("thin", ([3, 0, 0, 0], 1, (4, 1))), (4, 5))))
    for index in (0, 2, 5):

        def looked_up(t, s, index=index):
            rows = s.node("take", [t.get("table"), t.get("which", ([index, 2], 1, (2,)))], (2, 2), axis=0)
            return s.total(rows)

        attack(looked_up)
    attack(lambda t, s: s.total(s.node("take", [t.get("wide"), t.get("which", ([0, 3], 1, (2,)))], (2, 2), axis=1)))
    attack(lambda t, s: s.total(s.node("take", [t.get("wide"), t.get("which", ([0, 1], 1, (2,)))], (2, 8), axis=0)))
    for fn in ("log", "sqrt", "rsqrt"):  # not defined at -1, at any factor
        attack(lambda t, s, fn=fn: times_zero(t, s, s.pointwise(fn, t.get("minus"))))
        attack(lambda t, s, fn=fn: times_zero(t, s, s.pointwise("abs", s.pointwise(fn, s.leaf("constant", "c", (2,))))))
    attack(lambda t, s: times_zero(t, s, s.pointwise("div", t.get("one"), t.get("nothing"))))
    attack(lambda t, s: times_zero(t, s, s.pointwise("div", t.get("one"), s.leaf("constant", "none", (2,)))))
    for op in ("take", "pick"):
        attack(
            lambda t, s, op=op: times_zero(
                t, s, s.node(op, [t.get("one"), s.leaf("constant", "far", (2,))], (2,), axis=0)
            )
        )
        attack(
            lambda t, s, op=op: times_zero(
                t, s, s.node(op, [t.get("nothing"), t.get("far", ([0, 2], 1, (2,)))], (2,), axis=0)
            )
        )

    def masked(t, s):
        shown = s.leaf("constant", "none", (2,))
        return times_zero(t, s, s.node("softmax", [t.get("one"), shown], (2,), kind="softmax", axis=0))

    attack(masked)

    def flat(t, s):
        return times_zero(t, s, s.node("normalise", [t.get("one")], (2,), kind="standard", axes=[0], eps=0))

    attack(flat)
    return found
