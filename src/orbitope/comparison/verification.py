"""Does an element keep the function: the real model, run with the parameters and with their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite, nan
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from orbitope.comparison.execution import Execution, widest
from orbitope.errors import InputError
from orbitope.group import Element
from orbitope.guarantee import Guarantee

_TOLERANCE = 1e-9
_CONTROLS = 8


@dataclass(frozen=True)
class OutputError:
    """How far one output of one run moved.

    Attributes:
        output: its path in what the model returns.
        run: dtype that the model ran in.
        dtype: of the output itself; a plain number has its type's name.
        device: of the output.
        shape: of the output.
        max_abs: largest absolute difference, in units of the output.
        max_rel: ``max_abs`` over the largest absolute value of the output.
        tolerance: what ``max_rel`` is held to; 0 for integers.
        equal: whether it is within.
        reason: why not, where numbers do not say it.
    """

    output: str
    run: str
    dtype: str
    device: str
    shape: tuple[int, ...]
    max_abs: float
    max_rel: float
    tolerance: float
    equal: bool
    reason: str = ""


@dataclass(frozen=True)
class Control:
    """A deliberately broken element: one parameter stays behind while all others move.

    Attributes:
        parameter: the one that stays.
        change: the largest relative change of an output.
        detected: whether that is clearly more than the tolerance and than the element's own error.
    """

    parameter: str
    change: float
    detected: bool


@dataclass(frozen=True)
class Verification:
    """Whether an element keeps the outputs of the real model.

    Attributes:
        equal: every output of the most precise run is within tolerance.
        reason: why not; empty where they are equal.
        dtype: of the most precise run. device: of the parameters.
        max_abs: largest absolute error of that run.
        max_rel: largest error of that run relative to its output.
        tolerance: what ``max_rel`` is held to: 1e-9 in float64, 1024 machine epsilons (5 % at most) otherwise.
        outputs: every output of every run.
        entries_moved: parameter entries whose value changes. entries: all of them.
        parameters_moved: names of the parameters that change.
        control: the broken element that the outputs notice most; None where nothing moves.
        notes: what a reader should know.
        guarantee: ``numeric``.
    """

    equal: bool
    reason: str
    dtype: str
    device: str
    max_abs: float
    max_rel: float
    tolerance: float
    outputs: tuple[OutputError, ...]
    entries_moved: int
    entries: int
    parameters_moved: tuple[str, ...]
    control: Control | None = None
    notes: tuple[str, ...] = ()
    guarantee: Guarantee = "numeric"

    def __bool__(self) -> bool:
        """Whether the outputs are equal."""
        return self.equal

    @property
    def sensitive(self) -> bool:
        """Whether the outputs depend on what moved, so that their equality says something."""
        return self.control is not None and self.control.detected

    def __str__(self) -> str:
        """A few lines."""
        verdict = "equal" if self.equal else f"NOT equal: {self.reason}"
        lines = [
            f"{verdict} ({self.dtype}, {self.device}); largest error {self.max_rel:.1e} relative, {self.max_abs:.1e} "
            f"absolute; tolerance {self.tolerance:.1e} relative"
        ]
        for run in dict.fromkeys(o.run for o in self.outputs if o.run != self.dtype):
            worst = max((o.max_rel for o in self.outputs if o.run == run), default=0.0)
            lines.append(f"in {run}: largest error {worst:.1e} relative")
        lines.append(f"{self.entries_moved:,} of {self.entries:,} entries moved")
        if self.control is not None:
            lines.append(
                f"control: with {self.control.parameter} left in place an output changes by {self.control.change:.1e} "
                "relative" + ("" if self.control.detected else ", which is not noticeable: the test says little")
            )
        return "\n".join([*lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The verification as JSON; numbers that are not finite are null."""
        return {
            "format": "orbitope verification",
            "version": 1,
            **_finite(asdict(self)),
            "sensitive": self.sensitive,
        }


