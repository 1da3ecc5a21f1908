"""Every module class of ``torch.nn`` that can stand in a forward pass, traced, analysed and moved.

Where a closed form is short it is given: the module then stands between dense layers or convolutions whose units it
must carry. Losses, containers and bases are listed, so that a class that a new release adds is noticed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.zoo import difference, outputs, randomise
from tests.zoo.core import example, fac, model, seq
from torch import nn
from torch.nn.utils import parametrizations

import orbitope
from orbitope.errors import ExportError

LIMIT = 1e-10
NN = vars(nn)
C1, C2, C3, L = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear
SPACE = {1: (9,), 2: (8, 9), 3: (5, 6, 7)}
BASES = {"Container", "Module", "RNNBase", "RNNCellBase", "LinearCrossEntropyOptions"}
"""Nothing to call."""
CONTAINERS = {"ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
"""Hold modules or parameters; what stands in them is analysed wherever they are used."""
LOSSES = {name for name in nn.modules.__all__ if name.endswith(("Loss", "Loss2d"))}
"""Compare with targets. A module that ends a network in a loss is traced like any other."""
LAZY = {name for name in nn.modules.__all__ if name.startswith("Lazy")}
"""Become the class without the prefix at the first call."""


def spatial(*parts: nn.Module, dims: int, width: int = 4, after: int | None = None) -> tuple[nn.Module, Any]:
    """A module between a convolution to ``width`` channels and one from ``after``."""
    conv = (C1, C2, C3)[dims - 1]
    return seq(conv(2, width, 1), *parts, conv(after or width, 3, 1)), example((2, 2, *SPACE[dims]))


def dense(*parts: nn.Module, width: int = 6, after: int | None = None) -> tuple[nn.Module, Any]:
    """A module between dense layers."""
    return seq(L(3, width), *parts, L(after or width, 2)), example((2, 4, 3))


def called(function: Callable[..., Any], *shapes: tuple[int, ...], **parts: nn.Module) -> tuple[nn.Module, Any]:
    """A function of named modules."""
    return model(function, **parts), example(*shapes)


def indices(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(7))


Made = tuple[nn.Module, Any]
CASES: dict[str, tuple[Callable[[], Made], int | None]] = {}
"""How to make a model that holds the module, and the closed form of its order."""


def case(name: str, make: Callable[[], Made], order: int | None) -> None:
    CASES[name] = (make, order)


for _name in [
    "CELU",
    "ELU",
    "GELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Dropout",
    "AlphaDropout",
    "FeatureAlphaDropout",
]:
    case(_name, lambda c=NN[_name]: dense(c(), width=5), fac(5))
case("Threshold", lambda: dense(nn.Threshold(0.1, 0.2), width=5), fac(5))
case("PReLU", lambda: dense(nn.Flatten(0, 1), nn.PReLU(5), width=5), fac(5))
case("GLU", lambda: dense(nn.GLU(), width=10, after=5), fac(5))
for _name in ("Softmax", "Softmin", "LogSoftmax"):
    case(_name, lambda c=NN[_name]: dense(c(dim=-1), width=5), fac(5))
case("Softmax2d", lambda: spatial(nn.Softmax2d(), dims=2), fac(4))
case("Linear", lambda: dense(L(6, 5), after=5), fac(6, 5))
case("Flatten", lambda: (seq(C1(2, 4, 1), nn.Flatten(), L(36, 2)), example((2, 2, 9))), fac(4))
case("Unflatten", lambda: dense(nn.Unflatten(-1, (2, 3)), nn.Flatten(-2), width=6), fac(6))
case("Sequential", lambda: dense(nn.Sequential(nn.ReLU()), width=5), fac(5))
case("LayerNorm", lambda: dense(nn.LayerNorm(5), width=5), fac(5))
case("RMSNorm", lambda: dense(nn.RMSNorm(5), width=5), fac(5))
case("LocalResponseNorm", lambda: spatial(nn.LocalResponseNorm(3), dims=2), 1)
case("GroupNorm", lambda: spatial(nn.GroupNorm(2, 6), dims=2, width=6), fac(2) * fac(3) ** 2)
case("SyncBatchNorm", lambda: spatial(nn.SyncBatchNorm(4), dims=2), fac(4))
case("ChannelShuffle", lambda: spatial(nn.ChannelShuffle(2), dims=2, width=6), fac(6))
case("PixelShuffle", lambda: spatial(nn.PixelShuffle(2), dims=2, width=12, after=3), fac(3))
case("PixelUnshuffle", lambda: (seq(C2(2, 4, 1), nn.PixelUnshuffle(2), C2(16, 3, 1)), example((2, 2, 4, 6))), fac(4))
case("Embedding", lambda: (seq(nn.Embedding(7, 5), L(5, 2)), lambda: (indices(7, 2, 4),)), fac(5))
for _d in (1, 2, 3):
    for _stem in ("AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "MaxPool", "LPPool"):
        _c, _a = NN[f"{_stem}{_d}d"], (2, 2) if _stem == "LPPool" else (2,)
        case(f"{_stem}{_d}d", lambda c=_c, a=_a, d=_d: spatial(c(*a), dims=d), fac(4))
    for _stem in ("BatchNorm", "InstanceNorm"):
        _c = NN[f"{_stem}{_d}d"]
        case(f"{_stem}{_d}d", lambda c=_c, d=_d: spatial(c(4, affine=True), dims=d), fac(4))
    for _stem in ("CircularPad", "ReflectionPad", "ReplicationPad", "ZeroPad"):
        _c = NN[f"{_stem}{_d}d"]
        case(f"{_stem}{_d}d", lambda c=_c, d=_d: spatial(c(2), dims=d), fac(4))
    case(f"ConstantPad{_d}d", lambda c=NN[f"ConstantPad{_d}d"], d=_d: spatial(c(1, 0.5), dims=d), fac(4))
    case(f"Dropout{_d}d", lambda c=NN[f"Dropout{_d}d"], d=_d: spatial(c(), dims=d), fac(4))
    case(f"Conv{_d}d", lambda c=NN[f"Conv{_d}d"], d=_d: spatial(c(4, 5, 2), dims=d, after=5), fac(4, 5))
    _c = NN[f"ConvTranspose{_d}d"]
    case(f"ConvTranspose{_d}d", lambda c=_c, d=_d: spatial(c(4, 5, 2, stride=2), dims=d, after=5), fac(4, 5))
case("Upsample", lambda: spatial(nn.Upsample(scale_factor=2, mode="nearest"), dims=2), fac(4))
case("UpsamplingBilinear2d", lambda: spatial(nn.UpsamplingBilinear2d(scale_factor=2), dims=2), fac(4))
case("UpsamplingNearest2d", lambda: spatial(nn.UpsamplingNearest2d(scale_factor=2), dims=2), fac(4))


def _unpooled(d: int) -> Made:
    conv, pool, unpool = ((C1, C2, C3)[d - 1], NN[f"MaxPool{d}d"], NN[f"MaxUnpool{d}d"])

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        y, places = m.pool(m.first(x))
        return m.out(m.unpool(y, places))

    parts = {"first": conv(2, 4, 1), "pool": pool(2, return_indices=True), "unpool": unpool(2), "out": conv(4, 3, 1)}
    return called(forward, (2, 2, *(4, 6, 8)[:d]), **parts)


for _d in (1, 2, 3):
    case(f"MaxUnpool{_d}d", lambda d=_d: _unpooled(d), fac(4))

case("Bilinear", lambda: called(
    lambda m, x, y: m.out(m.mid(torch.relu(m.a(x)), torch.relu(m.b(y)))), (2, 3), (2, 4),
    a=L(3, 5), b=L(4, 6), mid=nn.Bilinear(5, 6, 7), out=L(7, 2)), fac(5, 6, 7))  # fmt: skip
for _name, _last in (("CosineSimilarity", {"dim": -1}), ("PairwiseDistance", {"eps": 0.0})):
    case(_name, lambda c=NN[_name], k=_last: called(
        lambda m, x, y: m.mid(m.a(x), m.b(y)), (2, 3), (2, 4), a=L(3, 5), b=L(4, 5), mid=c(**k)), fac(5))  # fmt: skip
case("Unfold", lambda: called(
    lambda m, x: m.out(m.mid(m.first(x)).transpose(1, 2)), (2, 2, 4, 5),
    first=C2(2, 4, 1), mid=nn.Unfold((2, 3)), out=L(24, 2)), fac(4))  # fmt: skip
case("Fold", lambda: called(
    lambda m, x: m.out(m.mid(m.first(x).transpose(1, 2))), (2, 12, 3),
    first=L(3, 16), mid=nn.Fold((4, 5), (2, 2)), out=C2(4, 2, 1)), fac(4))  # fmt: skip

for _mode in ("sum", "mean", "max"):
    case(f"EmbeddingBag of rows, {_mode}", lambda m=_mode: (
        seq(nn.EmbeddingBag(7, 5, mode=m), L(5, 2)), lambda: (indices(7, 3, 4),)), fac(5))  # fmt: skip
    case(f"EmbeddingBag with padding, {_mode}", lambda m=_mode: (
        seq(nn.EmbeddingBag(7, 5, mode=m, padding_idx=2), L(5, 2)),
        lambda: (torch.tensor([[2, 2, 2, 2], [1, 2, 4, 2], [3, 0, 6, 5]]),)), fac(5))  # fmt: skip
    for _last in (False, True):
        case(f"EmbeddingBag with offsets, {_mode}, {_last}", lambda m=_mode, last=_last: (
            model(lambda n, x, o: n.out(n.bag(x, o)), out=L(5, 2),
                  bag=nn.EmbeddingBag(7, 5, mode=m, padding_idx=2, include_last_offset=last)),
            lambda: (torch.tensor([1, 5, 2, 6, 0, 2, 3, 4]), torch.tensor([0, 3, 3, 5, 8][: 5 if last else 4]))),
            fac(5))  # fmt: skip
case("EmbeddingBag", lambda: (
    model(lambda n, x, w: n.out(n.bag(x, per_sample_weights=w)), bag=nn.EmbeddingBag(7, 5, mode="sum"), out=L(5, 2)),
    lambda: (indices(7, 3, 4), example((3, 4))()[0])), fac(5))  # fmt: skip

case("MultiheadAttention", lambda: called(
    lambda m, x: m.out(m.mid(m.a(x), m.b(x), m.c(x), need_weights=False)[0]), (2, 5, 3),
    a=L(3, 6), b=L(3, 6), c=L(3, 6), mid=nn.MultiheadAttention(6, 2, batch_first=True), out=L(6, 2)),
    fac(6) ** 4 * fac(2) * fac(3) ** 4)  # fmt: skip
case("TransformerEncoderLayer", lambda: dense(
    nn.TransformerEncoderLayer(6, 2, 7, batch_first=True), width=6),
    fac(6) * fac(2) * fac(3) ** 4 * fac(7))  # fmt: skip
case("TransformerEncoder", lambda: dense(
    nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 7, batch_first=True), 2, enable_nested_tensor=False),
    width=6), fac(6) * (fac(2) * fac(3) ** 4 * fac(7)) ** 2)  # fmt: skip
_DECODER = (fac(2) * fac(3) ** 4) ** 2 * fac(7)
case("TransformerDecoderLayer", lambda: called(
    lambda m, x, y: m.out(m.mid(m.a(x), m.b(y))), (2, 5, 3), (2, 4, 3),
    a=L(3, 6), b=L(3, 6), mid=nn.TransformerDecoderLayer(6, 2, 7, batch_first=True), out=L(6, 2)),
    fac(6) ** 2 * _DECODER)  # fmt: skip
case("TransformerDecoder", lambda: called(
    lambda m, x, y: m.out(m.mid(m.a(x), m.b(y))), (2, 5, 3), (2, 4, 3), a=L(3, 6), b=L(3, 6), out=L(6, 2),
    mid=nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 7, batch_first=True), 2)),
    fac(6) ** 2 * _DECODER**2)  # fmt: skip
case("Transformer", lambda: called(
    lambda m, x, y: m.out(m.mid(m.a(x), m.b(y))), (2, 5, 3), (2, 4, 3), a=L(3, 6), b=L(3, 6), out=L(6, 2),
    mid=nn.Transformer(6, 2, 2, 1, 7, batch_first=True)),
    fac(6) ** 2 * (fac(2) * fac(3) ** 4 * fac(7)) ** 2 * _DECODER)  # fmt: skip
case("AdaptiveLogSoftmaxWithLoss", lambda: called(
    lambda m, x: m.head.log_prob(m.first(x)), (4, 3), first=L(3, 8),
    head=nn.AdaptiveLogSoftmaxWithLoss(8, 9, [3, 6], div_value=2.0)), fac(8, 4, 2))  # fmt: skip
for _name, _order in (("RNN", fac(5)), ("GRU", fac(5)), ("LSTM", fac(5))):
    case(_name, lambda c=NN[_name]: called(
        lambda m, x: m.out(m.mid(x)[0]), (6, 2, 3), mid=c(3, 5), out=L(5, 2)), _order)  # fmt: skip
for _name in ("RNNCell", "GRUCell"):
    case(_name, lambda c=NN[_name]: called(
        lambda m, x, y: m.out(m.mid(y, m.mid(x))), (2, 3), (2, 3), mid=c(3, 5), out=L(5, 2)), fac(5))  # fmt: skip
case("LSTMCell", lambda: called(
    lambda m, x, y: m.out(m.mid(y, m.mid(x))[0]), (2, 3), (2, 3), mid=nn.LSTMCell(3, 5), out=L(5, 2)),
    fac(5))  # fmt: skip

# parametrisations and adapters
case("weight_norm", lambda: dense(parametrizations.weight_norm(L(6, 5)), nn.ReLU(), width=6, after=5), fac(6, 5))
case("spectral_norm", lambda: dense(parametrizations.spectral_norm(L(6, 5)), nn.ReLU(), width=6, after=5), fac(6, 5))
case("weight_norm, as a hook", lambda: dense(nn.utils.weight_norm(L(6, 5)), nn.ReLU(), width=6, after=5), fac(6, 5))
case("spectral_norm, as a hook", lambda: dense(
    nn.utils.spectral_norm(L(6, 5)), nn.ReLU(), width=6, after=5), fac(6, 5))  # fmt: skip
case("weight_norm of a convolution", lambda: spatial(
    parametrizations.weight_norm(C2(4, 5, 2)), nn.ReLU(), dims=2, after=5), fac(4, 5))  # fmt: skip
case("spectral_norm of a convolution", lambda: spatial(
    parametrizations.spectral_norm(C2(4, 5, 2)), nn.ReLU(), dims=2, after=5), fac(4, 5))  # fmt: skip
case("orthogonal", lambda: dense(parametrizations.orthogonal(L(6, 6)), nn.ReLU()), None)


class Adapted(nn.Module):
    """A dense layer with a low-rank addition of its own, in the structure of the peft package."""

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base_layer, self.scale = base, scale
        self.lora_dropout = nn.ModuleDict({"default": nn.Dropout(0.1)})
        self.lora_A = nn.ModuleDict({"default": L(base.in_features, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": L(rank, base.out_features, bias=False)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.lora_A["default"](self.lora_dropout["default"](x))
        return self.base_layer(x) + self.lora_B["default"](inner) * self.scale


class Merged(nn.Module):
    """A dense layer with the weight ``W + B·A·scale``."""

    def __init__(self, into: int, out: int, rank: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(out, into)), nn.Parameter(torch.zeros(out))
        self.a, self.b = nn.Parameter(torch.zeros(rank, into)), nn.Parameter(torch.zeros(out, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight + self.b @ self.a * 0.5, self.bias)


case("low-rank adapter", lambda: dense(Adapted(L(6, 5), 4, 2.0), nn.ReLU(), after=5), fac(6, 5, 4))
case("low-rank adapter, merged", lambda: dense(Merged(6, 5, 4), nn.ReLU(), after=5), fac(6, 5, 4))

AWAITED: dict[str, str] = {}
"""What inference falls short of."""
UNTRACED = {"CrossMapLRN2d": lambda: spatial(nn.CrossMapLRN2d(3), dims=2)}
"""Computed by an autograd function that torch.export does not take."""
REFUSED = {
    "FractionalMaxPool2d": lambda: spatial(nn.FractionalMaxPool2d(2, output_size=(3, 4)), dims=2),
    "FractionalMaxPool3d": lambda: spatial(nn.FractionalMaxPool3d(2, output_size=(2, 3, 4)), dims=3),
}
"""Random in evaluation too: windows begin at random places."""


def analysed(make: Callable[[], Made]) -> tuple[orbitope.SymmetryGroup, nn.Module, tuple[torch.Tensor, ...]]:
    net, inputs = make()
    net = randomise(net.eval()).double()
    args = tuple(x.double() if x.is_floating_point() else x for x in inputs())
    return orbitope.symmetries(net, args), net, args


def _marked(name: str) -> Any:
    marks = [pytest.mark.xfail(reason=AWAITED[name], strict=True)] if name in AWAITED else []
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [_marked(name) for name in CASES])
def test_module(name: str) -> None:
    make, order = CASES[name]
    group, net, args = analysed(make)
    params = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    before = outputs(net, params, args)
    for seed in range(3):
        assert difference(before, outputs(net, group.sample(seed).act(params), args)) <= LIMIT
    if order is not None:
        assert not [d for d in group.diagnostics if d.unknown]
        assert group.log10_order == pytest.approx(math.log10(order), abs=1e-9)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_random_is_reported_by_name(name: str) -> None:
    group, _, _ = analysed(REFUSED[name])
    assert group.log10_order == 0
    assert any(d.unknown and "fractional_max_pool" in d.reason for d in group.diagnostics)


@pytest.mark.parametrize("name", UNTRACED)
def test_what_is_not_traced_is_an_error(name: str) -> None:
    with pytest.raises(ExportError):
        analysed(UNTRACED[name])


def test_every_class_is_here() -> None:
    covered = {name.partition(" ")[0] for name in CASES} | REFUSED.keys() | UNTRACED.keys()
    assert set(nn.modules.__all__) - covered - BASES - CONTAINERS - LOSSES - LAZY == set()
