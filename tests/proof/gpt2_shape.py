"""A certificate of the shape of GPT-2 small, built by hand: 12 blocks of width 768, 50257 tokens, a tied last layer.

All blocks but one have output projections of zeros; of the embedding 16 rows are not zero. ``python -m
tests.proof.gpt2_shape`` builds, checks and measures it. The claim's bounds come from the checker itself.
"""

import resource
import sys
import time

import numpy as np
import torch
from tests.proof.checking import checker
from tests.proof.examples import Sketch
from torch.nn.functional import gelu, layer_norm

from orbitope.proof.certificate import Certificate

LAYERS, WIDTH, HEADS, VOCABULARY, PLACES = 12, 768, 12, 50257, 1024


def program(tokens):
    """The program for one sequence of some tokens, and the shapes of its parameters."""
    s, shapes = Sketch(), {}

    def parameter(name, *shape):
        shapes[name] = shape
        return s.leaf("parameter", name, shape)

    def norm(x, name):
        y = s.node("normalise", [x], wide, kind="standard", axes=[2], eps=1e-5)
        y = s.pointwise("mul", y, s.broadcast(parameter(f"{name}.weight", WIDTH), wide))
        return s.pointwise("add", y, s.broadcast(parameter(f"{name}.bias", WIDTH), wide))

    def dense(x, name, n, m):
        y = s.node("contract", [x, parameter(f"{name}.weight", n, m)], (1, tokens, m), spec="bti,io->bto")
        return s.pointwise("add", y, s.broadcast(parameter(f"{name}.bias", m), (1, tokens, m)))

    def heads(x, k):
        part = s.node("slice", [x], wide, axis=2, start=k * WIDTH, stop=(k + 1) * WIDTH, step=1)
        split = s.reshape(part, (1, tokens, HEADS, WIDTH // HEADS))
        return s.node("transpose", [split], (1, HEADS, tokens, WIDTH // HEADS), permutation=[0, 2, 1, 3])

    def constant(value, shape):
        return s.node("full", [], shape, shape=list(shape), value=value)

    def activation(x):
        shape = s.shapes[x]
        cube = s.pointwise("mul", s.pointwise("square", x), x)
        inner = s.pointwise("add", x, s.pointwise("mul", cube, constant([8943, 200_000], shape)))
        inner = s.pointwise("tanh", s.pointwise("mul", inner, s.broadcast(s.leaf("constant", "root", ()), shape)))
        return s.pointwise("mul", x, s.pointwise("mul", constant([1, 2], shape), s.pointwise("add", inner, one)))

    wide = (1, tokens, WIDTH)
    ids, targets = s.leaf("input", "tokens", (1, tokens)), s.leaf("input", "targets", (1, tokens))
    wte = parameter("wte", VOCABULARY, WIDTH)
    places = s.leaf("constant", "places", (tokens,))
    x = s.node("take", [wte, ids], wide, axis=0)
    place = s.node("take", [parameter("wpe", PLACES, WIDTH), places], wide[1:], axis=0)
    x = s.pointwise("add", x, s.broadcast(place, wide))
    mask = s.broadcast(s.leaf("constant", "mask", (tokens, tokens)), (1, HEADS, tokens, tokens))
    one = constant([1, 1], (1, tokens, 4 * WIDTH))
    for layer in range(LAYERS):
        joint = dense(norm(x, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn", WIDTH, 3 * WIDTH)
        q, k, v = (heads(joint, i) for i in range(3))
        shape = (1, HEADS, tokens, tokens)
        scores = s.pointwise("mul", s.node("contract", [q, k], shape, spec="bhti,bhsi->bhts"), constant([1, 8], shape))
        weights = s.node("softmax", [scores, mask], shape, kind="softmax", axis=3)
        y = s.node("contract", [weights, v], (1, HEADS, tokens, WIDTH // HEADS), spec="bhts,bhsi->bhti")
        y = s.node("transpose", [y], (1, tokens, HEADS, WIDTH // HEADS), permutation=[0, 2, 1, 3])
        x = s.pointwise("add", x, dense(s.reshape(y, wide), f"h.{layer}.attn.c_proj", WIDTH, WIDTH))
        h = activation(dense(norm(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc", WIDTH, 4 * WIDTH))
        x = s.pointwise("add", x, dense(h, f"h.{layer}.mlp.c_proj", 4 * WIDTH, WIDTH))
    logits = s.node("contract", [norm(x, "ln_f"), wte], (1, tokens, VOCABULARY), spec="bti,vi->btv")
    logp = s.node("softmax", [logits], (1, tokens, VOCABULARY), kind="log", axis=2)
    chosen = s.node("pick", [logp, s.reshape(targets, (1, tokens, 1))], (1, tokens, 1), axis=2)
    return s.program(s.pointwise("neg", chosen), ["tokens", "targets"]), shapes


def certificate(tokens=4, units=4, active=7):
    """A midpoint of two points that exchange two hidden units of one block; its bounds are those of the checker.

    The tokens are those that are likeliest after the block at A, so that the midpoint, which has other ones, is worse.
    """
    rng = np.random.default_rng(1)
    nodes, shapes = program(tokens)
    values = {}
    for name, shape in shapes.items():
        ones = name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))
        values[name] = np.ones(shape, np.float32) if ones else np.zeros(shape, np.float32)
    known = rng.choice(VOCABULARY, 16, replace=False)
    values["wte"][known] = rng.standard_normal((16, WIDTH)) * 0.125
    values["wpe"][:] = rng.standard_normal((PLACES, WIDTH)) * 0.02
    up, down = values[f"h.{active}.mlp.c_fc.weight"], values[f"h.{active}.mlp.c_proj.weight"]
    chosen = [*range(3, 3 + units)]
    up[:, chosen] = rng.standard_normal((WIDTH, units)) * 0.05
    down[chosen] = rng.standard_normal((units, WIDTH)) * 4
    ids = rng.choice(known, (1, tokens))
    t = {name: torch.from_numpy(v).double() for name, v in (("wte", values["wte"]), ("up", up), ("down", down))}
    x = t["wte"][torch.from_numpy(ids)] + torch.from_numpy(values["wpe"][:tokens]).double()
    x = x + gelu(layer_norm(x, (WIDTH,)) @ t["up"], approximate="tanh") @ t["down"]
    targets = (layer_norm(x, (WIDTH,)) @ t["wte"].T).argmax(-1).numpy()
    swap = [*range(4 * WIDTH)]
    swap[3], swap[4] = 4, 3
    moved = {f"h.{active}.mlp.c_fc.weight": [[1, swap]], f"h.{active}.mlp.c_fc.bias": [[0, swap]]}
    moved[f"h.{active}.mlp.c_proj.weight"] = [[0, swap]]
    parts = {
        "claim": "midpoint",
        "variables": [*shapes],
        "program": nodes,
        "constants": {
            "mask": np.tril(np.ones((tokens, tokens), dtype=bool)),
            "places": np.arange(tokens),
            "root": np.array(np.sqrt(2 / np.pi)),
        },
        "parameters": values,
        "steps": [{"units": f"h.{active}.mlp", "order": 2, "moves": moved}],
        "data": {"tokens": ids, "targets": targets},
    }
    wide = {"points": [(-1e9, 0.0)] * 2, "average": (1.0, 1e9)}
    found = checker.check(Certificate.build(**parts, enclosures=wide).to_bytes()).enclosures
    return Certificate.build(**parts, enclosures={name: found[name] for name in ("points", "average")})


def main():
    """Build, check and measure."""
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    began = time.perf_counter()
    data = certificate(tokens).to_bytes()
    print(f"built in {time.perf_counter() - began:.1f} s, {len(data) / 1e6:.1f} MB")
    for plain in (True, False):
        verdict = checker.check(data, plain=plain)
        answer = verdict.reason or f"accepted, gap {verdict.gap_float:.3g}"
        print(f"{answer}; {verdict.multiply_adds:,} units, {verdict.seconds:.1f} s")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB at most")


if __name__ == "__main__":
    main()
