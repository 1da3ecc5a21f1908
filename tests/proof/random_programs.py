"""Random small programs for the checker and the exact evaluation."""

import itertools
import random
from math import prod

from tests.proof.examples import Sketch


class Maker:
    """Random small programs with random rational parameters; smooth ones only where the oracle may use Arb.

    With decisions they also compare, choose, order and look up, and have parameters with zeros here and there.
    """

    def __init__(self, seed, smooth, decisions=False):
        self.rng, self.smooth, self.decisions, self.sketch = random.Random(seed), smooth, decisions, Sketch()
        self.point, self.constants, self.data = {}, {}, {}
        self.block = self.rng.choice([1, 2]) if decisions else 1
        self.samples = self.block * self.rng.choice([1, 2])

    def numbers(self, shape, scale=1):
        bits = self.rng.choice([0, 3, 24, 40, 150])
        den = self.rng.choice([1, 3, 7, 9]) << bits
        return [self.rng.randint(-2 * den * scale, 2 * den * scale) for _ in range(prod(shape))], den, shape

    def parameter(self, shape):
        table, kind = self.rng.choice(
            [(self.point, "parameter"), (self.point, "parameter"), (self.constants, "constant")]
        )
        name = f"{kind}{len(table)}"
        table[name] = self.numbers(shape)
        if self.decisions and self.rng.random() < 0.5:
            self.empty(*table[name])
        return self.sketch.leaf(kind, name, shape)

    def empty(self, v, _, shape):
        """Set whole slices to zero, or everything."""
        dead = [{k for k in range(n) if self.rng.random() < 0.3} for n in shape]
        if not shape or self.rng.random() < 0.3:
            dead = [{*range(n)} for n in shape]
        for i, at in enumerate(itertools.product(*map(range, shape))):
            if not shape or any(k in d for k, d in zip(at, dead, strict=True)):
                v[i] = 0

    def whole(self, shape, low, high):
        """Integers from low to high, as a constant or as data."""
        table, kind = (self.constants, "constant") if self.rng.random() < 0.6 else (self.data, "input")
        name, lead = f"{kind}{len(table)}", () if kind == "constant" else (self.block,)
        if kind == "input" and (not shape or shape[0] != self.block):
            return self.whole(shape, low, high)
        stored = shape if kind == "constant" else (self.samples, *shape[1:])
        table[name] = [self.rng.randint(low, high) for _ in range(prod(stored))], 1, stored
        assert kind == "constant" or shape[:1] == lead
        return self.sketch.leaf(kind, name, shape)

    def input(self, shape):
        name = f"x{len(self.data)}"
        self.data[name] = self.numbers((self.samples, *shape[1:]))
        return self.sketch.leaf("input", name, shape)

    def same(self, shape):
        fits = shape and shape[0] == self.block
        return self.rng.choice([self.parameter, self.input if fits else self.parameter])(shape)

    def step(self, x):
        s, rng, shape = self.sketch, self.rng, self.sketch.shapes[x]
        rank, size = len(shape), prod(shape)
        options = ["unary", "unary", "binary", "binary", "reshape"]
        options += ["compare", "where", "full", "product", "product"] * self.decisions
        if rank:
            options += ["transpose", "concat", "slice", "pad", "contract", "contract", "broadcast"]
            options += ["reduce"] if rank > 1 else []
            options += (
                ["convolve", "convolve", "pool", "pool"] if rank in (3, 4) and shape[0] <= 2 and size < 40 else []
            )
            options += ["softmax", "normalise"] if self.smooth else []
            options += ["order", "take", "pick"] * self.decisions
        match rng.choice(options):
            case "unary":
                names = ["neg", "relu", "abs", "square", "identity", "leaky_relu"]
                names += ["tanh", "sigmoid", "exp", "log", "sqrt", "rsqrt", "erf", "sin", "cos"] * self.smooth
                names += ["floor"] * self.decisions
                fn = rng.choice(names)
                if fn == "leaky_relu":
                    return s.pointwise(fn, x, slope=rng.choice([0.01, 0.5, -0.25, 3.0, 0.0, 1]))
                if fn == "exp":
                    x = s.pointwise("neg", s.pointwise("abs", x)) if rng.random() < 0.8 else x
                if fn in ("log", "sqrt", "rsqrt"):
                    x = self.positive(x)
                return s.pointwise(fn, x)
            case "binary":
                fn = rng.choice(["add", "sub", "mul", "div", "maximum", "minimum"])
                y = rng.choice([x, self.same(shape)])
                return s.pointwise(fn, x, self.positive(y) if fn == "div" else y)
            case "reshape":
                return s.reshape(x, rng.choice([(1, size), (size,), (1, 1, size), shape[::-1], (1, 1, size, 1)]))
            case "broadcast":
                at = rng.randrange(rank)
                wide = tuple(n if n > 1 or k != at else 2 for k, n in enumerate(shape)) if size < 20 else shape
                return s.broadcast(x, rng.choice([wide, (1, *shape), (2, *wide) if size < 10 else shape]))
            case "transpose":
                order = rng.sample(range(rank), rank)
                return s.node("transpose", [x], [shape[k] for k in order], permutation=order)
            case "concat":
                axis = rng.randrange(rank)
                parts = [x, self.same(shape), x][: rng.choice([1, 2, 3])]
                out = [n * (len(parts) if k == axis else 1) for k, n in enumerate(shape)]
                return s.node("concat", parts, out, axis=axis) if size < 20 else x
            case "slice":
                axis = rng.randrange(rank)
                start, step = rng.randrange(shape[axis]), rng.choice([1, 2])
                stop = rng.randint(start + 1, shape[axis])
                out = [len(range(start, stop, step)) if k == axis else n for k, n in enumerate(shape)]
                return s.node("slice", [x], out, axis=axis, start=start, stop=stop, step=step)
            case "pad":
                widths = [[rng.choice([0, 0, 1]), rng.choice([0, 0, 2])] if size < 12 else [0, 0] for _ in shape]
                out = [n + sum(w) for n, w in zip(shape, widths, strict=True)]
                return s.node("pad", [x], out, widths=widths, value=rng.choice([0, 0.5, -1.25, 0.1]))
            case "contract":
                letters, two = "abcdef"[:rank], self.rng.random() < 0.8
                if not two:
                    kept = "".join(rng.sample(letters, rng.randint(0, rank)))
                    out = [shape[letters.index(c)] for c in kept]
                    return s.node("contract", [x], out, spec=f"{letters}->{kept}")
                other = "".join(rng.sample(letters, rng.randint(0, min(2, rank)))) + rng.choice(["", "z"])
                at = {**dict(zip(letters, shape, strict=True)), "z": rng.choice([1, 2, 3])}
                y = self.same(tuple(at[c] for c in other))
                union = [*dict.fromkeys(letters + other)]
                kept = rng.sample(union, rng.randint(0, min(3, len(union))))
                left, right, first, second = letters, other, x, y
                if rng.random() < 0.5:
                    left, right, first, second = right, left, second, first
                out = [at[c] for c in kept]
                return s.node("contract", [first, second], out, spec=f"{left},{right}->{''.join(kept)}")
            case "reduce":
                axes = rng.sample(range(rank), rng.randint(1, rank))
                return s.reduce(rng.choice(["sum", "mean", "amax"]), x, axes)
            case "convolve":
                groups = rng.choice([g for g in (1, 2, 3) if shape[1] % g == 0])
                kernel = [rng.choice([1, 2, 3]) for _ in shape[2:]]
                w = self.parameter((groups * rng.choice([1, 2]), shape[1] // groups, *kernel))
                stride, padding, dilation = rng.choice([1, 2]), rng.choice([0, 1, 2]), rng.choice([1, 2])
                reach = [dilation * (k - 1) + 1 for k in kernel]
                if any(n + 2 * padding < r for n, r in zip(shape[2:], reach, strict=True)):
                    return x
                return s.convolve(x, w, stride, padding, dilation, groups)
            case "pool":
                kernel = [rng.choice([2, 3]) for _ in shape[2:]]
                if any(n + 2 < k for n, k in zip(shape[2:], kernel, strict=True)):
                    return x
                fn, stride = rng.choice(["max", "mean"]), rng.choice([1, 2])
                return s.pool(fn, x, kernel, stride, padding=1, include=rng.random() < 0.5)
            case "softmax":
                axis = rng.randrange(rank)
                if not self.decisions:
                    return s.node("softmax", [x], shape, kind=rng.choice(["log", "softmax"]), axis=axis)
                kind = rng.choice(["log", "softmax", "safe"])
                mask = [self.whole(shape, 0 if kind == "safe" or rng.random() < 0.5 else 1, 1)] * (rng.random() < 0.6)
                return s.node("softmax", [x, *mask], shape, kind=kind, axis=axis)
            case "compare":
                y = rng.choice([x, self.same(shape)])
                return s.pointwise(rng.choice(["lt", "le", "gt", "ge", "eq", "ne"]), x, y)
            case "where":
                condition = self.whole(shape, 0, 1)
                if rng.random() < 0.5:
                    condition = s.pointwise("gt", x, self.same(shape))
                return s.pointwise("where", condition, *rng.sample([x, self.same(shape)], 2))
            case "full":
                y = s.node("full", [], shape, shape=list(shape), value=rng.choice([[0, 1], [-2, 3], [5, 1]]))
                return s.pointwise(rng.choice(["add", "mul", "maximum"]), x, y)
            case "product":  # by something that is zero in part, or altogether
                name = f"constant{len(self.constants)}"
                self.constants[name] = self.numbers(shape)
                self.empty(*self.constants[name])
                risky = s.pointwise(rng.choice(["sqrt", "log"]), x) if self.smooth and rng.random() < 0.2 else x
                return s.pointwise("mul", *rng.sample([risky, s.leaf("constant", name, shape)], 2))
            case "order":
                axis, what = rng.randrange(rank), rng.choice(["values", "indices", "choice"])
                count = rng.randint(1, shape[axis])
                out = [count if k == axis else n for k, n in enumerate(shape)]
                out = [shape[axis], *out] if what == "choice" else out
                if prod(out) > 60:
                    return x
                settings = {"axis": axis, "count": count, "largest": rng.random() < 0.5, "what": what}
                return s.node("order", [x], out, **settings)
            case "take":
                axis = rng.randrange(rank)
                indices = self.whole(rng.choice([(), (2,), (self.block, 2)]), 0, shape[axis] - 1)
                out = (*shape[:axis], *s.shapes[indices], *shape[axis + 1 :])
                return s.node("take", [x, indices], out, axis=axis) if prod(out) < 60 else x
            case "pick":
                axis = rng.randrange(rank)
                out = [rng.randint(1, n + 1) if k == axis else n for k, n in enumerate(shape)]
                return s.node("pick", [x, self.whole(tuple(out), 0, shape[axis] - 1)], out, axis=axis)
            case "normalise":
                axes = rng.sample(range(rank), rng.randint(1, rank))
                return s.node("normalise", [x], shape, kind=rng.choice(["standard", "rms"]), axes=axes, eps=1e-3)

    def positive(self, x):
        """|x| + a positive constant."""
        s, shape = self.sketch, self.sketch.shapes[x]
        name = f"constant{len(self.constants)}"
        self.constants[name] = ([self.rng.choice([1, 2, 5])] * prod(shape), self.rng.choice([2, 3]), shape)
        return s.pointwise("add", s.pointwise("abs", x), s.leaf("constant", name, shape))

    def make(self):
        x = self.input((self.block, *self.rng.choice([(3,), (2, 3), (2, 3, 3), (1, 4), (4, 2)])))
        for _ in range(self.rng.randint(1, 6)):
            if prod(self.sketch.shapes[x]) > 60:
                x = self.sketch.reduce("mean", x, [len(self.sketch.shapes[x]) - 1])
            x = self.step(x)
        s = self.sketch
        if self.smooth:
            x = s.pointwise("tanh", x)  # keeps the value, and with it the width that is asked for, of size one
        out = s.total(x) if s.shapes[x] and not (self.decisions and self.rng.random() < 0.5) else x
        return s.program(out, list(self.data)), self.point, self.constants, self.data


def random_program(seed, smooth, decisions=False):
    return Maker(seed, smooth, decisions).make()
