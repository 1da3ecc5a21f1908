"""Functions applied entry by entry: arithmetic with scalars and tensors, activations, casts."""

from __future__ import annotations

from math import exp
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Operand, Value
from orbitope.frontends.lowerings.registry import Refused, lowers
from orbitope.primitives import TRAITS


def entrywise(b: Builder, fn: str, *operands: Operand, dtype: torch.dtype | None = None, **settings: Any) -> Value:
    """One function of the trait table, on operands broadcast to their common shape, with the dtype that torch gives."""
    values = [x if isinstance(x, Value) else b.constant(torch.tensor(x, dtype=_kind(x))) for x in operands]
    shape = torch.broadcast_shapes(*(x.shape for x in values))
    assert TRAITS[fn].arity == len(values), fn
    spread = [b.broadcast(x, shape) for x in values]
    kind = dtype or common_dtype(*operands)
    if fn in ("floor_divide", "remainder") and not kind.is_floating_point:
        settings["whole"] = True
    return b.emit("pointwise", spread, shape, kind, fn=fn, **settings)


def _kind(number: complex) -> torch.dtype:
    kinds = {bool: torch.bool, int: torch.int64, complex: torch.complex128}
    return kinds.get(type(number), torch.float64)


def common_dtype(*operands: Operand) -> torch.dtype:
    """To what torch promotes these tensors and numbers."""
    samples = [torch.empty([1] * min(x.rank, 1), dtype=x.dtype) if isinstance(x, Value) else x for x in operands]
    if len(samples) == 1:
        return samples[0].dtype if isinstance(samples[0], torch.Tensor) else _kind(samples[0])
    total = torch.result_type(samples[0], samples[1])
    for sample in samples[2:]:
        total = torch.result_type(torch.empty(1, dtype=total), sample)
    return total


def _same(fn: str, *targets: str) -> None:
    """Operations of one tensor and no settings."""

    @lowers(*(f"aten.{target}.default" for target in targets or (fn,)))
    def lowering(b: Builder, x: Value) -> Value:
        return b.pointwise(fn, x)


for _name in ("relu", "relu6", "tanh", "sigmoid", "exp", "log", "sqrt", "rsqrt", "abs", "neg", "erf", "sin", "cos"):
    _same(_name)
for _name in ("silu", "mish", "hardswish", "hardsigmoid"):
    _same(_name)
for _name in ("log1p", "log2", "log10", "expm1", "exp2", "erfc", "atan"):
    _same(_name)
_same("neg", "negative")
_same("abs", "absolute")


@lowers("aten.add.Tensor", "aten.add.Scalar")
def add(b: Builder, x: Operand, y: Operand, alpha: float = 1) -> Value:
    """``x + alpha·y``; of booleans, whether one of them holds."""
    if common_dtype(x, y) == torch.bool:
        return entrywise(b, "logical_or", x, y)
    if alpha != 1:
        y = entrywise(b, "mul", y, alpha) if isinstance(y, Value) else y * alpha
    return entrywise(b, "add", x, y)


@lowers("aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor", "aten.subtract.Scalar")
def sub(b: Builder, x: Operand, y: Operand, alpha: float = 1) -> Value:
    """``x − alpha·y``."""
    if alpha != 1:
        y = entrywise(b, "mul", y, alpha) if isinstance(y, Value) else y * alpha
    return entrywise(b, "sub", x, y)


@lowers("aten.rsub.Scalar", "aten.rsub.Tensor")
def rsub(b: Builder, x: Value, y: Operand, alpha: float = 1) -> Value:
    """``y − alpha·x``."""
    return sub(b, y, x, alpha=alpha)


@lowers("aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor", "aten.multiply.Scalar")
def mul(b: Builder, x: Operand, y: Operand) -> Value:
    """Product; of booleans, whether both hold."""
    return entrywise(b, "logical_and" if common_dtype(x, y) == torch.bool else "mul", x, y)


@lowers(
    *("aten.div.Tensor", "aten.div.Scalar", "aten.divide.Tensor", "aten.divide.Scalar", "aten.true_divide.Tensor"),
    "aten.true_divide.Scalar",
)
def div(b: Builder, x: Operand, y: Operand) -> Value:
    """Quotient; of integers it is a real number."""
    kind = common_dtype(x, y)
    real = kind.is_floating_point or kind.is_complex
    return entrywise(b, "div", x, y, dtype=kind if real else torch.get_default_dtype())


