"""From a PyTorch module to its functional program, by ``torch.export``."""

from __future__ import annotations

import inspect
import io
import linecache
import logging
import re
import sysconfig
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils import _pytree as pytree

from orbitope.errors import ExportError, InputError, TrainingModeError
from orbitope.frontends import programs
from orbitope.frontends.adapters import on_meta, prepared, without_entries
from orbitope.frontends.fallbacks import input_shapes, record
from orbitope.frontends.lowerings import LOWERINGS, TAILS
from orbitope.frontends.programs import Program

WRITTEN_OUT = 3
"""So many times operations that would be opaque are written out in others, which may again be opaque."""

_FOREIGN = (str(Path(torch.__file__).parent), sysconfig.get_path("stdlib"), "<")


def trace(
    model: nn.Module | ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    specialise: bool = False,
) -> Program:
    """The functional program of a model in evaluation mode.

    What ``torch.export`` does not take is recorded while it runs. If values that depend on the inputs then decide what
    is computed, the program is that of one path only.

    Args:
        model: a module, or a program that was exported already.
        args: example inputs; a single tensor counts as one input.
        kwargs: example inputs by name.
        specialise: whether to accept the program of one path.

    Raises:
        TrainingModeError: some module is in training mode.
        ExportError: the model cannot be traced with these inputs, or not for all inputs.
        InputError: the model is neither a module nor an exported program.
    """
    if isinstance(model, ExportedProgram):
        try:
            return _concrete(_decomposed(model))
        except _DataDependentSize as error:
            raise _cannot_trace(error, model.graph_module) from None
    given = checked(model, args)
    with prepared(model, kwargs or {}) as named, without_entries(model) as buffers:
        given, named = moved(model, given, named)
        try:
            with torch.no_grad(), quiet():
                program = _decomposed(_concrete(torch.export.export(model, given, named, strict=False)))
        except Exception as error:  # whatever the tracer or the model's own code raises
            program = _recorded(model, given, named, specialise, error)
        return programs.with_entries(program, buffers)


def moved(model: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The inputs on the meta device, if the model is there."""
    if not on_meta(model):
        return args, kwargs
    return pytree.tree_map_only(torch.Tensor, lambda x: x.to("meta"), (args, kwargs))


def checked(model: nn.Module, args: Sequence[Any] | torch.Tensor) -> tuple[Any, ...]:
    """The positional inputs of a model that can be traced.

    Raises:
        InputError: it is no module. TrainingModeError: some part of it is in training mode.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            "this is not a model",
            got=f"{type(model).__name__}; expected torch.nn.Module or torch.export.ExportedProgram",
            why="the symmetries are read off a traced program",
            fix="wrap a plain function in an nn.Module whose forward calls it",
        )
    training = [name or "the model" for name, module in model.named_modules() if module.training]
    if training:
        shown = ", ".join(training[:5]) + (f" and {len(training) - 5} more" if len(training) > 5 else "")
        raise TrainingModeError(
            "the model is in training mode",
            at=shown,
            why="dropout and batch statistics make its value random or dependent on the batch",
            fix="call model.eval() first",
        )
    return (args,) if isinstance(args, torch.Tensor) else tuple(args)


class _DataDependentSize(Exception):
    """A size that depends on data; its argument is the place."""


def _concrete(program: ExportedProgram) -> ExportedProgram:
    """The program, unless sizes in it depend on data.

    Raises:
        _DataDependentSize: they do.
    """
    for node in program.graph.nodes:
        for value in pytree.tree_leaves(node.meta.get("val")):
            if isinstance(value, torch.Tensor) and free_unbacked_symbols(value):
                raise _DataDependentSize(programs.source_line(node))
    return program


def _recorded(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], specialise: bool, error: Exception
) -> Program:
    """The program of one run.

    Raises:
        ExportError: the model does not run, or what it computes depends on its inputs and that is not accepted.
    """
    try:
        with quiet():
            program = record(model, args, kwargs)
    except Exception as failure:  # on inputs that it does not take, the model's own message says more
        if _runs(model, args, kwargs):
            raise _cannot_trace(error, model) from failure
        raise _cannot_trace(failure, model, input_shapes(model, args, kwargs)) from failure
    if specialise or not programs.told_by_inputs(program):
        return program
    raise _cannot_trace(error, model) from error


