"""Mixtures of experts and other parallel branches: experts permute, and their hidden units are over them.

D: residual stream, E: experts, I: hidden units of an expert.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from tests.zoo.blocks import LanguageModel, RMSNorm, attend, tokens
from tests.zoo.core import C2, L, architecture, example, fac, relu
from torch import nn


class Experts(nn.Module):
    """All experts in two stacked tensors; ``route`` makes a weight for each of them."""

    def __init__(self, route: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.router = L(7, 5, bias=False)
        self.gate_up, self.down = nn.Parameter(torch.zeros(5, 7, 2 * 6)), nn.Parameter(torch.zeros(5, 6, 7))
        self.route = route

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.route(self.router(x))
        gate, up = torch.einsum("btd,edi->btei", x, self.gate_up).chunk(2, -1)
        return torch.einsum("btei,eid,bte->btd", F.silu(gate) * up, self.down, weights)


def _dense(logits: torch.Tensor) -> torch.Tensor:
    return torch.softmax(logits, -1)


def _scattered(logits: torch.Tensor) -> torch.Tensor:
    """Weights of the two best, normalised, put back in their places."""
    weights, chosen = torch.topk(torch.softmax(logits, -1), 2)
    return torch.zeros_like(logits).scatter(-1, chosen, weights / weights.sum(-1, keepdim=True))


def _masked(logits: torch.Tensor) -> torch.Tensor:
    """The same without indices: what lies below the second best does not count."""
    second = torch.topk(logits, 2).values[..., -1:]
    return torch.softmax(torch.where(logits >= second, logits, torch.full_like(logits, -1e9)), -1)


class _Routed(nn.Module):
    def __init__(self, mixture: nn.Module) -> None:
        super().__init__()
        self.norm, self.mixture = RMSNorm(7), mixture

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mixture(self.norm(x))


def _moe(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: LanguageModel(7, [_Routed(make()) for _ in range(2)], RMSNorm)


_MOE = fac(7) * (fac(5) * fac(6) ** 5) ** 2

architecture(
    "moe_soft",
    _moe(lambda: Experts(_dense)),
    tokens(),
    _MOE,
    "D!·(E!·I!ᴱ)²: a softmax over all experts weighs them; gate and up of a hidden unit go together",
)
architecture(
    "moe_top_k_scattered",
    _moe(lambda: Experts(_scattered)),
    tokens(),
    _MOE,
    "D!·(E!·I!ᴱ)²: the best k are the same set whatever the order, away from ties",
)
architecture(
    "moe_top_k_masked",
    _moe(lambda: Experts(_masked)),
    tokens(),
    _MOE,
    "D!·(E!·I!ᴱ)²: the k-th largest logit does not know the order of experts",
)


class Gathered(Experts):
    """Fetches the tensors of the two best experts for each token."""

    def __init__(self) -> None:
        super().__init__(_dense)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = torch.topk(torch.softmax(self.router(x), -1), 2)
        gate, up = torch.einsum("btd,btkdi->btki", x, self.gate_up[chosen]).chunk(2, -1)
        return torch.einsum("btki,btkid,btk->btd", F.silu(gate) * up, self.down[chosen], weights)


architecture(
    "moe_top_k_gathered",
    _moe(Gathered),
    tokens(),
    _MOE,
    "D!·(E!·I!ᴱ)²: the chosen positions are looked up in tensors that permute like the logits",
)


class DeepSeek(nn.Module):
    """Sigmoid scores, a stored bias that only selects, and a shared expert."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = Experts(self._route)
        self.shared_up, self.shared_down = L(7, 4, bias=False), L(4, 7, bias=False)
        self.register_buffer("selection", torch.zeros(5))

    def _route(self, logits: torch.Tensor) -> torch.Tensor:
        scores = torch.sigmoid(logits)
        chosen = torch.topk(scores + self.selection, 2).indices
        weights = torch.gather(scores, -1, chosen)
        return torch.zeros_like(scores).scatter(-1, chosen, weights / weights.sum(-1, keepdim=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.experts(x) + self.shared_down(F.silu(self.shared_up(x)))


architecture(
    "moe_deepseek",
    _moe(DeepSeek),
    tokens(),
    fac(7) * (fac(5) * fac(6) ** 5 * fac(4)) ** 2,
    "D!·(E!·I!ᴱ·S!)²: the bias of the selection permutes with the experts; the shared expert has its own S units",
)


# -------------------------------------------------------------------------------------------------- branches as modules
class Branch(nn.Module):
    """Two hidden layers: one alone would merge with those of its neighbours into one wide layer."""

    def __init__(self, width: int = 7, first: int = 4, second: int = 3, out: int = 7) -> None:
        super().__init__()
        self.a, self.b, self.c = L(width, first), L(first, second), L(second, out, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(relu(self.b(relu(self.a(x)))))


class _Between(nn.Module):
    """A layer, a mixture on its stream, a layer."""

    def __init__(self, mixture: nn.Module, out: int = 7) -> None:
        super().__init__()
        self.enter, self.mixture, self.leave = L(3, 7), mixture, L(out, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leave(self.mixture(self.enter(x)))


class GatedModules(nn.Module):
    """Experts in a list, weighted by a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = L(7, 5), nn.ModuleList(Branch() for _ in range(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, total = torch.softmax(self.router(x), -1), torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            total = total + weights[..., k : k + 1] * expert(x)
        return x + total


architecture(
    "moe_of_modules",
    lambda: _Between(GatedModules()),
    example((4, 3)),
    fac(7) * fac(5) * (fac(4) * fac(3)) ** 5,
    "D!·E!·(a!·b!)ᴱ: modules of one shape that are summed change places together with their rows of the router",
)


class Summed(nn.Module):
    """A sum of branches without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch() for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + sum(branch(x) for branch in self.branches)


architecture(
    "sum_of_branches",
    lambda: _Between(Summed()),
    example((4, 3)),
    fac(7) * fac(4) * (fac(4) * fac(3)) ** 4,
    "D!·B!·(a!·b!)ᴮ: a sum does not know the order of its terms",
)


class Concatenated(nn.Module):
    """Branches laid side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(out=6) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.tanh(branch(x)) for branch in self.branches], -1)


architecture(
    "concatenated_branches",
    lambda: _Between(Concatenated(), 24),
    example((4, 3)),
    fac(7) * fac(4) * (fac(4) * fac(3) * fac(6)) ** 4,
    "D!·B!·(a!·b!·c!)ᴮ: the segments of what reads them change places too",
)


class HeadModules(nn.Module):
    """Attention as a list of heads whose outputs are concatenated and projected."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = (nn.ModuleList(L(7, 4, bias=False) for _ in range(3)) for _ in range(2))
        self.v, self.o = nn.ModuleList(L(7, 5) for _ in range(3)), L(15, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = [attend(q(x), k(x), v(x)) for q, k, v in zip(self.q, self.k, self.v, strict=True)]
        return x + self.o(torch.cat(heads, -1))


architecture(
    "heads_as_modules",
    lambda: _Between(HeadModules()),
    example((2, 6, 3)),
    fac(7) * fac(3) * fac(4) ** 3 * fac(5) ** 3,
    "D!·h!·(d_k!·d_v!)ʰ: the group of attention, however its heads are stored",
)


class Ensemble(nn.Module):
    """The mean of the logits of networks of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            nn.Sequential(C2(2, 4, 3), nn.ReLU(), C2(4, 5, 2), nn.ReLU(), nn.Flatten(), L(5 * 6, 3, bias=False))
            for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(x) for member in self.members]).mean(0)


architecture(
    "ensemble",
    Ensemble,
    example((2, 2, 5, 6)),
    fac(3) * (fac(4) * fac(5)) ** 3,
    "M!·(a!·b!)ᴹ: members change places, each has channels of its own",
)
