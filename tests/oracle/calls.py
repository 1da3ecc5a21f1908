"""Calls of traced operations, one or a few for each target, written down in ``calls.txt``.

A line is a target, a tab, and a Python expression for ``(args, kwargs)`` in which tensors are written as

===================  ==========================================================================
``f(3, 4)``          floating entries between −2 and 2; ``f(3, low=.1, high=1)`` others
``c(3, 4)``        complex entries
``d(3, 3)``        floating entries with a large diagonal, for what inverts or factorises
``i(5, high=4)``   index entries from 0 to 4: an input, which never moves
``p(5)``           an index that is a permutation
``u(2, 3, high=4)``  an index without repetitions in any of its rows
``s(5)``           sorted floating entries: an input, which never moves
``b(3, 4)``        a mask: an input, which never moves
``n(3, 4)``        integers that are computed from a floating parameter by rounding towards zero
``m(3, 4)``        a mask that is computed from a floating parameter by its sign
===================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import inf, nan
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

FILE = Path(__file__).with_name("calls.txt")


@dataclass(frozen=True)
class Operand:
    """A tensor operand that is not drawn yet."""

    kind: str
    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0

    @property
    def moves(self) -> bool:
        """Whether it is a parameter, or computed from one."""
        return self.kind not in "ipbuso"

    def draw(self, generator: torch.Generator) -> torch.Tensor:
        """Random entries: of the parameter where there is one, of the input otherwise."""
        match self.kind:
            case "i":
                return torch.randint(int(self.low), int(self.high) + 1, self.shape, generator=generator)
            case "o":
                later = torch.randint(0, int(self.high) + 1, (self.shape[0] - 1,), generator=generator).sort().values
                return torch.cat([torch.zeros(1, dtype=torch.int64), later])
            case "p":
                return torch.randperm(self.shape[0], generator=generator)
            case "u":
                rows = torch.rand((*self.shape[:-1], int(self.high) + 1), generator=generator)
                return rows.argsort(-1)[..., : self.shape[-1]]
            case "s":
                return torch.rand(self.shape, generator=generator, dtype=torch.float64).sort(-1).values * 3 - 1.5
            case "b":
                return torch.rand(self.shape, generator=generator) < 0.5
            case _:
                pass
        shape = (*self.shape, 2) if self.kind == "c" else self.shape
        found = torch.rand(shape, generator=generator, dtype=torch.float64)
        found = self.low + (self.high - self.low) * found
        if self.kind == "d":
            found = found + 6 * torch.eye(self.shape[-1], dtype=torch.float64)
        return found

    def operand(self, drawn: torch.Tensor) -> torch.Tensor:
        """What the operation takes."""
        match self.kind:
            case "c":
                return torch.view_as_complex(drawn.contiguous())
            case "n":
                return drawn.to(torch.int64)
            case "m":
                return drawn > 0
            case _:
                return drawn

    def __repr__(self) -> str:
        """As in the file."""
        usual = {
            "i": (0.0, self.high),
            "u": (self.low, self.high),
            "p": (self.low, self.high),
            "o": (self.low, self.high),
            "b": (self.low, self.high),
        }
        low, high = usual.get(self.kind, (-2.0, 2.0))
        text = [*map(str, self.shape)]
        text += [f"low={self.low:g}"] if self.low != low else []
        text += [f"high={self.high:g}"] if self.high != high or self.kind in "iuo" else []
        return f"{self.kind}({', '.join(text)})"


def _make(kind: str, *shape: int, low: float | None = None, high: float | None = None) -> Operand:
    lowest = low if low is not None else 0.0 if kind == "i" else -2.0
    return Operand(kind, shape, float(lowest), float(high if high is not None else 2.0))


VOCABULARY: dict[str, Any] = {
    **{kind: partial(_make, kind) for kind in "fcdipbusnmo"},
    **{"torch": torch, "device": torch.device, "inf": inf, "nan": nan},
}


@dataclass(frozen=True)
class Sample:
    """One call of a traced operation.

    Attributes:
        target: name of the operation, as ``aten.mm.default``.
        args: positional arguments, with an :class:`Operand` in place of each tensor.
        kwargs: arguments by name, likewise.
        text: as it is written in the file.
    """

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    text: str

    @property
    def function(self) -> Callable[..., Any]:
        """The operation itself."""
        namespace, name, overload = self.target.split(".")
        return getattr(getattr(getattr(torch.ops, namespace), name), overload)

    @property
    def operands(self) -> list[Operand]:
        """All tensor operands, in order."""
        return [x for x in pytree.tree_leaves((self.args, self.kwargs)) if isinstance(x, Operand)]

    def draw(self, seed: int) -> list[torch.Tensor]:
        """Random operands."""
        generator = torch.Generator().manual_seed(seed)
        return [x.draw(generator) for x in self.operands]

    def call(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with these values in place of the operands."""
        fed = iter(values)
        return pytree.tree_map_only(Operand, lambda _: next(fed), (self.args, self.kwargs))

    def results(self, drawn: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What the operation itself returns, complex entries as pairs."""
        args, kwargs = self.call([x.operand(t.clone()) for x, t in zip(self.operands, drawn, strict=True)])
        found = [x for x in pytree.tree_leaves(self.function(*args, **kwargs)) if isinstance(x, torch.Tensor)]
        return [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in found]

    def __str__(self) -> str:
        """The line of the file."""
        return f"{self.target} {self.text}"


def parse(line: str) -> Sample:
    """One line of the file."""
    target, text = line.split("\t")
    args, kwargs = eval(text, {"__builtins__": {}}, VOCABULARY)  # a file of this repository
    return Sample(target, tuple(args), dict(kwargs), text)


@cache
def samples() -> dict[str, list[Sample]]:
    """All calls by target."""
    found: dict[str, list[Sample]] = {}
    for line in FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            sample = parse(line)
            found.setdefault(sample.target, []).append(sample)
    return found
