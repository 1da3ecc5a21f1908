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

from orbitope.errors import ExportError, InputError, TrainingModeError

_FOREIGN = (str(Path(torch.__file__).parent), sysconfig.get_path("stdlib"), "<")


def trace(
    model: nn.Module | ExportedProgram, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> ExportedProgram:
    """The functional program of a model in evaluation mode.

    Args:
        model: a module, or a program that was exported already.
        args: example inputs; a single tensor counts as one input.
        kwargs: example inputs by name.

    Raises:
        TrainingModeError: some module is in training mode.
        ExportError: the model cannot be traced with these inputs.
        InputError: the model is neither a module nor an exported program.
    """
    if isinstance(model, ExportedProgram):
        return _decomposed(model)
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
    positional = (args,) if isinstance(args, torch.Tensor) else tuple(args)
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(model, positional, dict(kwargs or {}), strict=False)
            return _decomposed(program)
    except InputError:
        raise
    except Exception as error:  # whatever the tracer or the model's own code raises
        raise _cannot_trace(error, model) from error


def _decomposed(program: ExportedProgram) -> ExportedProgram:
    with _quiet():
        return program.run_decompositions({})


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracer's own warnings, logs and dumps of graphs: what matters of them is in our errors."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _cannot_trace(error: Exception, model: nn.Module) -> ExportError:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    place, code = _user_frame(error)
    text = f"{type(error).__name__} {error}"
    if re.search(r"data-dependent|Could not guard|GuardOnDataDependent|torch\.cond|Dynamic control flow", text):
        why = "the program depends on the values of its inputs (an if or a loop on tensor data), so one trace is not it"
        fix = "replace the branch by tensor operations (torch.where, masks), or analyse the parts between the branches"
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
        at=f"{place}: {code}" if place else None,
        got=f"{type(error).__name__}: {first[:300]}",
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