def _runs(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        with torch.no_grad(), quiet():
            model(*args, **kwargs)
    except Exception:  # whatever the model raises
        return False
    return True


def _decomposed(program: ExportedProgram) -> ExportedProgram:
    """In operations of ATen; those that would be opaque are written out in others where torch itself knows how."""
    with quiet():
        program = program.run_decompositions({})
        known: Mapping[Any, Any] = torch.export.default_decompositions()
        for _ in range(WRITTEN_OUT):
            called = {node.target for node in program.graph.nodes if node.op == "call_function"}
            unknown = {target: known[target] for target in called if _opaque(target) and target in known}
            if not unknown:
                break
            program = program.run_decompositions(unknown)
        return program


def _opaque(target: Any) -> bool:
    """Whether nothing is known of an operation, not even which axes it keeps."""
    name = str(target)
    return name not in LOWERINGS and name not in TAILS and torch.Tag.pointwise not in getattr(target, "tags", ())


@contextmanager
def quiet() -> Iterator[None]:
    """Run without the tracer's own warnings, logs and dumps of graphs: what matters of them is in our errors."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _cannot_trace(error: Exception, model: nn.Module, shapes: Mapping[str, Sequence[int]] | None = None) -> ExportError:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    place, code = (str(error), "") if isinstance(error, _DataDependentSize) else _user_frame(error)
    given = ", ".join(f"{name} {list(shape)}" for name, shape in (shapes or {}).items())
    text = f"{type(error).__name__} {error}"
    if isinstance(error, _DataDependentSize):
        first = "the size of a tensor depends on the data"
        why = "the program depends on the values of its inputs, so one trace is not it"
        fix = "use a mask instead of selecting entries, or accept what is true of these inputs: specialise=True"
    elif re.search(r"data-dependent|Could not guard|GuardOnDataDependent|torch\.cond|Dynamic control flow", text):
        why = "the program depends on the values of its inputs (an if or a loop on tensor data), so one trace is not it"
        fix = (
            "replace the branch by tensor operations (torch.where, masks), analyse the parts between the branches, or "
            "accept what is true of the path that these inputs take: specialise=True (--specialise)"
        )
    elif isinstance(error, TypeError) and "argument" in str(error):
        why = "the example inputs do not match the arguments of forward"
        fix = f"pass the inputs that model(...) itself accepts; forward takes {inspect.signature(model.forward)}"
    elif re.search(
        r"shape|size|mat1|Expected \d|expected input|must match|same reduction dim|out of range|dtype", str(error)
    ):
        why = "the model does not accept inputs of these shapes or dtypes"
        fix = "pass example inputs that model(...) itself accepts; try model(*args) first"
    else:
        why = "torch.export could not turn the model into one program"
        fix = "run torch.export.export(model, args, strict=False) to see its full report, and rewrite that construct"
    return ExportError(
        "the model cannot be exported",
        at=": ".join(filter(None, (place, code))) or None,
        got=f"{type(error).__name__}: {first[:300]}" + (f"; the inputs are {given}" if given else ""),
        why=why,
        fix=fix,
    )


def _user_frame(error: BaseException) -> tuple[str, str]:
    """File, line and code of the innermost frame that is the user's own."""
    found = ("", "")
    trace_back = error.__traceback__
    while trace_back is not None:
        name = trace_back.tb_frame.f_code.co_filename
        own = not name.startswith(_FOREIGN) and "orbitope" not in Path(name).parts[-4:]
        if own and "site-packages" not in name and Path(name).suffix == ".py":
            line = linecache.getline(name, trace_back.tb_lineno).strip()
            found = (f"{Path(name).name}:{trace_back.tb_lineno}", line)
        trace_back = trace_back.tb_next
    return found
