"""Losses of labels: cross-entropy, negative log-likelihood and the margin between classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from orbitope.errors import DataError, InputError
from orbitope.frontends.builder import Builder, Value
from orbitope.objective.loss import Loss, Shape

FEW = 32
"""Up to so many classes, labels of whole samples are given as a distribution over the classes; beyond, as numbers."""


def classification(kind: str) -> Callable[[torch.Tensor, Shape, Mapping[str, Any]], Loss]:
    """The maker of one of ``cross_entropy``, ``nll`` and ``multi_margin``."""
    return partial(_made, kind)


def _made(kind: str, y: torch.Tensor, outputs: Shape, options: Mapping[str, Any]) -> Loss:
    if kind == "multi_margin":
        return _Margin(_numbers(kind, y, outputs, {"ignore_index": None, **options}), options).loss()
    smoothing = options.get("label_smoothing", 0.0)
    if not 0 <= smoothing <= 1:
        raise InputError("label_smoothing is no share", got=str(smoothing), fix="a number from 0 to 1")
    if options["reduction"] not in ("mean", "sample_mean"):
        raise InputError(
            "no such reduction",
            got=options["reduction"],
            fix="mean: of all labels that count, as torch has it; sample_mean: of each sample's labels first",
        )
    if y.is_floating_point():
        return _Soft(kind, y, outputs, options).loss()
    return _Labels(kind, _numbers(kind, y, outputs, options), options).loss()


@dataclass(frozen=True)
class Numbers:
    """Class numbers that fit the outputs.

    Attributes:
        y: with 0 where a label does not count.
        counts: where it does.
        axis: of the outputs, along which the classes are.
        classes: how many.
        shift: so many positions later stands what is predicted.
        outputs: the shape of the outputs that are compared, without samples.
    """

    y: torch.Tensor
    counts: torch.Tensor
    axis: int
    classes: int
    shift: int
    outputs: Shape = field(default=())


def _numbers(kind: str, y: torch.Tensor, outputs: Shape, options: Mapping[str, Any]) -> Numbers:
    """Labels, checked.

    Raises:
        DataError: they do not fit the outputs, or are out of range, or none counts.
    """
    shift = int(options.get("shift", 0))
    if not outputs:
        raise DataError(f"{kind} needs outputs of shape [N, C] or more", got="one number for each sample")
    if y.is_floating_point() or y.dim() != len(outputs) or (kind == "multi_margin" and y.dim() != 1):
        raise DataError(
            f"{kind} needs one class number for each sample, or for each of its positions",
            got=f"targets {y.dtype} {list(y.shape)}, outputs {[len(y), *outputs]}",
            fix="pass an integer tensor of shape [N], or of the outputs' shape without the classes",
        )
    axis = _axis(kind, y, outputs, int(options.get("axis", 0)))
    if shift:
        if axis != len(outputs) or len(outputs) != 2 or not 0 < shift < outputs[0]:
            raise DataError("shift needs outputs [N, T, C] with T above it", got=f"outputs {['N', *outputs]}")
        y, outputs = y[:, shift:], (outputs[0] - shift, outputs[1])
    classes = outputs[axis - 1]
    counts = torch.ones_like(y, dtype=torch.bool) if options["ignore_index"] is None else y != options["ignore_index"]
    wrong = counts & ((y < 0) | (y >= classes))
    if bool(wrong.any()):
        low, high = int(y[counts].min()), int(y[counts].max())
        raise DataError(
            "labels are out of range",
            got=f"labels from {low} to {high}, {int(wrong.sum())} of {y.numel()} out of range; "
            f"the model has {classes} outputs",
            fix=f"number the classes from 0 to {classes - 1}",
        )
    if not bool(counts.any()):
        raise DataError("no label counts", got=f"all {y.numel()} are {options['ignore_index']}, which is ignored")
    return Numbers(torch.where(counts, y, 0).long(), counts, axis, classes, shift, outputs)


def _axis(kind: str, y: torch.Tensor, outputs: Shape, wanted: int) -> int:
    """Where the classes are: last in ``[N, T, C]``, after the samples in ``[N, C, *space]``."""
    fits = [k for k in (1, len(outputs)) if (*outputs[: k - 1], *outputs[k:]) == tuple(y.shape[1:])]
    chosen = wanted + len(outputs) + 1 if wanted < 0 else wanted
    if (wanted and chosen not in fits) or not fits:
        raise DataError(
            f"{kind} needs labels of the outputs' shape without the classes",
            got=f"labels {list(y.shape)}, outputs {[len(y), *outputs]}" + (f", axis={wanted}" if wanted else ""),
            fix="outputs [N, C] with labels [N]; [N, T, C] with [N, T]; [N, C, *space] with [N, *space]",
        )
    if not wanted and len(set(fits)) > 1:
        raise DataError(
            "two axes of the outputs could be the classes",
            got=f"labels {list(y.shape)}, outputs {[len(y), *outputs]}",
            fix="say which: loss='cross_entropy:axis=-1' (sequences) or 'cross_entropy:axis=1' (images)",
        )
    return chosen if wanted else fits[0]


@dataclass(frozen=True)
class _Labels:
    kind: str
    numbers: Numbers
    options: Mapping[str, Any]

    @property
    def smoothing(self) -> float:
        return float(self.options.get("label_smoothing", 0.0))

    @property
    def weight(self) -> torch.Tensor | None:
        """What each position's loss is multiplied by, before the sum over positions; None for an equal share each.

        Torch divides by the number of all labels that count. F is the mean over N samples, so the weight is N over it.
        """
        counts = self.numbers.counts
        if bool(counts.all()):
            return None
        if self.options["reduction"] == "mean":
            return counts.double() * (len(counts) / int(counts.sum()))
        each = counts.reshape(len(counts), -1).sum(1)
        if not bool(each.all()):
            raise DataError(
                "a sample has no label that counts",
                got=f"{int((each == 0).sum())} of {len(counts)} samples",
                why="the mean over its labels is not defined",
                fix="leave these samples out, or use reduction=mean",
            )
        return counts.double() / each.reshape(-1, *[1] * (counts.dim() - 1))

    def loss(self) -> Loss:
        numbers, weight = self.numbers, self.weight
        few = numbers.classes <= FEW and len(numbers.outputs) == 1
        target = self._distribution() if few else numbers.y.unsqueeze(numbers.axis)
        data = {"target": target} if few or weight is None else {"target": target, "weight": weight}
        return Loss(data, self._by_distribution if few else self._by_number, self._reference, self._hits)

    def _distribution(self) -> torch.Tensor:
        hot = F.one_hot(self.numbers.y, self.numbers.classes)
        weight = self.weight
        if weight is None and not self.smoothing:
            return hot.to(torch.uint8)
        soft = hot.double() * (1 - self.smoothing) + self.smoothing / self.numbers.classes
        return soft if weight is None else soft * weight[:, None]

    def _logs(self, b: Builder, output: Value) -> Value:
        shift = self.numbers.shift
        shown = b.slice(output, 1, 0, output.shape[1] - shift) if shift else output
        if self.kind == "nll":
            return shown
        return b.emit("softmax", (shown,), shown.shape, axis=self.numbers.axis, kind="log")

    def _by_distribution(self, b: Builder, output: Value, given: Mapping[str, Value]) -> Value:
        logs = self._logs(b, output)
        return b.pointwise("neg", b.reduce("sum", b.pointwise("mul", logs, given["target"]), [1]))

    def _by_number(self, b: Builder, output: Value, given: Mapping[str, Value]) -> Value:
        axis, smoothing = self.numbers.axis, self.smoothing
        logs, target = self._logs(b, output), given["target"]
        chosen = b.emit("pick", (logs, target), target.shape, logs.dtype, axis=axis)
        shape = [n for k, n in enumerate(target.shape) if k != axis]
        each = b.pointwise("neg", b.reshape(chosen, shape))
        if smoothing:
            spread = b.pointwise("neg", b.reduce("mean", logs, [axis]))
            each = b.pointwise("add", b.pointwise("mul", each, 1 - smoothing), b.pointwise("mul", spread, smoothing))
        positions = list(range(1, len(shape)))
        if "weight" not in given:
            return b.reduce("mean", each, positions)
        return b.reduce("sum", b.pointwise("mul", each, given["weight"]), positions)

    def _shown(self, output: torch.Tensor) -> torch.Tensor:
        """The outputs that are compared, classes on axis 1."""
        shown = output[:, : output.shape[1] - self.numbers.shift] if self.numbers.shift else output
        return shown.movedim(self.numbers.axis, 1)

    def _reference(self, output: torch.Tensor, block: slice) -> torch.Tensor:
        shown, y, weight = self._shown(output), self.numbers.y[block], self.weight
        if self.kind == "nll":
            each = F.nll_loss(shown, y, reduction="none")
        else:
            each = F.cross_entropy(shown, y, reduction="none", label_smoothing=self.smoothing)
        flat = (each if weight is None else each * weight[block]).reshape(len(each), -1)
        return flat.mean(1) if weight is None else flat.sum(1)

    def _hits(self, output: torch.Tensor, block: slice) -> torch.Tensor:
        return (self._shown(output).argmax(1) == self.numbers.y[block])[self.numbers.counts[block]]


@dataclass(frozen=True)
class _Soft:
    """Targets that are distributions over the classes."""

    kind: str
    y: torch.Tensor
    outputs: Shape
    options: Mapping[str, Any]

    def loss(self) -> Loss:
        axis = int(self.options["axis"]) or 1
        axis = axis + len(self.outputs) + 1 if axis < 0 else axis
        if tuple(self.y.shape[1:]) != self.outputs or not self.outputs or not 1 <= axis <= len(self.outputs):
            raise DataError(
                f"{self.kind} needs one class number for each sample, or a distribution over the classes",
                got=f"targets {self.y.dtype} {list(self.y.shape)}, outputs {[len(self.y), *self.outputs]}",
                fix="pass an integer tensor of shape [N], or probabilities of the outputs' shape",
            )
        if self.options["shift"]:
            raise InputError("shift needs labels that are class numbers", got="probabilities")
        smoothing = self.options.get("label_smoothing", 0.0)
        y = self.y.double() * (1 - smoothing) + smoothing / self.outputs[axis - 1] if smoothing else self.y

        def emit(b: Builder, output: Value, given: Mapping[str, Value]) -> Value:
            logs = output
            if self.kind == "cross_entropy":
                logs = b.emit("softmax", (output,), output.shape, axis=axis, kind="log")
            each = b.pointwise("neg", b.reduce("sum", b.pointwise("mul", logs, given["target"]), [axis]))
            return b.reduce("mean", each, list(range(1, each.rank)))

        def reference(output: torch.Tensor, block: slice) -> torch.Tensor:
            given = self.y[block].to(output.dtype).movedim(axis, 1)
            shown = output.movedim(axis, 1)
            if self.kind == "nll":
                each = -(shown * given).sum(1)
            else:
                each = F.cross_entropy(shown, given, reduction="none", label_smoothing=smoothing)
            return each.reshape(len(output), -1).mean(1)

        def hits(output: torch.Tensor, block: slice) -> torch.Tensor:
            return (output.argmax(axis) == self.y[block].argmax(axis)).flatten()

        return Loss({"target": y}, emit, reference, hits)


@dataclass(frozen=True)
class _Margin:
    """``Σ_j max(0, margin − x[y] + x[j])^p / C`` over the other classes j."""

    numbers: Numbers
    options: Mapping[str, Any]

    def loss(self) -> Loss:
        numbers, margin, power = self.numbers, float(self.options["margin"]), self.options["p"]
        if power not in (1, 2):
            raise InputError("multi_margin needs p = 1 or 2", got=f"p={power}")
        others = 1 - F.one_hot(numbers.y, numbers.classes)

        def emit(b: Builder, output: Value, given: Mapping[str, Value]) -> Value:
            own = b.emit("pick", (output, given["target"]), given["target"].shape, output.dtype, axis=1)
            above = b.pointwise("sub", output, own)
            reach = b.pointwise("relu", b.pointwise("add", above, margin))
            powered = b.pointwise("mul", reach, reach) if power == 2 else reach
            return b.reduce("mean", b.pointwise("mul", powered, given["others"]), [1])

        def reference(output: torch.Tensor, block: slice) -> torch.Tensor:
            return F.multi_margin_loss(output, numbers.y[block], p=power, margin=margin, reduction="none")

        def hits(output: torch.Tensor, block: slice) -> torch.Tensor:
            return output.argmax(1) == numbers.y[block]

        return Loss({"target": numbers.y[:, None], "others": others.to(torch.uint8)}, emit, reference, hits)
