"""Trained networks of several kinds for the proofs that are measured: on handwritten digits, and on text.

    python benchmarks/proofs/networks.py [NAME ...]

trains them and writes their parameters to build/networks; seeds are fixed. Accuracies and losses are printed.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from orbitope.reports.digits import digits

FOLDER = Path("build/networks")
Data = tuple[torch.Tensor, torch.Tensor]


# models -------------------------------------------------------------------------------------------------------------
def perceptron(*widths: int) -> nn.Sequential:
    """Dense layers with ReLU between them."""
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Block(nn.Module):
    """A residual block of ResNet-20; where the size changes, the shortcut is a convolution."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        """Of these sizes."""
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.short = nn.Conv2d(before, after, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of both ways."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.short(x))


class ResNet20(nn.Module):
    """ResNet-20 for images of 32 × 32."""

    def __init__(self, channels: int = 1) -> None:
        """Of these sizes."""
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
        self.blocks = nn.Sequential(*(Block(a, b, 1 if a == b else 2) for a, b in pairwise(widths)))
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.blocks(functional.relu(self.bn(self.conv(x))))
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    """An LSTM that reads an image row by row."""

    def __init__(self, hidden: int = 24) -> None:
        """Of these sizes."""
        super().__init__()
        self.lstm = nn.LSTM(8, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        states, _ = self.lstm(x)
        return self.head(states[:, -1])


class Attention(nn.Module):
    """Self-attention with heads."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        """Of these sizes."""
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mixed values."""
        n, t, d = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(n, t, d))


class Layer(nn.Module):
    """A layer of a transformer, norms first."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        """Of these sizes."""
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads, causal)
        self.norm2 = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The stream with both parts added."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    """A vision transformer for images of 8 × 8 in patches of 2 × 2."""

    def __init__(self, width: int = 32, heads: int = 4, layers: int = 2) -> None:
        """Of these sizes."""
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.positions = nn.Parameter(0.1 * torch.randn(16, width))
        self.layers = nn.Sequential(*(Layer(width, heads, causal=False) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.layers(x)).mean(1))


class GPT(nn.Module):
    """A language model, its table of tokens tied to the last layer."""

    def __init__(
        self, vocabulary: int = 128, width: int = 64, heads: int = 4, layers: int = 4, length: int = 64
    ) -> None:
        """Of these sizes."""
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.layers = nn.Sequential(*(Layer(width, heads, causal=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.05)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits for every position."""
        h = self.tokens(x) + self.positions(torch.arange(x.shape[1]))
        return self.head(self.norm(self.layers(h)))


def gpt2_small(length: int = 1024) -> GPT:
    """The shape of GPT-2 small: 12 layers of width 768, 50257 tokens."""
    return GPT(50257, 768, 12, 12, length)


# data ---------------------------------------------------------------------------------------------------------------
def images(size: int, samples: int | None = None, seed: int = 0) -> Data:
    """Digits of ``size`` × ``size``; beyond the 1797 that there are, moved and noisy copies of them."""
    x, y = digits()
    x = x.reshape(-1, 1, 8, 8).float()
    if size != 8:
        x = functional.interpolate(x, (size, size), mode="bilinear", align_corners=False)
    if samples is None or samples <= len(x):
        return x[:samples], y[:samples]
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(x), (samples,), generator=generator)
    moves = torch.randint(-2, 3, (samples, 2), generator=generator)
    moved = [torch.roll(x[i], tuple(m), (1, 2)) for i, m in zip(index.tolist(), moves.tolist(), strict=True)]
    noise = 0.05 * torch.randn(samples, 1, size, size, generator=generator)
    return torch.stack(moved) + noise, y[index]


def text(length: int = 64, windows: int | None = None) -> Data:
    """Windows of the source text of Python's own module ``inspect``, as characters, and the characters that follow."""
    source = torch.tensor([min(ord(c), 127) for c in inspect.getsource(inspect)])
    count = (len(source) - 1) // length
    x, y = (source[k : k + count * length].reshape(count, length) for k in (0, 1))
    return x[:windows], y[:windows]


# training -----------------------------------------------------------------------------------------------------------
def cross_entropy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean over samples, and over positions of a sequence."""
    return functional.cross_entropy(output.flatten(0, -2), target.flatten())


@dataclass(frozen=True)
class Setup:
    """A network, its data and how long it is trained."""

    build: Callable[[], nn.Module]
    data: Callable[[], Data]
    steps: int = 600
    batch: int = 128
    rate: float = 2e-3


SETUPS: dict[str, Setup] = {
    "mlp": Setup(lambda: perceptron(64, 32, 32, 10), lambda: images(8)),
    "mlp-784": Setup(lambda: perceptron(784, 512, 512, 10), lambda: images(28, 10_000), steps=400),
    "resnet20": Setup(ResNet20, lambda: images(32, 1000), steps=120, batch=64),
    "lstm": Setup(Recurrent, lambda: (images(8)[0].squeeze(1), images(8)[1]), steps=800),
    "vit": Setup(ViT, lambda: images(8), steps=600),
    "gpt": Setup(GPT, text, steps=800, batch=32),
}


def trained(name: str) -> tuple[nn.Module, Data]:
    """A network of ``SETUPS``, trained or read from the folder, in evaluation mode, with its data."""
    setup = SETUPS[name]
    torch.manual_seed(0)
    model, (x, y) = setup.build(), setup.data()
    file = FOLDER / f"{name}.safetensors"
    if file.exists():
        state = load_file(file)
        model.load_state_dict(state, strict=False)
        return model.eval(), (x, y)
    optimiser = torch.optim.AdamW(model.parameters(), setup.rate, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(1)
    for step in range(setup.steps):
        for group in optimiser.param_groups:
            group["lr"] = setup.rate * min(1.0, 2 * (1 - step / setup.steps))
        index = torch.randint(len(x), (setup.batch,), generator=generator)
        optimiser.zero_grad()
        cross_entropy(model(x[index]), y[index]).backward()
        optimiser.step()
    FOLDER.mkdir(parents=True, exist_ok=True)
    known = dict(model.named_parameters()) | dict(model.named_buffers())  # tied tensors once
    save_file({key: tensor.detach().contiguous() for key, tensor in known.items()}, file)
    return model.eval(), (x, y)


def main(names: list[str]) -> None:
    """Train and print."""
    for name in names or list(SETUPS):
        begun = time.perf_counter()
        model, (x, y) = trained(name)
        with torch.no_grad():
            output = model(x[:500])
        right = (output.argmax(-1) == y[:500]).double().mean().item()
        loss = cross_entropy(output, y[:500]).item()
        print(f"{name:<10} loss {loss:.4f}  right {right:.3f}  {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
