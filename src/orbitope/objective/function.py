"""F: the mean loss of a model on data, as a function of the parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from orbitope.arithmetic import TorchArithmetic
from orbitope.errors import DataError, InputError, OrbitopeError, ParametersError
from orbitope.graph import Graph
from orbitope.objective.appending import appended, module, traced
from orbitope.objective.data import BUDGET, Samples, read
from orbitope.objective.folding import split_data
from orbitope.objective.loss import Loss
from orbitope.objective.losses import LOSSES, OTHER_SHAPE, parse
from orbitope.objective.network import Network, network, refuse_chance, run
from orbitope.primitives import evaluate, rebatch

Parameters = Mapping[str, torch.Tensor]

TRACED = 3
"""So many samples a program is traced with; that it is the model's at another number is tried out."""

TRIED = 5
"""With so many."""

BLOCK_ENTRIES = 1 << 24
"""Samples are evaluated in blocks whose largest value has about this many entries."""

AGREEMENT = 1e-4
"""Program and model differ by less than this share of the loss: some models compute in float32 whatever they get."""


class Objective:
    """F(θ) = the mean over samples of the loss of the model's output.

    Args:
        model: a module in evaluation mode.
        loss: a name of ``LOSSES``, with options after a colon (``cross_entropy:label_smoothing=0.1,ignore_index=-1``),
            or a callable ``loss(output, target)`` that returns one number, or one for each sample.

            Of labels that count, F is torch's mean over all of them (``reduction=mean``) or the mean over samples of
            each sample's mean (``sample_mean``). Classes are the last axis of outputs ``[N, T, C]`` with labels
            ``[N, T]``, and axis 1 of ``[N, C, *space]``; ``axis`` says it where both fit. ``shift=1`` compares the
            output at each position with the label of the next one, as language models are trained.
        data: ``(x, y)``, ``((x1, x2), y)``, ``({name: x}, y)`` or ``{name: x, "labels": y}``, of tensors or arrays, or
            a DataLoader that yields such. An input without one entry for each sample is the same for all.
        output: name of the output that the loss reads. By default ``logits`` where there is one, else the first
            floating tensor that the model returns.
        weight_decay: λ of a term λ/2‖θ‖² over the variables.
        budget: so many bytes are read from a DataLoader.

    Attributes:
        loss: name of the loss. options: its settings. unit: what it is measured in.
        output: name of the output that it reads.
        samples: how many.
        whole: whether samples mix, or a custom loss returns one number for all: the program is then one for all
            samples, and evaluated at once.
        network: the model's program up to that output.
        outputs: shape of one sample's output.
        parameters: the model's own parameters and buffers, by canonical name.
        variables: names of those that are trained (``requires_grad``; all parameters where none is): F is a function
            of these.
        data: for every input of ``graph`` all samples. x: the first input. y: targets as given. target: as the
            program takes them.

    Raises:
        DataError: data of other shapes, labels out of range, not finite, no samples, more than the budget; a model or a
            loss that is not deterministic.
        InputError: unknown loss, option or output.
        ParametersError: parameters that are not finite.
        TrainingModeError: the model is in training mode.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: str | Callable[[Any, Any], Any] = "cross_entropy",
        data: Any = None,
        *,
        output: str | None = None,
        weight_decay: float = 0.0,
        budget: int = BUDGET,
    ) -> None:
        """Trace the model on the first samples and append the loss."""
        if not weight_decay >= 0:
            raise InputError("the weight decay is negative", got=str(weight_decay))
        self.loss, self.options = parse(loss) if isinstance(loss, str) else (_name(loss), {})
        self.unit = LOSSES[self.loss].unit if isinstance(loss, str) else "units of the loss"
        self._custom = None if isinstance(loss, str) else module(loss)
        self.model, self.weight_decay = model, float(weight_decay)
        self._samples = read(data, budget)
        self.samples, self.y = self._samples.count, self._samples.y
        refuse_chance(model, self._samples.first(TRACED))
        self.whole = False
        self._graphs: dict[int, Graph] = {}
        self._networks: dict[int, Graph] = {}
        self._programs: dict[int, Graph] = {}
        self._wanted = output
        self._build()
        _refuse_not_finite(self.parameters)

    # the program -------------------------------------------------------------------------------------------------
    def _build(self) -> None:
        """One program for any number of samples; where there is none, one for all of them."""
        try:
            self._trace(self._samples.first(TRACED))
            if self._traced.node(self._traced.outputs[0]).shape != (TRACED,):
                raise _OneNumber
            self.graph_for(self.samples)
            rebatch(self.network, dict.fromkeys(self.network.inputs, 0), self.samples)
            self._compare(slice(0, min(TRIED, self.samples)))
        except (_OneNumber, _Mixing):
            self._build_whole()
        except DataError as error:
            if error.what not in (_MIXES, _NO_FIT, OTHER_SHAPE):  # the output's shape may depend on how many there are
                raise
            try:
                self._build_whole()
            except (OrbitopeError, RuntimeError):
                if error.what != _MIXES:
                    raise error from None
                raise

    def _build_whole(self) -> None:
        self.whole = True
        self._graphs.clear()
        self._trace(self._samples)
        self._compare(slice(0, self.samples))

    def _trace(self, samples: Samples) -> None:
        traced_network: Network = network(self.model, samples, self._wanted)
        self._network = traced_network
        self.network, self.output = traced_network.graph, traced_network.output
        state = self.model.state_dict()
        self.parameters = {name: state[name].detach() for name in self.network.parameters}
        end = self.network.node(self.network.outputs[0])
        if not end.shape or end.shape[0] != samples.count:
            raise InputError(
                "the output has no axis of samples",
                got=f"{self.output} {list(end.shape)} for {samples.count} samples",
                fix="name another output: output=…, or wrap the model in a module whose output has one",
            )
        self.outputs = tuple(end.shape[1:])
        if self._custom is None:
            self._loss = LOSSES[self.loss].make(self.y, self.outputs, self.options)
            self._traced = appended(self.network, self._loss)
        else:
            output = self._evaluated(self.network, samples)
            self._loss = Loss({"target": self.y}, _never, self._called)
            self._traced = traced(self.network, self._custom, output.to(getattr(torch, end.dtype)), samples.y)
        leaves = self._leaves(self._samples)
        inputs = {name: leaves[k] for name, k in self._network.data.items()}
        extra = self._traced.inputs[len(inputs) :]
        self.data: dict[str, torch.Tensor] = {**inputs, **dict(zip(extra, self._loss.data.values(), strict=False))}

    def _leaves(self, samples: Samples) -> list[Any]:
        return pytree.tree_leaves((samples.args, dict(samples.kwargs)))

    def _evaluated(self, graph: Graph, samples: Samples) -> torch.Tensor:
        """The network's output for the samples that it was traced with, in float64."""
        arithmetic = TorchArithmetic(torch.float64)
        leaves = self._leaves(samples)
        inputs = {name: arithmetic.lift(leaves[k]) for name, k in self._network.data.items()}
        lifted = {name: arithmetic.lift(tensor) for name, tensor in self.parameters.items()}
        with torch.no_grad():
            return evaluate(graph, arithmetic, lifted, inputs)[0]

    def _called(self, output: torch.Tensor, block: slice) -> torch.Tensor:
        assert self._custom is not None
        y = self.y[block]
        with torch.no_grad():
            return self._wide(output, y.to(output.dtype) if y.is_floating_point() else y)

    @cached_property
    def _wide(self) -> nn.Module:
        """A custom loss in float64, weights of classes and other buffers included."""
        return copy.deepcopy(self._custom).double()  # pyright: ignore[reportOptionalMemberAccess]

    def _compare(self, block: slice) -> None:
        """Try the program next to the model.

        Raises:
            _Mixing: it is another function at this number of samples.
            DataError: it is not the model's for all samples, or the loss is not deterministic.
        """
        if not all(bool(t.isfinite().all()) for t in self.parameters.values() if t.is_floating_point()):
            return
        try:
            model = self._reference(block, self.parameters)
            again = self._reference(block, self.parameters) if self._custom is not None else model
        except Exception as error:  # a model of one fixed number of samples
            if self.whole:
                raise DataError(
                    "the model does not run on the data", got=f"{type(error).__name__}: {error}"[:300]
                ) from error
            raise _Mixing from error
        ours = self._block_losses(self.parameters, block)
        if not torch.allclose(model, again, rtol=1e-6, atol=1e-9, equal_nan=True):
            raise DataError(
                "the loss is not deterministic",
                got=f"{model.flatten()[:3].tolist()} and then {again.flatten()[:3].tolist()}",
                why="F must be one function of the parameters",
            )
        apart = (model - ours).abs().max() if model.shape == ours.shape else torch.tensor(torch.inf)
        scale = max(1.0, float(model.abs().max()))
        if not bool(model.isfinite().all()) or float(apart) <= AGREEMENT * scale:
            return
        if not self.whole:
            raise _Mixing
        raise DataError(
            "the traced program is not the model",
            got=f"losses of the model and of the program differ by {float(apart):.3g}",
            why="what the model computes depends on something that a trace does not show",
        )

    @property
    def x(self) -> torch.Tensor:
        """The first input."""
        return next(iter(self.data.values()))

    @property
    def target(self) -> torch.Tensor:
        """The targets as the program takes them."""
        return self.data[self._traced.inputs[len(self.network.inputs)]]

    @property
    def graph(self) -> Graph:
        """The program of all losses, for all samples at once."""
        return self.graph_for(self.samples)

    def graph_for(self, samples: int) -> Graph:
        """The program of the losses of that many samples.

        Raises:
            DataError: the objective is whole, and these are not all samples.
        """
        if self.whole and samples != self.samples:
            raise _whole_only(samples, self.samples)
        if samples not in self._graphs:
            inputs = dict.fromkeys(self._traced.inputs, 0)
            self._graphs[samples] = self._traced if self.whole else rebatch(self._traced, inputs, samples)
        return self._graphs[samples]

    def program(self, samples: int) -> tuple[Graph, dict[str, torch.Tensor]]:
        """The program of the losses of that many samples, without what constants and data alone decide.

        Args:
            samples: in a block.

        Returns:
            A graph whose nodes depend on parameters, but for inputs, constants and broadcasts of these; its output is
            ``[samples]``, or one number for all where a custom loss returns that. For each of its inputs all N samples
            ``[N, …]``, computed in float64 where floating.

        Raises:
            DataError: the objective is whole, and these are not all samples.

        Guarantee: numeric: see :func:`split_data`.
        """
        if self.whole and samples != self.samples:
            raise _whole_only(samples, self.samples)
        graph, data = self._split
        if samples not in self._programs:
            inputs = dict.fromkeys(graph.inputs, 0)
            self._programs[samples] = graph if self.whole or not inputs else rebatch(graph, inputs, samples)
        return self._programs[samples], data

    @cached_property
    def _split(self) -> tuple[Graph, dict[str, torch.Tensor]]:
        parameters = self.network.parameters
        held = {
            name: tensor
            for name, tensor in self.parameters.items()
            if not tensor.is_floating_point() and not parameters[name].trainable
        }
        return split_data(self._traced, self.data, whole=self.whole, blocks=self.blocks(), held=held)

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the trained parameters, by canonical name."""
        known = [p for p in self.network.parameters.values() if p.trainable]
        wanted = {name for name, p in self.model.named_parameters(remove_duplicate=False) if p.requires_grad}
        return tuple(p.name for p in known if not wanted or wanted & set(p.names))

    def canonical(self, params: Parameters | None) -> dict[str, torch.Tensor]:
        """Parameters by canonical name; the model's own for None.

        Raises:
            ParametersError: some are missing, unexpected, of another shape or not finite.
        """
        if params is None:
            return self.parameters
        found, problems = {}, []
        for name, parameter in self.network.parameters.items():
            given = next((params[alias] for alias in parameter.names if alias in params), None)
            if given is not None and not (isinstance(given, torch.Tensor) and not given.is_complex()):
                problems.append(f"not a real tensor: {name} is {getattr(given, 'dtype', type(given).__name__)}")
            elif given is None:
                problems.append(f"missing: {name} {list(parameter.shape)}")
            elif tuple(given.shape) != parameter.shape:
                problems.append(f"shape: {name} is {list(given.shape)}, expected {list(parameter.shape)}")
            else:
                found[name] = given.detach()
        known = {*self.network.unused, *(n for p in self.network.parameters.values() for n in p.names)}
        problems += [f"unexpected: {name} {list(t.shape)}" for name, t in params.items() if name not in known]
        if problems:
            raise ParametersError("the parameters do not fit this network", details=problems)
        _refuse_not_finite(found)
        return found

    # values --------------------------------------------------------------------------------------------------------
    def blocks(self, samples: int | None = None) -> list[slice]:
        """Runs of samples that are evaluated together; of the first ones only, if so many are wanted."""
        if self.whole:
            return [slice(0, self.samples)]
        count = self.samples if samples is None else min(samples, self.samples)
        widest = max(prod(node.shape) for node in self.graph_for(1))
        step = max(1, min(count, BLOCK_ENTRIES // max(widest, 1)))
        return [slice(start, min(start + step, count)) for start in range(0, count, step)]

    def losses(self, params: Parameters | None = None) -> torch.Tensor:
        """The loss of each sample in float64, without weight decay; differentiable in the parameters.

        Where a custom loss returns one number for all samples, this one number.
        """
        given = self.parameters if params is None else params
        return torch.cat([self._block_losses(given, block) for block in self.blocks()])

    def _block_losses(self, params: Parameters, block: slice) -> torch.Tensor:
        arithmetic = TorchArithmetic(torch.float64)
        lifted = {name: arithmetic.lift(params[name]) for name in self.network.parameters}
        inputs = {name: arithmetic.lift(tensor[block]) for name, tensor in self.data.items()}
        return evaluate(self.graph_for(block.stop - block.start), arithmetic, lifted, inputs)[0].reshape(-1)

    def mean(self, params: Parameters | None = None) -> torch.Tensor:
        """F in float64, with weight decay; differentiable in the parameters."""
        given = self.parameters if params is None else params
        value = self.losses(given).mean()
        if not self.weight_decay:
            return value
        return value + self.weight_decay / 2 * sum((given[name].double() ** 2).sum() for name in self.variables)

    def value(self, params: Parameters | None = None) -> float:
        """F in float64 (nats, or squared units of the output, …: ``unit``).

        Guarantee: numeric, within float64 rounding.
        """
        with torch.no_grad():
            return self.mean(self.canonical(params)).item()

    def gradient(self, params: Parameters | None = None) -> dict[str, torch.Tensor]:
        """∇F with respect to the variables, in float64."""
        given = {name: p.double().clone() if p.is_floating_point() else p for name, p in self.canonical(params).items()}
        leaves = [given[name].requires_grad_() for name in self.variables]
        grads = torch.autograd.grad(self.mean(given), leaves, allow_unused=True)
        pairs = zip(self.variables, leaves, grads, strict=True)
        return {name: torch.zeros_like(leaf) if g is None else g for name, leaf, g in pairs}

    def reference(self, params: Parameters | None = None) -> float:
        """The mean loss, without weight decay, by the PyTorch model and torch's own loss, in float64.

        Guarantee: numeric; nothing of the lowered program is used.
        """
        given = self.canonical(params)
        return torch.cat([self._reference(block, given).reshape(-1) for block in self.blocks()]).mean().item()

    def _reference(self, block: slice, given: Parameters) -> torch.Tensor:
        names = self.network.parameters
        state = {alias: given[name] for name in names for alias in names[name].names}
        try:
            output = run(self.model, self._samples, block, self._network.place, state)
        except RuntimeError:
            if any(given[name] is not tensor for name, tensor in self.parameters.items()):
                raise
            output = run(self.model, self._samples, block, self._network.place)  # it insists on its own dtype
        return self._loss.reference(output.double(), block).reshape(-1)

    def predictions(self, params: Parameters | None = None) -> torch.Tensor:
        """The model's outputs in float64."""
        given = self.canonical(params)
        with torch.no_grad():
            return torch.cat([self._predicted(given, block) for block in self.blocks()])

    def _predicted(self, params: Parameters, block: slice) -> torch.Tensor:
        arithmetic, size = TorchArithmetic(torch.float64), block.stop - block.start
        if size not in self._networks:
            inputs = dict.fromkeys(self.network.inputs, 0)
            self._networks[size] = self.network if self.whole else rebatch(self.network, inputs, size)
        lifted = {name: arithmetic.lift(tensor) for name, tensor in params.items()}
        given = {name: arithmetic.lift(self.data[name][block]) for name in self.network.inputs}
        return evaluate(self._networks[size], arithmetic, lifted, given)[0]

    @property
    def classifies(self) -> bool:
        """Whether targets are classes, so that there is an accuracy."""
        return self._loss.hits is not None

    def accuracy(self, params: Parameters | None = None) -> float:
        """Fraction of the labels that count whose class is the largest output.

        Raises:
            InputError: the loss knows no classes.
        """
        hits = self._loss.hits
        if hits is None:
            raise InputError(f"{self.loss} knows no classes, so there is no accuracy")
        given = self.canonical(params)
        with torch.no_grad():
            found = [hits(self._predicted(given, block), block).flatten() for block in self.blocks()]
        return torch.cat(found).double().mean().item()


class _OneNumber(Exception):
    """A custom loss returns one number for all samples."""


class _Mixing(Exception):
    """The program at another number of samples is not the model."""


_MIXES = "the samples of a batch are not treated one by one"
_NO_FIT = "the data do not fit the model"


def _name(loss: Callable[[Any, Any], Any]) -> str:
    if not callable(loss):
        raise InputError("a loss is a name or a callable", got=type(loss).__name__, fix=f"one of {', '.join(LOSSES)}")
    return getattr(loss, "__name__", type(loss).__name__)


def _never(*_: Any) -> Any:
    raise AssertionError("a custom loss is traced")


def _whole_only(samples: int, count: int) -> DataError:
    return DataError(
        "this objective is evaluated whole",
        got=f"a program for {samples} samples; there are {count}",
        why="its samples mix, or its loss is one number for all of them",
    )


def _refuse_not_finite(parameters: Parameters) -> None:
    bad = {
        name: int((~tensor.isfinite()).sum())
        for name, tensor in parameters.items()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    }
    if bad:
        details = [f"not finite: {name} has {count} NaN or infinite entries" for name, count in bad.items()]
        raise ParametersError("the parameters are not finite", details=details)


__all__ = ["Objective"]
