"""Where units act: what each axis of each parameter is made of, with all names resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from orbitope.errors import SymmetryFileError


@dataclass(frozen=True)
class Moving:
    """Positions indexed by units, or by a fixed base that units are over."""

    name: str
    size: int

    def __str__(self) -> str:
        """The units' name."""
        return f"{self.name}:{self.size}"


@dataclass(frozen=True)
class Fixed:
    """Positions that do not move."""

    size: int

    def __str__(self) -> str:
        """The bare size."""
        return str(self.size)


@dataclass(frozen=True)
class Merged:
    """A row-major product."""

    factors: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """Number of positions."""
        return prod(factor.size for factor in self.factors)

    def __str__(self) -> str:
        """Factors joined by a dot."""
        return "·".join(map(str, self.factors)) or "1"


@dataclass(frozen=True)
class Segments:
    """Segments one after the other."""

    parts: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """Number of positions."""
        return sum(part.size for part in self.parts)

    def __str__(self) -> str:
        """Parts joined by a plus."""
        return "(" + " + ".join(map(str, self.parts)) + ")"

    def apart(self, tensor: torch.Tensor, dim: int) -> list[torch.Tensor]:
        """The pieces of a tensor along this axis."""
        return list(tensor.split([part.size for part in self.parts], dim))

    def together(self, pieces: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
        """The reverse of :meth:`apart`."""
        return torch.cat(list(pieces), dim)


@dataclass(frozen=True)
class Interleaved:
    """The columns of a table of ``rows`` rows, written row by row: each part is a run of columns.

    What a channel shuffle leaves behind: every other channel belongs to another part.
    """

    rows: int
    parts: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """Number of positions."""
        return sum(part.size for part in self.parts)

    def __str__(self) -> str:
        """Parts joined by a bar."""
        return "(" + " | ".join(map(str, self.parts)) + ")"

    def apart(self, tensor: torch.Tensor, dim: int) -> list[torch.Tensor]:
        """The pieces of a tensor along this axis, each a table written row by row."""
        table = tensor.reshape(*tensor.shape[:dim], self.rows, -1, *tensor.shape[dim + 1 :])
        return [x.flatten(dim, dim + 1) for x in table.split([part.size // self.rows for part in self.parts], dim + 1)]

    def together(self, pieces: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
        """The reverse of :meth:`apart`."""
        tables = [x.reshape(*x.shape[:dim], self.rows, -1, *x.shape[dim + 1 :]) for x in pieces]
        return torch.cat(tables, dim + 1).flatten(dim, dim + 1)


@dataclass(frozen=True)
class Ordered:
    """An axis that the network reads in another order than it is stored in, as where hidden units were rolled.

    Attributes:
        part: what the axis is made of as it is read.
        order: for each position of ``part`` the stored position that is read there.
    """

    part: Axis
    order: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of positions."""
        return self.part.size

    @property
    def parts(self) -> tuple[Axis, ...]:
        """The one axis that is read."""
        return (self.part,)

    def __str__(self) -> str:
        """The part, marked by a tilde."""
        return f"~{self.part}"

    def apart(self, tensor: torch.Tensor, dim: int) -> list[torch.Tensor]:
        """The tensor as it is read along this axis."""
        return [tensor.index_select(dim, torch.tensor(self.order, device=tensor.device))]

    def together(self, pieces: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
        """The reverse of :meth:`apart`."""
        places = torch.tensor(self.order).argsort().to(pieces[0].device)
        return pieces[0].index_select(dim, places)


Axis = Moving | Fixed | Merged | Segments | Interleaved | Ordered


def read_in_order(axes: Sequence[Axis], orders: Mapping[int, tuple[int, ...]]) -> tuple[Axis, ...]:
    """The axes of a parameter as it is stored, given those as it is read.

    Args:
        axes: as they are read.
        orders: for axes that are read in another order, the stored position of each that is read.
    """
    return tuple(
        Ordered(axis, orders[k]) if k in orders and any(movings(axis)) else axis for k, axis in enumerate(axes)
    )


def movings(axis: Axis) -> Iterator[Moving]:
    """Every moving factor of an axis, left to right, with repetitions."""
    match axis:
        case Moving():
            yield axis
        case Merged(factors=parts) | Segments(parts=parts) | Interleaved(parts=parts) | Ordered(parts=parts):
            for part in parts:
                yield from movings(part)
        case Fixed():
            return


@dataclass(frozen=True)
class Placement:
    """How one parameter moves.

    Attributes:
        names: its state-dict names, several when tensors are tied.
        shape: its shape.
        axes: what each axis is made of.
        trainable: False for buffers such as running statistics.
        members: empty, or the state-dict names of several tensors of one shape which, one after the other along axis
            0, are this parameter: those of exchangeable modules. Its own name is then no state-dict name.
        part: None, or where this parameter begins along axis 0 of its one member, and how long that is.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    trainable: bool = True
    members: tuple[tuple[str, ...], ...] = ()
    part: tuple[int, int] | None = None

    @property
    def tensors(self) -> tuple[tuple[str, ...], ...]:
        """State-dict names of the tensors that it is made of: its own, or those of its members."""
        return self.members or (self.names,)

    @property
    def piece(self) -> tuple[int, ...]:
        """Shape of one of these tensors; of scalars (1,)."""
        if self.part is not None:
            return (self.part[1], *self.shape[1:])
        count = len(self.tensors)
        return (self.shape[0] // count, *self.shape[1:]) if self.members else self.shape

    def fits(self, name: str, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape can stand under one of its names."""
        if name in self.names:
            return tuple(shape) == self.shape
        return tuple(shape) == self.piece or (not shape and self.piece == (1,))

    def aliases(self, name: str) -> tuple[str, ...]:
        """All names of the tensor that stands under one of them."""
        return self.tensors[self.position(name)]

    def position(self, name: str) -> int:
        """Which of the tensors stands under a name."""
        return next((k for k, names in enumerate(self.members) if name in names), 0)

    def gather(self, params: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The parameter, put together from the state dict; under its own name it is taken as it is.

        Raises:
            KeyError: a tensor is missing.
        """
        for name in self.names:
            if name in params:
                return params[name].detach()
        parts = [next((params[name] for name in names if name in params), None) for names in self.tensors]
        found = [part.detach() for part in parts if part is not None]
        if len(found) < len(parts):
            raise KeyError(self.names[0])
        if self.part is not None:
            return found[0].narrow(0, self.part[0], self.shape[0])
        return torch.cat([part.reshape(self.piece) for part in found])

    def moved_by(self) -> frozenset[str]:
        """Names of the units (and bases) that index it."""
        return frozenset(moving.name for axis in self.axes for moving in movings(axis))


def axis_to_json(axis: Axis) -> Any:
    """An axis as JSON: a number (fixed), a string (units), or an object with a key that says how."""
    match axis:
        case Fixed(size=size):
            return size
        case Moving(name=name):
            return name
        case Merged(factors=factors):
            return {"product": [axis_to_json(factor) for factor in factors]}
        case Segments(parts=parts):
            return {"sum": [axis_to_json(part) for part in parts]}
        case Interleaved(rows=rows, parts=parts):
            return {"interleaved": [axis_to_json(part) for part in parts], "rows": rows}
        case Ordered(part=part, order=order):
            return {"read": axis_to_json(part), "order": list(order)}


def axis_from_json(value: Any, sizes: Mapping[str, int], depth: int = 0) -> Axis:
    """The reverse of :func:`axis_to_json`.

    Raises:
        SymmetryFileError: the value is not of that form, or names unknown units.
    """
    match value:
        case bool():
            pass
        case int() if value >= 0:
            return Fixed(value)
        case str() if value in sizes:
            return Moving(value, sizes[value])
        case {"product": [*parts]} if len(value) == 1 and depth < 16:
            return Merged(_parts(parts, sizes, depth))
        case {"sum": [*parts]} if len(value) == 1 and depth < 16:
            return Segments(_parts(parts, sizes, depth))
        case {"interleaved": [*parts], "rows": int(rows)} if len(value) == 2 and depth < 16 and rows > 0:
            found = _parts(parts, sizes, depth)
            if not any(part.size % rows for part in found):
                return Interleaved(rows, found)
        case {"read": part, "order": [*order]} if len(value) == 2 and depth < 16:
            (read,) = _parts([part], sizes, depth)
            if all(type(place) is int for place in order) and sorted(order) == list(range(read.size)):
                return Ordered(read, tuple(order))
        case _:
            pass
    raise SymmetryFileError("an axis of the symmetry file is not understood", got=str(value)[:200])


def _parts(values: Sequence[Any], sizes: Mapping[str, int], depth: int) -> tuple[Axis, ...]:
    return tuple(axis_from_json(value, sizes, depth + 1) for value in values)


def places(placements: Mapping[str, Placement]) -> dict[str, tuple[tuple[str, int], ...]]:
    """For each units' name the parameter axes that they index."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name, placement in placements.items():
        for k, axis in enumerate(placement.axes):
            for moving in movings(axis):
                spots = found.setdefault(moving.name, [])
                if (name, k) not in spots:
                    spots.append((name, k))
    return {name: tuple(spots) for name, spots in found.items()}
