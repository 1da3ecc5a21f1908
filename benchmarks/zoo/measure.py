"""Everything that is recorded about one model; each stage is reported as soon as it is done."""

from __future__ import annotations

import copy
import re
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from orbitope.arithmetic import TorchArithmetic
from orbitope.comparison.execution import Execution
from orbitope.errors import OrbitopeError
from orbitope.frontends import lower, programs, trace
from orbitope.graph import Graph
from orbitope.group import Element, SymmetryGroup
from orbitope.infer import infer
from orbitope.primitives.evaluation import evaluate

_INFER_SECONDS = 8.0
_SIDE_RESULTS = re.compile(
    r"^(?!last_hidden_state$).*(hidden_state|attentions|past_key|cache|loss|pooler_output|rnn_state|state$|embeddings$|states$)"
)
Record = dict[str, Any]
Report = Callable[[Record], None]


class Stage(Exception):
    """A stage failed; its message is the record."""


def measure(make: Callable[[], tuple[nn.Module, Sequence[Any], Mapping[str, Any]]], report: Report) -> None:
    """Build, trace, lower, infer and try two random elements.

    Args:
        make: the model in evaluation mode with random weights, and its example inputs.
        report: is given the findings of each stage.
    """
    with _stage("build", report):
        model, args, kwargs = make()
        report({"parameters": sum(p.numel() for p in model.parameters()), "class": type(model).__name__})
    with _stage("export", report):
        program, fallback = _trace(model, args, kwargs)
        targets = Counter(str(n.target) for n in program.graph.nodes if n.op == "call_function")
        report({"fallback": fallback, "operations": sum(targets.values()), "targets": dict(targets)})
    with _stage("lower", report):
        outputs = defining_outputs(program)
        report({"outputs": outputs})
        graph = lower(program, outputs)
        report({"nodes": len(graph.nodes), "unused": len(graph.unused), **_opaque(graph)})
    with _stage("infer", report), _limited(_INFER_SECONDS):
        group = infer(graph)
    report(_group(graph, group))
    elements = [group.sample(seed) for seed in (1, 2)]
    with _stage("lowered", report):
        report(_try_lowered(program, graph, elements))
    with _stage("real", report):
        report(_try_real(model, args, kwargs, graph, elements))


def defining_outputs(program: Any) -> list[str]:
    """Logits and other predictions where there are any; otherwise all that is not a by-product."""
    names = list(programs.user_outputs(program))
    predictions = [n for n in names if "logits" in n or n in ("pred_boxes", "pred_masks", "prediction")]
    main = [n for n in names if not _SIDE_RESULTS.search(n)]
    return predictions or main or names


