"""What a lowered program computes, next to what PyTorch computes."""

import torch
from torch import nn

from orbitope.arithmetic import TorchArithmetic
from orbitope.frontends import lower, trace
from orbitope.primitives import evaluate


class Function(nn.Module):
    """A function as a module without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *xs):
        return self.function(*xs)


def rand(*shape, seed=0):
    """Normal entries in float64, the same ones every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check(function, inputs, carried=False, equal_nan=False):
    """Lower a function of several results, find nothing unknown in it, and compare all results with PyTorch's.

    Args:
        function: of tensors, returns a tuple of tensors.
        inputs: to trace and compare on.
        carried: whether operations without a lowering may stand in it whose leading axes are known to be carried.
        equal_nan: whether entries that are no numbers count as equal.
    """
    model = Function(function).eval()
    graph = lower(trace(model, inputs))
    opaque = [node for node in graph if node.op == "opaque" and not (carried and node.attributes["carried"])]
    assert sorted({f"{node.target} {node.name}" for node in opaque}) == []
    values, truth = evaluate(graph, TorchArithmetic(), {}, dict(zip(graph.inputs, inputs, strict=True))), model(*inputs)
    assert len(values) == len(truth)
    for k, (ours, theirs) in enumerate(zip(values, truth, strict=True)):
        assert ours.shape == theirs.shape, k
        tolerance = 1e-6 if theirs.dtype == torch.float32 else 1e-9
        assert torch.allclose(ours.double(), theirs.double(), rtol=tolerance, atol=tolerance, equal_nan=equal_nan), k
