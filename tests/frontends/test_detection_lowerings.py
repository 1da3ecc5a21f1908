"""Operations of torchvision against torchvision, where that is installed."""

import pytest
import torch
from tests.frontends.comparing import check, rand
from torch import nn

import orbitope

ops = pytest.importorskip("torchvision.ops")


@pytest.mark.parametrize(("groups", "offset_groups"), [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_deformable_convolution(groups, offset_groups):
    taps, rows, columns = 6, 5, 3
    x, weight, bias = rand(2, 6, 7, 8), rand(4, 6 // groups, 2, 3, seed=1), rand(4, seed=2)
    offset, mask = (
        2 * rand(2, 2 * offset_groups * taps, rows, columns, seed=3),
        rand(2, offset_groups * taps, rows, columns),
    )

    def function(x, weight, offset, mask, bias):
        settings = {"stride": (1, 2), "padding": (0, 1), "dilation": (2, 2)}
        return (
            ops.deform_conv2d(x, offset, weight, bias, mask=mask, **settings),
            ops.deform_conv2d(x, offset, weight, **settings),
        )

    check(function, (x, weight, offset, mask, bias), carried=True)


def test_regions():
    boxes = torch.tensor([[0, 0.5, 1, 5, 6], [1, 2, 0, 7, 4], [0, 3, 3, 6, 8.5]], dtype=torch.float64)

    def function(x, boxes):
        return (
            ops.roi_align(x, boxes, (3, 2), 0.7, 2),
            ops.roi_align(x, boxes, 2, 1.0, -1, aligned=True),
            ops.roi_pool(x, boxes, (2, 3), 0.9),
        )

    check(function, (rand(2, 5, 9, 8), boxes), carried=True)


class _Deformed(nn.Module):
    """Channels into a deformable convolution, regions of its channels, a dense layer on all that they hold."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 1)
        self.offset = nn.Conv2d(3, 2 * 4, 2)
        self.middle = ops.DeformConv2d(6, 5, 2)
        self.last = nn.Linear(5 * 4, 3)

    def forward(self, x, boxes):
        h = self.middle(torch.tanh(self.first(x)), self.offset(x)).sin()
        return self.last(ops.roi_align(h, boxes, 2).flatten(1))


def test_channels_are_free():
    model = _Deformed().double().eval()
    boxes = torch.tensor([[0, 0.5, 1, 5, 6], [1, 2, 0, 7, 4], [0, 3, 3, 6, 8.5]], dtype=torch.float64)
    inputs = (rand(2, 3, 9, 8), boxes)
    group = orbitope.symmetries(model, inputs)
    assert sorted(unit.size for unit in group.units) == [5, 6]
    assert all(orbitope.verify(model, group.sample(seed), inputs).equal for seed in (1, 2))
