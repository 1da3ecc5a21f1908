"""Graphs, fields, operators, kernels, parametrisations: networks that are neither pictures nor texts."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from tests.zoo.blocks import MLP
from tests.zoo.core import C1, C2, Inputs, L, architecture, example, fac, model, relu
from torch import nn
from torch.nn.utils import parametrizations

# --------------------------------------------------------------------------------------------------------------- graphs
_EDGES = torch.tensor([[0, 1, 2, 3, 4, 0, 2], [1, 2, 3, 4, 0, 3, 0]])


def _adjacency(like: torch.Tensor) -> torch.Tensor:
    """A constant, normalised adjacency of five nodes."""
    a = torch.eye(5)
    a[_EDGES[0], _EDGES[1]] = a[_EDGES[1], _EDGES[0]] = 1.0
    scale = a.sum(1).rsqrt()
    return (scale[:, None] * a * scale).to(like.dtype)


NODES = example((5, 3))

architecture(
    "gcn",
    lambda: model(
        lambda m, x: m.b((a := _adjacency(x)) @ relu(a @ m.a(x))) + a @ m.c(x), a=L(3, 7), b=L(7, 2), c=L(3, 2)
    ),
    NODES,
    fac(7),
    "H!: the adjacency mixes nodes, which are inputs",
)


def _passing(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    h = m.enter(x)
    for _ in range(2):
        sent = m.message(torch.cat([h[_EDGES[0]], h[_EDGES[1]]], -1))
        h = h + m.update(torch.cat([h, torch.zeros(5, 6, dtype=x.dtype).index_add(0, _EDGES[1], sent)], -1))
    return m.leave(h.sum(0))


architecture(
    "message_passing",
    lambda: model(_passing, enter=L(3, 5), message=MLP(10, 7, 6, relu), update=MLP(11, 8, 5, relu), leave=L(5, 2)),
    NODES,
    fac(5, 7, 6, 8),
    "D!·a!·M!·b!: messages are gathered along edges and added up at nodes; features go through",
)


class GAT(nn.Module):
    """Attention along edges: a score for each end, heads concatenated, then one head of classes."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.source, self.target = L(3, 3 * 4, bias=False), *(nn.Parameter(torch.zeros(3, 4)) for _ in range(2))
        self.bias, self.out = nn.Parameter(torch.zeros(12)), L(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.w(x).view(5, 3, 4)
        scores = (h * self.source).sum(-1)[:, None] + (h * self.target).sum(-1)[None]
        missing = (_adjacency(x) == 0)[:, :, None]
        weights = torch.softmax(F.leaky_relu(scores, 0.2).masked_fill(missing, -1e9), 1)
        return self.out(F.elu(torch.einsum("ijh,jhd->ihd", weights, h).flatten(1) + self.bias))


architecture(
    "gat",
    GAT,
    NODES,
    fac(3) * fac(4) ** 3,
    "h!·d!ʰ: the same features are scored and summed, so a head has one dimension",
)


class Triangle(nn.Module):
    """AlphaFold's triangle update of pair features."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.norm1, self.norm2 = L(3, 6), nn.LayerNorm(6), nn.LayerNorm(4)
        self.a, self.b, self.gate_a, self.gate_b = (L(6, 4) for _ in range(4))
        self.gate, self.o, self.out = L(6, 6), L(4, 6), L(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.enter(x)
        y = self.norm1(z)
        a, b = self.a(y) * torch.sigmoid(self.gate_a(y)), self.b(y) * torch.sigmoid(self.gate_b(y))
        update = self.norm2(torch.einsum("bikc,bjkc->bijc", a, b))
        return self.out(z + torch.sigmoid(self.gate(y)) * self.o(update))


architecture(
    "triangle_update",
    Triangle,
    example((2, 4, 4, 3)),
    fac(6, 4),
    "D!·c!: the product over the third node is taken for each channel by itself",
)

# ------------------------------------------------------------------------------------------------- fields and operators


def _encoded(x: torch.Tensor) -> torch.Tensor:
    angles = x[..., None, :] * torch.tensor([1.0, 2.0, 4.0], dtype=x.dtype)[:, None]
    return torch.cat([x, angles.sin().flatten(-2), angles.cos().flatten(-2)], -1)


class NeRF(nn.Module):
    """Encoded position, again in the middle by concatenation; density; colour from a feature and the direction."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = L(21, 7), L(7, 8), L(21 + 8, 6)
        self.density, self.feature, self.d, self.rgb = L(6, 1), L(6, 5), L(5 + 21, 4), L(4, 3)

    def forward(self, x: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        position = _encoded(x)
        h = relu(self.c(torch.cat([position, relu(self.b(relu(self.a(position))))], -1)))
        colour = relu(self.d(torch.cat([self.feature(h), _encoded(direction)], -1)))
        return relu(self.density(h) + 3.0), torch.sigmoid(self.rgb(colour))


architecture(
    "nerf",
    NeRF,
    example((4, 3), (4, 3)),
    fac(7, 8, 6, 5, 4),
    "one factorial for each hidden layer; what is concatenated from inputs is fixed",
)
architecture(
    "siren",
    lambda: model(lambda m, x: m.c(torch.sin(30.0 * m.b(torch.sin(30.0 * m.a(x))))), a=L(2, 7), b=L(7, 5), c=L(5, 3)),
    example((4, 2)),
    fac(7, 5),
    "a!·b!: a sine passes signs, which are not counted here",
)
architecture(
    "deeponet",
    lambda: model(
        lambda m, u, y: torch.einsum("bp,np->bn", m.branch(u), torch.tanh(m.trunk(y))) + m.bias,
        branch=MLP(6, 7, 5, torch.tanh),
        trunk=MLP(2, 8, 5, torch.tanh),
        bias=nn.Parameter(torch.zeros(1)),
    ),
    example((3, 6), (4, 2)),
    fac(7, 8, 5),
    "a!·b!·p!: the value is Σ over p of branch times trunk",
)


class Fourier(nn.Module):
    """A neural operator: low frequencies are mixed by complex weights, stored as two real tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.skip, self.leave = L(2, 5), C1(5, 5, 1), L(5, 1)
        self.real, self.imaginary = (nn.Parameter(torch.zeros(5, 5, 3)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.enter(x).transpose(1, 2)
        t, n = torch.arange(8, dtype=x.dtype), torch.arange(3, dtype=x.dtype)
        angles = torch.outer(t, n) * (2 * torch.pi / 8)
        cos, sin = h @ angles.cos(), h @ angles.sin()
        real = torch.einsum("bin,ion->bon", cos, self.real) + torch.einsum("bin,ion->bon", sin, self.imaginary)
        imaginary = torch.einsum("bin,ion->bon", cos, self.imaginary) - torch.einsum("bin,ion->bon", sin, self.real)
        mixed = real @ angles.cos().t() + imaginary @ angles.sin().t()
        return self.leave(F.gelu(mixed + self.skip(h)).transpose(1, 2))


architecture(
    "fourier_neural_operator",
    Fourier,
    example((2, 8, 2)),
    fac(5) ** 2,
    "D!·D'!: the spectral weights map channels to channels for each frequency, and frequencies are fixed",
)


# ----------------------------------------------------------------------------------------------------- kernels, splines
class KANLayer(nn.Module):
    """A spline for each edge: Σ over inputs of a SiLU and of hat functions on a fixed grid."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.base, self.spline = nn.Parameter(torch.zeros(o, i)), nn.Parameter(torch.zeros(o, i, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = torch.tensor([-1.5, -0.8, -0.1, 0.3, 0.9, 1.7], dtype=x.dtype)
        hats = relu(1 - (x[..., None] - grid).abs())
        return F.silu(x) @ self.base.t() + torch.einsum("big,oig->bo", hats, self.spline)


architecture(
    "kan",
    lambda: nn.Sequential(KANLayer(3, 7), KANLayer(7, 5), KANLayer(5, 2)),
    example((4, 3)),
    fac(7, 5),
    "a!·b!: a node takes the splines of its edges along; grid points are fixed",
)
architecture(
    "rbf_network",
    lambda: model(
        lambda m, x: m.out(torch.exp(-m.width.exp() * (x[:, None] - m.centres).square().sum(-1))),
        centres=nn.Parameter(torch.zeros(7, 3)),
        width=nn.Parameter(torch.zeros(7)),
        out=L(7, 2),
    ),
    example((4, 3)),
    fac(7),
    "K!: centres with their widths",
)


def _density(m: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    h = torch.tanh(m.body(x))
    mean, spread = m.mean(h).view(-1, 5, 2), F.softplus(m.spread(h))
    far = ((y[:, None] - mean) / spread[..., None]).square().sum(-1)
    return torch.logsumexp(torch.log_softmax(m.weight(h), -1) - 0.5 * far - 2.0 * spread.log(), -1)


architecture(
    "mixture_density",
    lambda: model(_density, body=L(3, 7), weight=L(7, 5), mean=L(7, 10), spread=L(7, 5)),
    example((4, 3), (4, 2)),
    fac(7, 5),
    "H!·K!: where the value is the log-likelihood, components change places",
)


class Capsules(nn.Module):
    """Three kinds of capsules vote for two classes; agreement is found by two rounds of routing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.votes = C2(2, 3 * 4, 3), nn.Parameter(torch.zeros(3 * 2 * 3, 2, 5, 4))

    @staticmethod
    def _squash(x: torch.Tensor) -> torch.Tensor:
        size = x.square().sum(-1, keepdim=True)
        return x * size / (1 + size) / torch.sqrt(size + 1e-8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self._squash(self.conv(x).view(x.shape[0], 3, 4, 2 * 3).transpose(2, 3)).flatten(1, 2)
        votes = torch.einsum("iode,bie->biod", self.votes, u)
        logits = torch.zeros(votes.shape[:3], dtype=x.dtype)
        for _ in range(2):
            v = self._squash((torch.softmax(logits, 2)[..., None] * votes).sum(1))
            logits = logits + (votes * v[:, None]).sum(-1)
        return v.square().sum(-1)


architecture(
    "capsules",
    Capsules,
    example((3, 2, 4, 5)),
    fac(3) * fac(4) ** 3 * fac(5) ** 2,
    "T!·e!ᵀ·d!ᶜ: kinds change places, each kind has dimensions of its own, and so has each class, though classes are "
    "fixed; places of the picture are fixed too and share the dimensions of their kind, which the convolution makes",
)


def _pooled_bag(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    h = relu(m.enter(x))
    weights = torch.softmax(m.w(torch.tanh(m.v(h)) * torch.sigmoid(m.u(h))), 1)
    return m.out((weights * h).sum(1))


architecture(
    "attention_pooling",
    lambda: model(_pooled_bag, enter=L(3, 7), v=L(7, 5), u=L(7, 5), w=L(5, 1, bias=False), out=L(7, 2)),
    example((2, 4, 3)),
    fac(7, 5),
    "H!·A!: the score is a sum over gated units",
)
architecture(
    "highway",
    lambda: model(
        lambda m, x: m.out((g := torch.sigmoid(m.gate(h := m.enter(x)))) * relu(m.body(h)) + (1 - g) * h),
        enter=L(3, 7),
        gate=L(7, 7),
        body=L(7, 7),
        out=L(7, 2),
    ),
    example((4, 3)),
    fac(7),
    "H!: the gate acts on the stream entry by entry",
)
architecture(
    "triplet",
    lambda: model(
        lambda m, x, y, z: relu((m.f(x) - m.f(y)).norm(dim=1) - (m.f(x) - m.f(z)).norm(dim=1) + 0.5),
        f=MLP(3, 7, 5, relu),
    ),
    example((8, 3), (8, 3), (8, 3)),
    fac(7, 5),
    "a!·E!: distances do not know the order of the embedding",
    dead=("f.down.bias",),
)


class PointNet(nn.Module):
    """A small network writes a matrix, near the identity, that turns the features of a cloud."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = C1(3, 5, 1), C1(5, 7, 1)
        self.turn, self.write, self.out = C1(5, 6, 1), L(6, 25), L(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = relu(self.a(x))
        matrix = self.write(relu(self.turn(h)).amax(2)).view(-1, 5, 5) + torch.eye(5, dtype=x.dtype)
        return self.out(relu(self.b(matrix @ h)).amax(2))


architecture(
    "pointnet",
    PointNet,
    example((2, 3, 6)),
    fac(5, 6, 7),
    "a!·t!·b!: P·(W + 1)·P⁻¹ = P·W·P⁻¹ + 1, so the features before and behind the matrix are one set that acts "
    "twice on the rows of its writer",
)


# ----------------------------------------------------------------------------------------------------- parametrisations
def _parametrised(wrap: Callable[[nn.Module], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(wrap(L(3, 7)), nn.ReLU(), wrap(L(7, 5)), nn.ReLU(), L(5, 2))


architecture(
    "weight_norm",
    _parametrised(parametrizations.weight_norm),
    example((4, 3)),
    fac(7, 5),
    "a!·b!: a length for each output unit, a norm over inputs",
)
architecture(
    "spectral_norm",
    _parametrised(parametrizations.spectral_norm),
    example((4, 3)),
    fac(7, 5),
    "a!·b!: the stored singular vectors lie along the rows and the columns and move with them",
)


def _interleaved(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.fused(x)
    return m.out(F.silu(y[..., ::2]) * y[..., 1::2])


architecture(
    "glu_interleaved",
    lambda: model(_interleaved, fused=L(3, 12), out=L(6, 2)),
    example((4, 3)),
    fac(6),
    "I!: rows 2k and 2k + 1 go together",
)


def _glu(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    a, b = m.fused(x).split([6, 6], -1)
    return m.out(F.gelu(a) * b + relu(m.gate(x)) * m.value(x))


architecture(
    "geglu_and_reglu",
    lambda: model(_glu, fused=L(3, 12), gate=L(3, 6, bias=False), value=L(3, 6), out=L(6, 2)),
    example((4, 3)),
    fac(6),
    "I!: what is added entry by entry is one set",
)


def _conditional() -> Inputs:
    return (*example((4, 3))(), torch.tensor([0, 2, 1, 2]))


architecture(
    "conditional_norm",
    lambda: model(
        lambda m, x, label: m.out(relu(m.norm(m.enter(x)) * m.gain(label) + m.shift(label))),
        enter=L(3, 7),
        norm=nn.BatchNorm1d(7, affine=False),
        gain=nn.Embedding(4, 7),
        shift=nn.Embedding(4, 7),
        out=L(7, 2),
    ),
    _conditional,
    fac(7),
    "H!: gains and shifts are looked up by class, along the units",
)
