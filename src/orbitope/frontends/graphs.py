"""From a model to its graphs: one for each size of its inputs that is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from orbitope.errors import InputError, OrbitopeError
from orbitope.frontends import programs
from orbitope.frontends.adapters import on_meta, prepared, without_entries
from orbitope.frontends.fallbacks import input_shapes, record
from orbitope.frontends.sizes import Example, grown, refuse_length_one
from orbitope.frontends.torch_export import lower
from orbitope.frontends.tracing import checked, moved, quiet, trace
from orbitope.graph import Graph

UNEXECUTED = "traced without weights: no lowering was executed next to its operation"
"""The note on a graph of which nothing says, beyond the rules themselves, that it is the model's."""


def graphs(
    model: nn.Module | ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
    *,
    also: Iterable[tuple[Sequence[Any], Mapping[str, Any]]] | None = None,
    specialise: bool = False,
) -> list[Graph]:
    """The graphs of a model: at the sizes of the example inputs, and at others.

    Args:
        model: a module in evaluation mode, or an exported program, which has one size.
        args: example inputs.
        kwargs: example inputs by name.
        outputs: names of the outputs that define the function; all by default.
        also: further example inputs. By default one, with all axes longer that the model takes longer.
        specialise: whether to accept a program that other inputs may not follow, see :func:`trace`.

    Raises:
        ExportError, TrainingModeError, LoweringError: see :func:`trace` and :func:`lower`.
        InputError: an axis of an example input has size 1 and could be longer.
    """
    if isinstance(model, ExportedProgram):
        found = [lower(trace(model), outputs)]
        return _noted(found, UNEXECUTED) if any(t.is_meta for t in model.state_dict.values()) else found
    args = checked(model, args)
    with prepared(model, kwargs or {}) as named:
        first = lower(trace(model, args, named, specialise=specialise), outputs)
        if on_meta(model):
            first = _noted([first], UNEXECUTED)[0]
        if also is not None:
            return _noted([first, *(lower(trace(model, *each, specialise=specialise), outputs) for each in also)])
        with quiet(), without_entries(model):
            longer = grown(model, *moved(model, args, named))
        if longer is None:
            _refuse_unseen(args, named)
            return _noted([first], "seen at one size of its inputs: which others the model takes is not known")
        example, axes = longer
        if not axes:
            return _noted([first], "seen at one size of its inputs: the model takes no other")
        refuse_length_one(model, args, named, axes)
        shapes = input_shapes(model, *example)
        try:
            second = _second(model, example, outputs, first)
        except OrbitopeError as error:
            if any(0 in found for found in axes.values()):
                _refuse_unseen(args, named, error)
            return _noted([first], f"seen at one size of its inputs: {_told(shapes)} could not be traced")
        seen = f"seen at two sizes of its inputs: {_told(input_shapes(model, args, named))}, and {_told(shapes)}"
        return _noted([first, second], seen)


def _second(model: nn.Module, example: Example, outputs: Sequence[str] | None, first: Graph) -> Graph:
    """The program at another size; recorded, which costs less than an export, unless it then depends on data."""
    args, kwargs = example
    try:
        with quiet(), without_entries(model) as buffers:
            program = record(model, args, kwargs, places=False)
        graph = lower(programs.with_entries(program, buffers), outputs)
        if first.decisions or not graph.decisions:
            return graph
    except Exception:  # whatever stands in the way, an export may know how to pass it
        pass
    return lower(trace(model, args, kwargs, specialise=bool(first.decisions)), outputs)


def _refuse_unseen(args: Sequence[Any], kwargs: Mapping[str, Any], error: OrbitopeError | None = None) -> None:
    """Refuse a batch of 1 where no larger one was seen."""
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    if any(tensor.dim() and tensor.shape[0] == 1 for tensor in tensors):
        raise InputError(
            "the example inputs hold one example, and the model cannot be traced on two",
            got=None if error is None else error.what,
            why="what a model does along an axis of size 1 cannot be seen",
            fix="pass example inputs with a batch of 2 or more",
        ) from error


def _noted(found: Sequence[Graph], *notes: str) -> list[Graph]:
    """The graphs, with what they assume noted on the first."""
    told = list(dict.fromkeys(place for graph in found for place in graph.decisions))
    unread = [name for name in found[0].unread if all(name in graph.unread for graph in found)]
    path: list[str] = []
    if told:
        values = "a value that depends" if len(told) == 1 else f"{len(told)} values that depend"
        path.append(f"true of one path only: {values} on the inputs decided what is computed, first at {told[0]}")
    if told and unread:
        names = ", ".join(unread[:3]) + (", …" if len(unread) > 3 else "")
        path.append(f"{len(unread)} parameters were not reached ({names}), and what may be tied to them is fixed")
    return [replace(found[0], notes=(*found[0].notes, *path, *notes)), *found[1:]]


def _told(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())


__all__ = ["UNEXECUTED", "graphs"]