@lowers("aten.addcmul.default")
def addcmul(b: Builder, x: Value, y: Value, z: Value, *, value: float = 1) -> Value:
    """``x + value·y·z``."""
    return add(b, x, mul(b, y, z), alpha=value)


@lowers("aten.addcdiv.default")
def addcdiv(b: Builder, x: Value, y: Value, z: Value, *, value: float = 1) -> Value:
    """``x + value·y/z``."""
    return add(b, x, div(b, y, z), alpha=value)


@lowers("aten.logit.default", "aten.special_logit.default")
def logit(b: Builder, x: Value, eps: float | None = None) -> Value:
    """``log x/(1 − x)``, of x between ε and 1 − ε."""
    if eps is not None:
        x = b.pointwise("hardtanh", x, low=eps, high=1 - eps)
    return b.pointwise("log", div(b, x, sub(b, 1.0, x)))


@lowers("aten.lerp.Scalar", "aten.lerp.Tensor")
def lerp(b: Builder, x: Value, y: Value, weight: Operand) -> Value:
    """``x + weight·(y − x)``."""
    return add(b, x, mul(b, weight, sub(b, y, x)))


@lowers("aten.maximum.default", "aten.max.other", "aten.clamp_min.Tensor")
def maximum(b: Builder, x: Value, y: Value) -> Value:
    """Larger."""
    return b.pointwise("maximum", x, y)


@lowers("aten.minimum.default", "aten.min.other", "aten.clamp_max.Tensor")
def minimum(b: Builder, x: Value, y: Value) -> Value:
    """Smaller."""
    return b.pointwise("minimum", x, y)


@lowers("aten.clamp.default", "aten.hardtanh.default", "aten.clamp_min.default", "aten.clamp_max.default")
def clamp(b: Builder, x: Value, low: float | None = None, high: float | None = None) -> Value:
    """Between two numbers, either of which may be missing."""
    if b.place.target == "aten.clamp_max.default":
        low, high = None, low
    return b.pointwise("hardtanh", x, low=low, high=high)


