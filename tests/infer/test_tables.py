"""Tables of positions among the buffers are part of the program: their entries are no weights that move."""

from math import factorial

import pytest
import torch
from tests.zoo import L, model
from torch import nn

from orbitope import symmetries


def _looked_up(dtype: torch.dtype) -> nn.Module:
    """The entries of the table are summed over: in any other order they give the same."""
    net = model(lambda m, x: m.out(m.a(x).relu() * m.rows[m.table.long()].sum(0)), a=L(3, 5), out=L(5, 2))
    net.rows = nn.Parameter(torch.randn(7, 5))
    net.register_buffer("table", torch.tensor([4, 1, 6]).to(dtype))
    return net


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_a_table_of_positions_stays(dtype: torch.dtype) -> None:
    group = symmetries(_looked_up(dtype), (torch.randn(4, 3),))
    assert all(parameter != "table" for unit in group.units for parameter, _ in unit.acts_on)
    assert any(d.parameter == "table" and "no weights" in d.reason for d in group.diagnostics)
    assert group.order == factorial(5)
