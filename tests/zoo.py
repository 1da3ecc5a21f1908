"""The zoo: tiny models with distinct sizes everywhere, and the exact order of each one's permutation group.

``order`` is what the mathematics says, derived in ``notes``; None where only soundness is claimed. Default
initialisation hides errors, so tests call :func:`randomise` first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial, prod

import torch
import torch.nn.functional as F
from torch import nn

from orbitope import SymmetryGroup, symmetries

Inputs = tuple[torch.Tensor, ...]
Params = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One architecture.

    Attributes:
        build: makes the model in evaluation mode.
        inputs: makes example inputs.
        order: exact order of the permutation group; None where only soundness is claimed.
        notes: the derivation of the order, in one line.
        unknown: targets of the operations that must be reported as unknown.
        dead: parameters whose values do not change the function although it reads them.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    order: int | None = None
    notes: str = ""
    unknown: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()


ZOO: dict[str, Case] = {}


class Made(nn.Module):
    """A model of named parts and a function of them."""

    def __init__(self, function: Callable[..., object], parts: dict[str, nn.Module | nn.Parameter]) -> None:
        super().__init__()
        self._function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *xs: torch.Tensor) -> object:
        return self._function(self, *xs)


def model(function: Callable[..., object], **parts: nn.Module | nn.Parameter) -> nn.Module:
    """A model of named parts in evaluation mode."""
    return Made(function, parts).eval()


def randomise(net: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every floating entry of the state dict with values that no default hides behind; returns the model.

    Running variances and norm gains stay positive and away from one, everything else is normal, scaled by its fan-in.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = {
        f"{path}.weight".removeprefix(".")
        for path, module in net.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm)
    }
    done: set[int] = set()
    for name, tensor in net.state_dict(keep_vars=True).items():
        if not tensor.is_floating_point() or tensor.data_ptr() in done:
            continue
        done.add(tensor.data_ptr())
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var") or name in norms:
            value = 0.5 + noise.abs()
        elif tensor.dim() >= 2:
            value = noise * (2.0 / max(1, tensor[0].numel())) ** 0.5
        else:
            value = noise * 0.5
        tensor.data.copy_(value.to(tensor.dtype))
    return net


@dataclass(frozen=True)
class Prepared:
    """A randomised model in float64 with its inputs and its group. Nothing may change it: it is shared by tests."""

    net: nn.Module
    inputs: Inputs
    params: Params
    group: SymmetryGroup


def prepare(case: Case, seed: int = 0) -> Prepared:
    """Build, randomise, widen, infer."""
    net = randomise(case.build(), seed).double()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in case.inputs())
    params = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return Prepared(net, inputs, params, symmetries(net, inputs))


@cache
def prepared(name: str) -> Prepared:
    """The prepared model of that name, made once."""
    return prepare(ZOO[name])


def outputs(net: nn.Module, params: Params, inputs: Inputs) -> list[torch.Tensor]:
    """All output tensors, by PyTorch itself."""
    with torch.no_grad():
        returned = torch.func.functional_call(net, dict(params), inputs, tie_weights=False)
    return [x for x in torch.utils._pytree.tree_leaves(returned) if isinstance(x, torch.Tensor)]


def difference(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    """Largest difference of outputs, relative to the largest entry of each; inf where one is not finite."""
    worst = 0.0
    for x, y in zip(first, second, strict=True):
        if not (x.isfinite().all() and y.isfinite().all() and x.abs().max() > 0):
            return float("inf")
        worst = max(worst, float((x - y).abs().max() / x.abs().max()))
    return worst


def fac(*sizes: int) -> int:
    """Product of factorials."""
    return prod(map(factorial, sizes))


def _add(
    name: str,
    build: Callable[[], nn.Module],
    shapes: Sequence[tuple[int, ...]] | Callable[[], Inputs],
    order: int | None,
    notes: str,
    unknown: tuple[str, ...] = (),
    dead: tuple[str, ...] = (),
) -> None:
    def inputs() -> Inputs:
        generator = torch.Generator().manual_seed(7)
        return tuple(torch.randn(shape, generator=generator) for shape in shapes)

    ZOO[name] = Case(build, shapes if callable(shapes) else inputs, order, notes, unknown, dead)


def seq(*parts: nn.Module) -> nn.Module:
    """A chain of modules in evaluation mode."""
    return nn.Sequential(*parts).eval()


L, C1, C2, C3 = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
relu = torch.relu


def between(middle: Callable[..., torch.Tensor], width: int, after: int | None = None, **parts: nn.Module) -> nn.Module:
    """``out(middle(relu(first(x))))`` with ``width`` units before the middle and ``after`` behind it."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.out(middle(m, relu(m.first(x))))

    return model(forward, first=L(3, width), out=L(after or width, 2), **parts)


