"""What cannot be analysed says what, where, why and how to mend it; and the tracer's own noise stays inside."""

from __future__ import annotations

import re

import pytest
import torch
from tests.zoo import L, model, relu, seq
from torch import nn

from orbitope import symmetries
from orbitope.errors import ExportError, InputError, LoweringError, OrbitopeError, TrainingModeError
from orbitope.frontends import lower, lowerings, trace

MLP = seq(L(3, 7), nn.ReLU(), L(7, 2))


def message(error_type: type[OrbitopeError], net: nn.Module, *args: object, **options: object) -> str:
    with pytest.raises(error_type) as raised:
        symmetries(net, args, **options)
    text = str(raised.value)
    assert re.match(r"error\[E\d{3}\] \S", text)
    assert "  why  " in text or "  fix  " in text
    return text


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = L(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return self.layer(x)
        return -self.layer(x)


class Item(Branch):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * float(x.sum())


class Typo(Branch):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leyer(x)


class TestModels:
    def test_training_mode_names_the_modules(self) -> None:
        net = seq(L(3, 7), nn.BatchNorm1d(7), nn.Dropout(), L(7, 2))
        net[2].train()
        text = message(TrainingModeError, net, torch.randn(4, 3))
        assert text.startswith("error[E102] the model is in training mode\n  at   2\n")
        assert "model.eval()" in text

    def test_many_modules_are_counted(self) -> None:
        text = message(TrainingModeError, seq(*(L(3, 3) for _ in range(9))).train(), torch.randn(4, 3))
        assert "the model, 0, 1, 2, 3 and 5 more" in text

    @pytest.mark.parametrize("net", [Branch(), Item()], ids=["branch", "item"])
    def test_dependence_on_data_shows_the_line(self, net: nn.Module) -> None:
        text = message(ExportError, net.eval(), torch.randn(4, 3))
        assert "  at   test_errors.py:" in text
        assert "depends on the values of its inputs" in text and "torch.where" in text

    def test_a_bug_of_the_model_shows_the_line(self) -> None:
        text = message(ExportError, Typo().eval(), torch.randn(4, 3))
        assert "return self.leyer(x)" in text and "has no attribute 'leyer'" in text

    def test_a_function_is_no_model(self) -> None:
        text = message(InputError, torch.relu, torch.randn(3))
        assert "nn.Module" in text and "wrap" in text

    def test_the_tracer_keeps_quiet(self, capfd: pytest.CaptureFixture[str]) -> None:
        for net in (Branch().eval(), MLP):
            with pytest.raises(ExportError):
                symmetries(net, (torch.randn(4, 3), torch.randn(1)))
            with pytest.raises(ExportError):
                symmetries(Branch().eval(), (torch.randn(4, 3),))
        assert capfd.readouterr() == ("", "")


class TestInputs:
    def test_shapes(self) -> None:
        text = message(ExportError, MLP, torch.randn(4, 9))
        assert "does not accept inputs of these shapes" in text and "[4, 9]" in text

    def test_dtypes(self) -> None:
        text = message(ExportError, MLP, torch.ones(4, 3, dtype=torch.int64))
        assert "same dtype" in text and "example inputs" in text

    @pytest.mark.parametrize("args", [(), (torch.randn(4, 3), torch.randn(4, 3))], ids=["none", "two"])
    def test_counts(self, args: tuple[torch.Tensor, ...]) -> None:
        text = message(ExportError, MLP, *args)
        assert (
            "do not match the arguments of forward" in text and "(input)" in text.replace(": torch.Tensor", "")[:2000]
        )
        assert "inspect.py" not in text

    def test_one_tensor_counts_as_one_input(self) -> None:
        assert symmetries(MLP, torch.randn(4, 3)).order == 5040

    def test_keyword_inputs_in_any_order(self) -> None:
        class Keywords(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b, self.out = L(3, 5), L(4, 5), L(5, 2)

            def forward(self, x: torch.Tensor, *, p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
                return self.out(relu(self.a(x) + self.b(q)) + self.a(p))

        p, q = torch.randn(6, 3), torch.randn(6, 4)
        for kwargs in ({"p": p, "q": q}, {"q": q, "p": p}):
            assert symmetries(Keywords().eval(), (torch.randn(6, 3),), kwargs).order == 120

    def test_inputs_that_are_no_tensors(self) -> None:
        net = model(lambda m, x, k, flag: {"y": m.out(relu(m.a(x)) * k) if flag else x, "k": k}, a=L(3, 5), out=L(5, 2))
        assert symmetries(net, (torch.randn(4, 3), 2, True)).order == 120


class TestChoices:
    def test_an_output_of_no_name(self) -> None:
        assert "choose among output" in message(InputError, MLP, torch.randn(4, 3), outputs=["logits"])

    def test_a_scope_that_matches_nothing(self) -> None:
        text = message(InputError, MLP, torch.randn(4, 3), scope=["0.*", "layer9.*"])
        assert "got  layer9.*" in text and "0.weight" in text


class TestLowerings:
    def test_a_wrong_value_is_refused_with_its_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(lowerings.LOWERINGS, "aten.gelu.default", lambda b, x, **_: b.pointwise("silu", x))
        text = message(LoweringError, seq(L(3, 5), nn.GELU(), L(5, 2)), torch.randn(4, 3))
        assert "aten.gelu.default" in text and "in 1" in text and "largest difference" in text

    def test_a_wrong_shape_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(lowerings.LOWERINGS, "aten.mean.dim", lambda b, x, dim, *_: b.reduce("mean", x, [0]))
        text = message(LoweringError, model(lambda m, x: m.a(x).mean(1), a=L(3, 5)), torch.randn(4, 3))
        assert "shape [5], the operation gives [4]" in text

    def test_a_lowering_that_breaks_is_as_good_as_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def breaks(b: object, x: object) -> None:
            raise IndexError

        monkeypatch.setitem(lowerings.LOWERINGS, "aten.relu.default", breaks)
        graph = lower(trace(MLP, (torch.randn(4, 3),)))
        assert [node.target for node in graph if node.op == "opaque"] == ["aten.relu.default"]

    def test_a_wrong_claim_to_carry_axes_is_not_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(lowerings.LOWERINGS, "aten.flip.default")
        monkeypatch.setitem(lowerings.TAILS, "aten.flip.default", 0)
        group = symmetries(
            model(lambda m, x: m.out(torch.flip(m.a(x), [1])), a=L(3, 5), out=L(5, 2)), (torch.randn(4, 3),)
        )
        assert group.order == 1
        assert any(d.unknown and "aten.flip.default" in d.reason for d in group.diagnostics)

    def test_rounding_of_what_cancels_is_no_disagreement(self) -> None:
        """Equal entries normalised, tiny ones through an exponential: nothing but rounding is left of the values."""
        net = seq(L(3, 7), nn.LayerNorm(7), nn.ELU(), L(7, 2))
        net[0].weight.data.fill_(0.3)
        net[0].bias.data.fill_(0.7)
        assert symmetries(net, (torch.randn(4, 3),)).order == 5040

    def test_softplus_beyond_its_threshold(self) -> None:
        """PyTorch returns x itself above 20, which is not quite the softplus."""
        assert symmetries(seq(L(3, 7), nn.Softplus(), L(7, 2)), (50 * torch.randn(40, 3),)).order == 5040


class TestPrograms:
    def test_exported_programs_fixed_and_dynamic(self) -> None:
        batch = torch.export.Dim("batch")
        for dynamic in (None, ({0: batch},)):
            program = torch.export.export(MLP, (torch.randn(4, 3),), dynamic_shapes=dynamic)
            assert symmetries(program).order == 5040

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
    def test_any_floating_dtype(self, dtype: torch.dtype) -> None:
        net = seq(L(3, 7), nn.LayerNorm(7), nn.GELU(), L(7, 2)).to(dtype)
        assert symmetries(net, (torch.randn(4, 3, dtype=dtype),)).order == 5040

    def test_results_that_a_lowering_leaves_out_but_the_program_reads(self) -> None:
        """The position of a running maximum over hidden units tells them apart."""
        net = model(lambda m, x: (h := m.a(x)).cummax(1).indices[:, -1:] * m.out(h), a=L(3, 5), out=L(5, 2))
        group = symmetries(net, (torch.randn(4, 3),))
        assert group.order == 1 and any("aten.cummax.default" in d.reason for d in group.diagnostics if d.unknown)

    def test_branches_that_the_tracer_keeps_are_opaque(self) -> None:
        net = model(
            lambda m, x: torch.cond(x.sum() > 0, lambda y: m.out(relu(m.a(y))), lambda y: m.out(m.a(y)), (x,)),
            a=L(3, 5),
            out=L(5, 2),
        )
        assert symmetries(net, (torch.randn(4, 3),)).order == 1

    def test_assertions_of_the_trace_have_no_value(self) -> None:
        net = model(lambda m, x: m.out((m.a(x) > 0).float() * m.a(x)), a=L(3, 5), out=L(5, 2))
        assert symmetries(net, (torch.randn(4, 3),)).order == 120

    def test_modes_inside_forward(self) -> None:
        def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return m.out(relu(m.a(x)))

        assert symmetries(model(forward, a=L(3, 5), out=L(5, 2)), (torch.randn(4, 3),)).order == 120
