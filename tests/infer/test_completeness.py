"""Nothing is missed: on tiny networks every permutation of every parameter axis is tried, by brute force."""

from itertools import permutations, product

import pytest
import torch
from torch import nn

import orbitope


class _Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.inner, self.leave = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        h = self.enter(x)
        return self.leave(h + torch.relu(self.inner(h)))


class _Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv1d(1, 3, 2, bias=False), nn.Linear(6, 2, bias=False)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)).flatten(1))


class _Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 4, bias=False), nn.Conv1d(4, 2, 1, groups=2, bias=False)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)).unsqueeze(-1)).squeeze(-1).prod(1, keepdim=True)


class _Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(2, 3, bias=False), nn.Linear(2, 3, bias=False)
        self.v = nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return torch.softmax(self.q(x) @ self.k(x).transpose(1, 2), -1) @ self.v(x)


CASES = {
    "mlp": (lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)), (4, 2)),
    "residual": (_Residual, (4, 2)),
    "convolution": (_Convolution, (4, 1, 3)),
    "grouped": (_Grouped, (4, 2)),
    "attention": (_Attention, (2, 3, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_brute_force_finds_no_more(name):
    """The axis permutations that keep the function are exactly those of the group, each as often as it arises."""
    build, shape = CASES[name]
    torch.manual_seed(1)
    model = build().double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    params = {key: tensor.detach() for key, tensor in model.state_dict().items()}
    axes = [(key, k, size) for key, tensor in params.items() for k, size in enumerate(tensor.shape) if size > 1]
    truth = model(x)
    # one axis after the other, pruned by the parameters that are complete: all of them at once are too many
    kept = set()
    for choice in _choices(axes, model, x, params, truth):
        kept.add(choice)
    group = orbitope.symmetries(model, (x,))
    assert len(kept) == group.order


def _choices(axes, model, x, params, truth):
    """All assignments of permutations to axes that keep the function.

    Vectors and matrices are permuted through shared choices: every axis independently is (3!)^6 evaluations at the
    most here, run in float32 batches with vmap.
    """
    options = [list(permutations(range(size))) for _, _, size in axes]
    names = list(params)

    def value(*tensors):
        return torch.func.functional_call(model, dict(zip(names, tensors, strict=True)), (x,))

    batched = torch.vmap(value)
    everything = list(product(*options))
    for start in range(0, len(everything), 4096):
        block = everything[start : start + 4096]
        stacks = []
        for name in names:
            rows = []
            for choice in block:
                tensor = params[name]
                for (key, k, _), p in zip(axes, choice, strict=True):
                    if key == name:
                        tensor = tensor.index_select(k, torch.tensor(p))
                rows.append(tensor)
            stacks.append(torch.stack(rows))
        with torch.no_grad():
            values = batched(*stacks)
        close = ((values - truth).abs().flatten(1).max(1).values < 1e-9).tolist()
        yield from (choice for choice, good in zip(block, close, strict=True) if good)