# --------------------------------------------------------------------------------------------------------------- dense
_add("mlp_relu", lambda: seq(L(3, 7), nn.ReLU(), L(7, 5), nn.ReLU(), L(5, 2)), [(4, 3)], fac(7, 5), "7!·5!")
_add("mlp_tanh", lambda: seq(L(4, 6), nn.Tanh(), L(6, 3)), [(5, 4)], fac(6), "6! (permutations only)")
_add("mlp_linear", lambda: seq(L(4, 6), L(6, 3)), [(5, 4)], fac(6), "6! of GL(6)")
_add(
    "mlp_no_bias",
    lambda: seq(L(3, 6, bias=False), nn.ReLU(), L(6, 5, bias=False), nn.ReLU(), L(5, 2, bias=False)),
    [(4, 3)],
    fac(6, 5),
    "6!·5!",
)
_add("mlp_width_1", lambda: seq(L(3, 1), nn.ReLU(), L(1, 2)), [(4, 3)], 1, "1! = 1")
_add("linear_only", lambda: seq(L(3, 2)), [(4, 3)], 1, "inputs and outputs are fixed")
_add("mlp_unbatched", lambda: seq(L(3, 7), nn.ReLU(), L(7, 2)), [(3,)], fac(7), "7!; a vector without batch axis")
_add("mlp_extra_axes", lambda: seq(L(3, 7), nn.ReLU(), L(7, 2)), [(2, 5, 4, 3)], fac(7), "7!; leading axes are inputs'")
_add(
    "mlp_layer_norm",
    lambda: seq(L(3, 7), nn.LayerNorm(7), nn.ReLU(), L(7, 5), nn.LayerNorm(5), nn.GELU(), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; all positions of a layer norm are alike",
)
_add(
    "mlp_batch_norm",
    lambda: seq(L(3, 7), nn.BatchNorm1d(7), nn.ReLU(), L(7, 5), nn.BatchNorm1d(5, affine=False), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; statistics move along",
)
_add(
    "mlp_rms_norm",
    lambda: seq(L(3, 7), nn.RMSNorm(7, eps=1e-5), nn.SiLU(), L(7, 2)),
    [(4, 3)],
    fac(7),
    "7!; all positions of the norm are alike",
)
_add(
    "mlp_prelu",
    lambda: seq(L(3, 7), nn.PReLU(7), L(7, 5), nn.PReLU(), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; a slope per unit moves along, one slope for all does not matter",
)
_add(
    "mlp_dropout",
    lambda: seq(L(3, 7), nn.ReLU(), nn.Dropout(0.5), L(7, 5), nn.AlphaDropout(0.3), L(5, 2)),
    [(4, 3)],
    fac(7, 5),
    "7!·5!; the identity in evaluation mode",
)
_add(
    "mlp_residual",
    lambda: model(
        lambda m, x: m.out((h := m.first(x)) + m.down(relu(m.up(h)))),
        first=L(3, 6),
        up=L(6, 8),
        down=L(8, 6),
        out=L(6, 2),
    ),
    [(4, 3)],
    fac(6, 8),
    "6! of the stream, 8! inside",
)
_add(
    "layer_scale",
    lambda: model(
        lambda m, x: m.out((h := m.first(x)) + m.gamma * m.down(relu(m.up(h)))),
        first=L(3, 6),
        up=L(6, 8),
        down=L(8, 6),
        gamma=nn.Parameter(torch.full((6,), 1e-6)),
        out=L(6, 2),
    ),
    [(4, 3)],
    fac(6, 8),
    "6!·8!; the scale moves with the stream",
)
_add(
    "h_plus_wh",
    lambda: between(lambda m, h: h + m.w(h), 6, w=L(6, 6)),
    [(4, 3)],
    fac(6),
    "6!: both axes of W are the stream",
)
_add(
    "shared_layer_twice",
    lambda: between(lambda m, h: relu(m.w(relu(m.w(h)))), 6, w=L(6, 6)),
    [(4, 3)],
    fac(6),
    "6!: input and output of a layer used twice in a row are one",
)
_add(
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


_add("tied_autoencoder", _tied_autoencoder, [(3, 4)], fac(5), "5!: encoder rows are decoder rows")


def _tied_layers() -> nn.Module:
    net = model(
        lambda m, x: m.out(relu(m.b(relu(m.a(relu(m.first(x))))))), first=L(3, 6), a=L(6, 6), b=L(6, 6), out=L(6, 2)
    )
    net.b.weight = net.a.weight
    return net


_add(
    "tied_weights", _tied_layers, [(4, 3)], fac(6), "6!: one weight maps stage 1 to 2 and 2 to 3, so all three are one"
)


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


_add("tied_embeddings", _tied_embeddings, _tokens, fac(6, 7), "6! of the stream, 7! inside; tokens are fixed")
_add(
    "embedding_mean_pool",
    lambda: model(
        lambda m, t: m.out(relu(m.mid(m.emb(t).mean(dim=1)))), emb=nn.Embedding(11, 6), mid=L(6, 5), out=L(5, 2)
    ),
    _tokens,
    fac(6, 5),
    "6!·5!",
)
_add(
    "chunk_glu",
    lambda: model(
        lambda m, x: m.out((p := m.up(x).chunk(2, dim=-1))[0] * torch.sigmoid(p[1])), up=L(3, 14), out=L(7, 2)
    ),
    [(4, 3)],
    fac(7),
    "7!: rows k and k + 7 of up move together",
)
_add("glu", lambda: seq(L(3, 14), nn.GLU(), L(7, 2)), [(4, 3)], fac(7), "7!")
_add(
    "swiglu",
    lambda: model(lambda m, x: m.down(F.silu(m.gate(x)) * m.up(x)), gate=L(3, 7), up=L(3, 7), down=L(7, 2)),
    [(4, 3)],
    fac(7),
    "7!",
)
_add(
    "maxout",
    lambda: model(lambda m, x: m.out(m.up(x).unflatten(1, (5, 3)).amax(dim=2)), up=L(4, 15), out=L(5, 2)),
    [(3, 4)],
    fac(5) * fac(3) ** 5,
    "S3 wr S5: pieces inside a unit, then units",
)
_add(
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
_add(
    "reshape_and_back",
    lambda: model(lambda m, x: m.out(relu(m.first(x).view(-1, 4, 3)).flatten(1)), first=L(5, 12), out=L(12, 2)),
    [(3, 5)],
    fac(12),
    "12!: a view that is undone tells nothing apart",
)
_add(
    "bilinear",
    lambda: model(
        lambda m, x: m.out(m.mix(relu(m.a(x)), relu(m.b(x)))),
        a=L(3, 5),
        b=L(3, 4),
        mix=nn.Bilinear(5, 4, 6),
        out=L(6, 2),
    ),
    [(4, 3)],
    fac(5, 4, 6),
    "5!·4!·6!",
)
_add(
    "outer_product",
    lambda: model(
        lambda m, x: m.out(torch.einsum("bi,bj->bij", relu(m.a(x)), relu(m.b(x))).flatten(1)),
        a=L(3, 5),
        b=L(3, 4),
        out=L(20, 2),
    ),
    [(4, 3)],
    fac(5, 4),
    "5!·4! on one axis of out",
)
_add(
    "gram",
    lambda: between(lambda m, h: torch.einsum("bi,bj->bij", h, h).flatten(1), 5, 25),
    [(4, 3)],
    fac(5),
    "5! acting twice on the axis of out",
)
_add(
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
_add(
    "two_inputs",
    lambda: model(lambda m, x, y: m.out(relu(m.a(x) + m.b(y))), a=L(3, 7), b=L(4, 7, bias=False), out=L(7, 2)),
    [(5, 3), (5, 4)],
    fac(7),
    "7!",
)
_add(
    "hidden_returned",
    lambda: model(lambda m, x: (m.out(relu(m.b(h := relu(m.a(x))))), h), a=L(3, 7), b=L(7, 5), out=L(5, 2)),
    [(4, 3)],
    fac(5),
    "5!: the first layer is an output",
)
_add(
    "unused_parameters",
    lambda: model(lambda m, x: m.out(relu(m.a(x))), a=L(3, 7), idle=L(9, 8), out=L(7, 2)),
    [(4, 3)],
    fac(7),
    "7!: idle is not read",
)
_add(
    "partly_read",
    lambda: model(lambda m, x: m.out(relu(m.a(x))[:, :5]), a=L(3, 8), out=L(5, 2)),
    [(4, 3)],
    fac(5),
    "5!: units 5 to 7 are not read, and do not count",
)
_add(
    "softmax_over_hidden",
    lambda: between(lambda m, h: torch.softmax(h, dim=-1), 7),
    [(4, 3)],
    fac(7),
    "7!",
)
_add(
    "logsumexp_over_hidden",
    lambda: model(lambda m, x: torch.logsumexp(m.a(x), dim=1, keepdim=True), a=L(3, 7)),
    [(4, 3)],
    fac(7),
    "7!",
)
_add(
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
    _add(f"constant_{_how}", _constant([0.7] * 6, _how), [(4, 3)], fac(6), "6!: it is the same for all units")
    _add(
        f"constant_partly_{_how}",
        _constant([0.3, 0.3, 0.3, 1.2, 1.2, 2.0, -1.0], _how),
        [(4, 3)],
        fac(3, 2),
        "3!·2!: the Young subgroup of its runs",
    )
    _add(f"constant_varying_{_how}", _constant([0.3, 0.1, 0.5, 1.2, 0.9], _how), [(4, 3)], 1, "exchange is broken")
    _add(f"buffer_{_how}", _constant([0.3, 0.1, 0.5, 1.2, 0.9], _how, True), [(4, 3)], fac(5), "5!: it moves along")
_add(
    "constant_scattered",
    _constant([0.3, 1.2, 0.3, 1.2, 0.3], "mul"),
    [(4, 3)],
    None,
    "3!·2! in truth, but its classes are no runs: fixed",
)

# Operations along the hidden axis that tell positions apart: fixed, and reported.
_ALONG: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "cumsum": (lambda h: torch.cumsum(h, dim=-1), "aten.cumsum.default"),
    "roll": (lambda h: torch.roll(h, 1, dims=-1), "aten.roll.default"),
    "flip": (lambda h: torch.flip(h, dims=[-1]), "aten.flip.default"),
    "sort": (lambda h: torch.sort(h, dim=-1).values, "aten.sort.default"),
}
for _name, (_fn, _target) in _ALONG.items():
    _add(f"{_name}_hidden", lambda fn=_fn: between(lambda m, h: fn(h), 5), [(4, 3)], 1, "fixed", (_target,))
    _add(
        f"{_name}_residual",
        lambda fn=_fn: between(lambda m, h: h + fn(h), 5),
        [(4, 3)],
        1,
        "the consumed axis comes back through the sum",
        (_target,),
    )
_add(
    "cumsum_over_groups",
    lambda: model(
        lambda m, x: m.out((h := m.first(x).unflatten(1, (3, 4))).add(torch.cumsum(h, dim=1)).flatten(1)),
        first=L(2, 12),
        out=L(12, 2),
    ),
    [(3, 2)],
    None,
    "4! in truth, the same in all groups; an unknown operation fixes both factors",
    ("aten.cumsum.default",),
)
_add(
    "exchange_broken",
    lambda: model(lambda m, x: m.out(relu(m.a(x)) * torch.arange(1.0, 8.0)), a=L(3, 7), out=L(7, 2)),
    [(4, 3)],
    1,
    "every unit has its own constant",
)


# ------------------------------------------------------------------------------------------------------- convolutional
def conv_bn(i: int, o: int, k: int = 3, **options: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; same size at stride 1."""
    return nn.Sequential(C2(i, o, k, padding=k // 2, bias=False, **options), nn.BatchNorm2d(o), nn.ReLU())


_add(
    "cnn",
    lambda: seq(
        C2(2, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        C2(5, 7, 3, padding=1),
        nn.BatchNorm2d(7),
        nn.ReLU(),
        nn.Flatten(),
        L(7 * 3 * 2, 6),
        nn.ReLU(),
        L(6, 3),
    ),
    [(2, 2, 6, 4)],
    fac(5, 7, 6),
    "5!·7!·6!: flatten keeps 7 channels × 6 places",
)
_add(
    "cnn_unbatched",
    lambda: seq(C2(2, 5, 3), nn.ReLU(), nn.Flatten(0), L(5 * 4 * 3, 3)),
    [(2, 6, 5)],
    fac(5),
    "5!",
)
_add(
    "vgg",
    lambda: seq(
        C2(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        C2(4, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Flatten(),
        L(36, 7),
        nn.ReLU(),
        nn.Dropout(),
        L(7, 5),
    ),
    [(2, 3, 8, 12)],
    fac(4, 6, 7),
    "4!·6!·7!",
)


class BasicBlock(nn.Module):
    """torchvision's: two 3×3 convolutions, and a 1×1 on the shortcut where the shape changes."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = C2(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = C2(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        self.downsample = None
        if stride != 1 or i != o:
            self.downsample = nn.Sequential(C2(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet18(nn.Module):
    """torchvision's ResNet-18 with free widths."""

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512), classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = C2(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = widths[0]
        for k, width in enumerate(widths):
            blocks = nn.Sequential(BasicBlock(before, width, 1 if k == 0 else 2), BasicBlock(width, width))
            setattr(self, f"layer{k + 1}", blocks)
            before = width
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = L(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


_add(
    "resnet18",
    lambda: ResNet18((4, 5, 6, 7), 3).eval(),
    [(2, 3, 18, 16)],
    fac(4, 5, 6, 7) ** 3,
    "in each stage one stream and two blocks: (4!·5!·6!·7!)³",
)
_add(
    "resnet_downsample",
    lambda: seq(conv_bn(2, 5), BasicBlock(5, 5), BasicBlock(5, 7, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(7, 3)),
    [(2, 2, 8, 6)],
    fac(5) ** 2 * fac(7) ** 2,
    "stem and first block share 5!; 5! inside; the second block 7! inside and 7! behind",
)


class Bottleneck(nn.Module):
    """1×1, grouped 3×3, 1×1, and the shortcut."""

    def __init__(self, c: int, inner: int, outer: int, groups: int = 1) -> None:
        super().__init__()
        self.a, self.b = conv_bn(c, inner, 1), conv_bn(inner, outer, 3, groups=groups)
        self.c = nn.Sequential(C2(outer, c, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(x + self.c(self.b(self.a(x))))


_add(
    "resnet_bottleneck",
    lambda: seq(conv_bn(2, 7), Bottleneck(7, 4, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(7, 3)),
    [(2, 2, 5, 6)],
    fac(7, 4, 5),
    "7!·4!·5!",
)
_add(
    "resnext",
    lambda: seq(conv_bn(2, 7), Bottleneck(7, 12, 15, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(7, 2)),
    [(2, 2, 5, 6)],
    fac(7) * fac(3) * fac(4) ** 3 * fac(5) ** 3,
    "7!, and 3 groups with their own S4 before and S5 behind",
)


class DenseNet(nn.Module):
    """Batch norm after every concatenation, a transition, and a classifier on the last concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = C2(2, 5, 3, padding=1, bias=False)
        self.norm1, self.conv1 = nn.BatchNorm2d(5), C2(5, 3, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(8), C2(8, 4, 3, padding=1)
        self.norm3, self.shrink = nn.BatchNorm2d(12), C2(12, 6, 1)
        self.norm4, self.conv4 = nn.BatchNorm2d(6), C2(6, 7, 3, padding=1)
        self.norm5, self.out = nn.BatchNorm2d(13), L(13, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.conv1(relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(relu(self.norm2(x)))], 1)
        x = F.avg_pool2d(self.shrink(relu(self.norm3(x))), 2)
        x = torch.cat([x, self.conv4(relu(self.norm4(x)))], 1)
        return self.out(relu(self.norm5(x)).mean((2, 3)))


_add("densenet", lambda: DenseNet().eval(), [(2, 2, 6, 4)], fac(5, 3, 4, 6, 7), "one set for each convolution")
_add(
    "depthwise_separable",
    lambda: seq(conv_bn(2, 5), conv_bn(5, 5, groups=5), conv_bn(5, 7, 1), nn.Flatten(), L(7 * 20, 3)),
    [(2, 2, 5, 4)],
    fac(5, 7),
    "5!·7!: depthwise filters move with their channel",
)


class InvertedResidual(nn.Module):
    """MobileNet's: expand, depthwise, project, shortcut."""

    def __init__(self, c: int, wide: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            C2(c, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            C2(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            C2(wide, c, 1, bias=False),
            nn.BatchNorm2d(c),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


_add(
    "mobilenet",
    lambda: seq(
        conv_bn(2, 5), InvertedResidual(5, 8), InvertedResidual(5, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(5, 3)
    ),
    [(2, 2, 5, 4)],
    fac(5, 8, 6),
    "5! of the stream, 8! and 6! inside",
)
_add(
    "grouped_conv",
    lambda: seq(C2(2, 8, 3), nn.ReLU(), C2(8, 12, 3, groups=4), nn.ReLU(), C2(12, 3, 1), nn.Flatten()),
    [(2, 2, 6, 5)],
    fac(4) * fac(2) ** 4 * fac(3) ** 4,
    "4 groups; in each its own S2 before and S3 behind",
)
_add(
    "depthwise_multiplier",
    lambda: seq(C2(2, 4, 3), nn.ReLU(), C2(4, 12, 3, groups=4), nn.ReLU(), C2(12, 5, 1)),
    [(2, 2, 6, 5)],
    fac(4) * fac(3) ** 4,
    "S3 wr S4",
)
_add(
    "group_norm",
    lambda: seq(C2(2, 12, 3), nn.GroupNorm(3, 12), nn.ReLU(), C2(12, 4, 1)),
    [(2, 2, 6, 5)],
    fac(3) * fac(4) ** 3,
    "S4 wr S3",
)
_add(
    "layer_norm_image",
    lambda: seq(C2(2, 5, 3), nn.LayerNorm([5, 4, 3]), nn.ReLU(), C2(5, 3, 1)),
    [(2, 2, 6, 5)],
    fac(5),
    "5!: places keep their own gains",
)
_add(
    "convnext_block",
    lambda: model(
        lambda m, x: m.out(
            (
                (h := m.stem(x))
                + (m.gamma * m.down(F.gelu(m.up(m.norm(m.dw(h).permute(0, 2, 3, 1)))))).permute(0, 3, 1, 2)
            ).mean((2, 3))
        ),
        stem=C2(2, 5, 2, 2),
        dw=C2(5, 5, 3, padding=1, groups=5),
        norm=nn.LayerNorm(5),
        up=L(5, 7),
        down=L(7, 5),
        gamma=nn.Parameter(torch.full((5,), 1e-6)),
        out=L(5, 3),
    ),
    [(2, 2, 8, 6)],
    fac(5, 7),
    "5! of the stream, 7! inside",
)
_add(
    "instance_norm",
    lambda: seq(
        C2(2, 5, 3),
        nn.InstanceNorm2d(5, affine=True),
        nn.ReLU(),
        C2(5, 4, 1),
        nn.InstanceNorm2d(4),
        nn.ReLU(),
        C2(4, 3, 1),
    ),
    [(2, 2, 6, 5)],
    fac(5, 4),
    "5!·4!",
    dead=("0.bias", "3.bias"),
)
_add(
    "instance_norm_tracked",
    lambda: seq(C2(2, 5, 3), nn.InstanceNorm2d(5, affine=True, track_running_stats=True), nn.ReLU(), C2(5, 3, 1)),
    [(2, 2, 6, 5)],
    fac(5),
    "5!; statistics move along",
)
_add(
    "batch_norm_without_statistics",
    lambda: seq(C2(2, 5, 3), nn.BatchNorm2d(5, track_running_stats=False), nn.ReLU(), C2(5, 3, 1)),
    [(3, 2, 6, 5)],
    fac(5),
    "5!; the bias of the convolution is dead",
    dead=("0.bias",),
)
_add(
    "conv_transpose",
    lambda: seq(
        C2(2, 5, 3),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 5, 3, stride=2, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 3, 2, dilation=2),
    ),
    [(2, 2, 6, 5)],
    fac(5) ** 2,
    "5!·5!: axis 0 of the transposed kernel is the input",
)
_add(
    "conv_transpose_grouped",
    lambda: seq(C2(2, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 9, 3, groups=3), nn.ReLU(), C2(9, 2, 1)),
    [(2, 2, 6, 5)],
    fac(3) * fac(2) ** 3 * fac(3) ** 3,
    "3 groups; in each its own S2 before and S3 behind",
)


def _unet(up: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
            skip = relu(m.enc1(x))
            low = relu(m.enc2(F.max_pool2d(skip, 2)))
            high = m.up(low) if up == "transpose" else relu(m.up(F.interpolate(low, scale_factor=2, mode=up)))
            return m.out(relu(m.dec(torch.cat([high, skip], 1))))

        rise = nn.ConvTranspose2d(7, 4, 2, 2) if up == "transpose" else C2(7, 4, 1)
        return model(
            forward,
            enc1=C2(2, 5, 3, padding=1),
            enc2=C2(5, 7, 3, padding=1),
            up=rise,
            dec=C2(9, 6, 3, padding=1),
            out=C2(6, 3, 1),
        )

    return build


_add("unet", _unet("transpose"), [(2, 2, 8, 6)], fac(5, 7, 4, 6), "one set for each layer; the skip is a segment")
_add("unet_nearest", _unet("nearest"), [(2, 2, 8, 6)], fac(5, 7, 4, 6), "resampling carries channels")
_add("unet_bilinear", _unet("bilinear"), [(2, 2, 8, 6)], fac(5, 7, 4, 6), "resampling carries channels")
_add(
    "channel_shuffle",
    lambda: seq(
        C2(2, 18, 3),
        nn.ReLU(),
        C2(18, 18, 1, groups=3),
        nn.ChannelShuffle(3),
        nn.ReLU(),
        C2(18, 12, 1, groups=3),
        C2(12, 2, 1),
    ),
    [(2, 2, 5, 4)],
    fac(3) * fac(6) ** 3 * fac(3) * fac(2) ** 9 * fac(4) ** 3,
    "before: S6 wr S3; between: 3 new groups change places, pairs in each (old, new); behind: S4 in each new group",
)
_add(
    "channel_shuffle_coprime",
    lambda: seq(
        C2(2, 6, 1), C2(6, 6, 1, groups=2), nn.ChannelShuffle(2), nn.ReLU(), C2(6, 4, 1, groups=2), C2(4, 3, 1)
    ),
    [(2, 2, 5, 4)],
    None,
    "blocks of the shuffle do not nest with the next groups: fixed there",
)
_add(
    "pixel_shuffle",
    lambda: seq(C2(2, 20, 3), nn.PixelShuffle(2), nn.ReLU(), C2(5, 3, 3)),
    [(2, 2, 6, 5)],
    fac(5),
    "5!: the 2 × 2 places become space",
)
_add(
    "pixel_unshuffle",
    lambda: seq(C2(2, 5, 3), nn.ReLU(), nn.PixelUnshuffle(2), C2(20, 6, 1), nn.ReLU(), C2(6, 3, 1)),
    [(2, 2, 6, 8)],
    fac(5, 6),
    "5!·6!",
)
_add(
    "squeeze_excite",
    lambda: model(
        lambda m, x: m.out((h := relu(m.stem(x))) * torch.sigmoid(m.up(relu(m.down(h.mean((2, 3), keepdim=True)))))),
        stem=C2(2, 7, 3),
        down=C2(7, 3, 1),
        up=C2(3, 7, 1),
        out=C2(7, 2, 1),
    ),
    [(2, 2, 6, 5)],
    fac(7, 3),
    "7!·3!",
)


class PaddedShortcut(nn.Module):
    """Option A of He et al.: stride by slicing, new channels by zero padding on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(2, 4)
        self.conv1, self.bn1 = C2(4, 9, 3, 2, 1, bias=False), nn.BatchNorm2d(9)
        self.conv2, self.bn2 = C2(9, 9, 3, 1, 1, bias=False), nn.BatchNorm2d(9)
        self.out = L(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        inner = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        x = relu(inner + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3)))
        return self.out(x.mean((2, 3)))


_add(
    "padded_shortcut",
    lambda: PaddedShortcut().eval(),
    [(2, 2, 6, 8)],
    fac(4, 9) * fac(2, 3),
    "4! of the stem is the middle of the second stream, 2! and 3! of its padding; 9! inside",
)


class Mixer(nn.Module):
    """One MLP-mixer block: a mix over tokens, then one over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = C2(2, 5, 2, 2)
        self.norm1, self.token1, self.token2 = nn.LayerNorm(5), L(6, 4), L(4, 6)
        self.norm2, self.channel1, self.channel2 = nn.LayerNorm(5), L(5, 7), L(7, 5)
        self.out = L(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = x + self.token2(F.gelu(self.token1(self.norm1(x).transpose(1, 2)))).transpose(1, 2)
        x = x + self.channel2(F.gelu(self.channel1(self.norm2(x))))
        return self.out(x.mean(1))


_add(
    "mixer", lambda: Mixer().eval(), [(2, 2, 4, 6)], fac(5, 4, 7), "5! of the stream, 4! over tokens, 7! over channels"
)
_add(
    "pools",
    lambda: seq(
        C2(2, 5, 3, padding=1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=True),
        C2(5, 4, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        C2(4, 6, 1),
        nn.AdaptiveMaxPool2d((1, 2)),
        nn.Flatten(),
        L(12, 3),
    ),
    [(2, 2, 12, 16)],
    fac(5, 4, 6),
    "5!·4!·6!",
)
_add(
    "pools_that_do_not_divide",
    lambda: seq(
        C2(2, 5, 3), nn.AdaptiveAvgPool2d((2, 3)), C2(5, 4, 1), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), L(8, 3)
    ),
    [(2, 2, 7, 6)],
    fac(5, 4),
    "5!·4!",
)
_add(
    "dilated",
    lambda: seq(
        C2(2, 5, 3, dilation=2), nn.ReLU(), C2(5, 4, (3, 2), padding="same", dilation=(1, 2)), nn.ReLU(), C2(4, 3, 1)
    ),
    [(2, 2, 8, 7)],
    fac(5, 4),
    "5!·4!",
)
_add(
    "conv1d",
    lambda: seq(C1(2, 5, 3), nn.ReLU(), C1(5, 4, 2, stride=2), nn.ReLU(), C1(4, 3, 1)),
    [(3, 2, 9)],
    fac(5, 4),
    "5!·4!",
)
_add(
    "conv3d",
    lambda: seq(C3(2, 5, 2), nn.BatchNorm3d(5), nn.ReLU(), nn.MaxPool3d(2), C3(5, 4, 1), nn.Flatten(), L(16, 3)),
    [(2, 2, 5, 5, 3)],
    fac(5, 4),
    "5!·4!; one position of the last axis remains after pooling",
)
_add(
    "siamese_conv",
    lambda: model(
        lambda m, x, y: m.out((m.enc(x) - m.enc(y)).flatten(1)),
        enc=nn.Sequential(C2(2, 5, 3), nn.ReLU()),
        out=L(5 * 12, 3),
    ),
    [(2, 2, 6, 5), (2, 2, 6, 5)],
    fac(5),
    "5!: a module used twice",
)
_add(
    "fpn",
    lambda: model(
        lambda m, x: (
            m.head((h := m.side2(relu(m.c2(a := relu(m.c1(x)))))).mean((2, 3))),
            m.head((m.side1(a) + F.conv_transpose2d(h, m.k, stride=2)).mean((2, 3))),
        ),
        c1=C2(2, 5, 3, padding=1),
        c2=C2(5, 7, 3, 2, 1),
        side1=C2(5, 4, 1),
        side2=C2(7, 4, 1),
        k=nn.Parameter(torch.randn(4, 4, 2, 2)),
        head=L(4, 3),
    ),
    [(2, 2, 6, 8)],
    fac(5, 7, 4),
    "5!·7!, and one 4! for both levels, which share the head",
)
_add(
    "concat_of_flattened",
    lambda: model(
        lambda m, x, y: m.out(torch.cat([relu(m.conv(x)).flatten(1), relu(m.lin(y))], 1)),
        conv=C2(2, 5, 3),
        lin=L(3, 7),
        out=L(5 * 12 + 7, 2),
    ),
    [(2, 2, 6, 5), (2, 3)],
    fac(5, 7),
    "5!·7!: (5·12 + 7) on the axis of out",
)
_add(
    "stacked_branches",
    lambda: model(
        lambda m, x: m.out(torch.stack([relu(m.a(x)), relu(m.b(x))], 2).amax(2)), a=L(3, 7), b=L(3, 7), out=L(7, 2)
    ),
    [(4, 3)],
    fac(7),
    "7!; that a and b may change places as modules is not claimed",
)


# ------------------------------------------------------------------------------------------- attention and the like
class Attention(nn.Module):
    """Multi-head attention written out; three heads of 4 and 5 dimensions on a stream of 7."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = L(3, 7)
        self.q, self.k, self.v, self.o = L(7, 12), L(7, 12), L(7, 15), L(15, 7)
        self.out = L(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        b, t, _ = h.shape
        q, k = (p(h).view(b, t, 3, 4).transpose(1, 2) for p in (self.q, self.k))
        v = self.v(h).view(b, t, 3, 5).transpose(1, 2)
        weights = torch.softmax(q @ k.transpose(-2, -1) / 2.0, dim=-1)
        return self.out(h + self.o((weights @ v).transpose(1, 2).reshape(b, t, 15)))


_add(
    "attention",
    lambda: Attention().eval(),
    [(2, 5, 3)],
    fac(7) * fac(3) * fac(4) ** 3 * fac(5) ** 3,
    "7! of the stream; 3 heads, in each its own S4 of q·k and S5 of v·o; the softmax cancels the bias of k",
    dead=("k.bias",),
)
_add(
    "multihead_attention",
    lambda: model(
        lambda m, x: m.out(m.a(h := m.first(x), h, h)[0]),
        first=L(3, 8),
        a=nn.MultiheadAttention(8, 2, batch_first=True),
        out=L(8, 2),
    ),
    [(2, 5, 3)],
    None,
    "soundness only",
)
_add(
    "transformer_layer",
    lambda: model(
        lambda m, x: m.out(m.layer(m.first(x))),
        first=L(3, 8),
        layer=nn.TransformerEncoderLayer(8, 2, 6, batch_first=True),
        out=L(8, 2),
    ),
    [(2, 5, 3)],
    None,
    "soundness only",
)
_add(
    "set_network",
    lambda: model(lambda m, x: m.out(relu(m.phi(x)).sum(1) + m.psi(x).amax(1)), phi=L(3, 7), psi=L(3, 7), out=L(7, 2)),
    [(4, 5, 3)],
    fac(7),
    "7!",
)