def verify(
    model: nn.Module | ExportedProgram,
    g: Element,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    params: Mapping[str, torch.Tensor] | None = None,
) -> Verification:
    """Run the model with the parameters and with their image under ``g``, and compare every output.

    The model runs in its own dtype and, where it can, in float64 (floating parameters, buffers and inputs cast, casts
    to narrower floats inside the model lifted); the more precise run decides. Scales, matrices and translations are
    computed in float64 for that run, and rounded to the dtype of the parameters for the other. It is not modified.

    Args:
        model: in evaluation mode, or an exported program.
        g: the element.
        args: inputs of the model.
        kwargs: inputs by name.
        params: by state-dict name; the model's own by default.

    Returns:
        The errors. Scales and matrices magnify rounding by their condition: errors of well-conditioned elements in
        float64 are near 1e-14 and the tolerance of 1e-9 leaves room for condition numbers up to 1e4 or so.

    Raises:
        TrainingModeError: the model is in training mode.
        ParametersError: parameters, group and model do not fit together.
        InputError: the model does not run on the inputs.

    Guarantee: numeric; on these inputs and within the tolerance.
    """
    execution = Execution(model, args, kwargs)
    given = execution.state() if params is None else dict(params)
    execution.check(given)
    moved = g.act(given)
    changed = _changed(g, given, moved)
    # scales and matrices are rounded to the dtype of the parameters; in float64 their own images are compared
    wide = moved if g.is_permutation else g.act({name: widest(tensor) for name, tensor in given.items()})
    return _Check(execution, g, given, moved, wide, changed).verification()


