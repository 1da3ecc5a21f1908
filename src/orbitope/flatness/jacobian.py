"""The derivative of a network's outputs with respect to its parameters, in float64, at random inputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.errors import InputError
from orbitope.graph import Graph
from orbitope.primitives import evaluate

TIMES, SPARE = 2, 30
"""So many times as many rows as columns are taken, and so many more: rare inputs, on which a unit wakes up, count."""

SPREADS = (1.0, 2.0, 5.0)
"""Standard deviations of random inputs, batch by batch: some reach beyond where an activation bends or saturates."""

BATCHES = 6
"""At least so many batches of inputs are drawn, so that nothing is true of one of them only."""


@dataclass(frozen=True)
class Program:
    """A lowered network as a function of its variables.

    Attributes:
        graph: the program.
        variables: canonical names of the parameters that vary, tied ones once.
        examples: example inputs by name.
        loss: whether to take the logarithm of the softmax of the output along its last axis: what a cross-entropy
            loss sees.
    """

    graph: Graph
    variables: tuple[str, ...]
    examples: Mapping[str, torch.Tensor]
    loss: bool = False

    @property
    def size(self) -> int:
        """Number of entries that vary."""
        return sum(prod(self.graph.parameters[name].shape) for name in self.variables)

    def draw(self, generator: torch.Generator, spread: float) -> dict[str, torch.Tensor]:
        """Random inputs of the shapes of the examples, real ones with this standard deviation."""
        return {name: _drawn(example, generator, spread) for name, example in self.examples.items()}

    def outputs(self, params: Mapping[str, torch.Tensor], inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """All floating outputs, flat, in float64; differentiable in the parameters."""
        arithmetic = TorchArithmetic(torch.float64)
        lifted = {name: arithmetic.lift(params[name]) for name in self.graph.parameters}
        found = evaluate(self.graph, arithmetic, lifted, {name: arithmetic.lift(x) for name, x in inputs.items()})
        parts = [torch.view_as_real(y) if y.is_complex() else y for y in found]
        parts = [y for y in parts if y.is_floating_point()]
        if self.loss:
            parts = [torch.log_softmax(y, -1) for y in parts]
        return torch.cat([y.flatten() for y in parts]) if parts else torch.zeros(0, dtype=torch.float64)

    def jacobian(self, params: Mapping[str, torch.Tensor], seed: int) -> torch.Tensor:
        """Derivatives ``[rows, size]`` at inputs that differ from batch to batch; more than 2 · size rows.

        Args:
            params: floating tensors in float64 by canonical name, every parameter of the graph.
            seed: of the inputs.

        Raises:
            InputError: the outputs are not finite.
        """
        generator = torch.Generator().manual_seed(seed)
        wanted = TIMES * self.size + SPARE
        share = -(-wanted // BATCHES)
        leaves = [params[name].detach().clone().requires_grad_() for name in self.variables]
        given = {**params, **dict(zip(self.variables, leaves, strict=True))}
        rows: list[torch.Tensor] = []
        count = 0
        while count < wanted:
            y = self.outputs(given, self.draw(generator, SPREADS[len(rows) % len(SPREADS)]))
            kept = y.isfinite().nonzero().flatten()
            if not len(kept):
                raise InputError(
                    "no output is finite at random inputs",
                    got=f"{y.numel()} floating outputs",
                    why="flat directions are measured by the derivatives of the outputs",
                    fix="pass example inputs of which random ones of the same range are valid, and finite parameters",
                )
            chosen = kept[torch.randperm(len(kept), generator=generator)[:share]]
            block = _derivatives(y, leaves, chosen)
            block = block[block.isfinite().all(1)]
            if not len(block):
                raise InputError("the derivatives of the outputs are not finite", fix="pass finite parameters")
            rows.append(block)
            count += len(block)
        return torch.cat(rows)


def _derivatives(y: torch.Tensor, leaves: Sequence[torch.Tensor], chosen: torch.Tensor) -> torch.Tensor:
    """Rows ``[len(chosen), size]`` of the derivatives of these entries of y."""
    if not y.requires_grad:
        return torch.zeros((len(chosen), sum(leaf.numel() for leaf in leaves)), dtype=torch.float64)
    directions = torch.zeros((len(chosen), y.numel()), dtype=y.dtype)
    directions[torch.arange(len(chosen)), chosen] = 1.0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an operation without a batching rule is looped over, which is as good
            found = torch.autograd.grad(
                y, leaves, directions, retain_graph=True, is_grads_batched=True, allow_unused=True
            )
    except RuntimeError:  # some derivative cannot be batched at all
        each = [torch.autograd.grad(y, leaves, row, retain_graph=True, allow_unused=True) for row in directions]
        found = [None if parts[0] is None else torch.stack(parts) for parts in zip(*each, strict=True)]
    return torch.cat([_flat(part, leaf, len(chosen)) for part, leaf in zip(found, leaves, strict=True)], 1)


def _flat(part: torch.Tensor | None, leaf: torch.Tensor, count: int) -> torch.Tensor:
    return torch.zeros((count, leaf.numel()), dtype=leaf.dtype) if part is None else part.reshape(count, -1)


def _drawn(example: torch.Tensor, generator: torch.Generator, spread: float) -> torch.Tensor:
    """Normal where the example is of real numbers, within its range where it is of whole ones.

    Masks are kept: booleans, real zeros beside ones, and what has infinite entries. Zeros alone only stand for a shape.
    """
    if example.is_floating_point() or example.is_complex():
        flat = example.flatten()
        mask = bool(((flat == 0) | (flat == 1)).all()) and bool((flat == 0).any()) and bool((flat == 1).any())
        if mask or not bool(flat.isfinite().all()):
            return example
        dtype = torch.complex128 if example.is_complex() else torch.float64
        return spread * torch.randn(example.shape, generator=generator, dtype=dtype)
    if example.dtype == torch.bool or not example.numel():
        return example
    low, high = int(example.min()), int(example.max())
    return torch.randint(low, high + 1, tuple(example.shape), generator=generator).to(example.dtype)
