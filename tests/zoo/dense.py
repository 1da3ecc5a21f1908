"""Dense networks: layers, ties, views, products, constants, and what fixes positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from tests.zoo.core import Inputs, L, add, between, fac, model, relu, seq
from torch import nn

add("mlp_relu", lambda: seq(L(3, 7), nn.ReLU(), L(7, 5), nn.ReLU(), L(5, 2)), [(4, 3)], fac(7, 5), "7!·5!")
add("mlp_tanh", lambda: seq(L(4, 6), nn.Tanh(), L(6, 3)), [(5, 4)], fac(6), "6! (permutations only)")
add("mlp_linear", lambda: seq(L(4, 6), L(6, 3)), [(5, 4)], fac(6), "6! of GL(6)")
add(
    "mlp_no_bias",
    lambda: seq(L(3, 6, bias=False), nn.ReLU(), L(6, 5, bias=False), nn.ReLU(), L(5, 2, bias=False)),
    [(4, 3)],
    fac(6, 5),
    "6!·5!",
)
add("mlp_width_1", lambda: seq(L(3, 1), nn.ReLU(), L(1, 2)), [(4, 3)], 1, "1! = 1")
add("linear_only", lambda: seq(L(3, 2)), [(4, 3)], 1, "inputs and outputs are fixed")
add("mlp_unbatched", lambda: seq(L(3, 7), nn.ReLU(), L(7, 2)), [(3,)], fac(7), "7!; a vector without batch axis")
add("mlp_extra_axes", lambda: seq(L(3, 7), nn.ReLU(), L(7, 2)), [(2, 5, 4, 3)], fac(7), "7!; leading axes are inputs'")
add(
    "mlp_layer_norm",
    lambda: seq(L(3, 7), nn.LayerNorm(7), nn.ReLU(), L(7, 5), nn.LayerNorm(5), nn.GELU(), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; all positions of a layer norm are alike",
)
add(
    "mlp_batch_norm",
    lambda: seq(L(3, 7), nn.BatchNorm1d(7), nn.ReLU(), L(7, 5), nn.BatchNorm1d(5, affine=False), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; statistics move along",
)
add(
    "mlp_rms_norm",
    lambda: seq(L(3, 7), nn.RMSNorm(7, eps=1e-5), nn.SiLU(), L(7, 2)),
    [(4, 3)],
    fac(7),
    "7!; all positions of the norm are alike",
)
add(
    "mlp_prelu",
    lambda: seq(L(3, 7), nn.PReLU(7), L(7, 5), nn.PReLU(), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; a slope per unit moves along, one slope for all does not matter",
)
add(
    "mlp_dropout",
    lambda: seq(L(3, 7), nn.ReLU(), nn.Dropout(0.5), L(7, 5), nn.AlphaDropout(0.3), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; the identity in evaluation mode",
)


def _residual(forward: Callable[..., torch.Tensor], **parts: nn.Module | nn.Parameter) -> nn.Module:
    """A stream of six and a branch of eight, and what else the sum of the two needs."""
    return model(forward, first=L(3, 6), up=L(6, 8), down=L(8, 6), **parts, out=L(6, 2))


add(
    "mlp_residual",
    lambda: _residual(lambda m, x: m.out((h := m.first(x)) + m.down(relu(m.up(h))))),
    [(4, 3)],
    fac(6, 8),
    "6! of the stream, 8! inside",
)
add(
    "layer_scale",
    lambda: _residual(
        lambda m, x: m.out((h := m.first(x)) + m.gamma * m.down(relu(m.up(h)))),
        gamma=nn.Parameter(torch.full((6,), 1e-6)),
    ),
    [(4, 3)],
    fac(6, 8),
    "6!·8!; the scale moves with the stream",
)
add(
    "h_plus_wh",
    lambda: between(lambda m, h: h + m.w(h), 6, w=L(6, 6)),
    [(4, 3)],
    fac(6),
    "6!: both axes of W are the stream",
)
add(
    "shared_layer_twice",
    lambda: between(lambda m, h: relu(m.w(relu(m.w(h)))), 6, w=L(6, 6)),
    [(4, 3)],
    fac(6),
    "6!: input and output of a layer used twice in a row are one",
)
add(
    "shared_layer_two_inputs",
    lambda: model(lambda m, x, y: m.out(torch.cat([relu(m.enc(x)), relu(m.enc(y))], dim=1)), enc=L(3, 5), out=L(10, 2)),
    [(4, 3), (4, 3)],
    fac(5),
    "5!: both halves of out move alike",
)


def _tied_autoencoder() -> nn.Module:
    return model(
        lambda m, x: relu(x @ m.w.t() + m.b) @ m.w + m.c,
        w=nn.Parameter(torch.randn(5, 4)),
        b=nn.Parameter(torch.randn(5)),
        c=nn.Parameter(torch.randn(4)),
    )


add("tied_autoencoder", _tied_autoencoder, [(3, 4)], fac(5), "5!: encoder rows are decoder rows")


def _tied_layers() -> nn.Module:
    net = model(
        lambda m, x: m.out(relu(m.b(relu(m.a(relu(m.first(x))))))), first=L(3, 6), a=L(6, 6), b=L(6, 6), out=L(6, 2)
    )
    net.b.weight = net.a.weight
    return net


add("tied_weights", _tied_layers, [(4, 3)], fac(6), "6!: one weight maps stage 1 to 2 and 2 to 3, so all three are one")


def _tied_embeddings() -> nn.Module:
    net = model(
        lambda m, t: m.head((h := m.emb(t)) + m.down(relu(m.up(h)))),
        emb=nn.Embedding(11, 6),
        up=L(6, 7),
        down=L(7, 6),
        head=L(6, 11, bias=False),
    )
    net.head.weight = net.emb.weight
    return net


def _tokens() -> Inputs:
    return (torch.tensor([[1, 4, 9], [3, 10, 2]]),)


add("tied_embeddings", _tied_embeddings, _tokens, fac(6, 7), "6! of the stream, 7! inside; tokens are fixed")
add(
    "embedding_mean_pool",
    lambda: model(
        lambda m, t: m.out(relu(m.mid(m.emb(t).mean(dim=1)))), emb=nn.Embedding(11, 6), mid=L(6, 5), out=L(5, 2)
    ),
    _tokens,
    fac(6, 5),
    "6!·5!",
)
add(
    "chunk_glu",
    lambda: model(
        lambda m, x: m.out((p := m.up(x).chunk(2, dim=-1))[0] * torch.sigmoid(p[1])), up=L(3, 14), out=L(7, 2)
    ),
    [(4, 3)],
    fac(7),
    "7!: rows k and k + 7 of up move together",
)
add("glu", lambda: seq(L(3, 14), nn.GLU(), L(7, 2)), [(4, 3)], fac(7), "7!")
add(
    "swiglu",
    lambda: model(lambda m, x: m.down(F.silu(m.gate(x)) * m.up(x)), gate=L(3, 7), up=L(3, 7), down=L(7, 2)),
    [(4, 3)],
    fac(7),
    "7!",
)
add(
    "maxout",
    lambda: model(lambda m, x: m.out(m.up(x).unflatten(1, (5, 3)).amax(dim=2)), up=L(4, 15), out=L(5, 2)),
    [(3, 4)],
    fac(5) * fac(3) ** 5,
    "S3 wr S5: pieces inside a unit, then units",
)
add(
    "block_linear",
    lambda: model(
        lambda m, x: m.out(relu(torch.einsum("bgi,goi->bgo", relu(m.first(x)).unflatten(1, (3, 4)), m.w)).flatten(1)),
        first=L(2, 12),
        w=nn.Parameter(torch.randn(3, 5, 4)),
        out=L(15, 2),
    ),
    [(3, 2)],
    fac(3) * fac(4) ** 3 * fac(5) ** 3,
    "3 blocks change places; in each its own S4 before and S5 behind",
)
add(
    "reshape_and_back",
    lambda: model(lambda m, x: m.out(relu(m.first(x).view(-1, 4, 3)).flatten(1)), first=L(5, 12), out=L(12, 2)),
    [(3, 5)],
    fac(12),
    "12!: a view that is undone tells nothing apart",
)


def _pair(join: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor], **parts: nn.Module) -> nn.Module:
    """Two layers of five and four units on one input, joined by a product."""
    return model(lambda m, x: m.out(join(m, relu(m.a(x)), relu(m.b(x)))), a=L(3, 5), b=L(3, 4), **parts)


add(
    "bilinear",
    lambda: _pair(lambda m, a, b: m.mix(a, b), mix=nn.Bilinear(5, 4, 6), out=L(6, 2)),
    [(4, 3)],
    fac(5, 4, 6),
    "5!·4!·6!",
)
add(
    "outer_product",
    lambda: _pair(lambda m, a, b: torch.einsum("bi,bj->bij", a, b).flatten(1), out=L(20, 2)),
    [(4, 3)],
    fac(5, 4),
    "5!·4! on one axis of out",
)
add(
    "gram",
    lambda: between(lambda m, h: torch.einsum("bi,bj->bij", h, h).flatten(1), 5, 25),
    [(4, 3)],
    fac(5),
    "5! acting twice on the axis of out",
)
add(
    "gram_over_groups",
    lambda: model(
        lambda m, x: m.out(torch.tanh((h := m.first(x).unflatten(1, (3, 4))) @ h.transpose(1, 2)).flatten(1)),
        first=L(2, 12),
        out=L(9, 2),
    ),
    [(3, 2)],
    fac(3, 4),
    "3!·4!: products of two groups need the same order inside both",
)
add(
    "two_inputs",
    lambda: model(lambda m, x, y: m.out(relu(m.a(x) + m.b(y))), a=L(3, 7), b=L(4, 7, bias=False), out=L(7, 2)),
    [(5, 3), (5, 4)],
    fac(7),
    "7!",
)
add(
    "hidden_returned",
    lambda: model(lambda m, x: (m.out(relu(m.b(h := relu(m.a(x))))), h), a=L(3, 7), b=L(7, 5), out=L(5, 2)),
    [(4, 3)],
    fac(5),
    "5!: the first layer is an output",
)
add(
    "unused_parameters",
    lambda: model(lambda m, x: m.out(relu(m.a(x))), a=L(3, 7), idle=L(9, 8), out=L(7, 2)),
    [(4, 3)],
    fac(7),
    "7!: idle is not read",
)
add(
    "partly_read",
    lambda: model(lambda m, x: m.out(relu(m.a(x))[:, :5]), a=L(3, 8), out=L(5, 2)),
    [(4, 3)],
    fac(5),
    "5!: units 5 to 7 are not read, and do not count",
)
add(
    "softmax_over_hidden",
    lambda: between(lambda m, h: torch.softmax(h, dim=-1), 7),
    [(4, 3)],
    fac(7),
    "7!",
)
add(
    "logsumexp_over_hidden",
    lambda: model(lambda m, x: torch.logsumexp(m.a(x), dim=1, keepdim=True), a=L(3, 7)),
    [(4, 3)],
    fac(7),
    "7!",
)
add(
    "max_over_hidden",
    lambda: model(
        lambda m, x: m.out(relu(m.a(x))) + m.b(x).amax(dim=1, keepdim=True), a=L(3, 7), b=L(3, 5), out=L(7, 2)
    ),
    [(4, 3)],
    fac(7, 5),
    "7!·5!",
)


# Constants along the hidden axis: a non-persistent buffer is part of the program, a persistent one moves.
def _constant(values: Sequence[float], how: str, persistent: bool = False) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
            h = relu(m.first(x))
            return m.out(relu(h * m.c if how == "mul" else h + m.c))

        net = model(forward, first=L(3, len(values)), out=L(len(values), 2))
        net.register_buffer("c", torch.tensor(values), persistent=persistent)
        return net

    return build


for _how in ("mul", "add"):
    add(f"constant_{_how}", _constant([0.7] * 6, _how), [(4, 3)], fac(6), "6!: it is the same for all units")
    add(
        f"constant_partly_{_how}",
        _constant([0.3, 0.3, 0.3, 1.2, 1.2, 2.0, -1.0], _how),
        [(4, 3)],
        fac(3, 2),
        "3!·2!: the Young subgroup of its runs",
    )
    add(f"constant_varying_{_how}", _constant([0.3, 0.1, 0.5, 1.2, 0.9], _how), [(4, 3)], 1, "exchange is broken")
    add(f"buffer_{_how}", _constant([0.3, 0.1, 0.5, 1.2, 0.9], _how, True), [(4, 3)], fac(5), "5!: it moves along")
add(
    "constant_scattered",
    _constant([0.3, 1.2, 0.3, 1.2, 0.3], "mul"),
    [(4, 3)],
    None,
    "3!·2! in truth, but its classes are no runs: fixed",
)

# Operations along the hidden axis that tell positions apart, at least in what they make.
_ALONG: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int | None, str]] = {
    "cumsum": (lambda h: torch.cumsum(h, dim=-1), 1, "fixed"),
    "roll": (lambda h: torch.roll(h, 1, dims=-1), None, "5! in truth: positions get other names"),
    "flip": (lambda h: torch.flip(h, dims=[-1]), None, "5! in truth: positions get other names"),
    "sort": (lambda h: torch.sort(h, dim=-1).values, fac(5), "5!: order does not matter to what is sorted"),
}
for _name, (_fn, _order, _why) in _ALONG.items():
    add(f"{_name}_hidden", lambda fn=_fn: between(lambda m, h: fn(h), 5), [(4, 3)], _order, _why)
    add(
        f"{_name}_residual",
        lambda fn=_fn: between(lambda m, h: h + fn(h), 5),
        [(4, 3)],
        1,
        "the consumed axis comes back through the sum",
    )
add(
    "cumsum_over_groups",
    lambda: model(
        lambda m, x: m.out((h := m.first(x).unflatten(1, (3, 4))).add(torch.cumsum(h, dim=1)).flatten(1)),
        first=L(2, 12),
        out=L(12, 2),
    ),
    [(3, 2)],
    fac(4),
    "4!, the same in all groups",
)
add(
    "exchange_broken",
    lambda: model(lambda m, x: m.out(relu(m.a(x)) * torch.arange(1.0, 8.0)), a=L(3, 7), out=L(7, 2)),
    [(4, 3)],
    1,
    "every unit has its own constant",
)
