"""Small programs, written node by node, and named certificates as the arguments of Certificate.build."""

from fractions import Fraction

import numpy as np
import torch


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
        shape = (self.shapes[x][0], self.shapes[w][0])
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
            (self.shapes[x][0], self.shapes[w][0], *out),
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


def listed_points(count=2):
    """The absolute value again, its points listed: A and its images under the exchange, or three points around M."""
    parts = absolute_value()
    a, b = parts["parameters"], {"w": np.array([[-1.0], [1.0]])}
    del parts["steps"], parts["violated"]
    if count == 2:
        return parts | {"points": [{}, b]}
    far = {"w": np.array([[2.0], [-2.0]]), "v": a["v"] / 2}
    return parts | {"claim": "average", "points": [{}, b, far]}


def slopes():
    """On the way from one copy of the absolute value to the other F rises from 0 to 1 and falls to 0 again."""
    times = [Fraction(1, 10), Fraction(2, 5), Fraction(2, 5), Fraction(4, 5)]
    return listed_points() | {"claim": "slopes", "times": times}


def cyclic_average():
    """The mean of three images of three units, as one step of order 3."""
    parts = three_units()
    return parts | {"claim": "average", "steps": parts["steps"][:1]}


def together():
    """Two units whose outputs are normalised over the batch: the four samples make one block."""
    s = Sketch()
    x, target = s.leaf("input", "x", (4, 1)), s.leaf("input", "target", (4, 1))
    w, v = s.leaf("parameter", "w", (2, 1)), s.leaf("parameter", "v", (1, 2))
    h = s.pointwise("relu", s.dense(x, w))
    h = s.node("normalise", [h], (4, 2), kind="standard", axes=[0], eps=0.25)
    out = s.pointwise("square", s.pointwise("sub", s.dense(h, v), target))
    xs = np.array([[1.0], [-1.0], [2.0], [-0.5]])
    h = np.maximum(xs * np.array([[1.0, -1.0]]), 0)
    h = (h - h.mean(0)) / np.sqrt(h.var(0) + 0.25)
    return absolute_value() | {
        "program": s.program(out),
        "parameters": {"w": np.array([[1.0], [-1.0]]), "v": np.array([[1.0, -2.0]])},
        "data": {"x": xs, "target": h @ np.array([[1.0], [-2.0]])},
    }


def language_model():
    """A small GPT with a masked attention head: three units of its one hidden layer, GELU, and a tied last layer.

    Two sequences at a time; most rows of the embedding are zero, and so is the output of the attention.
    """
    s, rng = Sketch(), np.random.default_rng(8)
    b, t, vocabulary, d, hidden = 2, 3, 20, 4, 3
    tokens, targets = s.leaf("input", "tokens", (b, t)), s.leaf("input", "targets", (b, t))
    shapes = {"wte": (vocabulary, d), "wpe": (t, d), "q": (d, d), "k": (d, d), "v": (d, d), "o": (d, d)}
    shapes |= {"up": (hidden, d), "bias": (hidden,), "down": (d, hidden)}
    p = {name: s.leaf("parameter", name, shape) for name, shape in shapes.items()}
    mask = s.broadcast(s.leaf("constant", "mask", (t, t)), (b, t, t))
    places = s.leaf("constant", "places", (t,))
    x = s.node("take", [p["wte"], tokens], (b, t, d), axis=0)
    x = s.pointwise("add", x, s.broadcast(s.node("take", [p["wpe"], places], (t, d), axis=0), (b, t, d)))
    y = s.node("normalise", [x], (b, t, d), kind="standard", axes=[2], eps=1e-5)
    q, k, v = (s.node("contract", [y, p[n]], (b, t, d), spec="bti,oi->bto") for n in "qkv")
    scores = s.node("contract", [q, k], (b, t, t), spec="bti,bsi->bts")
    weights = s.node("softmax", [scores, mask], (b, t, t), kind="softmax", axis=2)
    heads = s.node("contract", [weights, v], (b, t, d), spec="bts,bsi->bti")
    x = s.pointwise("add", x, s.node("contract", [heads, p["o"]], (b, t, d), spec="bti,oi->bto"))
    y = s.node("normalise", [x], (b, t, d), kind="standard", axes=[2], eps=1e-5)
    h = s.node("contract", [y, p["up"]], (b, t, hidden), spec="bti,oi->bto")
    h = s.pointwise("add", h, s.broadcast(p["bias"], (b, t, hidden)))
    half = s.node("full", [], (b, t, hidden), shape=[b, t, hidden], value=[1, 2])
    one = s.node("full", [], (b, t, hidden), shape=[b, t, hidden], value=[1, 1])
    root = s.leaf("constant", "root", (b, t, hidden))
    gate = s.pointwise("mul", half, s.pointwise("add", one, s.pointwise("erf", s.pointwise("mul", h, root))))
    h = s.pointwise("mul", h, gate)
    x = s.pointwise("add", x, s.node("contract", [h, p["down"]], (b, t, d), spec="bti,oi->bto"))
    logits = s.node("contract", [x, p["wte"]], (b, t, vocabulary), spec="bti,vi->btv")
    logp = s.node("softmax", [logits], (b, t, vocabulary), kind="log", axis=2)
    chosen = s.node("pick", [logp, s.reshape(targets, (b, t, 1))], (b, t, 1), axis=2)
    values = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    values["wte"][[0, 3, *range(7, vocabulary)]] = 0
    values["wte"] *= 2
    values["o"][:] = 0
    values["up"] = np.array([[4, -4, 0, 0], [-4, 4, 0, 0], [0, 4, -4, 0]], dtype=np.float32)
    values["down"] = np.array([[4, -2, 0], [-4, 2, 1], [1, 1, 2], [0, 0, 1]], dtype=np.float32)
    cycle = [1, 2, 0]
    return {
        "claim": "average",
        "variables": ["up", "bias", "down"],
        "program": s.program(s.pointwise("neg", chosen), ["tokens", "targets"]),
        "constants": {
            "mask": np.tril(np.ones((t, t), dtype=bool)),
            "places": np.arange(t),
            "root": np.full((b, t, hidden), np.sqrt(0.5)),
        },
        "parameters": values,
        "steps": [
            {"units": "mlp", "order": 3, "moves": {"up": [[0, cycle]], "bias": [[0, cycle]], "down": [[1, cycle]]}}
        ],
        "data": {"tokens": np.array([[1, 2, 5], [6, 4, 1]] * 2), "targets": best(values, rng)},
    }


