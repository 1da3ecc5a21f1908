"""Elements of a symmetry group: for all units a map of the activations that they index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from orbitope.errors import ElementError, ParametersError
from orbitope.group.action import act_on_tensor
from orbitope.group.layout import Axis, Placement

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup


@dataclass(frozen=True, eq=False)
class Element:
    """One symmetry. ``g @ h`` is first h, then g; ``~g`` the inverse; ``(g·x)[g(i)] = x[i]``.

    Attributes:
        group: the group it belongs to.
        permutations: for each moved units the permutation, int64 ``[*over, n]``: entry i is where position i goes.
            Units that are not named stay where they are.

    Guarantee: exact; acting moves entries and changes none.
    """

    group: SymmetryGroup
    permutations: Mapping[str, torch.Tensor]

    def __post_init__(self) -> None:
        """Refuse anything that is not a permutation of known units."""
        problems = []
        for name, permutation in self.permutations.items():
            unit = self.group.by_name.get(name)
            if unit is None:
                problems.append(f"{name}: the group has no such units")
            elif tuple(permutation.shape) != (*unit.over_sizes, unit.size):
                problems.append(f"{name}: shape {tuple(permutation.shape)}, expected {(*unit.over_sizes, unit.size)}")
            elif not _is_permutation(permutation):
                problems.append(f"{name}: not a permutation of 0 … {unit.size - 1}")
        if problems:
            raise ElementError(
                "this is not an element of the group", details=problems, fix="use the units listed in group.units"
            )

    def __repr__(self) -> str:
        """The units that it moves."""
        moved = [f"{name} ({_moved(p)} of {p.shape[-1]})" for name, p in self.permutations.items() if _moved(p)]
        return f"Element(moves {', '.join(moved)})" if moved else "Element(identity)"

    # group laws ----------------------------------------------------------------------------------------------------
    def permutation(self, name: str) -> torch.Tensor:
        """The permutation of some units, the identity where they stay."""
        unit = self.group.by_name[name]
        identity = torch.arange(unit.size).expand(*unit.over_sizes, unit.size)
        return self.permutations.get(name, identity)

    def __matmul__(self, other: Element) -> Element:
        """First ``other``, then this one."""
        if other.group.digest != self.group.digest:
            raise ElementError("the elements belong to different groups", fix="use elements of one group")
        names = {*self.permutations, *other.permutations, *self._dependents({**other.permutations})}
        composed = {}
        for name in names:
            first, second = other.permutation(name), self.permutation(name)
            moved = other._moved_bases(name)
            flat = second.reshape(-1, second.shape[-1])[moved.reshape(-1)]
            composed[name] = flat.gather(1, first.reshape(-1, first.shape[-1])).reshape(first.shape)
        return Element(self.group, composed)

    def __invert__(self) -> Element:
        """The inverse."""
        inverted = {}
        for name in {*self.permutations, *self._dependents(self.permutations)}:
            forward = self.permutation(name)
            rows = torch.argsort(forward.reshape(-1, forward.shape[-1]), dim=1)
            placed = torch.empty_like(rows)
            placed[self._moved_bases(name).reshape(-1)] = rows
            inverted[name] = placed.reshape(forward.shape)
        return Element(self.group, inverted)

    def __eq__(self, other: object) -> bool:
        """Equal maps of the same group."""
        if not isinstance(other, Element) or other.group.digest != self.group.digest:
            return NotImplemented
        names = {*self.permutations, *other.permutations}
        return all(torch.equal(self.permutation(name), other.permutation(name)) for name in names)

    def __hash__(self) -> int:
        """By the positions that move."""
        moved = {name: p for name, p in self.permutations.items() if _moved(p)}
        return hash(tuple((name, tuple(moved[name].flatten().tolist())) for name in sorted(moved)))

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return not any(_moved(p) for p in self.permutations.values())

    def _dependents(self, moved: Mapping[str, torch.Tensor]) -> set[str]:
        """Units over something that moves: their rows change places with it."""
        return {unit.name for unit in self.group.units if set(unit.over) & set(moved)}

    def _moved_bases(self, name: str) -> torch.Tensor:
        """For each position of what the units are over, where it goes, as one flat number; shape ``[*over]``."""
        unit = self.group.by_name[name]
        grid = torch.meshgrid(*map(torch.arange, unit.over_sizes), indexing="ij") if unit.over else ()
        at = dict(zip(unit.over, grid, strict=True))
        flat = torch.zeros(unit.over_sizes, dtype=torch.int64)
        for base, size in zip(unit.over, unit.over_sizes, strict=True):
            flat = flat * size + self._image(base, at)
        return flat

    def _image(self, base: str, at: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if base not in self.permutations:
            return at[base]
        inner = self.group.by_name[base].over
        return self.permutations[base][(*(at[name] for name in inner), at[base])]

    # action --------------------------------------------------------------------------------------------------------
    def act(self, params: Mapping[str, torch.Tensor], *, partial: bool = False) -> dict[str, torch.Tensor]:
        """The same function with other parameters.

        Args:
            params: tensors by state-dict name; also optimiser state of the same shapes, with ``partial=True``.
            partial: allow some parameters to be missing.

        Returns:
            New tensors under the same names and in the same order; tied tensors stay tied.

        Raises:
            ParametersError: names or shapes do not fit, all problems at once.

        Guarantee: exact; entries are moved, never changed.
        """
        self.group.check(params, partial=partial, finite=False)
        mover = _Mover(self, params)
        result: dict[str, torch.Tensor] = {}
        done: dict[tuple[Any, ...], torch.Tensor] = {}
        for name, tensor in params.items():
            tensor = tensor.detach()
            placement = self.group.placement(name)
            # one tensor may be given for two parameters that move differently, as two biases of zeros
            owner = None if placement is None else placement.aliases(name)[0]
            storage = tensor.untyped_storage().data_ptr()
            key = (owner, storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
            if key not in done or not tensor.numel():
                moved = tensor if placement is None else mover.moved(name, tensor)
                done[key] = moved.clone() if moved.untyped_storage().data_ptr() == storage else moved
            result[name] = done[key]
        return result

    def act_on(self, tensor: torch.Tensor, axes: Sequence[Axis]) -> torch.Tensor:
        """The action on a tensor whose axes are made of this group's units; shares memory where nothing moves.

        Guarantee: exact.
        """
        inverses = {name: p.argsort(dim=-1) for name, p in self.permutations.items() if _moved(p)}
        return act_on_tensor(tensor, axes, self.group.by_name, inverses, self.group.innermost_first(inverses))

    def act_(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Act on a live model in place, and on the optimiser's state of the same shapes.

        Args:
            model: its parameters and buffers are overwritten; nothing changes if they do not fit.
            optimizer: momenta and second moments move along with their parameters.

        Raises:
            ParametersError: names or shapes do not fit.
        """
        state = {name: x for name, x in model.state_dict(keep_vars=True).items() if isinstance(x, torch.Tensor)}
        moved = self.act(state)
        with torch.no_grad():
            for name, tensor in state.items():
                if self.group.placement(name) is not None:
                    tensor.data.copy_(moved[name])
        if optimizer is not None:
            self._move_state(state, optimizer)

    def _move_state(self, state: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Every kind of state that has the shape of its parameter moves as the parameters do."""
        slots: dict[Any, dict[str, torch.Tensor]] = {}
        done: set[int] = set()
        for name, parameter in state.items():
            if id(parameter) in done:
                continue
            done.add(id(parameter))
            for kind, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.dim():
                    slots.setdefault(kind, {})[name] = value
        for values in slots.values():
            for name, moved in self.act(values, partial=True).items():
                values[name].copy_(moved)

    # JSON ----------------------------------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """The element as JSON; the digest names its group."""
        moved = {name: p.tolist() for name, p in sorted(self.permutations.items()) if _moved(p)}
        return {"format": "orbitope element", "version": 1, "group": self.group.digest, "permutations": moved}

    @staticmethod
    def from_json(group: SymmetryGroup, document: Mapping[str, Any]) -> Element:
        """The reverse of :meth:`to_json`.

        Raises:
            ElementError: another format, another group, or not permutations.
        """
        if document.get("format") != "orbitope element" or document.get("version") != 1:
            raise ElementError("this is not an element file of version 1", got=str(document.get("format"))[:80])
        if document.get("group") != group.digest:
            raise ElementError("the element belongs to another group", fix="use the group that it was made with")
        try:
            tables = {name: torch.tensor(rows, dtype=torch.int64) for name, rows in document["permutations"].items()}
        except (TypeError, ValueError, AttributeError, KeyError, RuntimeError) as error:
            raise ElementError("the permutations of the element are malformed", got=str(error)[:200]) from error
        return Element(group, tables)


class _Mover:
    """The images of parameters, and of the parts of parameters that stand under names of their own."""

    def __init__(self, element: Element, params: Mapping[str, torch.Tensor]) -> None:
        self.params = params
        self.group = element.group
        self.units = element.group.by_name
        # each row is inverted in its place: fibres move before the base that would move their rows
        self.inverses = {name: p.argsort(dim=-1) for name, p in element.permutations.items() if _moved(p)}
        self.order = element.group.innermost_first(self.inverses)
        self.whole: dict[str, torch.Tensor] = {}

    def moved(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The image of a tensor; itself where nothing moves it."""
        placement, *others = self.group.parts(name)
        if others:
            runs = [self._image(part.gather({name: tensor}), part) for part in (placement, *others)]
            return torch.cat(runs)
        if not placement.moved_by() & self.inverses.keys():
            return tensor
        if not placement.members or name in placement.names:
            return self._image(tensor, placement)
        key = placement.names[0]
        if key not in self.whole:
            self.whole[key] = self._image(_gathered(placement, self.params), placement)
        part = self.whole[key].split(placement.piece[0])[placement.position(name)]
        return part.reshape(tensor.shape).clone()  # tensors that share memory would be taken for tied

    def _image(self, tensor: torch.Tensor, placement: Placement) -> torch.Tensor:
        return act_on_tensor(tensor, placement.axes, self.units, self.inverses, self.order)


def _gathered(placement: Placement, params: Mapping[str, torch.Tensor]) -> torch.Tensor:
    try:
        return placement.gather(params)
    except KeyError as error:
        missing = [names[0] for names in placement.tensors if not any(name in params for name in names)]
        raise ParametersError(
            "modules that change places must move together",
            at=placement.names[0],
            got=f"missing: {', '.join(missing)}",
            fix="pass the tensors of all of them",
        ) from error


def _is_permutation(permutation: torch.Tensor) -> bool:
    if permutation.dtype != torch.int64:
        return False
    positions = torch.arange(permutation.shape[-1]).expand(permutation.shape)
    return torch.equal(permutation.sort(dim=-1).values, positions)


def _moved(permutation: torch.Tensor) -> int:
    """How many positions move."""
    return int((permutation != torch.arange(permutation.shape[-1])).sum())
