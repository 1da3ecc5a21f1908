"""Equivalent parameters: the gains of normalisations multiplied into the weights behind them.

With gains of one and biases of zero a norm treats all directions of its index alike, and rotations of a residual
stream become symmetries that the gains hid. Nothing about the architecture changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from orbitope.arithmetic import TorchArithmetic
from orbitope.errors import ParametersError
from orbitope.frontends import graphs
from orbitope.graph import Graph
from orbitope.group import SymmetryGroup
from orbitope.infer import infer
from orbitope.infer.gains import Gain, Spread, gains
from orbitope.infer.joint import apart, join
from orbitope.infer.replacing import constants
from orbitope.primitives import PRIMITIVES

Params = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Folded:
    """An equivalent model of the same architecture.

    Attributes:
        params: its parameters, under the names and in the dtypes of the given ones.
        group: its symmetries among models of which the folded gains are one and the folded biases zero; these never
            move, and count as unused.
        folded: for each gain and bias of a norm that was folded, the parameters that took it up.
        left: for each that was not, why, in one sentence.
    """

    params: dict[str, torch.Tensor] = field(repr=False)
    group: SymmetryGroup
    folded: Mapping[str, tuple[str, ...]]
    left: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """What can be folded in a program, whatever its parameters are.

    Attributes:
        traces: its graphs.
        joint: all of them as one.
        gains: of its normalisations.
    """

    traces: Sequence[Graph]
    joint: Graph
    gains: Sequence[Gain]


def fold(
    model: nn.Module | ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    params: Params | None = None,
    *,
    also: Iterable[tuple[Sequence[Any], Mapping[str, Any]]] | None = None,
    specialise: bool = False,
) -> Folded:
    """Multiply the gains of norms into the weights that read them, and their biases into the biases behind these.

    A gain γ is folded by ``W ← W·diag(γ)`` and becomes one, a bias β by ``b ← b + W·β`` and becomes zero. Where no bias
    is there to take β up, β stays as β/γ. What cannot be folded is left as it is, with the reason.

    Args:
        model: a module in evaluation mode, or an exported program; it is not changed.
        args: example inputs; only their shapes and dtypes matter to the result.
        kwargs: example inputs by name.
        params: tensors by state-dict name; the model's own by default.
        also: further example inputs, see :func:`orbitope.symmetries`.
        specialise: whether one path of a model that branches on its data will do.

    Raises:
        ParametersError: a parameter is missing, of another shape or not finite.
        ExportError, InputError, TrainingModeError, LoweringError: see :func:`orbitope.symmetries`.

    Guarantee: exact in real numbers; computed in float64 and rounded once to the dtype of each parameter.
    Source: Ashkboos et al. 2024, SliceGPT, section 3.2 [ashkboos2024slicegpt].
    """
    found = plan(graphs(model, args, kwargs, also=also, specialise=specialise))
    if params is None:
        params = model.state_dict if isinstance(model, ExportedProgram) else model.state_dict()
    return folded(found, params)


def plan(traces: Sequence[Graph]) -> Plan:
    """What can be folded; no entry of a parameter is looked at."""
    joint = join(apart(traces))
    assert joint is not None  # they only disagree about folded modules
    return Plan(traces, joint, gains(joint))


def folded(found: Plan, params: Params) -> Folded:
    """Carry out a plan on parameters.

    Raises:
        ParametersError: a parameter is missing, of another shape or not finite.
    """
    work = _done(found, params)
    group = infer([constants(graph, work.constant) for graph in found.traces])
    made = work.finished()
    group.check(made, finite=False)  # they were finite before; on the meta device nothing can be said
    return Folded(made, group, work.folded, work.left)


def folded_parameters(found: Plan, params: Params) -> dict[str, torch.Tensor]:
    """The parameters of :func:`folded` alone.

    Raises:
        ParametersError: a parameter is missing, of another shape or not finite.
    """
    return _done(found, params).finished()


def _done(found: Plan, params: Params) -> _Work:
    work = _Work(found.joint, params)
    for gain in found.gains:
        work.take(gain)
    return work


class _Work:
    """Factors and sums are collected first: every one of them is made of the parameters as they were."""

    def __init__(self, graph: Graph, params: Params) -> None:
        self.graph = graph
        self.params = params
        self.constant: dict[str, float] = {}
        self.folded: dict[str, tuple[str, ...]] = {}
        self.left: dict[str, str] = {}
        self.factors: dict[str, list[torch.Tensor]] = {}
        self.added: dict[str, list[torch.Tensor]] = {}
        self._refuse_unfit(graph)

    def _refuse_unfit(self, graph: Graph) -> None:
        problems = []
        for parameter in graph.parameters.values():
            found = [name for name in parameter.names if name in self.params]
            if not found:
                problems.append(f"missing: {parameter.name} {list(parameter.shape)}")
            problems += [
                f"shape: {name} is {list(self.params[name].shape)}, expected {list(parameter.shape)}"
                for name in found
                if self.params[name].shape != torch.Size(parameter.shape)
            ]
            for name in found:
                tensor = self.params[name]
                if tensor.is_floating_point() and not tensor.is_meta and not bool(tensor.isfinite().all()):
                    problems.append(f"not finite: {name}")
            problems += [
                f"not tied: {name} differs from {found[0]}" for name in found[1:] if self._differ(found[0], name)
            ]
        if problems:
            raise ParametersError(
                "the parameters do not fit this network",
                fix="pass the state dict of the same architecture, trained to finite values",
                details=problems,
            )

    def _differ(self, first: str, second: str) -> bool:
        a, b = self.params[first], self.params[second]
        return not a.is_meta and not b.is_meta and a.data_ptr() != b.data_ptr() and not torch.equal(a, b)

    def _value(self, name: str) -> torch.Tensor:
        """A parameter in float64."""
        names = self.graph.parameters[name].names
        return next(self.params[alias] for alias in names if alias in self.params).detach().double()

    def take(self, gain: Gain) -> None:
        """Fold one gain, as far as it goes with these numbers."""
        if gain.kept:
            self.left[gain.parameter] = f"{gain.kept}: {gain.reduced}" if gain.tied else gain.kept
            self.left.update(dict.fromkeys(gain.biases, f"it stays with {gain.parameter}"))
            return
        values = self._value(gain.parameter).flatten() + gain.offset
        staying = [name for name in gain.biases if name in gain.stays and not self._is_zero(name)]
        for name in staying:
            if not values.is_meta and bool(((values == 0) & (self._value(name).flatten() != 0)).any()):
                self.left[gain.parameter] = f"it has a zero where {name} has none, and {name} stays: {gain.stays[name]}"
                self.left[name] = gain.stays[name]
                return
        self.constant[gain.parameter] = 1 - gain.offset
        for name, (axis, stride) in gain.takers.items():
            self.factors.setdefault(name, []).append(_spread(values, self.graph.parameters[name].shape, axis, stride))
        self.folded[gain.parameter] = tuple(gain.takers)
        for name in gain.biases:
            self._take_bias(gain, name, values, name in staying)

    def _take_bias(self, gain: Gain, name: str, values: torch.Tensor, stays: bool) -> None:
        if stays:
            safe = torch.where(values == 0, torch.ones_like(values), values)
            self.factors.setdefault(name, []).append((1 / safe).reshape(self.graph.parameters[name].shape))
            self.left[name] = f"{gain.stays[name]}; it stays as itself divided by the gain"
            return
        homes = {home: [each for each in sums if each.bias == name] for home, sums in gain.sums.items()}
        if name in gain.stays:  # it is zero already
            homes = {}
        for home, sums in homes.items():
            self.added.setdefault(home, []).extend(self._sum(each) for each in sums)
        self.constant[name] = 0.0
        self.folded[name] = tuple(home for home, sums in homes.items() if sums)

    def _is_zero(self, name: str) -> bool:
        value = self._value(name)
        return not value.is_meta and not bool(value.any())

    def _sum(self, each: Spread) -> torch.Tensor:
        """What a bias of a norm becomes behind a weight."""
        weight = self._value(each.weight.parameter.attributes["parameter"])
        for name, _ in each.weight.edges:
            node = self.graph.node(name)
            weight = PRIMITIVES[node.op].evaluate(TorchArithmetic(), node, [weight])
        weight = weight.squeeze()
        left, letter = each.spec.partition("->")[0].split(",")
        bias = self._value(each.bias).flatten()
        count = weight.shape[left.index(letter)] if left else 1
        index = torch.arange(count) // each.stride % bias.numel()
        return torch.einsum(each.spec, weight, bias[index.to(bias.device)]).reshape(each.shape)

    def finished(self) -> dict[str, torch.Tensor]:
        """All parameters, those that changed rounded once; tied ones stay one tensor."""
        made = dict(self.params)
        for name in {**self.factors, **self.added, **self.constant}:
            aliases = [alias for alias in self.graph.parameters[name].names if alias in made]
            new = self._new(name)
            for alias in aliases:
                made[alias] = new.to(made[alias].dtype) if new.dtype != made[alias].dtype else new
        return made

    def _new(self, name: str) -> torch.Tensor:
        value = self._value(name)
        if name in self.constant:
            value = torch.full_like(value, self.constant[name])
        else:
            for factor in self.factors.get(name, ()):
                value = value * factor
            for term in self.added.get(name, ()):
                value = value + term
        aliases = [alias for alias in self.graph.parameters[name].names if alias in self.params]
        return value.to(self.params[aliases[0]].dtype)


def _spread(values: torch.Tensor, shape: Sequence[int], axis: int, stride: int) -> torch.Tensor:
    """Numbers along an index of an axis, in a shape that multiplies a tensor of that shape."""
    index = torch.arange(shape[axis]) // stride % values.numel()
    return values[index.to(values.device)].reshape([shape[axis] if k == axis else 1 for k in range(len(shape))])


__all__ = ["Folded", "Plan", "fold", "folded", "folded_parameters", "plan"]
