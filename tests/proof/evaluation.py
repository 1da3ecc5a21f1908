"""Programs of certificates evaluated independently: exact rationals, or Arb, by plain loops over indices.

It shares no code with the checker: arrays are NumPy arrays of ``Fraction`` or ``flint.arb``, every sum is written out.
A node is computed in rationals where it can be, so that comparisons, masks and indices are exact.
Who compares Arb numbers sets PRECISION bits for as long.
"""

import base64
import itertools
from fractions import Fraction
from math import prod

import flint
import numpy as np

PRECISION = 700


LOW = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "int64": "<i8", "int32": "<i4", "int16": "<i2"}


LOW |= {"int8": "i1", "uint8": "u1", "bool": "?"}


def rational(x):
    return Fraction(x)


def ball(x):
    x = Fraction(x)
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def larger(a, b):
    return max(a, b) if isinstance(a, Fraction) else a.max(b)


def lift(values, shape, number):
    out = np.empty(prod(shape), dtype=object)
    for k, value in enumerate(values):
        out[k] = number(value)
    return out.reshape(shape)


def decode(stored):
    """A stored array as an array of Fractions."""
    dtype, shape = stored["dtype"], tuple(stored["shape"])
    if "fill" in stored:
        return lift([stored["fill"]] * prod(shape), shape, Fraction)
    raw = base64.b64decode(stored["data"])
    if dtype == "bfloat16":
        flat = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        flat = np.frombuffer(raw, LOW[dtype])
    if "rows" not in stored:
        return lift(flat.tolist(), shape, Fraction)
    out = lift([0] * prod(shape), shape, Fraction)
    for row, values in zip(stored["rows"], flat.reshape(-1, *shape[1:]), strict=True):
        out[row] = lift(values.reshape(-1).tolist(), shape[1:], Fraction)[()]
    return out


def point_of(table):
    """name -> (integers, denominator) as an array of Fractions, given the shapes."""
    return {name: lift([Fraction(n, den) for n in v], shape, Fraction) for name, (v, den, shape) in table.items()}


class UndecidedError(Exception):
    """Arb does not know which of two numbers is larger."""


def decided(yes, no):
    """True or False, where one of two complementary Arb comparisons holds for sure."""
    if bool(yes) == bool(no):
        raise UndecidedError
    return bool(yes)


COMPARE = {
    "lt": lambda x, y: decided(x < y, x >= y),
    "le": lambda x, y: decided(x <= y, x > y),
    "gt": lambda x, y: decided(x > y, x <= y),
    "ge": lambda x, y: decided(x >= y, x < y),
    "eq": lambda x, y: decided(x == y, x != y),
    "ne": lambda x, y: decided(x != y, x == y),
}


def floor(x):
    if isinstance(x, Fraction):
        return Fraction(x.numerator // x.denominator)
    whole = x.floor().unique_fmpz()
    if whole is None:
        raise UndecidedError
    return Fraction(int(whole))


def entrywise(f, *arrays):
    out = np.empty(arrays[0].shape, dtype=object)
    for i in np.ndindex(*out.shape):
        out[i] = f(*(a[i] for a in arrays))
    return out


def function(name, a, number):
    zero, one = number(0), number(1)
    if name == "leaky_relu":
        slope = number(a["slope"])
        return lambda x: larger(x, zero) - slope * larger(-x, zero)
    table = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x / y,
        "maximum": larger,
        "minimum": lambda x, y: -larger(-x, -y),
        "identity": lambda x: x,
        "neg": lambda x: -x,
        "abs": lambda x: larger(x, -x),
        "relu": lambda x: larger(x, zero),
        "square": lambda x: x * x,
        "tanh": lambda x: x.tanh(),
        "sigmoid": lambda x: one / (one + (-x).exp()),
        "exp": lambda x: x.exp(),
        "log": lambda x: x.log(),
        "sqrt": lambda x: x.sqrt(),
        "rsqrt": lambda x: one / x.sqrt(),
        "erf": lambda x: x.erf(),
        "sin": lambda x: x.sin(),
        "cos": lambda x: x.cos(),
        "floor": floor,
        "where": lambda c, x, y: x if c != 0 else y,
        **{fn: lambda x, y, f=f: Fraction(f(x, y)) for fn, f in COMPARE.items()},
    }
    return table[name]


def einsum(spec, arrays, number):
    left, right = spec.split("->")
    terms, size = left.split(","), {}
    for term, array in zip(terms, arrays, strict=True):
        size.update(zip(term, array.shape, strict=True))
    out = np.empty(tuple(size[c] for c in right), dtype=object)
    out[...] = number(0)
    for values in itertools.product(*(range(n) for n in size.values())):
        at = dict(zip(size, values, strict=True))
        term = number(1)
        for letters, array in zip(terms, arrays, strict=True):
            term = term * array[tuple(at[c] for c in letters)]
        i = tuple(at[c] for c in right)
        out[i] = out[i] + term
    return out


