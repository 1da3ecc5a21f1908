"""Networks of plain torch.nn: recurrent layers, attention, parametrisations, adapters; every size different."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations

Made = tuple[nn.Module, Sequence[Any], Mapping[str, Any]]


class Recurrent(nn.Module):
    """A recurrent layer read by a linear one."""

    def __init__(self, kind: type[nn.RNNBase], **settings: Any) -> None:
        """``settings`` go to the layer."""
        super().__init__()
        self.layer = kind(3, 10, batch_first=True, **settings)
        width = settings.get("proj_size", 0) or 10
        self.read = nn.Linear(width * (2 if settings.get("bidirectional") else 1), 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Every step's output, read."""
        return self.read(self.layer(x)[0])


class Attention(nn.Module):
    """MultiheadAttention between two linear layers."""

    def __init__(self) -> None:
        """A stream of 24 = 3 heads of size 8."""
        super().__init__()
        self.write, self.read = nn.Linear(5, 24), nn.Linear(24, 4)
        self.attention = nn.MultiheadAttention(24, 3, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention with a residual connection."""
        h = self.write(x)
        return self.read(h + self.attention(h, h, h, need_weights=False)[0])


class Translator(nn.Module):
    """nn.Transformer with an encoder and a decoder."""

    def __init__(self) -> None:
        """Widths 24, 3 heads, one hidden width of 20 for each layer."""
        super().__init__()
        self.source, self.target, self.read = nn.Linear(5, 24), nn.Linear(6, 24), nn.Linear(24, 4)
        self.transformer = nn.Transformer(24, 3, 2, 2, 20, batch_first=True)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The decoder's stream, read."""
        return self.read(self.transformer(self.source(x), self.target(y)))


class Pair(nn.Module):
    """A bilinear form of two inputs."""

    def __init__(self) -> None:
        """Widths 10 and 9 inside, 7 after the form."""
        super().__init__()
        self.left, self.right, self.form = nn.Linear(3, 10), nn.Linear(5, 9), nn.Bilinear(10, 9, 7)
        self.read = nn.Linear(7, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The form of two hidden layers, read."""
        return self.read(torch.relu(self.form(torch.tanh(self.left(x)), torch.tanh(self.right(y)))))


class Adapted(nn.Module):
    """A linear layer with a low-rank adapter beside it."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        """The frozen layer, and down and up projections of the adapter."""
        super().__init__()
        self.base = nn.Linear(inputs, outputs)
        self.down, self.up = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both, added."""
        return self.base(x) + 0.5 * self.up(self.down(x))


class Columns(nn.Module):
    """Overlapping patches of an image, mapped, and folded back."""

    def __init__(self) -> None:
        """Patches of 2 × 2 with stride 1 on 4 × 4 pixels, 5 channels."""
        super().__init__()
        self.write, self.read = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 4, 1)
        self.unfold, self.fold = nn.Unfold(2), nn.Fold((4, 4), 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The squares of all patches, added where they overlap."""
        return self.read(self.fold(self.unfold(self.write(x)).square()))


def _image(channels: int = 3, side: int = 4) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))


def _rows(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _bag() -> Made:
    model = nn.Sequential(nn.EmbeddingBag(30, 10, mode="mean"), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 4))
    return model, (torch.randint(0, 30, (3, 5), generator=torch.Generator().manual_seed(1)),), {}


def _encoder() -> Made:
    layer = nn.TransformerEncoderLayer(24, 3, 20, batch_first=True, norm_first=True)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(nn.Linear(5, 24), stack, nn.Linear(24, 4)), (_rows(2, 7, 5),), {}


def _parametrised(wrap: Callable[[nn.Module], nn.Module]) -> Made:
    return nn.Sequential(wrap(nn.Linear(3, 10)), nn.ReLU(), wrap(nn.Linear(10, 4))), (_rows(5, 3),), {}


PLAIN: dict[str, Callable[[], Made]] = {
    "mlp": lambda: (nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(10, 4)), (_rows(5, 3),), {}),
    "rnn": lambda: (Recurrent(nn.RNN), (_rows(2, 6, 3),), {}),
    "rnn bidirectional": lambda: (Recurrent(nn.RNN, bidirectional=True), (_rows(2, 6, 3),), {}),
    "lstm": lambda: (Recurrent(nn.LSTM), (_rows(2, 6, 3),), {}),
    "lstm two layers": lambda: (Recurrent(nn.LSTM, num_layers=2), (_rows(2, 6, 3),), {}),
    "lstm projected": lambda: (Recurrent(nn.LSTM, proj_size=7), (_rows(2, 6, 3),), {}),
    "gru": lambda: (Recurrent(nn.GRU), (_rows(2, 6, 3),), {}),
    "gru bidirectional": lambda: (Recurrent(nn.GRU, bidirectional=True), (_rows(2, 6, 3),), {}),
    "multihead attention": lambda: (Attention(), (_rows(2, 7, 5),), {}),
    "transformer encoder": _encoder,
    "transformer": lambda: (Translator(), (_rows(2, 7, 5), _rows(2, 8, 6, seed=2)), {}),
    "bilinear": lambda: (Pair(), (_rows(6, 3), _rows(6, 5, seed=2)), {}),
    "embedding bag": _bag,
    "pixel shuffle": lambda: (
        nn.Sequential(nn.Conv2d(3, 20, 3), nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(5, 4, 1)),
        (_image(),),
        {},
    ),
    "pixel unshuffle": lambda: (
        nn.Sequential(nn.Conv2d(3, 5, 1), nn.PixelUnshuffle(2), nn.ReLU(), nn.Conv2d(20, 4, 1)),
        (_image(),),
        {},
    ),
    "channel shuffle": lambda: (
        nn.Sequential(nn.Conv2d(3, 12, 1, bias=False), nn.ChannelShuffle(3), nn.ReLU(), nn.Conv2d(12, 4, 1)),
        (_image(),),
        {},
    ),
    "fold": lambda: (Columns(), (_image(),), {}),
    "weight norm": lambda: _parametrised(parametrizations.weight_norm),
    "spectral norm": lambda: _parametrised(parametrizations.spectral_norm),
    "orthogonal": lambda: _parametrised(lambda layer: parametrizations.orthogonal(layer, orthogonal_map="cayley")),
    "adapter": lambda: (nn.Sequential(Adapted(3, 10, 2), nn.ReLU(), Adapted(10, 4, 3)), (_rows(5, 3),), {}),
    "group norm": lambda: (
        nn.Sequential(nn.Conv2d(3, 12, 1), nn.GroupNorm(3, 12), nn.ReLU(), nn.Conv2d(12, 4, 1)),
        (_image(),),
        {},
    ),
    "grouped convolution": lambda: (
        nn.Sequential(nn.Conv2d(3, 12, 1), nn.ReLU(), nn.Conv2d(12, 15, 2, groups=3), nn.ReLU(), nn.Conv2d(15, 4, 1)),
        (_image(),),
        {},
    ),
    "transposed convolution": lambda: (
        nn.Sequential(nn.Conv2d(3, 10, 1), nn.ReLU(), nn.ConvTranspose2d(10, 7, 2), nn.ReLU(), nn.Conv2d(7, 4, 1)),
        (_image(),),
        {},
    ),
    "flatten": lambda: (
        nn.Sequential(nn.Conv2d(3, 10, 3), nn.ReLU(), nn.Flatten(), nn.Linear(40, 8), nn.ReLU(), nn.Linear(8, 4)),
        (_image(),),
        {},
    ),
}