@lowers("aten.clamp.Tensor")
def clamp_between(b: Builder, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """Between two tensors, either of which may be missing."""
    if low is not None:
        x = maximum(b, x, low)
    return x if high is None else minimum(b, x, high)


@lowers("aten.leaky_relu.default")
def leaky_relu(b: Builder, x: Value, negative_slope: float = 0.01) -> Value:
    """Leaky ReLU."""
    return b.pointwise("leaky_relu", x, slope=negative_slope)


@lowers("aten.prelu.default", "aten._prelu_kernel.default")
def prelu(b: Builder, x: Value, weight: Value) -> Value:
    """``relu(x) − w·relu(−x)`` with one slope for all, or one per channel."""
    slope = weight if weight.rank != 1 or weight.shape[0] == 1 else b.along(weight, 1, x.rank)
    negative = b.pointwise("relu", b.pointwise("neg", x))
    return b.pointwise("sub", b.pointwise("relu", x), b.pointwise("mul", slope, negative))


@lowers("aten.gelu.default")
def gelu(b: Builder, x: Value, *, approximate: str = "none") -> Value:
    """GELU, exact or by the tanh formula."""
    return b.pointwise("gelu", x, approximate=approximate)


@lowers("aten.elu.default")
def elu(b: Builder, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    """ELU and, with its constants, SELU."""
    if input_scale != 1:
        raise Refused
    return b.pointwise("elu", x, alpha=float(alpha), scale=float(scale))


@lowers("aten.selu.default")
def selu(b: Builder, x: Value) -> Value:
    """ELU with the constants of Klambauer et al. 2017."""
    return b.pointwise("elu", x, alpha=1.6732632423543772848170429916717, scale=1.0507009873554804934193349852946)


@lowers("aten.rrelu.default")
def rrelu(
    b: Builder, x: Value, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, *_generator: Any
) -> Value:
    """Leaky ReLU with the mean slope, in evaluation mode."""
    if training:
        raise Refused
    return b.pointwise("leaky_relu", x, slope=(lower + upper) / 2)


@lowers("aten.celu.default")
def celu(b: Builder, x: Value, alpha: float = 1) -> Value:
    """``α·ELU(x/α)``, where x/α is positive as x is."""
    return b.pointwise(
        "mul", b.pointwise("elu", b.pointwise("div", x, float(alpha)), alpha=1.0, scale=1.0), float(alpha)
    )


@lowers("aten.log_sigmoid.default")
def log_sigmoid(b: Builder, x: Value) -> Value:
    """``−softplus(−x)``."""
    return b.pointwise("neg", b.pointwise("softplus", b.pointwise("neg", x)))


@lowers("aten.softplus.default")
def softplus(b: Builder, x: Value, beta: float = 1, threshold: float = 20) -> Value:
    """Softplus, exact; PyTorch itself returns x above the threshold, where the two differ by less than e⁻²⁰."""
    if beta != 1 or threshold < 20:
        raise Refused
    b.tolerance = exp(-20) / 20
    return b.pointwise("softplus", x)


@lowers("aten.pow.Tensor_Scalar")
def power(b: Builder, x: Value, exponent: float) -> Value:
    """Powers; whole ones and square roots as what they are."""
    if exponent == 1:
        return x
    whole = float(exponent).is_integer() and 0 < abs(exponent) <= 16
    if x.dtype.is_floating_point and (exponent in (0.5, -0.5) or whole):
        return b.pointwise("power", x, exponent=exponent)
    return entrywise(b, "pow", x, exponent)


@lowers("aten.pow.Scalar", "aten.pow.Tensor_Tensor")
def power_of(b: Builder, x: Operand, exponent: Value) -> Value:
    """Powers with an exponent for each entry."""
    return entrywise(b, "pow", x, exponent)


@lowers("aten.square.default")
def square(b: Builder, x: Value) -> Value:
    """Square."""
    return b.pointwise("power", x, exponent=2)


@lowers("aten.reciprocal.default")
def reciprocal(b: Builder, x: Value) -> Value:
    """One over x."""
    return b.pointwise("div", b.scalar(1.0, x), x)


@lowers("aten.glu.default")
def glu(b: Builder, x: Value, dim: int = -1) -> Value:
    """First half times the sigmoid of the second."""
    axis = x.axis(dim)
    half = x.shape[axis] // 2
    gate = b.pointwise("sigmoid", b.slice(x, axis, half, 2 * half))
    return b.pointwise("mul", b.slice(x, axis, 0, half), gate)


@lowers(
    "aten.clone.default",
    "aten.alias.default",
    "aten.detach.default",
    "aten.detach_.default",
    "aten.contiguous.default",
    "aten.lift_fresh_copy.default",
    "aten.positive.default",
)
def same(b: Builder, x: Value, **_layout: Any) -> Value:
    """The same numbers."""
    return x


@lowers("aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default")
def dropout(b: Builder, x: Value, p: float, train: bool) -> Value:
    """The identity in evaluation mode."""
    if train and p:
        raise Refused
    return x


@lowers(
    *("aten._to_copy.default", "aten.to.dtype", "aten.to.dtype_layout", "aten.to.device", "aten.to.other"),
    *("aten.type_as.default", "aten.to.prim_dtype", "aten.to.prim_Device"),
)
def cast(b: Builder, x: Value, *args: Any, dtype: torch.dtype | None = None, **_layout: Any) -> Value:
    """To another dtype: integers are cut off, anything but zero is true, floats are real numbers in any precision."""
    target = dtype
    for arg in args:
        target = arg.dtype if isinstance(arg, Value) else arg if isinstance(arg, torch.dtype) else target
    return x if target is None or target == x.dtype else converted(b, x, target)


def converted(b: Builder, x: Value, target: torch.dtype) -> Value:
    """The same numbers in another dtype, as far as it holds them."""
    if target.is_complex != x.dtype.is_complex:
        raise Refused
    if target == torch.bool:
        return entrywise(b, "nonzero", x, dtype=target)
    if target.is_floating_point or target.is_complex:
        same = x.dtype.is_floating_point or x.dtype.is_complex
        return entrywise(b, "identity" if same else "real", x, dtype=target)
    if target not in (torch.int64, torch.int32):
        raise Refused  # narrow integers overflow
    return entrywise(b, "integer" if x.dtype.is_floating_point else "number", x, dtype=target)
