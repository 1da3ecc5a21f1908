"""The flat directions of a network, measured and held against those that its group explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from orbitope.errors import InputError
from orbitope.flatness.jacobian import Program
from orbitope.flatness.rank import Rank, rank_of
from orbitope.flatness.result import PERCENT, Audit, Finding
from orbitope.frontends import graphs
from orbitope.frontends.fallbacks import input_names
from orbitope.graph import Graph
from orbitope.group import SymmetryGroup
from orbitope.infer import infer

LARGEST = 3000
"""Entries that may vary: the derivative is one dense matrix."""

SEEDS, OWN_DRAWS = 12, 2
"""At most so many random parameters are looked at; so often inputs are drawn for the given ones."""

TOLERANCE = 1e-9
"""A direction is flat if the derivative along it is smaller, relative to the steepest."""

Parameters = Mapping[str, torch.Tensor]


def audit(
    model: nn.Module | ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    loss: bool = False,
    seeds: int = SEEDS,
    scope: Iterable[str] | None = None,
    params: Parameters | None = None,
    specialise: bool = False,
) -> Audit:
    """Compare the flat directions that the group explains with those that are measured.

    The derivative of the outputs with respect to the trainable parameters is taken in float64 at many random inputs,
    and its rank read off the gap of its singular values.

    Args:
        model: a module in evaluation mode, or an exported program, of at most 3000 trainable entries.
        args: example inputs. Others are drawn at random: normal ones, and whole numbers within their range, so that
            they should reach every row of a table.
        kwargs: example inputs by name.
        loss: look at the logarithm of the softmax of the output along its last axis, as a cross-entropy loss does.
        seeds: at most so many random parameters are looked at, until all that is flat at one of them is explained:
            units that are dead or never at rest, as random ones of ReLU are, have flat directions of their own.
        scope: patterns of the parameters that vary; by default all that are trained.
        params: parameters and buffers to look at; the model's own by default.
        specialise: whether to accept a model whose path depends on the data.

    Raises:
        ExportError, TrainingModeError, LoweringError, InputError: see :func:`orbitope.symmetries`.
        InputError: too many parameters; no trainable ones; no finite outputs.
        ParametersError: parameters are missing, of another shape or not finite.

    Guarantee: numeric.
    """
    patterns = [scope] if isinstance(scope, str) else None if scope is None else list(scope)
    traces = graphs(model, args, kwargs, specialise=specialise)
    graph = traces[0]
    variables = _variables(model, graph, patterns)
    _refuse(graph, variables, loss)
    program = Program(graph, variables, _examples(model, graph, args, kwargs), loss)
    group = infer(traces, patterns)
    given = _canonical(graph, _own(model) if params is None else params)
    group.check(given)
    wide = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in given.items()}
    return compare(program, group, wide, seeds)


def compare(program: Program, group: SymmetryGroup, params: Parameters, seeds: int = SEEDS) -> Audit:
    """The audit of a group of a program.

    Args:
        program: the network and what varies.
        group: what is claimed of it.
        params: parameters and buffers in float64 by canonical name.
        seeds: at most so many random parameters are looked at, until all that is flat at one of them is explained.
    """
    sides: list[Finding] = []
    for seed in range(seeds):
        sides.append(_finding(program, group, randomised(program, params, seed), [seed]))
        # special parameters among the random ones only have more flat directions; an orbit has no more than there are
        if sides[-1].verdict in ("explained", "unsound"):
            break
    generic = min(sides, key=lambda side: (not side.unsound, not side.decided, side.measured, -side.explained))
    own = _finding(program, group, params, range(OWN_DRAWS))
    extra = group.dimension_of(approximate=True, loss=program.loss) - group.dimension_of(loss=program.loss)
    return Audit(program.size, program.loss, len(sides), generic, own, extra, group.continuous.reasons)


def randomised(program: Program, params: Parameters, seed: int) -> dict[str, torch.Tensor]:
    """The parameters with random values in place of those that vary; buffers and frozen ones stay."""
    generator = torch.Generator().manual_seed(1000 + seed)
    result = dict(params)
    for name in program.variables:
        shape = params[name].shape
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        fan_in = shape[1:].numel() if len(shape) > 1 else 1
        # nothing so large that it saturates, gains away from zero, biases so small that units come to rest
        if len(shape) > 1:
            result[name] = noise * min(0.7, 1.5 / max(fan_in, 1) ** 0.5)
        else:
            result[name] = 0.3 * noise if "bias" in name else 0.7 + 0.5 * noise
    return result


def _finding(program: Program, group: SymmetryGroup, params: Parameters, draws: Iterable[int]) -> Finding:
    """Explained and measured at these parameters."""
    jacobian = torch.cat([program.jacobian(params, seed) for seed in draws])
    found = rank_of(jacobian)
    explained = group.orbit_dimension(params, program.variables, loss=program.loss)
    rows, families = _tangents(program, group, params)
    shares: dict[str, float] = {}
    unread = 0
    if found.deficiency > explained:
        shares = _shares(program, found, rows, found.deficiency - explained)
        silent = (jacobian == 0).all(0)
        unread = int((silent & (rows == 0).all(0)).sum())
    return Finding(
        explained,
        found.deficiency,
        found.rank,
        found.above,
        found.below,
        found.decided,
        shares,
        unread,
        _unsound(jacobian, rows, families),
    )


def _tangents(program: Program, group: SymmetryGroup, params: Parameters) -> tuple[torch.Tensor, list[str]]:
    """Directions ``[k, size]`` of the group that leave everything else as it is, and where each comes from.

    A family that moves buffers and frozen parameters too counts as far as some combination with others does not.
    """
    floating = [name for name in program.graph.parameters if params[name].is_floating_point()]
    found = group.tangents(params, floating, loss=program.loss)
    count = group.dimension_of(loss=program.loss)

    def flat(names: Iterable[str]) -> torch.Tensor:
        parts = [found.get(name, torch.zeros((count, *params[name].shape))) for name in names]
        empty = torch.zeros((count, 0), dtype=torch.float64)
        return torch.cat(
            [
                empty,
                *(part.reshape(count, params[name].numel()).double() for part, name in zip(parts, names, strict=True)),
            ],
            1,
        )

    mine, rest = flat(program.variables), flat([name for name in floating if name not in program.variables])
    families = _families(group, program.loss)
    moved = (rest != 0).any(1)
    kept, names = mine[~moved], [name for name, gone in zip(families, moved.tolist(), strict=True) if not gone]
    if not bool(moved.any()):
        return kept, names
    # combinations of the others that leave the rest as it is
    combinations = rank_of(rest[moved].mT).null
    label = " with ".join(dict.fromkeys(name for name, gone in zip(families, moved.tolist(), strict=True) if gone))
    return torch.cat([kept, combinations @ mine[moved]]), [*names, *[label] * len(combinations)]


def _families(group: SymmetryGroup, loss: bool) -> list[str]:
    """The family of each row of ``group.tangents``."""
    part = group.continuous
    scalings = [each for each in part.scalings if not each.approximate and (loss or not each.loss)]
    translations = [each for each in part.translations if loss or not each.loss]
    families = (*scalings, *part.matrices, *part.rotations, *translations)
    return [family.name for family in families for _ in range(family.dimension)]


def _unsound(jacobian: torch.Tensor, rows: torch.Tensor, families: Sequence[str]) -> dict[str, float]:
    """Families along which the outputs change, and by how much, relative to the steepest derivative.

    Not relative to the terms of the change: where a parameter does nothing, its derivatives are rounding.
    """
    if not len(rows):
        return {}
    steepest = (jacobian.abs().max() * rows.norm(dim=1)).clamp(min=1e-300)
    changes = (jacobian @ rows.mT).abs().amax(0) / steepest
    found: dict[str, float] = {}
    for name, change in zip(families, changes.tolist(), strict=True):
        if change > TOLERANCE:
            found[name] = max(change, found.get(name, 0.0))
    return found


def _shares(program: Program, found: Rank, rows: torch.Tensor, count: int) -> dict[str, float]:
    """On which parameters the flat directions live that are orthogonal to those of the group."""
    basis = rows[rows.abs().amax(1) > 0] if len(rows) else rows
    null = found.null
    if len(basis):
        basis = basis / basis.norm(dim=1, keepdim=True)
        _, values, directions = torch.linalg.svd(basis, full_matrices=False)
        basis = directions[values > 1e-10 * values[0]]
        null = null - (null @ basis.mT) @ basis
    left = torch.linalg.svd(null, full_matrices=False)[2][:count]
    weights = left.square().sum(0) / len(left)
    sizes = [program.graph.parameters[name].shape for name in program.variables]
    parts = weights.split([torch.Size(shape).numel() for shape in sizes])
    shares = {name: float(part.sum()) for name, part in zip(program.variables, parts, strict=True)}
    return {name: share for name, share in sorted(shares.items(), key=lambda each: -each[1]) if share >= PERCENT}


# what is given --------------------------------------------------------------------------------------------------------
def _variables(model: nn.Module | ExportedProgram, graph: Graph, patterns: Sequence[str] | None) -> tuple[str, ...]:
    """Canonical names of the parameters that are trained and in scope."""
    known = [p for p in graph.parameters.values() if p.trainable]
    if isinstance(model, nn.Module):
        wanted = {name for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
        known = [p for p in known if not wanted or wanted & set(p.names)]
    if patterns is not None:
        known = [p for p in known if all(any(fnmatchcase(alias, each) for each in patterns) for alias in p.names)]
    return tuple(p.name for p in known)


def _refuse(graph: Graph, variables: Sequence[str], loss: bool) -> None:
    size = sum(torch.Size(graph.parameters[name].shape).numel() for name in variables)
    if not size:
        raise InputError("nothing varies: the function reads no trainable parameter", fix="widen the scope")
    if size > LARGEST:
        raise InputError(
            "the network is too large to be audited",
            got=f"{size:,} trainable entries; at most {LARGEST:,}",
            why="the rank of the derivative is read off one dense matrix with a column for each of them",
            fix="audit a small network of the same architecture, or part of the parameters with a scope",
        )
    if complicated := [name for name in variables if "complex" in graph.parameters[name].dtype]:
        raise InputError(
            "complex parameters are not audited", got=", ".join(complicated[:5]), fix="leave them out of scope"
        )
    if loss and len(graph.outputs) != 1:
        raise InputError(
            "a loss of a softmax reads one output",
            got=f"{len(graph.outputs)} outputs",
            fix="wrap the model in a module that returns the logits only",
        )


def _examples(
    model: nn.Module | ExportedProgram, graph: Graph, args: Sequence[Any], kwargs: Mapping[str, Any] | None
) -> dict[str, torch.Tensor]:
    """Example inputs by the names that the graph gives them."""
    if isinstance(model, ExportedProgram):
        args, kwargs = (args, kwargs) if len(args) or kwargs else model.example_inputs or ((), {})
    args = (args,) if isinstance(args, torch.Tensor) else tuple(args)
    tensors = [leaf for leaf in pytree.tree_leaves((args, dict(kwargs or {}))) if isinstance(leaf, torch.Tensor)]
    named = dict(zip(graph.inputs, tensors, strict=False))
    if isinstance(model, nn.Module) and kwargs:
        by_name = dict(zip(input_names(model, args, kwargs), tensors, strict=True))
        named = by_name if set(graph.inputs) <= set(by_name) else named
    nodes = {node.attributes["input"]: node for node in graph if node.op == "input"}
    misfits = [name for name in graph.inputs if name not in named or tuple(named[name].shape) != nodes[name].shape]
    if misfits or any(tensor.is_meta for tensor in named.values()):
        raise InputError(
            "the example inputs are not those of the program" if misfits else "the example inputs have no entries",
            got=", ".join(misfits) or None,
            fix="pass tensors, in the order of the arguments of forward",
        )
    return {name: named[name].detach().cpu() for name in graph.inputs}


def _own(model: nn.Module | ExportedProgram) -> dict[str, torch.Tensor]:
    if isinstance(model, ExportedProgram):
        return dict(model.state_dict)
    return {
        **{name: p.detach() for name, p in model.named_parameters(remove_duplicate=False)},
        **{name: b.detach() for name, b in model.named_buffers(remove_duplicate=False)},
    }


def _canonical(graph: Graph, params: Parameters) -> dict[str, torch.Tensor]:
    """Parameters of the graph by canonical name, on the processor; what is missing is left out."""
    found: dict[str, torch.Tensor] = {}
    for name, parameter in graph.parameters.items():
        given = next((params[alias] for alias in parameter.names if alias in params), None)
        if given is not None and given.is_meta:
            raise InputError(
                "the parameters have no values", at=name, why="flat directions are measured", fix="load weights first"
            )
        if given is not None:
            found[name] = given.detach().cpu()
    return found