def best(values, rng):
    """The likeliest next tokens of the language model at A, so that other weights are worse."""
    t = {name: torch.from_numpy(v).double() for name, v in values.items()}
    x = t["wte"][torch.tensor([[1, 2, 5], [6, 4, 1]] * 2)] + t["wpe"]
    y = torch.nn.functional.layer_norm(x, (4,))
    x = x + torch.nn.functional.gelu(y @ t["up"].T + t["bias"]) @ t["down"].T
    return (x @ t["wte"].T).argmax(-1).numpy()


def decisions():
    """Comparisons, choices, orders, sines and equal numbers; two points that have little in common."""
    s = Sketch()
    x, target = s.leaf("input", "x", (2, 1)), s.leaf("input", "target", (2, 1))
    w, v = s.leaf("parameter", "w", (2, 1)), s.leaf("parameter", "v", (1, 2))
    half = s.node("full", [], (2, 2), shape=[2, 2], value=[1, 2])
    h = s.dense(x, w)
    gate = s.pointwise("ge", h, half)
    h = s.pointwise("where", gate, s.pointwise("sin", h), s.pointwise("mul", h, half))
    h = s.pointwise("add", h, s.pointwise("cos", h))
    top = s.node("order", [s.pointwise("abs", h)], (2, 1), axis=1, count=1, largest=True, what="values")
    first = s.node(
        "order", [s.leaf("constant", "keys", (2, 2))], (2, 1), axis=1, count=1, largest=False, what="indices"
    )
    y = s.pointwise("add", s.dense(h, v), s.pointwise("add", top, s.node("pick", [h, first], (2, 1), axis=1)))
    out = s.pointwise("square", s.pointwise("sub", y, target))
    xs = np.array([[1.0], [-1.0], [0.25], [3.0]])
    z = xs * np.array([[2.0, -1.5]])
    z = np.where(z >= 0.5, np.sin(z), z / 2)
    z = z + np.cos(z)
    y = z @ np.array([[1.0], [-2.0]]) + np.abs(z).max(1, keepdims=True) + z[:, 1:]
    return {
        "claim": "midpoint",
        "variables": ["w", "v"],
        "program": s.program(out),
        "constants": {"keys": np.array([[3, 1], [3, 2]])},
        "parameters": {"w": np.array([[2.0], [-1.5]]), "v": np.array([[1.0, -2.0]])},
        "points": [{}, {"w": np.array([[-1.5], [-1.25]]), "v": np.array([[-3.0, 3.0]])}],
        "data": {"x": xs, "target": y},
        "precision": 96,
    }
