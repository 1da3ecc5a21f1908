"""Every network of the zoo: the order worked out by hand, and every element keeps the function in float64."""

from math import factorial

import pytest
import torch
from tests.zoo import ZOO, randomise
from torch.utils import _pytree as pytree

import orbitope

TOLERANCE = 1e-9
"""Relative to the largest entry of an output."""


def _double(value):
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _run(model, params, inputs):
    with torch.no_grad():
        result = torch.func.functional_call(model, params, inputs, tie_weights=False)
    return [x for x in pytree.tree_leaves(result) if isinstance(x, torch.Tensor)]


def _change(before, after):
    """The largest relative change of any output."""
    assert all(bool(x.isfinite().all()) for x in (*before, *after))
    return max(float((x - y).abs().max() / x.abs().max()) for x, y in zip(before, after, strict=True))


@pytest.fixture(scope="module", params=ZOO)
def found(request):
    case = ZOO[request.param]
    model = randomise(case.build(), seed=11).double()
    inputs = tuple(map(_double, case.inputs()))
    return case, model, inputs, orbitope.symmetries(model, inputs)


def test_the_order_is_the_closed_form(found):
    case, _, _, group = found
    assert case.order is None or group.order == case.order, case.notes


def test_every_element_keeps_the_function(found):
    _, model, inputs, group = found
    params = dict(model.state_dict())
    before = _run(model, params, inputs)
    for seed in range(3):
        assert _change(before, _run(model, group.sample(seed).act(params), inputs)) <= TOLERANCE
    g = group.sample(9)
    assert _change(before, _run(model, (~g).act(g.act(params)), inputs)) == 0.0


def test_every_parameter_that_moves_must_move(found):
    """Leaving out one moved parameter changes the function: no units are reported that nothing depends on."""
    case, model, inputs, group = found
    params = dict(model.state_dict())
    before = _run(model, params, inputs)
    twin = group.sample(5).act(params)
    for placement in group.placements.values():
        name = placement.names[0]
        if name in case.dead or torch.equal(twin[name], params[name]):
            continue
        broken = {**twin, **dict.fromkeys(placement.names, params[name])}
        assert _change(before, _run(model, broken, inputs)) > 1e-7, name


def test_unknown_operations_are_reported_by_name(found):
    case, _, _, group = found
    reported = " ".join(d.reason for d in group.diagnostics if d.unknown)
    for target in case.unknown:
        assert target in reported
    if not case.unknown:
        assert not any(d.unknown for d in group.diagnostics)


def test_resnet_18_of_full_width():
    """3·ΣF(c): the stream of each stage, and one inner width in each of its two blocks."""
    from tests.zoo import ResNet18

    model = ResNet18().eval()
    group = orbitope.symmetries(model, (torch.randn(2, 3, 32, 32),))
    expected = 1
    for channels in (64, 128, 256, 512):
        expected *= factorial(channels) ** 3
    assert group.order == expected
