"""Programs of certificates evaluated independently: exact rationals, or Arb, by plain loops over indices.

It shares no code with the checker: arrays are NumPy arrays of ``Fraction`` or ``flint.arb``, every sum is written out.
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
    raw, dtype = base64.b64decode(stored["data"]), stored["dtype"]
    if dtype == "bfloat16":
        flat = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        flat = np.frombuffer(raw, LOW[dtype])
    return lift(flat.tolist(), tuple(stored["shape"]), Fraction)


def point_of(table):
    """name -> (integers, denominator) as an array of Fractions, given the shapes."""
    return {name: lift([Fraction(n, den) for n in v], shape, Fraction) for name, (v, den, shape) in table.items()}


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
                    total = total + w[(i[1], c, *k)] * x[(0, i[1] // share * per + c, *at)]
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


def evaluate_node(node, ins, number):
    op, a, shape = node["op"], node["attributes"], tuple(node["shape"])
    x = ins[0]
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
            total = sum((v.exp() for v in values), number(0))
            for i, v in zip(members, values, strict=True):
                out[i] = v - total.log() if a["kind"] == "log" else v.exp() / total
        else:
            assert op == "normalise"
            if a["kind"] == "standard":
                mean = sum(values, number(0)) / count
                values = [v - mean for v in values]
            level = sum((v * v for v in values), number(0)) / count + number(a["eps"])
            for i, v in zip(members, values, strict=True):
                out[i] = v / level.sqrt()
    return out


SMOOTH = {"tanh", "sigmoid", "exp", "log", "sqrt", "rsqrt"}


def is_rational(program):
    return not any(
        node["op"] in ("softmax", "normalise") or node["attributes"].get("fn") in SMOOTH for node in program["nodes"]
    )


def mean_loss(program, point, constants, data):
    """F at a point, as a Fraction, or as an Arb ball of about 700 bits; all tables hold arrays of Fractions."""
    number = rational if is_rational(program) else ball

    def convert(table):
        return {name: entrywise(number, np.asarray(v)) for name, v in table.items()}

    leaves = {"parameter": convert(point), "constant": convert(constants)}
    samples = len(next(iter(data.values())))
    total = number(0)
    for i in range(samples):
        leaves["input"] = convert({name: array[i : i + 1] for name, array in data.items()})
        values = {}
        for node in program["nodes"]:
            if node["op"] in leaves:
                values[node["name"]] = leaves[node["op"]][node["attributes"][node["op"]]]
            else:
                values[node["name"]] = evaluate_node(node, [values[n] for n in node["inputs"]], number)
            assert values[node["name"]].shape == tuple(node["shape"]), node
        total = total + values[program["output"]].reshape(-1)[0]
    return total / number(samples)


def within(value, low, high):
    """Whether low <= value <= high is certain."""
    return (
        bool(ball(low) <= value) and bool(value <= ball(high)) if isinstance(value, flint.arb) else low <= value <= high
    )
