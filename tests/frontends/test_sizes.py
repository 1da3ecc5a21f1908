"""What is true at one size of the inputs only is not believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.zoo import L, model, relu, seq
from torch import nn

from orbitope import symmetries
from orbitope.errors import InputError
from orbitope.frontends import graphs
from orbitope.frontends.sizes import grown
from orbitope.graph import Graph
from orbitope.group import SymmetryGroup
from orbitope.infer import infer
from orbitope.infer.joint import apart, join

Forward = Callable[[nn.Module, torch.Tensor], torch.Tensor]


def group(forward: Forward, *shape: int, also: tuple[()] | None = None, **parts: nn.Module) -> SymmetryGroup:
    return symmetries(model(forward, **parts), (torch.randn(*shape),), also=also)


def special(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    h = relu(m.a(x))
    return m.out(h if x.shape[1] == 7 else h * torch.arange(5.0))


def scrambled(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """With a batch of 1 the view keeps the units apart; with more it mixes them among the examples."""
    h = relu(m.a(x))
    return m.out(h.reshape(h.shape[1], h.shape[0]).cumsum(1).reshape(h.shape))


def other_layer(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    h = m.a(x)
    return m.out(relu(h) if x.shape[1] == 7 else relu(h + m.b(x)))


class TestMeet:
    def test_a_branch_on_the_size(self) -> None:
        assert group(special, 4, 7, 3, also=(), a=L(3, 5), out=L(5, 2)).order == 120
        both = group(special, 4, 7, 3, a=L(3, 5), out=L(5, 2))
        assert both.order == 1
        assert any("[4, 7, 3]" in note and "[5, 11, 3]" in note for note in both.notes)

    def test_a_batch_of_one_is_seen_at_two(self) -> None:
        assert group(scrambled, 1, 3, also=(), a=L(3, 5), out=L(5, 2)).order == 120
        assert group(scrambled, 1, 3, a=L(3, 5), out=L(5, 2)).order == 1

    def test_a_layer_that_only_one_size_reads(self) -> None:
        """Its units are those that it is added to: they move with it, and it does not count as unused."""
        parts = {"a": L(3, 5), "b": L(3, 5), "out": L(5, 2)}
        assert group(other_layer, 4, 7, 3, also=(), **parts).unused == ("b.weight", "b.bias")
        both = group(other_layer, 4, 7, 3, **parts)
        assert both.order == 120 and both.unused == ()
        assert ("b.weight", 0) in both.units[0].acts_on

    def test_nothing_is_lost_where_nothing_depends_on_the_size(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.Flatten(2))
        x = torch.randn(1, 3, 12, 12)
        one, two = symmetries(net.eval(), (x,), also=()), symmetries(net.eval(), (x,))
        assert one.order == two.order == 2 * 6 * 6 and one.digest == two.digest
        assert any("[2, 3, 18, 18]" in note for note in two.notes)

    def test_windows_of_one_size_are_not_believed(self) -> None:
        """At 8 and 9 pixels the convolution gives 2 × 2, and adaptive windows repeat them; at 16 they do not."""
        for pool in (nn.AdaptiveAvgPool2d(4), nn.AdaptiveMaxPool2d(4)):
            parts = (nn.Conv2d(3, 5, 4, stride=4), nn.ReLU(), pool, nn.Flatten(), L(80, 6), nn.ReLU(), L(6, 2))
            assert symmetries(nn.Sequential(*parts).eval(), (torch.randn(2, 3, 8, 8),)).order == 120 * 720

    def test_rows_of_a_table(self) -> None:
        """Rows that neither size reads stay where they are, as with one size."""
        net = model(
            lambda m, x: m.out(relu(m.a(x) + m.pos.weight[: x.shape[1]])),
            a=L(3, 5),
            out=L(5, 2),
            pos=nn.Embedding(9, 5),
        )
        found = symmetries(net, (torch.randn(2, 4, 3),))
        assert found.order == 120 and any("[3, 6, 3]" in note for note in found.notes)

    def test_further_examples_of_ones_own(self) -> None:
        net = model(special, a=L(3, 5), out=L(5, 2))
        same, other = ((torch.randn(2, 7, 3),), {}), ((torch.randn(2, 6, 3),), {})
        assert symmetries(net, (torch.randn(4, 7, 3),), also=[same]).order == 120
        assert symmetries(net, (torch.randn(4, 7, 3),), also=[same, other]).order == 1

    def test_experts_are_folded_at_both_sizes(self) -> None:
        class Experts(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.experts = nn.ModuleList(seq(L(3, 5), nn.ReLU(), L(5, 2)) for _ in range(3))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return sum(expert(x) for expert in self.experts)

        net, x = Experts().eval(), torch.randn(4, 3)
        assert symmetries(net, (x,)).order == symmetries(net, (x,), also=()).order == 6 * 120**3

    def test_experts_that_one_size_tells_apart(self) -> None:
        class Experts(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.experts = nn.ModuleList(seq(L(3, 5), nn.ReLU(), L(5, 2)) for _ in range(3))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                first = 1 if x.shape[0] == 4 else 3
                return sum((first if k == 0 else 1) * expert(x) for k, expert in enumerate(self.experts))

        net, x = Experts().eval(), torch.randn(4, 3)
        assert symmetries(net, (x,), also=()).order == 6 * 120**3
        found = symmetries(net, (x,))
        params = {name: p.detach().double() for name, p in net.state_dict().items()}
        assert 120**3 <= found.order <= 2 * 120**3
        for shape in ((4, 3), (5, 3)):
            x = torch.randn(*shape, dtype=torch.float64)
            before = torch.func.functional_call(net, params, (x,))
            for seed in range(5):
                after = torch.func.functional_call(net, found.sample(seed).act(params), (x,))
                assert torch.allclose(before, after, rtol=1e-10)


class TestLengthOne:
    def test_a_sequence_of_one_is_refused(self) -> None:
        with pytest.raises(InputError) as raised:
            group(lambda m, x: m.out(relu(m.a(x))), 4, 1, 3, a=L(3, 5), out=L(5, 2))
        text = str(raised.value)
        assert text.startswith("error[E100] an example input is too short\n  at   axis 1 of input argument_0")
        assert "[4, 1, 3]" in text and "  why  " in text and "two positions or more" in text

    def test_tokens(self) -> None:
        net = model(lambda m, x: m.out(relu(m.e(x))), e=nn.Embedding(7, 5), out=L(5, 2))
        with pytest.raises(InputError, match="too short"):
            symmetries(net, (torch.zeros(1, 1, dtype=torch.int64),))
        assert symmetries(net, (torch.zeros(1, 2, dtype=torch.int64),)).order == 120

    def test_one_channel_is_no_sequence(self) -> None:
        net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 2)).eval()
        assert symmetries(net, (torch.randn(1, 1, 6, 6),)).order == 120

    def test_a_model_for_one_example(self) -> None:
        found = group(lambda m, x: m.out(relu(m.a(x)).reshape(1, 5)), 1, 3, a=L(3, 5), out=L(5, 2))
        assert found.order == 120 and any("takes no other" in note for note in found.notes)


class TestGrowth:
    def test_lengths_that_belong_together_grow_together(self) -> None:
        class Masked(nn.Module):
            def forward(self, x: torch.Tensor, *, mask: torch.Tensor) -> torch.Tensor:
                assert x.shape[:2] == mask.shape and x.shape[2] == 3
                return x * mask[..., None]

        x, mask = torch.randn(2, 7, 3), torch.ones(2, 7)
        found = grown(Masked(), (x,), {"mask": mask})
        assert found is not None
        (args, kwargs), axes = found
        assert args[0].shape == (3, 11, 3) and kwargs["mask"].shape == (3, 11)
        assert axes == {"x": (0, 1), "mask": (0, 1)}
        assert torch.equal(args[0][1:, 4:], x)

    def test_multiples(self) -> None:
        class Windows(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x.reshape(x.shape[0], -1, 4).sum(-1)

        found = grown(Windows(), (torch.randn(2, 8),), {})
        assert found is not None and found[0][0][0].shape == (3, 12)

    def test_a_model_that_does_not_run(self) -> None:
        class Broken(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                raise RuntimeError

        assert grown(Broken(), (torch.randn(2),), {}) is None


class TestJoint:
    def graphs(self) -> list[Graph]:
        return graphs(seq(L(3, 5), nn.ReLU(), L(5, 2)), (torch.randn(4, 3),))

    def test_parameters_are_there_once(self) -> None:
        every = apart(self.graphs())
        joint = join(every)
        assert joint is not None and len(every) == 2
        assert len({node.name for node in joint}) == len(joint.nodes)
        assert sum(node.op == "parameter" for node in joint) == 4
        assert len(joint.inputs) == len(joint.outputs) == 2

    def test_one_is_itself(self) -> None:
        first = self.graphs()[0]
        assert join(apart([first])) is first
        assert infer(first).digest == infer([first, first]).digest

    def test_what_is_frozen_in_one_is_frozen(self) -> None:
        class Sometimes(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.out = L(3, 5), L(5, 2)
                self.register_buffer("scale", torch.ones(5))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                if x.shape[0] != 4:
                    self.scale.add_(1)
                return self.out(relu(self.a(x)) * self.scale)

        assert symmetries(Sometimes().eval(), (torch.randn(4, 3),), also=()).order == 120
        assert symmetries(Sometimes().eval(), (torch.randn(4, 3),)).order == 1
