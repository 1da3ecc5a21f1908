"""Symmetry inference: from a graph to the group of its weight-space permutations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from orbitope.errors import InputError
from orbitope.frontends import graphs
from orbitope.graph import Graph
from orbitope.group import SymmetryGroup
from orbitope.infer.assembly import assemble
from orbitope.infer.collection import put_off
from orbitope.infer.folding import Fold, fold
from orbitope.infer.gauge import continuous
from orbitope.infer.joint import apart, fix_unreached, join
from orbitope.infer.parts import split
from orbitope.infer.reading import fix_unread
from orbitope.infer.routing import route
from orbitope.infer.signatures import shared
from orbitope.infer.straightening import straighten
from orbitope.infer.unification import Unification, unify
from orbitope.infer.words import Atom


def symmetries(
    model: nn.Module | ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    scope: Iterable[str] | None = None,
    outputs: Sequence[str] | None = None,
    also: Iterable[tuple[Sequence[Any], Mapping[str, Any]]] | None = None,
    specialise: bool = False,
) -> SymmetryGroup:
    """The permutations of parameters that keep the function of a network.

    Args:
        model: a module in evaluation mode, or an exported program.
        args: example inputs; only their shapes and dtypes matter to the result.
        kwargs: example inputs by name.
        scope: patterns (``features.*``) of the parameters that may move; all by default. A tensor with several names
            may move if all of them are in scope.
        outputs: names of the outputs that define the function; all by default.
        also: further example inputs, each ``(args, kwargs)``; a symmetry keeps the function on all of them. By default
            the model is traced a second time with longer axes, as far as it takes them; ``also=()`` leaves that out.
        specialise: whether to accept a model whose path depends on the data (``if x.sum() > 0``). The result then
            holds for inputs that take the path of these, and its notes say so.

    Raises:
        ExportError: the model cannot be traced with these inputs.
        InputError: an input has one position along an axis where the model takes more.
        TrainingModeError: the model is in training mode.
        LoweringError: the lowered program and the traced one disagree.

    Guarantee: exact for the lowered program; that it is the model is numeric, on the example inputs.
    """
    return infer(graphs(model, args, kwargs, outputs, also=also, specialise=specialise), scope)


@put_off()
def infer(graph: Graph | Sequence[Graph], scope: Iterable[str] | None = None, modules: bool = True) -> SymmetryGroup:
    """The group of a graph; see :func:`symmetries`.

    Args:
        graph: the program; of several, which read parameters of the same names, what is common to their groups.
        scope: patterns of the parameters that may move; all by default.
        modules: whether parallel modules of one shape may change places. Without them every unit indexes axes of the
            parameters as they are, which certificates of proofs ask for.

    Raises:
        InputError: a scope pattern matches no parameter.
    """
    traces = apart([graph] if isinstance(graph, Graph) else graph)
    parameters = {name: each for one in traces for name, each in one.parameters.items()}
    patterns = [scope] if isinstance(scope, str) else None if scope is None else list(scope)
    names = [*(name for parameter in parameters.values() for name in parameter.names), *traces[0].unused]
    idle = [p for p in patterns or () if not any(fnmatchcase(name, p) for name in names)]
    if idle:
        raise InputError(
            "a scope pattern matches no parameter", got=", ".join(idle), fix=f"parameters are {', '.join(names[:8])} …"
        )

    def frozen(name: str) -> bool:
        # a tied tensor moves under all its names: it is in scope only if they all are
        parameter = parameters.get(name)
        if patterns is None or parameter is None:  # what was folded is in scope, or it would not have been folded
            return False
        aliases = parameter.names
        return not all(any(fnmatchcase(alias, p) for p in patterns) for alias in aliases)

    traces = [route(shared(one)) for one in traces]
    useless: set[str] = set()
    while True:
        every = [fold(one, frozen, useless) if modules else (one, ()) for one in traces]
        folds = [each for _, found in every for each in found]
        folded = join([one for one, _ in every])
        if folded is None:
            useless |= {each.site for each in folds}  # the traces do not agree on what are branches
            continue
        folded = straighten(split(folded, frozen) if modules else folded)
        result = unify(folded, frozen)
        fix_unread(folded, result)
        fix_unreached(folded, result)
        found = {each.site for each in folds if _told_apart(result, each)}
        if not found:
            return _assembled(folded, result, frozen)
        useless |= found  # branches that something tells apart are easier to read as they were


def _assembled(graph: Graph, result: Unification, frozen: Callable[[str], bool]) -> SymmetryGroup:
    """The continuous part comes first: it reads the words of values, which lose their meaning when units are fused."""

    def held(name: str) -> bool:
        return frozen(name) or not getattr(torch, graph.parameters[name].dtype).is_floating_point

    return assemble(graph, result, continuous(graph, result, held))


def _told_apart(result: Unification, each: Fold) -> bool:
    """Whether no two of the folded branches may change places."""
    lead = result.words.resolve(result.values[each.value][each.axis])
    return all(isinstance(factor, Atom) and factor.fixed is not None for factor in lead)


__all__ = ["infer", "symmetries"]
