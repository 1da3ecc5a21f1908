"""An independent evaluation of certificates: exact rationals, or Arb, by plain loops over indices.

It shares no code with the checker: arrays are NumPy arrays of ``Fraction`` or ``flint.arb``, every sum is written out.
Who compares Arb numbers sets PRECISION bits for as long.
"""

import base64
import itertools
import re
from fractions import Fraction
from math import prod

import flint
import numpy as np
import torch

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
    convert = lambda table: {name: entrywise(number, np.asarray(v)) for name, v in table.items()}  # noqa: E731
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


# certificates ------------------------------------------------------------------------------------------------------
def moved(point, moves):
    point = dict(point)
    for name, pairs in moves.items():
        for axis, permutation in pairs:
            old, new = np.moveaxis(point[name], axis, 0), np.empty_like(np.moveaxis(point[name], axis, 0))
            for i, k in enumerate(permutation):
                new[k] = old[i]
            point[name] = np.moveaxis(new, 0, axis)
    return point


def chain(document):
    """start, the points and the average of the violated step, end; and whether every move fixes the end."""
    point = {name: decode(v) for name, v in document["parameters"].items()}
    found = {"start": point}
    for k, step in enumerate(document["steps"]):
        points = [point]
        for _ in range(step["order"] - 1):
            points.append(moved(points[-1], step["moves"]))
        point = {name: sum((p[name] for p in points[1:]), points[0][name]) / Fraction(step["order"]) for name in point}
        if k == document["violated"]:
            found |= {"points": points, "average": point}
    found["end"] = point
    found["fixed"] = all(
        (moved(point, step["moves"])[name] == point[name]).all() for step in document["steps"] for name in point
    )
    return found


def said_of_moves(document):
    """Whether what the statement says of positions carried into one another is so, by joining them pair by pair."""
    said = re.findall(
        r"those called (\S+) carry (\d+) positions of axis (\d+) of (\S+?) into one another", document["statement"]
    )
    for units, count, axis, name in said:
        links = [
            set(pair)
            for step in document["steps"]
            for k, p in (step["moves"].get(name, []) if step["units"] == units else [])
            if k == int(axis)
            for pair in enumerate(p)
            if pair[0] != pair[1]
        ]
        reached = set(links[0])
        for _ in links:
            reached = reached.union(*(link for link in links if link & reached))
        if len(reached) != int(count) or any(not link <= reached for link in links):
            return False
    return True


def is_true(document):
    """Whether everything that the document states is true, by exact evaluation."""
    table = {name: [float.fromhex(x) for x in v] for name, v in document["enclosures"].items() if name != "points"}
    stated = [[float.fromhex(x) for x in pair] for pair in document["enclosures"]["points"]]
    where = chain(document)
    constants = {name: decode(v) for name, v in document["constants"].items()}
    data = {name: decode(v) for name, v in document["data"].items()}

    def value(point):
        return mean_loss(document["program"], point, constants, data)

    variables = set(document["variables"])
    allowed = all(set(step["moves"]) <= variables for step in document["steps"]) and variables <= set(where["start"])
    values = [value(p) for p in where["points"]]
    average, start, end = value(where["average"]), value(where["start"]), value(where["end"])
    inside = all(within(v, Fraction(s[0]), Fraction(s[1])) for v, s in zip(values, stated, strict=True))
    inside &= all(
        within(v, *map(Fraction, table[name])) for name, v in (("average", average), ("start", start), ("end", end))
    )
    gap = average - sum(values[1:], values[0]) / len(values)
    claims = [end - start, gap] if document["claim"] == "orbit-average" else [gap]
    numbers = [Fraction(x.rstrip(".,;")) for x in re.findall(r"at least (\S+)", document["statement"])]
    said = len(numbers) == len(claims) and all(
        n > 0 and bool(c >= ball_or(n, c)) for n, c in zip(numbers, claims, strict=True)
    )
    if "nor quasi-convex" in document["statement"]:
        said &= all(bool(average > v) for v in values)
    if document["claim"] == "orbit-average":
        said &= where["fixed"] and bool(end > start) and said_of_moves(document)
    else:
        said &= len(document["steps"]) == 1 and document["steps"][0]["order"] == 2
        moved = ", ".join(sorted(document["steps"][0]["moves"]))
        said &= f"with the entries of {moved} permuted as listed in the certificate" in document["statement"]
    said &= f"mean over {len(next(iter(data.values())))} samples" in document["statement"]
    said &= all(name in document["statement"] for name in variables) or len(variables) > 12
    said &= all(step["units"] in document["statement"] for step in document["steps"])
    return bool(allowed and inside and said and bool(gap > 0))


def ball_or(n, like):
    return ball(n) if isinstance(like, flint.arb) else n


