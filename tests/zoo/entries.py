"""Masks, lookups, order, scatter, running sums, transforms: what is told apart along one axis is carried on others.

F: features, which each of these leaves alone unless it works along them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from tests.zoo.core import Inputs, L, add, example, fac, model, relu
from torch import nn

Middle = Callable[..., torch.Tensor]


def _with(*shapes: tuple[int, ...], integers: tuple[tuple[int, tuple[int, ...]], ...] = ()) -> Callable[[], Inputs]:
    """Normal inputs, then integer ones, each below a number and of a shape."""

    def inputs() -> Inputs:
        generator = torch.Generator().manual_seed(5)
        return (*example(*shapes)(), *(torch.randint(0, n, shape, generator=generator) for n, shape in integers))

    return inputs


def _rows(middle: Middle, width: int = 5, after: int | None = None, **parts: nn.Module | nn.Parameter) -> nn.Module:
    """Rows of ``width`` features, something done to them, and a layer that reads ``after`` features."""

    def forward(m: nn.Module, x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return m.out(middle(m, relu(m.first(x)), *rest).to(x.dtype))

    return model(forward, first=L(3, width), out=L(after or width, 2), **parts)


_CARRIED: dict[str, Middle] = {
    "cumsum": lambda m, h: h.cumsum(1),
    "cumprod": lambda m, h: (h + 1).cumprod(1),
    "cummax": lambda m, h: h.cummax(1).values,
    "logcumsumexp": lambda m, h: h.logcumsumexp(1),
    "sort": lambda m, h: h.sort(1).values,
    "argsort": lambda m, h: (h + m.first.bias).argsort(1),
    "argmax": lambda m, h: (h + m.first.bias).argmax(1),
    "median": lambda m, h: h.median(1).values,
    "flip": lambda m, h: h.flip(1) * h,
    "diff": lambda m, h: h.diff(dim=1),
    "rfft": lambda m, h: torch.fft.rfft(h, dim=1).imag,
    "choice": lambda m, h: torch.where(h > 0.1, h, 0.3 * h) + h.masked_fill(h > h.mean(), -1.0),
    "rounding": lambda m, h: (7 * h).floor() % 3 + (5 * h).round() - h.sign() + (3 * h).long(),
    "mean_and_spread": lambda m, h: torch.cat(torch.std_mean(h, 1), 0),
    "compared_with_others": lambda m, h: (h > h.mean(-1, keepdim=True)) & (h < h.amax(-1, keepdim=True)),
    "buckets": lambda m, h: torch.bucketize(h, torch.tensor([0.1, 0.3, 0.9], dtype=h.dtype)),
    "lists_of_places": lambda m, h: h[:, torch.tensor([3, 0, 2, 0])],
}
for _name, _middle in _CARRIED.items():
    add(f"entries_{_name}", lambda f=_middle: _rows(f), [(2, 4, 3)], fac(5), "5!: features are carried")

_ALIKE: dict[str, tuple[Middle, int]] = {
    "sorted_features": (lambda m, h: h.sort(-1).values, 5),
    "best_features": (lambda m, h: h.topk(3, -1).values, 3),
    "smallest_feature": (lambda m, h: (h - m.first.bias).min(-1, keepdim=True).values, 1),
    "any_feature": (lambda m, h: (h > 1).any(-1, keepdim=True).double() + h.norm(1, -1, keepdim=True), 1),
}
for _name, (_middle, _after) in _ALIKE.items():
    add(
        f"entries_{_name}",
        lambda f=_middle, n=_after: _rows(f, after=n),
        [(6, 3)],
        fac(5),
        "5!: where an entry stood does not matter to what is found",
    )

_WITH_INDICES: dict[str, Middle] = {
    "lookup": lambda m, h, i: h[torch.arange(2)[:, None], i],
    "pick": lambda m, h, i: h.gather(1, i[..., None].expand(-1, -1, 5)),
    "added": lambda m, h, i: torch.zeros_like(h).index_add(1, i[0], h[:, :3]),
    "scattered": lambda m, h, i: h.scatter_add(1, i[..., None].expand(-1, -1, 5), h[:, :3].exp()),
    "maxima": lambda m, h, i: h.scatter_reduce(1, i[..., None].expand(-1, -1, 5), 3 * h[:, :3], "amax"),
    "put": lambda m, h, i: h.index_put((i[0],), h[:3].sum(1, keepdim=True)[:1].expand(3, 4, 5), accumulate=True),
    "masked": lambda m, h, i: h.masked_fill(F.pad((i > 1).long(), (0, 1)).bool()[..., None], 0.5),
}
for _name, _middle in _WITH_INDICES.items():
    add(
        f"entries_with_indices_{_name}",
        lambda f=_middle: _rows(f),
        _with((2, 4, 3), integers=((2 if _name == "put" else 4, (2, 3)),)),
        fac(5),
        "5!: the indices tell other axes apart",
    )

add(
    "entries_masked_scatter",
    lambda: model(
        lambda m, x, y, i: m.out(
            m.first(x).masked_scatter((i > 1).unsqueeze(-1).expand(-1, -1, 5), m.second(y)),
        ),
        first=L(3, 5), second=L(4, 5), out=L(5, 2),
    ),
    _with((2, 6, 3), (7, 4), integers=((3, (2, 6)),)),
    fac(5),
    "5!: whole rows of one stream are put into the other",
)  # fmt: skip
add(
    "entries_runs_of_features",
    lambda: _rows(lambda m, h: h[:, torch.tensor([4, 5, 6, 0, 1])], 7, 5),
    [(6, 3)],
    fac(3, 2),
    "3!·2!: runs keep what they cut, two features are not read",
)
add(
    "entries_triangle",
    lambda: _rows(lambda m, h: h.transpose(1, 2).triu(-1).transpose(1, 2)),
    [(2, 4, 3)],
    fac(2),
    "2!: two features are kept throughout, each other one from a place of its own",
)
add(
    "entries_complex_pairs",
    lambda: _rows(
        lambda m, h, a: torch.view_as_real(
            torch.view_as_complex(h.unflatten(-1, (5, 2))) * torch.polar(torch.ones_like(a), a)[:, None]
        ).flatten(-2),
        10,
    ),
    [(6, 3), (6,)],
    fac(5),
    "5!: pairs are turned alike, real and imaginary part are told apart",
)
add(
    "entries_distances",
    lambda: _rows(lambda m, h: torch.cdist(h, m.points), 5, 4, points=nn.Parameter(torch.zeros(4, 5))),
    [(2, 6, 3)],
    fac(5, 4),
    "5!·4!: coordinates and points",
)
add(
    "entries_inverses",
    lambda: _rows(
        lambda m, h: torch.linalg.inv(h.unflatten(-1, (3, 2, 2)) + 9 * torch.eye(2, dtype=h.dtype)).flatten(-3), 12
    ),
    [(6, 3)],
    fac(3) * fac(2) ** 3,
    "3! matrices, and of each the rows and columns together: the inverse of P A Pᵀ is P A⁻¹ Pᵀ, and 9·1 stays",
)


def _attention(
    masked: Callable[..., torch.Tensor | None], queries: int = 3, causal: bool = False
) -> Callable[[], nn.Module]:
    """Three heads of keys and values, as many or more of queries; q and k have four dimensions, v two."""

    def forward(m: nn.Module, x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        q, k, v = (part(x).unflatten(-1, (-1, n)).transpose(1, 2) for part, n in ((m.q, 4), (m.k, 4), (m.v, 2)))
        mixed = F.scaled_dot_product_attention(
            q, k, v, masked(*rest), is_causal=causal, enable_gqa=queries > 3, scale=0.7
        )
        return m.out(mixed.transpose(1, 2).flatten(2))

    return lambda: model(forward, q=L(5, 4 * queries), k=L(5, 12), v=L(5, 6), out=L(2 * queries, 3))


_HEADS = fac(3) * fac(4, 2) ** 3
add("entries_causal", _attention(lambda: None, causal=True), [(2, 7, 5)], _HEADS, "3!·(4!·2!)³", dead=("k.bias",))
add(
    "entries_causal_groups",
    _attention(lambda: None, 6, causal=True),
    [(2, 7, 5)],
    _HEADS * fac(2) ** 3,
    "3!·(2!·4!·2!)³: two heads of queries read one of keys and values",
    dead=("k.bias",),
)
add(
    "entries_boolean_mask",
    _attention(lambda i: (i > 1)[:, None, None, :] & (i > 0)[:, None, :, None]),
    _with((2, 7, 5), integers=((3, (2, 7)),)),
    _HEADS,
    "3!·(4!·2!)³: the mask is the same for all heads, and hides some rows altogether",
    dead=("k.bias",),
)
add(
    "entries_added_mask",
    _attention(lambda a: a, 6),
    [(2, 7, 5), (2, 1, 7, 7)],
    _HEADS * fac(2) ** 3,
    "3!·(2!·4!·2!)³: as above",
    dead=("k.bias",),
)
add(
    "entries_mask_of_heads",
    _attention(lambda a: a),
    [(2, 7, 5), (1, 3, 7, 7)],
    fac(4, 2) ** 3,
    "(4!·2!)³: each head has an input of its own",
    dead=("k.bias",),
)