def convolve(x, w, a, shape, number):
    out = np.empty(shape, dtype=object)
    per, share = w.shape[1], w.shape[0] // a["groups"]
    for i in np.ndindex(*shape):
        total = number(0)
        for c in range(per):
            for k in np.ndindex(*w.shape[2:]):
                at = [
                    s * p + d * q - lead
                    for s, p, d, q, lead in zip(a["stride"], i[2:], a["dilation"], k, a["padding"], strict=True)
                ]
                if all(0 <= n < m for n, m in zip(at, x.shape[2:], strict=True)):
                    total = total + w[(i[1], c, *k)] * x[(i[0], i[1] // share * per + c, *at)]
        out[i] = total
    return out


def pool(x, a, shape, number):
    out, lead = np.empty(shape, dtype=object), len(shape) - len(a["kernel"])
    for i in np.ndindex(*shape):
        found = []
        for k in np.ndindex(*a["kernel"]):
            at = [
                s * p + d * q - low
                for s, p, d, q, low in zip(a["stride"], i[lead:], a["dilation"], k, a["padding"], strict=True)
            ]
            if all(0 <= n < m for n, m in zip(at, x.shape[lead:], strict=True)):
                found.append(x[(*i[:lead], *at)])
        if a["fn"] == "max":
            top = found[0]
            for value in found[1:]:
                top = larger(top, value)
            out[i] = top
        else:
            count = prod(a["kernel"]) if a["count_include_pad"] else len(found)
            out[i] = sum(found, number(0)) / number(count)
    return out


def rows(x, axes):
    """Every (index outside the axes) with the list of indices that share it."""
    groups = {}
    for i in np.ndindex(*x.shape):
        groups.setdefault(tuple(n for k, n in enumerate(i) if k not in axes), []).append(i)
    return groups


def evaluate_node(node, ins, number, last=False):
    op, a, shape = node["op"], node["attributes"], tuple(node["shape"])
    if op == "full":
        return lift([Fraction(*a["value"])] * prod(shape), shape, Fraction)
    x = ins[0]
    if op == "take":
        out, axis = np.empty(shape, dtype=object), a["axis"]
        for i in np.ndindex(*shape):
            j = place(ins[1][i[axis : axis + ins[1].ndim]], x.shape[axis])
            out[i] = x[(*i[:axis], j, *i[axis + ins[1].ndim :])]
        return out
    if op == "pick":
        out, axis = np.empty(shape, dtype=object), a["axis"]
        for i in np.ndindex(*shape):
            out[i] = x[(*i[:axis], place(ins[1][i], x.shape[axis]), *i[axis + 1 :])]
        return out
    if op == "order":
        return ordered(x, a, shape, last)
    if op == "pointwise":
        return entrywise(function(a["fn"], a, number), *ins)
    if op == "contract":
        return einsum(a["spec"], ins, number)
    if op == "convolve":
        return convolve(x, ins[1], a, shape, number)
    if op == "pool":
        return pool(x, a, shape, number)
    if op == "reshape":
        return x.reshape(shape)
    if op == "transpose":
        return x.transpose(a["permutation"])
    if op == "broadcast":
        return np.broadcast_to(x, shape)
    if op == "concat":
        return np.concatenate(ins, axis=a["axis"])
    if op == "slice":
        at = [slice(None)] * x.ndim
        at[a["axis"]] = slice(a["start"], a["stop"], a["step"])
        return x[tuple(at)]
    if op == "pad":
        out = np.empty(shape, dtype=object)
        out[...] = number(a["value"])
        out[tuple(slice(low, low + n) for (low, _), n in zip(a["widths"], x.shape, strict=True))] = x
        return out
    out = np.empty(shape, dtype=object)
    axes = a["axes"] if "axes" in a else [a["axis"]]
    for rest, members in rows(x, axes).items():
        values = [x[i] for i in members]
        count = number(len(values))
        if op == "reduce":
            total = sum(values, number(0))
            top = values[0]
            for value in values[1:]:
                top = larger(top, value)
            out[rest] = {"sum": total, "mean": total / count, "amax": top}[a["fn"]]
        elif op == "softmax":
            seen = [len(ins) == 1 or ins[1][i] != 0 for i in members]
            assert any(seen) or a["kind"] == "safe"
            total = sum((v.exp() for v, s in zip(values, seen, strict=True) if s), number(0))
            for i, v, s in zip(members, values, seen, strict=True):
                out[i] = number(0) if not s else v - total.log() if a["kind"] == "log" else v.exp() / total
        else:
            assert op == "normalise"
            if a["kind"] == "standard":
                mean = sum(values, number(0)) / count
                values = [v - mean for v in values]
            level = sum((v * v for v in values), number(0)) / count + number(a["eps"])
            for i, v in zip(members, values, strict=True):
                out[i] = v / level.sqrt()
    return out


SMOOTH = {"tanh", "sigmoid", "exp", "log", "sqrt", "rsqrt", "erf", "sin", "cos"}
EXACT = {"where": (0,), "take": (1,), "pick": (1,), "softmax": (1,)}  # operands that must be known exactly


def place(index, size):
    assert isinstance(index, Fraction) and index.denominator == 1 and 0 <= index < size
    return int(index)


def ordered(x, a, shape, last):
    """The chosen entries of every row, or their positions, by selecting the largest one again and again."""
    axis, sign = a["axis"], 1 if a["largest"] else -1
    chosen = tuple(a["count"] if k == axis else n for k, n in enumerate(x.shape))
    out, choice = (
        np.empty(chosen, dtype=object),
        lift([0] * (x.shape[axis] * prod(chosen)), (x.shape[axis], *chosen), Fraction),
    )
    for rest in np.ndindex(*(n for k, n in enumerate(x.shape) if k != axis)):
        left = list(range(x.shape[axis]))[:: -1 if last else 1]
        for rank in range(a["count"]):
            value = {k: x[(*rest[:axis], k, *rest[axis:])] for k in left}
            tops = [k for k in left if all(k == j or sign * value[k] >= sign * value[j] for j in left)]
            if not tops:
                raise UndecidedError
            best = tops[0]
            at = (*rest[:axis], rank, *rest[axis:])
            out[at] = value[best] if a["what"] == "values" else Fraction(best)
            choice[(best, *at)] = Fraction(1)
            left.remove(best)
    return (choice if a["what"] == "choice" else out).reshape(shape)


def is_smooth(node):
    return node["op"] in ("softmax", "normalise") or node["attributes"].get("fn") in SMOOTH


def is_rational(program):
    return not any(map(is_smooth, program["nodes"]))


def convert(number, array):
    """The entries in Arb, or as they are."""
    return entrywise(lambda x: x if isinstance(x, flint.arb) else number(x), np.asarray(array))


def value_of(node, ins, last):
    """A node's value, in Arb only where it has to be."""
    kind = node["attributes"]["fn"] if node["op"] == "pointwise" else node["op"]
    inexact = any(isinstance(x, flint.arb) for array in ins for x in array.reshape(-1)[:1])
    number = ball if is_smooth(node) or inexact else rational
    exact = EXACT.get(kind, ())
    if kind in ("floor", *COMPARE) and not inexact:
        number = rational
    return evaluate_node(node, [x if k in exact else convert(number, x) for k, x in enumerate(ins)], number, last)


def mean_loss(program, point, constants, data):
    """F at a point, as a Fraction, or as an Arb ball of about 700 bits; all tables hold arrays of Fractions.

    It has no value where it depends on which of equal entries comes first in an order.
    """
    value = one_value(program, point, constants, data, last=False)
    if any(node["op"] == "order" for node in program["nodes"]):
        other = one_value(program, point, constants, data, last=True)
        if not (value.overlaps(other) if isinstance(value, flint.arb) else value == other):
            raise UndecidedError
    return value


def one_value(program, point, constants, data, last):
    """The same, where the first or the last of equal entries comes first."""
    leaves = {"parameter": point, "constant": constants}
    samples = len(next(iter(data.values())))
    block = next((node["shape"][0] for node in program["nodes"] if node["op"] == "input"), samples)
    results = []
    for i in range(0, samples, block):
        leaves["input"] = {name: array[i : i + block] for name, array in data.items()}
        values = {}
        for node in program["nodes"]:
            if node["op"] in leaves:
                values[node["name"]] = leaves[node["op"]][node["attributes"][node["op"]]]
            else:
                values[node["name"]] = value_of(node, [values[n] for n in node["inputs"]], last)
            assert values[node["name"]].shape == tuple(node["shape"]), node
        results += list(np.asarray(values[program["output"]], dtype=object).reshape(-1))
    number = ball if any(isinstance(x, flint.arb) for x in results) else rational
    results = [x if isinstance(x, flint.arb) else number(x) for x in results]
    return sum(results[1:], results[0]) / number(len(results))


def within(value, low, high):
    """Whether low <= value <= high is certain."""
    return (
        bool(ball(low) <= value) and bool(value <= ball(high)) if isinstance(value, flint.arb) else low <= value <= high
    )
