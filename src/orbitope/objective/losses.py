"""The losses: how targets are checked, the loss as primitives, and torch's own function as a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from orbitope.errors import DataError, InputError
from orbitope.frontends.builder import Builder, Value
from orbitope.objective.classes import classification
from orbitope.objective.loss import Loss, Shape


@dataclass(frozen=True)
class Kind:
    """An entry of the table of losses.

    Attributes:
        options: settings and their defaults.
        make: from targets, the shape of one sample's output and the settings.
        unit: of its value.
    """

    options: Mapping[str, Any]
    make: Callable[[torch.Tensor, Shape, Mapping[str, Any]], Loss]
    unit: str


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Name and settings of a loss written as ``name`` or ``name:option=value,option=value``.

    >>> parse("cross_entropy:label_smoothing=0.1")[1]["label_smoothing"]
    0.1

    Raises:
        InputError: no such loss, or no such option.
    """
    name, _, rest = text.partition(":")
    if name not in LOSSES:
        raise InputError(f"unknown loss {name!r}", fix=f"choose among {', '.join(LOSSES)}, or pass a callable")
    settings = dict(LOSSES[name].options)
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        if key not in settings:
            raise InputError(
                f"the loss {name} has no option {key!r}", fix=f"choose among {', '.join(settings) or 'none'}"
            )
        settings[key] = _number(key, value, settings[key])
    return name, settings


def _number(key: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"the option {key} is not a number", got=repr(text), fix=f"as {key}={default}")


# entry by entry ---------------------------------------------------------------------------------------------------
Emit = Callable[[Builder, Value, Value, Mapping[str, Any]], Value]
Plain = Callable[[torch.Tensor, torch.Tensor, Mapping[str, Any]], torch.Tensor]


def _by_entry(emit: Emit, plain: Plain, check: Callable[[torch.Tensor], None] = lambda y: None) -> Any:
    """A loss that compares output and target entry by entry; a sample's loss is the mean over its entries."""

    def make(y: torch.Tensor, outputs: Shape, options: Mapping[str, Any]) -> Loss:
        target = _like_outputs(y, outputs)
        check(target)

        def append(b: Builder, output: Value, given: Mapping[str, Value]) -> Value:
            entries = emit(b, output, given["target"], options)
            return b.reduce("mean", entries, list(range(1, output.rank)))

        def reference(output: torch.Tensor, block: slice) -> torch.Tensor:
            entries = plain(output, target[block].to(output.dtype), options)
            return entries.reshape(len(output), -1).mean(1)

        return Loss({"target": target}, append, reference)

    return make


OTHER_SHAPE = "this loss needs targets of the output's shape"


def _like_outputs(y: torch.Tensor, outputs: Shape) -> torch.Tensor:
    if tuple(y.shape[1:]) != outputs:
        raise DataError(
            OTHER_SHAPE,
            got=f"targets {list(y.shape)}, outputs {[len(y), *outputs]}",
            why="broadcasting a target over outputs is rarely meant",
            fix="reshape the targets, for example y[:, None]",
        )
    return y if y.is_floating_point() else y.double()


def _squared(b: Builder, output: Value, target: Value, _options: Mapping[str, Any]) -> Value:
    difference = b.pointwise("sub", output, target)
    return b.pointwise("mul", difference, difference)


def _absolute(b: Builder, output: Value, target: Value, _options: Mapping[str, Any]) -> Value:
    return b.pointwise("abs", b.pointwise("sub", output, target))


def _rounded(b: Builder, output: Value, target: Value, corner: float) -> tuple[Value, Value]:
    """With ``m = min(|d|, corner)``, the values ``m²/2`` and ``|d| − m``."""
    size = b.pointwise("abs", b.pointwise("sub", output, target))
    near = b.pointwise("minimum", size, corner)
    return b.pointwise("mul", b.pointwise("mul", near, near), 0.5), b.pointwise("sub", size, near)


def _huber(b: Builder, output: Value, target: Value, options: Mapping[str, Any]) -> Value:
    delta = _positive("delta", options["delta"])
    near, far = _rounded(b, output, target, delta)
    return b.pointwise("add", near, b.pointwise("mul", far, delta))


def _smooth_l1(b: Builder, output: Value, target: Value, options: Mapping[str, Any]) -> Value:
    beta = _positive("beta", options["beta"])
    near, far = _rounded(b, output, target, beta)
    return b.pointwise("add", b.pointwise("div", near, beta), far)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise InputError(f"{name} is not positive", got=str(value), fix="use l1 for its limit at 0")
    return float(value)


def _hinge(b: Builder, output: Value, target: Value, options: Mapping[str, Any]) -> Value:
    product = b.pointwise("mul", output, target)
    return b.pointwise("relu", b.pointwise("add", b.pointwise("neg", product), float(options["margin"])))


def _binary(b: Builder, output: Value, target: Value, _options: Mapping[str, Any]) -> Value:
    return b.pointwise("sub", b.pointwise("softplus", output), b.pointwise("mul", output, target))


def _signs(y: torch.Tensor) -> None:
    if not bool((y.abs() == 1).all()):
        _out_of_range(y, y.abs() != 1, "hinge needs targets −1 and 1", "map labels 0 and 1 by 2*y - 1")


def _probabilities(y: torch.Tensor) -> None:
    wrong = (y < 0) | (y > 1)
    if bool(wrong.any()):
        _out_of_range(y, wrong, "binary cross-entropy needs targets from 0 to 1", "pass labels 0 and 1")


def _out_of_range(y: torch.Tensor, wrong: torch.Tensor, what: str, fix: str) -> None:
    got = f"values from {float(y.min()):g} to {float(y.max()):g}, {int(wrong.sum())} of {y.numel()} out of range"
    raise DataError(f"labels are out of range: {what}", got=got, fix=fix)


def _reference(name: str, *keys: str) -> Plain:
    function = getattr(F, name)
    return lambda output, target, options: function(
        output, target, reduction="none", **{key: float(options[key]) for key in keys}
    )


def _plain_hinge(output: torch.Tensor, target: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
    return (options["margin"] - output * target).clamp(min=0)


_CLASSES = {"ignore_index": -100, "axis": 0, "shift": 0, "reduction": "mean"}

LOSSES: dict[str, Kind] = {
    "cross_entropy": Kind({"label_smoothing": 0.0, **_CLASSES}, classification("cross_entropy"), "nats"),
    "nll": Kind(_CLASSES, classification("nll"), "nats"),
    "mse": Kind({}, _by_entry(_squared, _reference("mse_loss")), "squared units of the output"),
    "l1": Kind({}, _by_entry(_absolute, _reference("l1_loss")), "units of the output"),
    "smooth_l1": Kind(
        {"beta": 1.0}, _by_entry(_smooth_l1, _reference("smooth_l1_loss", "beta")), "units of the output"
    ),
    "huber": Kind({"delta": 1.0}, _by_entry(_huber, _reference("huber_loss", "delta")), "squared units of the output"),
    "hinge": Kind({"margin": 1.0}, _by_entry(_hinge, _plain_hinge, _signs), "units of the output"),
    "multi_margin": Kind({"margin": 1.0, "p": 1}, classification("multi_margin"), "units of the output"),
    "bce_with_logits": Kind(
        {}, _by_entry(_binary, _reference("binary_cross_entropy_with_logits"), _probabilities), "nats"
    ),
}
"""The built-in losses by name."""

__all__ = ["LOSSES", "Kind", "Loss", "parse"]
