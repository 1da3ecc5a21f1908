"""The activations that the library knows by name, each a function of all real numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
from torch.nn import functional as F

from orbitope.activations.facts import FACTS, Facts, Kink, pieces, smooth
from orbitope.errors import InputError
from orbitope.primitives import TRAITS, Behaviour
from orbitope.primitives.activations import Reflection, reflection, tilt

Function = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes:
        name: by which a command line names it.
        function: PyTorch's own.
        fn: its entry in the trait table; empty for a composition of several, which answers for itself.
        settings: of that entry.
        own: of a composition, its answers to the questionnaire and its facts.
        formula: in words of mathematics.
        own_tilt: of a composition, its tilt.
    """

    name: str
    function: Function
    fn: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[Behaviour, Facts] | None = None
    formula: str = ""
    own_tilt: float | None = None

    @property
    def behaviour(self) -> Behaviour:
        """Form, monotonicity, sign, degree and parity, as the trait table has them."""
        return self.own[0] if self.own is not None else TRAITS[self.fn].behaviour(self.settings)

    @property
    def facts(self) -> Facts:
        """Range, slope and smoothness."""
        return self.own[1] if self.own is not None else FACTS[self.fn](self.settings)

    @property
    def reflection(self) -> Reflection | None:
        """How it is mirrored onto itself beyond oddness and evenness."""
        return reflection({"fn": self.fn, **self.settings}) if self.fn else None

    @property
    def tilt(self) -> float | None:
        """The k with ``f(−x) = f(x) − k·x``; None where it is not so."""
        return tilt({"fn": self.fn, **self.settings}) if self.fn else self.own_tilt


def _answers(form: Any, monotone: int, odd: bool = False, sign: Any = "any") -> Behaviour:
    return Behaviour(form, (monotone,), sign, (None,), (odd,), (False,))


_SHRUNK = pieces(Kink(-0.5, 1.0, 0.0), Kink(0.5, 0.0, 1.0))
_CUT = Facts(inf, order=-1, breaks=(-0.5, 0.5), linear=True)
_LIST = (
    Activation("identity", lambda x: x, "identity", formula="x"),
    Activation("relu", F.relu, "relu", formula="max(x, 0)"),
    Activation("leaky_relu", F.leaky_relu, "leaky_relu", {"slope": 0.01}, formula="x for x ≥ 0, x/100 for x < 0"),
    Activation("abs", torch.abs, "abs", formula="|x|"),
    Activation("relu6", F.relu6, "relu6", formula="min(max(x, 0), 6)"),
    Activation("hardtanh", F.hardtanh, "hardtanh", {"low": -1.0, "high": 1.0}, formula="min(max(x, −1), 1)"),
    Activation("hardsigmoid", F.hardsigmoid, "hardsigmoid", formula="min(max(x + 3, 0), 6)/6"),
    Activation("softshrink", F.softshrink, own=(_answers("other", 1, True), _SHRUNK), formula="x ∓ ½, 0 between ±½"),
    Activation("hardshrink", F.hardshrink, own=(_answers("other", 1, True), _CUT), formula="x, 0 between ±½"),
    Activation("hardswish", F.hardswish, "hardswish", formula="x·hardsigmoid(x)"),
    Activation("tanh", torch.tanh, "tanh", formula="tanh x"),
    Activation("sigmoid", torch.sigmoid, "sigmoid", formula="1/(1 + e⁻ˣ)"),
    Activation("erf", torch.erf, "erf", formula="erf x"),
    Activation("atan", torch.atan, "atan", formula="arctan x"),
    Activation("softsign", F.softsign, "softsign", formula="x/(1 + |x|)"),
    Activation("tanhshrink", F.tanhshrink, own=(_answers("other", 1, True), smooth(1.0)), formula="x − tanh x"),
    Activation("sin", torch.sin, "sin", formula="sin x"),
    Activation("cos", torch.cos, "cos", formula="cos x"),
    Activation("softplus", F.softplus, "softplus", formula="log(1 + eˣ)"),
    Activation(
        "logsigmoid",
        F.logsigmoid,
        own=(_answers("concave", 1, sign="nonpositive"), smooth(1.0, high=0.0)),
        formula="−log(1 + e⁻ˣ)",
        own_tilt=1.0,
    ),
    Activation("exp", torch.exp, "exp", formula="eˣ"),
    Activation("elu", F.elu, "elu", {"alpha": 1.0}, formula="x for x ≥ 0, eˣ − 1 for x < 0"),
    Activation(
        "selu",
        F.selu,
        "elu",
        {"alpha": 1.6732632423543772, "scale": 1.0507009873554805},
        formula="1.0507·(x for x ≥ 0, 1.6733·(eˣ − 1) for x < 0)",
    ),
    Activation("gelu", F.gelu, "gelu", {"approximate": "none"}, formula="x·Φ(x), Φ of the normal distribution"),
    Activation(
        "gelu_tanh",
        lambda x: F.gelu(x, approximate="tanh"),
        "gelu",
        {"approximate": "tanh"},
        formula="x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2",
    ),
    Activation("silu", F.silu, "silu", formula="x/(1 + e⁻ˣ)"),
    Activation("mish", F.mish, "mish", formula="x·tanh(log(1 + eˣ))"),
    Activation("square", torch.square, "power", {"exponent": 2}, formula="x²"),
    Activation("cube", lambda x: x**3, "power", {"exponent": 3}, formula="x³"),
)

ACTIVATIONS: dict[str, Activation] = {activation.name: activation for activation in _LIST}
"""All of them by name."""


def known(name: str) -> Activation:
    """The activation of that name.

    Raises:
        InputError: there is none.
    """
    if name not in ACTIVATIONS:
        raise InputError(
            f"unknown activation {name!r}",
            fix=f"choose among {', '.join(ACTIVATIONS)}; or name your own: file.py:function",
        )
    return ACTIVATIONS[name]
