"""Symmetry inference: from a graph to the group of its weight-space permutations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from orbitope.errors import InputError
from orbitope.frontends import lower, trace
from orbitope.graph import Graph
from orbitope.group import SymmetryGroup
from orbitope.infer.assembly import assemble
from orbitope.infer.folding import Fold, fold
from orbitope.infer.reading import fix_unread
from orbitope.infer.unification import Unification, unify
from orbitope.infer.words import Atom


def symmetries(
    model: nn.Module | ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    scope: Iterable[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> SymmetryGroup:
    """The permutations of parameters that keep the function of a network.

    Args:
        model: a module in evaluation mode, or an exported program.
        args: example inputs; only their shapes and dtypes matter to the result.
        kwargs: example inputs by name.
        scope: patterns (``features.*``) of the parameters that may move; all by default. A tensor with several names
            may move if all of them are in scope.
        outputs: names of the outputs that define the function; all by default.

    Raises:
        ExportError: the model cannot be traced with these inputs.
        TrainingModeError: the model is in training mode.
        LoweringError: the lowered program and the traced one disagree.

    Guarantee: exact for the lowered program; that it is the model is numeric, on the example inputs.
    """
    return infer(lower(trace(model, args, kwargs), outputs), scope)


def infer(graph: Graph, scope: Iterable[str] | None = None, modules: bool = True) -> SymmetryGroup:
    """The group of a graph; see :func:`symmetries`.

    Args:
        graph: the program.
        scope: patterns of the parameters that may move; all by default.
        modules: whether parallel modules of one shape may change places. Without them every unit indexes axes of the
            parameters as they are, which certificates of proofs ask for.

    Raises:
        InputError: a scope pattern matches no parameter.
    """
    patterns = [scope] if isinstance(scope, str) else None if scope is None else list(scope)
    names = [*(name for parameter in graph.parameters.values() for name in parameter.names), *graph.unused]
    idle = [p for p in patterns or () if not any(fnmatchcase(name, p) for name in names)]
    if idle:
        raise InputError(
            "a scope pattern matches no parameter", got=", ".join(idle), fix=f"parameters are {', '.join(names[:8])} …"
        )

    def frozen(name: str) -> bool:
        # a tied tensor moves under all its names: it is in scope only if they all are
        parameter = graph.parameters.get(name)
        if patterns is None or parameter is None:  # what was folded is in scope, or it would not have been folded
            return False
        aliases = parameter.names
        return not all(any(fnmatchcase(alias, p) for p in patterns) for alias in aliases)

    useless: set[str] = set()
    while True:
        folded, folds = fold(graph, frozen, useless) if modules else (graph, ())
        result = unify(folded, frozen)
        fix_unread(folded, result)
        found = {each.site for each in folds if _told_apart(result, each)}
        if not found:
            return assemble(folded, result)
        useless |= found  # branches that something tells apart are easier to read as they were


def _told_apart(result: Unification, each: Fold) -> bool:
    """Whether no two of the folded branches may change places."""
    lead = result.words.resolve(result.values[each.value][each.axis])
    return all(isinstance(factor, Atom) and factor.fixed is not None for factor in lead)


__all__ = ["infer", "symmetries"]