def _changed(g: Element, given: Mapping[str, torch.Tensor], moved: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """For each parameter, once where it has several names, how many of its entries change."""
    tensors = (names for placement in g.group.placements.values() for names in placement.tensors)
    first = {alias: names[0] for names in tensors for alias in names}
    seen: dict[str, str] = {}
    for name in given:
        seen.setdefault(first.get(name, name), name)
    return {name: int((given[name] != moved[name]).sum()) for name in seen.values()}


class _Check:
    def __init__(
        self,
        execution: Execution,
        g: Element,
        given: Mapping[str, torch.Tensor],
        moved: Mapping[str, torch.Tensor],
        wide: Mapping[str, torch.Tensor],
        changed: Mapping[str, int],
    ) -> None:
        self.execution = execution
        self.group = g.group
        self.given, self.changed = given, changed
        self.moved = {False: moved, True: wide}
        self.notes: list[str] = []
        self._before: dict[bool, dict[str, Any]] = {}

    def verification(self) -> Verification:
        native = str(self.execution.dtype).removeprefix("torch.")
        outputs = self._compare(self.moved[False], native, wide=False)
        run, wide = native, False
        if native not in ("float64", "complex128"):
            try:
                outputs += self._compare(self.moved[True], "float64", wide=True)
                run, wide = "float64", True
            except InputError as error:
                self.notes.append(f"the model does not run in float64 ({error.got}); {native} decides")
        decisive = [output for output in outputs if output.run == run]
        if wrong := [output for output in outputs if output.run != run and not output.equal]:
            why = wrong[0].reason or f"relative error {wrong[0].max_rel:.1e}"
            self.notes.append(f"in {native} {wrong[0].output} differs: {why}")
        worst = max((o.max_rel for o in decisive), default=0.0, key=_badness)
        control = self._control(run, wide, worst)
        if not any(self.changed.values()):
            self.notes.append("the element moves no entry of these parameters")
        return Verification(
            equal=bool(decisive) and all(output.equal for output in decisive),
            reason=self._reason(decisive, run, wide),
            dtype=run,
            device=self.execution.device,
            max_abs=max((o.max_abs for o in decisive), default=0.0, key=_badness),
            max_rel=worst,
            tolerance=max((o.tolerance for o in decisive), default=0.0),
            outputs=tuple(outputs),
            entries_moved=sum(self.changed.values()),
            entries=sum(self.given[name].numel() for name in self.changed),
            parameters_moved=tuple(name for name, entries in self.changed.items() if entries),
            control=control,
            notes=tuple(self.notes),
        )

    def _compare(self, params: Mapping[str, torch.Tensor], run: str, wide: bool) -> list[OutputError]:
        if wide not in self._before:
            self._before[wide] = self.execution.run(self.given, self.group, wide)
        before = self._before[wide]
        after = self.execution.run(params, self.group, wide)
        found = [_error(name, run, before.get(name), after.get(name)) for name in {**before, **after}]
        skipped = [name for name, error in zip({**before, **after}, found, strict=True) if error is None]
        if skipped and (note := f"not compared, as not made of numbers: {', '.join(skipped)}") not in self.notes:
            self.notes.append(note)
        return [error for error in found if error is not None]

    def _control(self, run: str, wide: bool, error: float) -> Control | None:
        """Leave one parameter in place, those that move furthest first, until an output notices."""
        best: Control | None = None
        for name in sorted((n for n, entries in self.changed.items() if entries), key=self._displacement)[:_CONTROLS]:
            placement = self.group.placement(name)
            stays = {n: self.given[n] for n in (placement.aliases(name) if placement else (name,)) if n in self.given}
            found = self._compare({**self.moved[wide], **stays}, run, wide)
            change = max((inf if o.reason else o.max_rel for o in found), default=0.0)
            bar = max((10 * max(o.tolerance, error if isfinite(error) else 0.0) for o in found), default=0.0)
            control = Control(name, change, change > bar)
            if best is None or control.change > best.change:
                best = control
            if control.detected:
                break
        return best

    def _displacement(self, name: str) -> float:
        """Minus the distance that a parameter moves, relative to its size; matrices before vectors."""
        before, after = (widest(x[name]) for x in (self.given, self.moved[False]))
        if not before.is_floating_point():
            return 0.0
        return -float((after - before).norm() / before.norm()) - (before.dim() > 1)

    def _reason(self, decisive: list[OutputError], run: str, wide: bool) -> str:
        if not decisive:
            return "the model returned nothing that can be compared"
        wrong = [output for output in decisive if not output.equal]
        if not wrong:
            return ""
        worst = max(wrong, key=lambda o: _badness(o.max_rel))
        text = f"{worst.output}: " + (
            worst.reason or f"relative error {worst.max_rel:.1e} is above the tolerance {worst.tolerance:.1e}"
        )
        if not worst.reason and not all(error.equal for error in self._compare(self.given, run, wide)):
            text += "; the model is not deterministic, it differs from itself"
        elif wide and worst.max_rel < 1e-5 and not worst.reason:
            text += "; an error of this size may come from float32 arithmetic inside the model"
        return text


def _error(name: str, run: str, before: Any, after: Any) -> OutputError | None:
    """Compare one output; None where it is not made of numbers."""
    if not isinstance(before, torch.Tensor) and not isinstance(after, torch.Tensor):
        if not isinstance(before, bool | int | float | complex) and not isinstance(after, bool | int | float | complex):
            return None
        kind = type(before).__name__
        before, after = (x if x is None else torch.as_tensor(x, device="cpu") for x in (before, after))
    else:
        kind = str(before.dtype).removeprefix("torch.") if isinstance(before, torch.Tensor) else "none"

    def result(max_abs: float, max_rel: float, reason: str = "") -> OutputError:
        tensor = before if isinstance(before, torch.Tensor) else after
        tolerance = _tolerance(tensor.dtype)
        equal = not reason and max_rel <= tolerance
        return OutputError(
            name,
            run,
            kind,
            str(tensor.device),
            tuple(tensor.shape),
            max_abs,
            max_rel,
            tolerance,
            equal,
            reason,
        )

    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return result(inf, inf, "one of the two runs does not return it")
    if before.shape != after.shape or before.dtype != after.dtype:
        return result(inf, inf, f"{before.dtype}{list(before.shape)} became {after.dtype}{list(after.shape)}")
    if bool(torch.isnan(before).any()):
        return result(nan, nan, "it contains NaN before anything moves")
    if bool(torch.isnan(after).any()):
        return result(nan, nan, "it becomes NaN")
    # values differ by an infinity only where they do not agree; equal infinities do not differ
    exact = torch.complex128 if before.is_complex() else torch.float64
    x, y = before.cpu().to(exact), after.cpu().to(exact)
    difference = torch.where(x == y, 0, (x - y).abs())
    max_abs = float(difference.max()) if difference.numel() else 0.0
    size = torch.where(torch.isfinite(x), x.abs(), 0)
    scale = float(size.max()) if size.numel() else 0.0
    if not isfinite(max_abs):
        return result(inf, inf, "an infinite value moved")
    return result(max_abs, max_abs / scale if scale else (inf if max_abs else 0.0))


def _tolerance(dtype: torch.dtype) -> float:
    if not (dtype.is_floating_point or dtype.is_complex):
        return 0.0
    return _TOLERANCE if dtype in (torch.float64, torch.complex128) else min(1024 * torch.finfo(dtype).eps, 0.05)


def _badness(value: float) -> float:
    return inf if value != value else value


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value
