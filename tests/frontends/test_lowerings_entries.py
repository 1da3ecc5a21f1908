"""Lowerings of comparisons, lookups, order, scatter and their like against PyTorch, on asymmetric inputs."""

import pytest
import torch
import torch.nn.functional as F
from tests.frontends.comparing import check, rand


def _i(high, *shape, seed=0):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


ROWS, ALIKE = rand(3, 4, 6), _i(3, 3, 4, 6) - 1
HOLDS, HOLDS_TOO = rand(3, 4, 6, seed=8) > 0, rand(4, 6, seed=9) > 0
MASK = torch.tensor([[True, False, True, True, False, True]]).expand(4, 6).clone()
MASK[1] = False

FAMILIES = {
    "comparisons": (
        lambda x, y, n: (
            x < y, x <= y, x > 0.1, x >= y, n == 0, n != y.long(), torch.isnan(x), torch.isinf(x), torch.isfinite(x),
            torch.isin(n, torch.tensor([1, 5])), torch.isin(n, 1, invert=True), torch.eq(n, n), (x > 0) * (y > 0),
            (x > 0) + (y > 0), torch.less(x, y), x.greater_equal(y),
        ),
        (ROWS, rand(4, 6, seed=1), ALIKE),
    ),
    "logic": (
        lambda p, q, n: (
            p & q, p | q, p ^ q, ~p, torch.logical_and(p, n), torch.logical_or(n, q), torch.logical_xor(p, n),
            torch.logical_not(n), p.any(), p.any(1), p.all(-1, keepdim=True), p.all(), n.count_nonzero(0), p.sum(1),
            p.int().cumsum(1), p.double() - 0.5, n.bool(), p.to(torch.int64) * 3, n.any(2), p.long().prod(1),
        ),
        (HOLDS, HOLDS_TOO, ALIKE),
    ),
    "choice": (
        lambda p, x, y, n: (
            torch.where(p, x, y), torch.where(p, x, 0.5), torch.where(p, -1.5, y), torch.where(p, 1, 2.5),
            x.masked_fill(p, -3.0), x.masked_fill(p, y.sum()), torch.where(n > 0, n, 2),
            x.tril(), x.triu(1), x.tril(-2), n.masked_fill(p, 7), x.clamp(min=y), torch.clamp(x, y - 1, y + 1),
            torch.nan_to_num(x / x.round(), nan=0.25, posinf=2.0, neginf=-3.0),
        ),
        (HOLDS, ROWS, rand(4, 6, seed=1), ALIKE),
    ),
    "rounding": (
        lambda x, y, n: (
            x.floor(), x.ceil(), x.round(), x.trunc(), x.sign(), n.sign(), x.long(), (3 * x).int(), n.double(),
            x % 0.7, x % y, torch.fmod(x, 0.7), torch.floor_divide(3 * x, y), n // 2, n % 3, 7 * n / 2,
            torch.div(3 * x, y, rounding_mode="trunc"), torch.div(n, 2, rounding_mode="floor"), n.float().type_as(x),
        ),
        (ROWS, rand(4, 6, seed=1), ALIKE),
    ),
    "functions": (
        lambda x, y, p: (
            torch.log1p(p), torch.log2(p), torch.log10(p), torch.expm1(x), torch.exp2(x), torch.erfc(x),
            torch.atan(x), torch.atan2(x, y), p**0.3, p**x, 2.0**x, torch.pow(p, y), x**0, torch.addcmul(x, y, p),
            torch.addcdiv(x, y, p, value=0.5), torch.lerp(x, y, 0.3), torch.lerp(x, y, p), torch.multiply(x, y),
            torch.logit(p / 9), torch.logit(x, eps=0.1), torch.maximum(x, y), torch.max(x, y),
            torch.min(x, y), torch.subtract(x, y), torch.divide(x, p),
        ),
        (ROWS, rand(4, 6, seed=1), ROWS.abs() + 0.1),
    ),
    "lookup": (
        lambda x, i, j, k: (
            x[i], x[:, j], x[i, j], x[i[0], :, k[0, 0]], x[:, j, k[1, :2]], x[-1 - i],
            x[:, :, torch.tensor([4, 5, 0, 1])], x[:, torch.tensor([[3, 1], [0, 2]])],
            x[torch.tensor([0, 2]), torch.tensor([1, 3])], x.gather(2, k), x.gather(1, k % 4),
            torch.take_along_dim(x, k[:, :1], 2), x[0].take(k), x.index_select(1, j[0]),
            x.repeat_interleave(torch.tensor([2, 0, 3]), 0, output_size=5), x.diagonal(1, 1, 2), x.flip([0, 2]),
        ),
        (ROWS, _i(3, 2, 5), _i(4, 2, 5, seed=1), _i(6, 3, 4, 5, seed=2)),
    ),
    "order": (
        lambda x, n: (
            *x.topk(3), *x.topk(2, 1, largest=False), *x.sort(1), *x.sort(-1, descending=True), x.argsort(0),
            x.argmax(), x.argmax(1), x.argmin(-1, keepdim=True), *x.max(2), *x.min(1, keepdim=True), *x.median(2),
            *x.kthvalue(2, 1), torch.msort(x), *n.sort(dim=1, stable=True), x.cumsum(1), x.cumprod(-1), n.cumsum(2),
            torch.logcumsumexp(x, 1), x.cummax(1).values, x.cummin(2).values, x.diff(), n.diff(n=2, dim=1),
            x.diff(dim=0, prepend=x[:1]),
        ),
        (ROWS, ALIKE),
    ),
    "scatter": (
        lambda x, y, i, j, p: (
            x.scatter(1, i, y), x.scatter(1, i, 0.5), x.scatter_add(1, i, y), x.scatter(1, i, y, reduce="add"),
            x.scatter_reduce(1, i, y, "amax"), x.scatter_reduce(1, i, y, "prod"), x.index_add(1, j, y),
            x.index_add(1, j, y, alpha=0.5), x.index_copy(1, j[:2], y), x.index_fill(0, j[:2], 1.5),
            x.index_put((j[:2], j[:2] + 1), y[0]), torch.ops.aten.index_put(x, [None, j[:2]], y),
            x.index_put((j[:2], j[:2]), y[:1, 0], accumulate=True), x.index_put((p,), torch.tensor(0.25).double()),
            x.masked_scatter(p, y.repeat(2, 2, 1)), x.masked_scatter(p[..., :1].expand(3, 4, 6), y.repeat(2, 1, 1)),
        ),
        (ROWS, rand(3, 2, 6, seed=1), torch.stack([rand(3, 4, 6, seed=s).argsort(1)[:, 0] for s in (2, 3)], 1),
         torch.tensor([2, 0]), HOLDS),
    ),
    "places in a list": (
        lambda x, e, r: (
            torch.bucketize(x, e), torch.bucketize(x, e, right=True), torch.searchsorted(e, x),
            torch.searchsorted(r, x, right=True), F.one_hot(torch.bucketize(x, e), 6), torch.searchsorted(r, x),
        ),
        (ROWS, rand(5).sort().values, rand(3, 4, 5).sort(-1).values),
    ),
    "statistics": (
        lambda x, y: (
            *torch.std_mean(x, 1), *torch.var_mean(x, (0, 2), correction=0), x.norm(), x.norm(dim=1), x.norm(3, 1),
            torch.linalg.vector_norm(x, 1, dim=2), torch.linalg.vector_norm(x, torch.inf, dim=(0, 1)), x.norm(0.5, 2),
            torch.linalg.vector_norm(x, -torch.inf),
            torch.linalg.norm(x, dim=2), torch.linalg.norm(x[0]), torch.linalg.vector_norm(x, 0, dim=1),
            torch.cdist(x, y),
            F.mse_loss(x, x + y.sum()), F.mse_loss(x, y[:, :4], reduction="none"), x.prod(1),
            torch.cdist(x, y, p=1.0), F.cosine_similarity(x, y[:, :4], dim=-1), x.sum(1, dtype=torch.float64),
        ),
        (ROWS, rand(3, 5, 6, seed=1)),
    ),
    "losses": (
        lambda x, y: (
            F.huber_loss(x, y, delta=0.4), F.huber_loss(x, y, reduction="sum"), F.smooth_l1_loss(x, y, beta=0.3),
            F.smooth_l1_loss(x, y, reduction="none"), F.l1_loss(x, y), F.soft_margin_loss(x, y.sign()),
            F.cross_entropy(x, torch.arange(6) % 4, weight=torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=x.dtype)),
            F.cross_entropy(x, torch.arange(6) % 4, label_smoothing=0.2, ignore_index=2), F.cross_entropy(x, y.abs()),
            F.nll_loss(x[..., None].repeat(1, 1, 3), torch.arange(18).reshape(6, 3) % 4, reduction="none"),
            F.cross_entropy(x, torch.arange(6) % 4, reduction="sum"), F.multi_margin_loss(x, torch.arange(6) % 4),
            F.kl_div(x.log_softmax(-1), y.softmax(-1), reduction="batchmean"), F.poisson_nll_loss(x, y.abs()),
            F.binary_cross_entropy_with_logits(x, y.sigmoid()), F.binary_cross_entropy(x.sigmoid(), y.sigmoid()),
        ),
        (rand(6, 4), rand(6, 4, seed=1)),
    ),
    "views": (
        lambda x, y: (
            x.movedim(0, -1), x.movedim((0, 1), (2, 0)), x.swapaxes(0, 2), torch.hstack([x, y]), torch.vstack([x, x]),
            torch.dstack([x, 2 * x]), torch.concatenate([x, y], 1), x.tile(2, 1),
            *torch.meshgrid(x[0, 0], y[0, :, 0], indexing="ij"), *torch.meshgrid(x[0, 0], y[0, :, 0], indexing="xy"),
            *torch.broadcast_tensors(x[:, :1], x), x[0].expand_as(x), *torch.tensor_split(x, 4, 2), x.ravel(),
            *torch.tensor_split(x, (1, 3), 1), torch.column_stack([x[0], y[0, :4]]), torch.vstack([x[0, 0], x[0, 1]]),
            torch.zeros_like(x).fill_(0.5) + x, torch.empty_like(x).copy_(x), x.mT, x.adjoint(),
            x.as_strided((3, 2, 3, 6), (24, 6, 6, 1)), x.as_strided((2, 5), (7, 3), 4),
        ),
        (ROWS, rand(3, 5, 6, seed=1)),
    ),
    "complex numbers": (
        lambda x, a: (
            torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (3, 2))) * torch.polar(a.abs(), a)),
            torch.fft.fft(x, dim=1).real, torch.fft.rfft(x).imag, torch.fft.irfft(torch.fft.rfft(x, dim=1), dim=1),
            torch.fft.fft2(x, dim=(1, 2)).real, torch.fft.fftn(x, dim=(0, 1)).abs(), torch.fft.rfft2(x).conj().angle(),
            torch.complex(a, a + 1).real,
        ),
        (ROWS, rand(3, 4, 3, seed=1)),
    ),
    "matrices of a batch": (
        lambda x, l, e: (
            torch.linalg.inv(x), torch.linalg.det(x), torch.linalg.solve_triangular(l, x, upper=False),
            torch.linalg.matrix_exp(x), torch.linalg.solve(x, l), x.sum((1, 2)) * e.sum(),
        ),
        (rand(3, 4, 4), rand(3, 4, 4, seed=1).tril() + 3 * torch.eye(4, dtype=torch.float64), rand(2)),
    ),
    "masked attention": (
        lambda q, k, v, p, f: (
            F.scaled_dot_product_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(q, k, v, p),
            F.scaled_dot_product_attention(q, k, v, f),
            F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], p, enable_gqa=True),
            F.scaled_dot_product_attention(q.repeat(1, 2, 1, 1), k, v, is_causal=True, enable_gqa=True, scale=0.4),
        ),
        (rand(2, 3, 4, 5, seed=1), rand(2, 3, 6, 5, seed=2), rand(2, 3, 6, 7, seed=3), MASK, rand(2, 1, 4, 6, seed=4)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_the_program_computes_what_pytorch_computes(family):
    check(*FAMILIES[family], carried=True, equal_nan=True)