@contextmanager
def _stage(name: str, report: Report) -> Iterator[None]:
    report({"stage": name})
    start = time.perf_counter()
    try:
        yield
    except Exception as error:
        report({"seconds": {name: time.perf_counter() - start}, "failure": _failure(name, error)})
        raise Stage(name) from error
    report({"seconds": {name: time.perf_counter() - start}})


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise where the analysis is after so many seconds of its own processor time."""

    def end(number: int, frame: Any) -> None:
        raise TimeoutError(f"not done after {seconds:g} seconds of processor time")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _failure(stage: str, error: Exception) -> Record:
    root: BaseException = error
    while root.__cause__ is not None and isinstance(root, OrbitopeError):
        root = root.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/orbitope/" in f.filename]
    deep = traceback.extract_tb(root.__traceback__)
    return {
        "stage": stage,
        "type": type(error).__name__,
        "message": " ".join(str(error).split())[:700],
        "cause": f"{type(root).__name__}: {' '.join(str(root).split())[:300]}" if root is not error else "",
        "ours": f"{own[-1].filename.rpartition('/orbitope/')[2]}:{own[-1].lineno}" if own else "",
        "deepest": [f"{Path(f.filename).name}:{f.lineno} {(f.line or '')[:100]}" for f in deep[-3:]],
    }


def _trace(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
    """The program, and by which fallback it was had."""
    try:
        return trace(model, args, kwargs), ""
    except OrbitopeError:
        with torch._functorch.config.patch(fake_tensor_propagate_real_tensors=True):
            try:
                return trace(model, args, kwargs), "real tensors"
            except OrbitopeError:
                pass
        raise


def _opaque(graph: Graph) -> Record:
    """Operations without a rule: what they are called and whether a parameter reaches them."""
    depends: dict[str, bool] = {}
    unknown: Counter[str] = Counter()
    harmless: Counter[str] = Counter()
    carried: Counter[str] = Counter()
    calls: set[tuple[Any, ...]] = set()
    for node in graph:
        depends[node.name] = node.op == "parameter" or any(depends[x] for x in node.inputs)
        if node.op != "opaque" or (key := (node.target, node.inputs, node.place)) in calls:
            continue
        calls.add(key)
        which = harmless if not depends[node.name] else carried if node.attributes.get("carried") else unknown
        which[node.target] += 1
    return {"unknown": dict(unknown), "carried": dict(carried), "unknown without parameters": dict(harmless)}


def _group(graph: Graph, group: SymmetryGroup) -> Record:
    roles: dict[str, list[str]] = {}
    for unit in group.units:
        roles.setdefault(unit.role, []).append(f"{unit.name}:{unit.size}" + (f"^{unit.copies}" if unit.over else ""))
    frozen: dict[str, Record] = {}
    for d in group.diagnostics:
        shape = group.placements[d.parameter].shape if d.parameter in group.placements else ()
        if d.size <= 1:
            continue
        reason = re.sub(r"\d+", "#", d.reason.replace(d.parameter, "it"))
        node = next((n for n in graph if n.place == d.place), None) if d.place else None
        key = reason if node is None else f"{reason} [{node.target or node.op}]"
        entry = frozen.setdefault(key, {"axes": 0, "positions": 0, "unknown": d.unknown, "examples": []})
        entry["axes"] += 1
        entry["positions"] += d.size
        if len(entry["examples"]) < 3:
            entry["examples"].append(f"{d.parameter}{list(shape)} axis {d.axis}: {d.size} {d.place}"[:200])
    return {
        "log10_order": group.log10_order,
        "units": roles,
        "unit_count": len(group.units),
        "frozen": dict(sorted(frozen.items(), key=lambda item: -item[1]["positions"])),
    }


class _Recasting(TorchArithmetic):
    """Masks that went through the arithmetic are integers; an operation that asks for booleans gets them back."""

    def __init__(self) -> None:
        super().__init__(torch.float64)
        self.recast = 0

    def call(self, target: str, xs: Sequence[torch.Tensor], **settings: Any) -> torch.Tensor:
        """The operation itself, and once more with integers of two values as booleans where it refuses."""
        try:
            return super().call(target, xs, **settings)
        except (RuntimeError, IndexError, TypeError):
            self.recast += 1
            flags = [x.bool() if x.dtype == torch.int64 and bool(((x == 0) | (x == 1)).all()) else x for x in xs]
            return super().call(target, flags, **settings)


# two random elements ------------------------------------------------------------------------------------------------
def _try_lowered(program: Any, graph: Graph, elements: Sequence[Element]) -> Record:
    """The lowered graph in float64, with the parameters and with their images."""
    arithmetic = _Recasting()
    state = {name: program.state_dict[name].detach() for name in program.state_dict}
    leaves = [x for x in pytree.tree_leaves(program.example_inputs or ()) if isinstance(x, torch.Tensor)]
    inputs = {name: arithmetic.lift(x) for name, x in zip(graph.inputs, leaves, strict=True)}

    def run(params: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        lifted = {name: arithmetic.lift(params[name]) for name in graph.parameters}
        with torch.no_grad():
            return evaluate(graph, arithmetic, lifted, inputs)

    wide = {name: t.double() if t.is_floating_point() else t for name, t in state.items()}
    before = run(wide)
    errors = [_difference(before, run(g.act(wide))) for g in elements]
    live = [x for x in before if x.is_floating_point()]
    return {
        "error lowered": max(errors, default=0.0),
        "finite": all(bool(x.isfinite().all()) for x in live),
        "recast": arithmetic.recast,
        "varies": any(float(x.double().std()) > 0 for x in live if x.numel() > 1),
    }


def _try_real(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], graph: Graph, elements: Sequence[Element]
) -> Record:
    """The model itself, in float64 where it runs there; also whether its outputs notice when one parameter stays."""
    state = Execution(model, args, kwargs).state()
    group = elements[0].group

    def run(params: Mapping[str, torch.Tensor], wide: bool) -> dict[str, Any]:
        # a fresh copy each time: some models keep what they computed from their parameters at the first call
        return Execution(copy.deepcopy(model), args, kwargs).run(params, group, wide)

    wide, message = True, ""
    try:
        before = run(state, wide)
    except OrbitopeError as error:
        wide, message = False, str(error)
        before = run(state, wide)
    wanted = [name for name in before if any(name.endswith(f".{x}") or name == x for x in graph.output_names)]
    if not wanted:
        wanted = [n for n, x in before.items() if isinstance(x, torch.Tensor)][: len(graph.output_names)]

    def values(found: Mapping[str, Any]) -> list[torch.Tensor]:
        return [found[name] for name in wanted]

    errors, control = [], 0.0
    for g in elements:
        image = g.act(state)
        errors.append(_difference(values(before), values(run(image, wide))))
    changed = [name for name in image if not torch.equal(image[name], state[name])]
    for name in sorted(changed, key=lambda n: -state[n].dim())[:4]:
        placement = group.placement(name)
        stay = {alias: state[alias] for alias in (placement.names if placement else (name,)) if alias in state}
        broken = run({**image, **stay}, wide)
        control = max(control, _difference(values(before), values(broken)))
        if control > 1e-3:
            break
    return {
        "error real": max(errors),
        "real dtype": "float64" if wide else f"native ({message[:150]})",
        "self error": _difference(values(before), values(run(state, wide))),
        "moved": len(changed),
        "control": control,
    }


def _difference(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> float:
    """The largest relative difference; infinite where a value became or was NaN in one of the two only."""
    worst = 0.0
    for x, y in zip(before, after, strict=True):
        if x.numel() == 0:
            continue
        if x.shape != y.shape:
            return float("inf")
        x, y = (torch.view_as_real(t) if t.is_complex() else t for t in (x, y))
        x, y = x.double(), y.double()
        same = (x == y) | (x.isnan() & y.isnan())
        gap = (x - y).abs().masked_fill(same, 0.0)
        if bool(gap.isnan().any()):
            return float("inf")
        size = x.abs().masked_fill(~x.isfinite(), 0.0).max()
        worst = max(worst, float(gap.max() / size) if size > 0 else float(gap.max()))
    return worst
