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

from torch import nn
from torch.export import ExportedProgram
from trial import try_lowered, try_real

from orbitope.errors import OrbitopeError
from orbitope.frontends import lower, programs, trace
from orbitope.frontends.graphs import _second
from orbitope.frontends.sizes import grown
from orbitope.frontends.tracing import quiet
from orbitope.graph import Graph
from orbitope.group import SymmetryGroup
from orbitope.infer import infer

_INFER_SECONDS = 60.0
_SIDE_RESULTS = re.compile(
    r"^(?!last_hidden_state$).*(hidden_state|attentions|past_key|cache|loss|pooler_output|rnn_state|state$|embeddings$|states$)"
)
Record = dict[str, Any]
Report = Callable[[Record], None]


class Stage(Exception):
    """A stage failed; its message is the record."""


def measure(make: Callable[[], tuple[nn.Module, Sequence[Any], Mapping[str, Any]]], report: Report) -> None:
    """Build, trace, lower, trace once more at another size, infer and try two random elements.

    Args:
        make: the model in evaluation mode with random weights, and its example inputs.
        report: is given the findings of each stage.
    """
    with _stage("build", report):
        model, args, kwargs = make()
        report({"parameters": sum(p.numel() for p in model.parameters()), "class": type(model).__name__})
        fresh = copy.deepcopy(model)  # tracing leaves its own tensors in models that cache what they compute
    with _stage("export", report):
        program, traced = _trace(model, args, kwargs)
        targets = Counter(str(n.target) for n in program.graph.nodes if n.op == "call_function")
        report({"traced": traced, "operations": sum(targets.values()), "targets": dict(targets)})
    with _stage("lower", report):
        outputs = defining_outputs(program)
        graph = lower(program, outputs)
        report({"nodes": len(graph.nodes), "unused": len(graph.unused), **_opaque(graph)})
    with _stage("second size", report):
        graphs = _at_another_size(model, args, kwargs, outputs, graph)
        report({"sizes": len(graphs)})
    with _stage("infer", report), _limited(_INFER_SECONDS):
        group = infer(graphs)
    report(_group(graph, group))
    elements = [group.sample(seed) for seed in (1, 2)]
    with _stage("lowered", report):
        report(try_lowered(program, graph, elements))
    with _stage("real", report):
        report(try_real(fresh, args, kwargs, graph, elements))


def defining_outputs(program: Any) -> list[str]:
    """Logits and other predictions where there are any; otherwise all that is not a by-product."""
    names = list(programs.user_outputs(program))
    predictions = [n for n in names if "logits" in n or n in ("pred_boxes", "pred_masks", "prediction")]
    main = [n for n in names if not _SIDE_RESULTS.search(n)]
    if main == ["last_hidden_state"]:  # a head beside it reads parameters that nothing else does
        main += [n for n in names if n == "pooler_output"]
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
    """The program, and how it was had."""
    try:
        program = trace(model, args, kwargs)
        return program, "export" if isinstance(program, ExportedProgram) else "recorded"
    except OrbitopeError:
        return trace(model, args, kwargs, specialise=True), "recorded, one path"


def _at_another_size(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[str], first: Graph
) -> list[Graph]:
    """The graph again, and that of longer inputs, if the model takes any: what both allow is believed."""
    with quiet():
        longer = grown(model, args, kwargs)
    if longer is None or not longer[1]:
        return [first]
    try:
        return [first, _second(model, longer[0], outputs, first)]
    except OrbitopeError:
        return [first]


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
        "sign bits": group.sign_bits,
        "dimension": group.dimension,
        "approximate": group.dimension_of(approximate=True) - group.dimension,
        "units": roles,
        "unit_count": len(group.units),
        "frozen": dict(sorted(frozen.items(), key=lambda item: -item[1]["positions"])),
    }