class Sketch:
    """A program under construction: every method adds a node and returns its name."""

    def __init__(self):
        self.nodes, self.shapes = [], {}

    def node(self, op, inputs, shape, /, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(
            {"name": name, "op": op, "inputs": list(inputs), "shape": list(shape), "attributes": attributes}
        )
        self.shapes[name] = tuple(shape)
        return name

    def leaf(self, kind, name, shape):
        return self.node(kind, [], shape, **{kind: name})

    def pointwise(self, fn, *inputs, **settings):
        return self.node("pointwise", inputs, self.shapes[inputs[0]], fn=fn, **settings)

    def dense(self, x, w, b=None):
        shape = (1, self.shapes[w][0])
        y = self.node("contract", [x, w], shape, spec="bi,oi->bo")
        return y if b is None else self.pointwise("add", y, self.broadcast(b, shape))

    def broadcast(self, x, shape):
        return self.node("broadcast", [x], shape, shape=list(shape))

    def reshape(self, x, shape):
        return self.node("reshape", [x], shape, shape=list(shape))

    def convolve(self, x, w, stride=1, padding=0, dilation=1, groups=1):
        image, kernel = self.shapes[x][2:], self.shapes[w][2:]
        out = [(n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(image, kernel, strict=True)]
        return self.node(
            "convolve",
            [x, w],
            (1, self.shapes[w][0], *out),
            stride=[stride] * len(out),
            padding=[padding] * len(out),
            dilation=[dilation] * len(out),
            groups=groups,
        )

    def pool(self, fn, x, kernel, stride=1, padding=0, dilation=1, include=True):
        lead, space = self.shapes[x][: -len(kernel)], self.shapes[x][-len(kernel) :]
        out = [(n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(space, kernel, strict=True)]
        each = len(kernel)
        return self.node(
            "pool",
            [x],
            (*lead, *out),
            fn=fn,
            kernel=list(kernel),
            stride=[stride] * each,
            padding=[padding] * each,
            dilation=[dilation] * each,
            count_include_pad=include,
        )

    def reduce(self, fn, x, axes):
        shape = [n for k, n in enumerate(self.shapes[x]) if k not in axes]
        return self.node("reduce", [x], shape, fn=fn, axes=list(axes))

    def total(self, x):
        return self.reduce("sum", x, list(range(len(self.shapes[x]))))

    def squared_error(self, y, target):
        return self.total(self.pointwise("square", self.pointwise("sub", y, target)))

    def cross_entropy(self, logits, target):
        y = self.node("softmax", [logits], self.shapes[logits], kind="log", axis=1)
        return self.pointwise("neg", self.total(self.pointwise("mul", y, target)))

    def program(self, output, inputs=("x", "target")):
        return {"nodes": self.nodes, "inputs": list(inputs), "output": output}


def outward(value, width=0.0):
    """A pair of floats around a Fraction or an Arb ball, at most `width` and a rounding away on both sides."""
    middle = float(value.mid()) if isinstance(value, flint.arb) else float(value)
    low, high = middle - width, middle + width
    while not within(value, Fraction(low), Fraction(high)):
        low, high = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    return float(low), float(high)


def enclosures(document_parts, width=0.0):
    """True enclosures for `Certificate.build`, by the oracle."""
    from orbitope.proof.certificate import encode_array

    document = dict(document_parts)
    for section in ("parameters", "constants", "data"):
        document[section] = {name: encode_array(v) for name, v in document_parts[section].items()}
    where = chain(document)
    constants = {name: decode(v) for name, v in document["constants"].items()}
    data = {name: decode(v) for name, v in document["data"].items()}

    def value(point):
        return outward(mean_loss(document["program"], point, constants, data), width)

    return {
        "start": value(where["start"]),
        "points": [value(p) for p in where["points"]],
        "average": value(where["average"]),
        "end": value(where["end"]),
    }


# named certificates, as the arguments of Certificate.build -----------------------------------------------------------
def absolute_value():
    """f(x) = v1 relu(w1 x) + v2 relu(w2 x) fits |x| at w = (1, -1), v = (1, 1); with equal weights it is 0.

    F(A) = F(B) = 0, F(M) = 1 and |A - B|^2 = 8: the gap is 1, and so is the weight decay survived.
    """
    s = Sketch()
    x, target = s.leaf("input", "x", (1, 1)), s.leaf("input", "target", (1, 1))
    w, v = s.leaf("parameter", "w", (2, 1)), s.leaf("parameter", "v", (1, 2))
    out = s.squared_error(s.dense(s.pointwise("relu", s.dense(x, w)), v), target)
    return {
        "claim": "midpoint",
        "variables": ["w", "v"],
        "program": s.program(out),
        "constants": {},
        "parameters": {"w": np.array([[1.0], [-1.0]]), "v": np.array([[1.0, 1.0]])},
        "steps": [{"units": "hidden", "order": 2, "moves": {"w": [[0, [1, 0]]], "v": [[1, [1, 0]]]}}],
        "violated": 0,
        "data": {"x": np.array([[1.0], [-1.0]]), "target": np.array([[1.0], [1.0]])},
    }


def three_units(activation="relu", loss="squared_error"):
    """An orbit average over three hidden units, and then over two outputs' inputs of another layer: a chain 3, 2."""
    s, rng = Sketch(), np.random.default_rng(5)
    x, target = s.leaf("input", "x", (1, 2)), s.leaf("input", "target", (1, 2))
    shapes = {"w": (3, 2), "b": (3,), "u": (2, 3), "c": (2,), "v": (2, 2)}
    leaf = {name: s.leaf("parameter", name, shape) for name, shape in shapes.items()}
    h = s.pointwise(activation, s.dense(x, leaf["w"], leaf["b"]))
    h = s.pointwise(activation, s.dense(h, leaf["u"], leaf["c"]))
    out = getattr(s, loss)(s.dense(h, leaf["v"]), target)
    angles = np.array([0.3, 2.4, 4.4])
    w = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    parameters = {
        "w": w.astype(np.float32),
        "b": np.array([0.25, -0.5, 0.125], dtype=np.float32),
        "u": np.array([[1.5, -1.0, 0.75], [-1.0, 1.25, 1.0]], dtype=np.float32),
        "c": np.zeros(2, dtype=np.float32),
        "v": np.array([[2.0, -1.5], [-1.0, 2.0]], dtype=np.float32),
    }
    xs = rng.standard_normal((4, 2)).astype(np.float32)
    act = (lambda z: np.maximum(z, 0)) if activation == "relu" else np.tanh
    ys = act(act(xs @ parameters["w"].T + parameters["b"]) @ parameters["u"].T) @ parameters["v"].T
    data = {"x": xs, "target": ys.astype(np.float32)}
    if loss == "cross_entropy":
        data["target"] = np.eye(2, dtype=np.uint8)[ys.argmax(1)]
    cycle, swap = [1, 2, 0], [1, 0]
    return {
        "claim": "orbit-average",
        "variables": list(shapes),
        "program": s.program(out),
        "constants": {},
        "parameters": parameters,
        "steps": [
            {"units": "first", "order": 3, "moves": {"w": [[0, cycle]], "b": [[0, cycle]], "u": [[1, cycle]]}},
            {"units": "second", "order": 2, "moves": {"u": [[0, swap]], "c": [[0, swap]], "v": [[1, swap]]}},
        ],
        "violated": 0,
        "data": data,
    }


def convolutional():
    """Convolution, scale and shift from fixed statistics, ReLU, pooling, flatten, dense; two channels exchanged."""
    s, rng = Sketch(), np.random.default_rng(3)
    x, target = s.leaf("input", "x", (1, 1, 4, 4)), s.leaf("input", "target", (1, 2))
    shapes = {"k": (2, 1, 3, 3), "gain": (2,), "shift": (2,), "dense": (2, 8), "mean": (2,), "var": (2,)}
    leaf = {name: s.leaf("parameter", name, shape) for name, shape in shapes.items()}
    eps = s.leaf("constant", "eps", (2,))
    scale = s.pointwise("mul", leaf["gain"], s.pointwise("rsqrt", s.pointwise("add", leaf["var"], eps)))
    offset = s.pointwise("sub", leaf["shift"], s.pointwise("mul", leaf["mean"], scale))
    h = s.convolve(x, leaf["k"], padding=1)
    wide = s.shapes[h]
    h = s.pointwise("mul", h, s.broadcast(s.reshape(scale, (1, 2, 1, 1)), wide))
    h = s.pointwise("add", h, s.broadcast(s.reshape(offset, (1, 2, 1, 1)), wide))
    h = s.pool("max", s.pointwise("relu", h), (2, 2), stride=2)
    out = s.cross_entropy(s.dense(s.reshape(h, (1, 8)), leaf["dense"]), target)
    dense = rng.standard_normal((2, 8)).astype(np.float32) * 2
    parameters = {
        "k": rng.standard_normal((2, 1, 3, 3)).astype(np.float32),
        "gain": np.array([1.5, -1.25], dtype=np.float32),
        "shift": np.array([0.25, 0.5], dtype=np.float32),
        "dense": dense,
        "mean": np.full(2, 0.125, dtype=np.float32),
        "var": np.full(2, 0.7, dtype=np.float32),
    }
    images = rng.standard_normal((3, 1, 4, 4)).astype(np.float32)
    t = {name: torch.from_numpy(v) for name, v in parameters.items()}
    seen = torch.nn.functional.conv2d(torch.from_numpy(images), t["k"], padding=1)
    seen = torch.nn.functional.batch_norm(seen, t["mean"], t["var"], t["gain"], t["shift"], eps=1e-5)
    labels = (torch.nn.functional.max_pool2d(seen.relu(), 2).flatten(1) @ t["dense"].T).argmax(1)
    swap, blocks = [1, 0], [4, 5, 6, 7, 0, 1, 2, 3]
    return {
        "claim": "orbit-average",
        "variables": ["k", "gain", "shift", "dense"],
        "program": s.program(out),
        "constants": {"eps": np.full(2, 1e-5)},
        "parameters": parameters,
        "steps": [
            {
                "units": "channels",
                "order": 2,
                "moves": {"k": [[0, swap]], "gain": [[0, swap]], "shift": [[0, swap]], "dense": [[1, blocks]]},
            }
        ],
        "violated": 0,
        "data": {"x": images, "target": np.eye(2, dtype=np.uint8)[labels.numpy()]},
    }
