"""Lowerings against PyTorch itself, on asymmetric inputs; one traced program for each family."""

import pytest
import torch
import torch.nn.functional as F
from tests.frontends.comparing import Function, check, rand
from torch import nn

from orbitope.errors import DataError, ExportError, LoweringError, TrainingModeError
from orbitope.frontends import lower, lowerings, trace

IMAGE, VOLUME, LINE, ROWS = rand(2, 6, 7, 9), rand(2, 4, 5, 3, 6), rand(2, 6, 11), rand(3, 4, 6)

FAMILIES = {
    "dense": (
        lambda x, w, b: (
            F.linear(x, w, b), F.linear(x, w), x @ w.T, torch.matmul(w, x.transpose(1, 2)), x[0] @ w[0], w[0] @ x[1].T,
            torch.bmm(x, x.transpose(1, 2)), torch.addmm(b, x[0], w.T, beta=2, alpha=0.5), torch.mm(x[0], w.T),
            torch.einsum("bik,ok->boi", x, w), torch.dot(w[0], w[1]), torch.mv(w, x[0, 0]),
        ),
        (ROWS, rand(5, 6, seed=1), rand(5, seed=2)),
    ),
    "convolution": (
        lambda x, w, g, b, t: (
            F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
            F.conv2d(x, g, groups=3), F.conv2d(x, w, padding="same"), F.conv2d(x[0], w),
            F.conv_transpose2d(x, t, stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2, dilation=(1, 2)),
        ),
        (IMAGE, rand(5, 6, 3, 2, seed=1), rand(9, 2, 3, 3, seed=2), rand(5, seed=3), rand(6, 2, 3, 2, seed=4)),
    ),
    "convolution of lines and volumes": (
        lambda x, w, v, u: (
            F.conv1d(x, w, stride=3), F.conv3d(v, u, padding=1), F.conv_transpose1d(x, w.transpose(0, 1)),
        ),
        (LINE, rand(4, 6, 3, seed=1), VOLUME, rand(3, 4, 2, 3, 2, seed=2)),
    ),
    "activations": (
        lambda x: (
            F.relu(x), F.relu6(4 * x), F.leaky_relu(x, 0.3), F.elu(x, 0.7), F.selu(x), F.gelu(x),
            F.gelu(x, approximate="tanh"), F.silu(x), F.mish(x), F.softplus(x), F.hardtanh(x, -0.3, 0.8),
            F.hardswish(x),
            F.hardsigmoid(x), torch.tanh(x), torch.sigmoid(x), F.softsign(x), torch.clamp(x, min=-0.2),
            torch.clamp(x, max=0.4), torch.clamp(x, -0.5, 0.1), F.glu(x, 2), F.logsigmoid(x), F.celu(x, 1.3),
        ),
        (ROWS,),
    ),
    "arithmetic": (
        lambda x, y: (
            x + y, x - 2 * y, torch.add(x, y, alpha=3), torch.sub(x, y, alpha=0.5), 1.5 - x, x * y, x / (y**2 + 1),
            2 / (x**2 + 1),
            x**2, x**3, (x**2 + 1) ** 0.5, (x**2 + 1) ** -0.5, -x, x.abs(), torch.exp(x), torch.log(x**2 + 1),
            torch.sqrt(x**2), torch.rsqrt(x**2 + 1), torch.sin(x), torch.cos(x), torch.erf(x), torch.maximum(x, y),
            torch.minimum(x, y), x.square(), torch.reciprocal(x**2 + 1), x.float(),
        ),
        (ROWS, rand(4, 6, seed=1)),
    ),
    "reductions": (
        lambda x: (
            x.sum(), x.sum(1), x.sum((0, -1), keepdim=True), x.mean(), x.mean(-2),
            x.amax((0, 2)), x.amin(-1, keepdim=True),
            x.max(1).values, torch.softmax(x, -2), torch.log_softmax(x, 2), torch.logsumexp(x, 1), x.var(1),
            x.std(-1),
        ),
        (ROWS,),
    ),
    "normalisation": (
        lambda x, r, g, b, m, v, w: (
            F.batch_norm(x, m, v, g, b, training=False, eps=0.1), F.batch_norm(x, m, v), F.group_norm(x, 3, g, b),
            F.instance_norm(x, weight=g, bias=b), F.layer_norm(r, (4, 6), w, eps=0.2), F.layer_norm(r, (6,)),
            F.rms_norm(r, (6,), g, eps=0.1),
        ),
        (
            IMAGE, ROWS, rand(6, seed=1), rand(6, seed=2), rand(6, seed=3), rand(6, seed=4).abs() + 0.5,
            rand(4, 6, seed=5),
        ),
    ),
    "pooling": (
        lambda x, y: (
            F.max_pool2d(x, 3, stride=2, padding=1), F.max_pool2d(x, (2, 3), dilation=(2, 1)),
            F.avg_pool2d(x, 3, stride=(1, 2), padding=1), F.avg_pool2d(x, 3, padding=1, count_include_pad=False),
            F.max_pool1d(y, 3), F.avg_pool1d(y, 2, ceil_mode=False), F.adaptive_avg_pool2d(x, (1, 3)),
            F.adaptive_avg_pool2d(x, (3, 4)), F.adaptive_avg_pool1d(y, 4),
        ),
        (IMAGE, LINE),
    ),
    "structure": (
        lambda x, y: (
            x.reshape(2, -1), x.flatten(1, 2), x.permute(0, 2, 3, 1), x.transpose(-1, 1), x.unsqueeze(-2),
            x[:, 2:5, ::2],
            x[..., -3:], x[:, -1], torch.cat([x, 2 * x[:, :2]], 1), torch.stack([x, x + 1], -1),
            x.chunk(4, -1)[2],
            x.split([1, 2, 3], 1)[2], x.unbind(1)[4], F.pad(x, (1, 2, 0, 3), value=0.5), F.pad(x, (-1, 2)),
            y.expand(2, 3, 4, 6),
            y.repeat(2, 1, 2), y.repeat_interleave(3, -1), x.squeeze(), F.channel_shuffle(x, 3), y.narrow(1, 1, 2),
            F.pixel_shuffle(x[:, :4], 2), F.pixel_unshuffle(x[..., :6, :8], 2), x.unflatten(1, (3, -1)), x.mT, y[0].T,
        ),
        (IMAGE, ROWS),
    ),
    "lookup": (
        lambda w, i: (F.embedding(i, w), w.index_select(1, i[0])),
        (rand(7, 5, seed=1), torch.tensor([[0, 4, 2], [3, 3, 1]])),
    ),
    "attention": (
        lambda q, k, v: (F.scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, v, scale=0.3)),
        (rand(2, 3, 4, 5, seed=1), rand(2, 3, 6, 5, seed=2), rand(2, 3, 6, 7, seed=3)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_the_program_computes_what_pytorch_computes(family):
    check(*FAMILIES[family])


def test_a_wrong_lowering_is_refused(monkeypatch):
    monkeypatch.setitem(lowerings.LOWERINGS, "aten.relu.default", lambda b, x: b.pointwise("tanh", x))
    with pytest.raises(LoweringError, match=r"(?s)aten\.relu\.default.*largest difference"):
        lower(trace(nn.ReLU().eval(), (rand(3, 4),)))


def test_a_lowering_of_another_shape_is_refused(monkeypatch):
    monkeypatch.setitem(lowerings.LOWERINGS, "aten.t.default", lambda b, x: x)
    monkeypatch.setitem(lowerings.LOWERINGS, "aten.permute.default", lambda b, x, dims: x)
    with pytest.raises(LoweringError, match="shape"):
        lower(trace(Function(lambda x: x.permute(1, 0)).eval(), (rand(3, 4),)))


class _Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        if x.sum() > 0:
            return self.layer(x)
        return -self.layer(x)


def test_a_branch_on_data_is_explained():
    with pytest.raises(ExportError) as error:
        trace(_Branches().eval(), (torch.randn(2, 4),))
    text = str(error.value)
    assert text.startswith("error[E101]")
    assert "depends on the values of its inputs" in text and "torch.where" in text
    assert "test_lowerings.py" in text


def test_training_mode_names_the_modules():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3)).eval()
    model[1].train()
    with pytest.raises(TrainingModeError, match=r"(?s)at   1.*model\.eval\(\)"):
        trace(model, (torch.randn(2, 3),))


@pytest.mark.parametrize("inputs", [(torch.randn(2, 5),), (torch.randn(2, 4), torch.randn(2, 4)), ()])
def test_inputs_that_do_not_fit_are_explained(inputs):
    with pytest.raises((ExportError, DataError)) as error:
        trace(nn.Linear(4, 3).eval(), inputs)
    assert "inputs" in str(error.value)


def test_places_and_ties_are_kept():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
    model[2].weight = model[0].weight
    graph = lower(trace(model, (torch.randn(2, 4),)))
    assert graph.parameters["0.weight"].names == ("0.weight", "2.weight")
    assert {node.module for node in graph if node.op == "contract"} == {"0", "2"}
    assert all(node.source for node in graph if node.op == "contract")


def test_the_model_is_not_changed():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2)).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lower(trace(model, (torch.randn(3, 4),)))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not model.training
