"""Hand-written permutation specifications that are in public use, as partitions of parameter axes.

Each table says for each axis of each parameter by what it is permuted, None where it stays, as the published
specifications of an MLP, a VGG and a ResNet do. The same blocks must be found; and specifications that were published
with a mistake must be refused by verification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import torch
from tests.zoo import C2, L, prepared, randomise, relu, seq
from torch import nn

from orbitope import SymmetryGroup, symmetries, verify
from orbitope.group import Fixed, Moving, Placement, Units, places

Spec = dict[str, tuple[str | None, ...]]


def _dense(name: str, before: str | None, after: str | None) -> Spec:
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def _conv(name: str, before: str | None, after: str | None) -> Spec:
    return {f"{name}.weight": (after, before, None, None)}


def _norm(name: str, units: str) -> Spec:
    return {f"{name}.{key}": (units,) for key in ("weight", "bias", "running_mean", "running_var")}


class Block(nn.Module):
    """Two convolutions and a shortcut, which is a convolution where the width changes."""

    def __init__(self, before: int, inner: int, after: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = C2(before, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = C2(inner, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)
        self.short: nn.Module = nn.Identity()
        if before != after:
            self.short = seq(C2(before, after, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))) + self.short(x))


class ResNet(nn.Module):
    """The 20-layer network with fewer blocks: a stem, two groups of two blocks, pooling, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = C2(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.one, self.two = Block(4, 5, 4), Block(4, 3, 4)
        self.three, self.four = Block(4, 5, 6), Block(6, 7, 6)
        self.head = L(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = relu(self.norm(self.stem(x)))
        return self.head(self.four(self.three(self.two(self.one(x)))).mean((2, 3)))


def _block(name: str, before: str, after: str) -> Spec:
    inner = f"{name} inner"
    spec = {**_conv(f"{name}.conv1", before, inner), **_norm(f"{name}.bn1", inner)}
    spec |= {**_conv(f"{name}.conv2", inner, after), **_norm(f"{name}.bn2", after)}
    if before != after:
        spec |= {**_conv(f"{name}.short.0", before, after), **_norm(f"{name}.short.1", after)}
    return spec


def _mlp() -> nn.Module:
    return seq(L(4, 5), nn.ReLU(), L(5, 6), nn.ReLU(), L(6, 7), nn.ReLU(), L(7, 3))


def _vgg() -> nn.Module:
    first = (C2(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2))
    second = (C2(5, 7, 3, padding=1), nn.BatchNorm2d(7), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return seq(*first, *second, L(7, 6), nn.ReLU(), L(6, 4))


MLP = {**_dense("0", None, "a"), **_dense("2", "a", "b"), **_dense("4", "b", "c"), **_dense("6", "c", None)}
VGG = {
    **{**_conv("0", None, "a"), "0.bias": ("a",), **_norm("1", "a")},
    **{**_conv("4", "a", "b"), "4.bias": ("b",), **_norm("5", "b")},
    **{**_dense("9", "b", "c"), **_dense("11", "c", None)},
}
RESNET = {
    **{**_conv("stem", None, "group one"), **_norm("norm", "group one")},
    **{**_block("one", "group one", "group one"), **_block("two", "group one", "group one")},
    **{**_block("three", "group one", "group two"), **_block("four", "group two", "group two")},
    **_dense("head", "group two", None),
}
NETWORKS = {"MLP": (_mlp, (3, 4), MLP), "VGG": (_vgg, (2, 3, 8, 8), VGG), "ResNet": (ResNet, (2, 3, 6, 6), RESNET)}
MISTAKEN = {
    "the classes of a VGG are permuted": ("VGG", {"11.weight": ("classes", "c"), "11.bias": ("classes",)}),
    "statistics of a norm stay behind": ("VGG", {"1.running_mean": (None,), "1.running_var": (None,)}),
    "a convolution behind a shortcut has units of its own": (
        "ResNet",
        {"two.conv2.weight": ("x", "two inner", None, None)},
    ),
    "one norm of a block has a name of its own": ("ResNet", {f"four.bn2.{k}": ("typo",) for k in ("weight", "bias")}),
}


def _made(name: str) -> tuple[nn.Module, tuple[torch.Tensor]]:
    build, shape, _ = NETWORKS[name]
    net = randomise(build().eval(), 3).double()
    return net, (torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64),)


def _blocks(spec: Mapping[str, tuple[str | None, ...]]) -> set[frozenset[tuple[str, int]]]:
    spots: dict[str, set[tuple[str, int]]] = {}
    for name, axes in spec.items():
        for k, units in enumerate(axes):
            if units is not None:
                spots.setdefault(units, set()).add((name, k))
    return {frozenset(found) for found in spots.values()}


def _group(net: nn.Module, spec: Spec) -> SymmetryGroup:
    """The group that a specification stands for, believed as it is."""
    sizes: dict[str, int] = {}
    placements = {}
    state = {name: tensor for name, tensor in net.state_dict().items() if tensor.is_floating_point()}
    for name, tensor in state.items():
        for units, size in zip(spec[name], tensor.shape, strict=True):
            if units is not None:
                assert sizes.setdefault(units, size) == size
        axes = tuple(
            Fixed(size) if units is None else Moving(units, size)
            for units, size in zip(spec[name], tensor.shape, strict=True)
        )
        placements[name] = Placement((name,), tuple(tensor.shape), axes)
    acts = places(placements)
    unused = tuple(name for name in net.state_dict() if name not in state)
    units = tuple(Units(name, size, acts_on=acts[name]) for name, size in sizes.items())
    return SymmetryGroup(units, placements, unused=unused)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_partition_is_found(name: str) -> None:
    net, inputs = _made(name)
    group = symmetries(net, inputs)
    assert all(not unit.over for unit in group.units)
    assert {frozenset(unit.acts_on) for unit in group.units} == _blocks(NETWORKS[name][2])
    assert group.order == _group(net, NETWORKS[name][2]).order


@pytest.mark.parametrize("name", NETWORKS)
def test_right_specifications_are_accepted(name: str) -> None:
    net, inputs = _made(name)
    assert verify(net, _group(net, NETWORKS[name][2]).sample(1), inputs).equal


def _wrong() -> Iterator[tuple[str, str, Spec]]:
    for what, (name, change) in MISTAKEN.items():
        yield what, name, {**NETWORKS[name][2], **change}


@pytest.mark.parametrize(("what", "name", "spec"), list(_wrong()), ids=list(MISTAKEN))
def test_mistaken_specifications_are_refused(what: str, name: str, spec: Spec) -> None:
    net, inputs = _made(name)
    group = _group(net, spec)
    assert not all(verify(net, group.sample(seed), inputs).equal for seed in (1, 2)), what


class Attention(nn.Module):
    """Two heads of three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = L(4, 6), L(4, 6), L(4, 6), L(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part(x).unflatten(-1, (2, 3)).transpose(1, 2) for part in (self.q, self.k, self.v))
        return self.o(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def test_permuting_query_key_and_value_across_heads_is_refused() -> None:
    """As a published specification of BERT does; what is right keeps the dimensions inside their heads."""
    net = randomise(Attention().eval(), 3).double()
    inputs = (torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64),)
    spec = {**_dense("q", None, "a"), **_dense("k", None, "a"), **_dense("v", None, "b"), **_dense("o", "b", None)}
    assert not verify(net, _group(net, spec).sample(1), inputs).equal
    assert symmetries(net, inputs).order == 2 * 6**2 * 6**2


def _bert() -> Spec:
    """What the published specification of BERT merges by: the stream, the hidden units, and units of the pooler."""
    spec: Spec = {f"{table}.weight": (None, "stream") for table in ("words", "positions", "types")}
    spec |= {"norm.weight": ("stream",), "norm.bias": ("stream",)}
    for k in (0, 1):
        block, inner = f"tower.blocks.{k}", f"hidden {k}"
        for part in "qkv":
            spec[f"{block}.attention.{part}.weight"] = (None, "stream")
        spec |= {f"{block}.attention.o.weight": ("stream", None), f"{block}.attention.o.bias": ("stream",)}
        spec |= {**_dense(f"{block}.mlp.up", "stream", inner), **_dense(f"{block}.mlp.down", inner, "stream")}
        spec |= {f"{block}.{norm}.{key}": ("stream",) for norm in ("norm1", "norm2") for key in ("weight", "bias")}
    spec |= {**_dense("transform", "stream", "stream"), **_dense("pooler", "stream", "pooler")}
    spec |= {f"transform_norm.{key}": ("stream",) for key in ("weight", "bias")}
    spec["pair.weight"] = (None, "pooler")
    return spec


def _llama() -> Spec:
    """The same for a Llama: the stream and the gated hidden units."""
    spec: Spec = {"embed.weight": (None, "stream"), "norm.weight": ("stream",), "head.weight": (None, "stream")}
    for k in (0, 1):
        block, inner = f"tower.blocks.{k}", f"hidden {k}"
        for part in "qkv":
            spec[f"{block}.attention.{part}.weight"] = (None, "stream")
        spec[f"{block}.attention.o.weight"] = ("stream", None)
        spec |= {f"{block}.mlp.{part}.weight": (inner, "stream") for part in ("gate", "up")}
        spec[f"{block}.mlp.down.weight"] = ("stream", inner)
        spec |= {f"{block}.norm1.weight": ("stream",), f"{block}.norm2.weight": ("stream",)}
    return spec


def _resnet50() -> Spec:
    """Bottleneck blocks: two widths of their own in each, the stream of their group behind them."""
    spec: Spec = {**_conv("0.0", None, "stem"), **_norm("0.1", "stem"), **_dense("7", "group 2", None)}
    before = "stem"
    for block, group in ((1, "group 1"), (2, "group 1"), (3, "group 2"), (4, "group 2")):
        first, second = f"{block} first", f"{block} second"
        for k, (reads, writes) in zip((0, 2, 4), ((before, first), (first, second), (second, group)), strict=True):
            spec |= {**_conv(f"{block}.body.{k}.0", reads, writes), **_norm(f"{block}.body.{k}.1", writes)}
        if before != group:
            spec |= {**_conv(f"{block}.shortcut.0", before, group), **_norm(f"{block}.shortcut.1", group)}
        before = group
    return spec


@pytest.mark.parametrize(("name", "spec"), [("bert", _bert()), ("llama", _llama()), ("resnet50", _resnet50())])
def test_published_blocks_of_larger_networks_are_found(name: str, spec: Spec) -> None:
    """What the tables merge is found as one set each; attention is finer in ours: heads, and in each its dimensions."""
    group = prepared(name).group
    found = {frozenset(unit.acts_on) for unit in group.units}
    assert _blocks(spec) <= found
    rest = [unit for unit in group.units if frozenset(unit.acts_on) not in _blocks(spec)]
    assert all("attention" in parameter for unit in rest for parameter, _ in unit.acts_on)
    assert bool(rest) == (name != "resnet50")
