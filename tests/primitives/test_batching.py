"""The program of another number of samples computes, sample by sample, what the first one does."""

import pytest
import torch
from torch import nn

from orbitope.arithmetic import TorchArithmetic
from orbitope.errors import DataError
from orbitope.frontends import lower, trace
from orbitope.primitives import evaluate, rebatch, sample_axes

T, D = 5, 4


class Applied(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.inner = nn.Linear(D, 6)
        self.apply_to = forward

    def forward(self, x):
        return self.apply_to(self, x)


def graph_of(forward, samples=3):
    torch.manual_seed(0)
    model = Applied(forward).double().eval()
    return model, lower(trace(model, (torch.randn(samples, T, D, dtype=torch.float64),)))


def merged(m, x):
    n, t, d = x.shape
    return m.inner(x.reshape(n * t, d)).reshape(n, t, 6)


def merged_twice(m, x):
    n, t, d = x.shape
    y = m.inner(x.reshape(n * t, d)).reshape(n * t, 2, 3).reshape(n * t * 2, 3)
    return torch.tanh(y).reshape(n, t, 6)


def turned(m, x):
    return m.inner(x.transpose(0, 1)).transpose(0, 1)


def pooled(m, x):
    n, t, d = x.shape
    return nn.functional.avg_pool1d(x.reshape(n * t, 1, d), 2).reshape(n, t, 2)


def with_constant(m, x):
    return m.inner(x) + torch.arange(T, dtype=x.dtype)[None, :, None].repeat(x.shape[0], 1, 1)


@pytest.mark.parametrize("forward", [merged, merged_twice, turned, pooled, with_constant])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_any_number_of_samples(forward, size):
    model, graph = graph_of(forward)
    other = rebatch(graph, {graph.inputs[0]: 0}, size)
    x = torch.randn(size, T, D, dtype=torch.float64)
    found = evaluate(other, TorchArithmetic(), dict(model.state_dict()), {graph.inputs[0]: x})[0]
    assert torch.allclose(found, model(x), rtol=1e-12)


def test_where_the_samples_are():
    _, graph = graph_of(merged)
    spots = sample_axes(graph, {graph.inputs[0]: 0})
    assert {spots[node.name] for node in graph if node.name in spots} == {(0, 1), (0, T)}
    _, graph = graph_of(turned)
    assert (1, 1) in sample_axes(graph, {graph.inputs[0]: 0}).values()


def split_across(m, x):
    return m.inner(x.reshape(T, -1, D)).reshape(-1, T, 6)


def samples_last_in_a_product(m, x):
    return m.inner(x.transpose(0, 1).reshape(-1, D)).reshape(T, -1, 6).transpose(0, 1)


def differs(m, x):
    return m.inner(x) + torch.arange(x.shape[0], dtype=x.dtype)[:, None, None]


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (split_across, "merged with another, split or cut|computes along"),
        (samples_last_in_a_product, "merged with another"),
        (differs, "constant differs from sample to sample"),
        (lambda m, x: m.inner(x).flip(0), "computes along|differs|merged"),
        (lambda m, x: m.inner(x)[1:], "merged with another, split or cut"),
        (lambda m, x: m.inner(x).softmax(0), "computes along the axis of samples"),
        (lambda m, x: m.inner(x) @ m.inner(x).reshape(-1, 6).T, "two axes|computes along"),
    ],
)
def test_samples_that_meet_are_refused(forward, words):
    _, graph = graph_of(forward)
    with pytest.raises(DataError, match=words):
        rebatch(graph, {graph.inputs[0]: 0}, 7)


def test_samples_that_are_not_the_slowest_factor_are_refused():
    """Also where the sizes would fit: six steps are two for each of three samples."""
    model = Applied(samples_last_in_a_product).eval()
    model.apply_to = lambda m, x: m.inner(x.transpose(0, 1).reshape(-1, D))
    graph = lower(trace(model, (torch.randn(3, 6, D),)))
    with pytest.raises(DataError, match="merged with another"):
        rebatch(graph, {graph.inputs[0]: 0}, 7)
