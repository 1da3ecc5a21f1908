"""Small programs, written node by node, and named certificates as the arguments of Certificate.build."""

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
