"""The action of an element on a state dict, on tensors of it, and on live models with their optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from orbitope.errors import ParametersError
from orbitope.group.action import act_on_tensor
from orbitope.group.layout import Placement
from orbitope.group.moments import check_state, signless
from orbitope.group.steps import Shuffle
from orbitope.group.transformation import Transformation

if TYPE_CHECKING:
    from orbitope.group.element import Element


def act(g: Element, params: Mapping[str, torch.Tensor], partial: bool) -> dict[str, torch.Tensor]:
    """See :meth:`orbitope.group.element.Element.act`."""
    g.group.check(params, partial=partial, finite=bool(g.steps))
    mover = _Permuter(g, params) if g.is_permutation else _Transformer(g, params)
    result: dict[str, torch.Tensor] = {}
    done: dict[tuple[Any, ...], torch.Tensor] = {}
    for name, tensor in params.items():
        tensor = tensor.detach()
        placement = g.group.placement(name)
        # one tensor may be given for two parameters that move differently, as two biases of zeros
        owner = None if placement is None else placement.aliases(name)[0]
        storage = tensor.untyped_storage().data_ptr()
        key = (owner, storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        if key not in done or not tensor.numel():
            moved = tensor if placement is None else mover.moved(name, tensor)
            done[key] = moved.clone() if moved.untyped_storage().data_ptr() == storage else moved
        result[name] = done[key]
    return result


def act_in_place(g: Element, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """See :meth:`orbitope.group.element.Element.act_`."""
    state = {name: x for name, x in model.state_dict(keep_vars=True).items() if isinstance(x, torch.Tensor)}
    slots = {} if optimizer is None else _slots(state, optimizer)
    check_state(g.steps, slots)
    moved = act(g, state, partial=False)
    images = {kind: act(_for(g, kind), values, partial=True) for kind, values in slots.items()}
    with torch.no_grad():
        for name, tensor in state.items():
            if g.group.placement(name) is not None:
                tensor.data.copy_(moved[name])
    for kind, values in slots.items():
        for name, image in images[kind].items():
            values[name].copy_(image)


def _for(g: Element, kind: str) -> Element:
    """What moves state of some kind: squares do not see signs."""
    if not signless(kind):
        return g
    result = g.group.element(g.permutations)
    for step in g.steps:
        result = g.group.element(step.permutations) @ result if isinstance(step, Shuffle) else result
    return result


def _slots(state: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> dict[str, dict[str, torch.Tensor]]:
    """Every kind of state that has the shape of its parameter, which moves as the parameters do."""
    slots: dict[str, dict[str, torch.Tensor]] = {}
    done: set[int] = set()
    for name, parameter in state.items():
        if id(parameter) in done:
            continue
        done.add(id(parameter))
        for kind, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.dim():
                slots.setdefault(kind, {})[name] = value
    return slots


class _Permuter:
    """The images of parameters, and of the parts of parameters that stand under names of their own."""

    def __init__(self, element: Element, params: Mapping[str, torch.Tensor]) -> None:
        self.params = params
        self.group = element.group
        self.units = element.group.by_name
        self.inverses, self.order = element.rows
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


class _Transformer:
    """The same for elements of all parts, where the image of one parameter may depend on others."""

    def __init__(self, element: Element, params: Mapping[str, torch.Tensor]) -> None:
        self.params = params
        self.group = element.group
        self.law = Transformation(
            self.group.by_name,
            self.group.placements,
            self.group.continuous.frames,
            element.permutations,
            element.steps,
            self.group.innermost_first,
        )
        self.whole: dict[str, torch.Tensor] = {}

    def moved(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The image of a tensor; itself where nothing changes it."""
        first, *others = self.group.parts(name)
        runs = [first, *others]
        if not any(self.law.changes(part.names[0]) for part in runs):
            return tensor
        if len(runs) > 1:
            return torch.cat([self._image(part, name, tensor) for part in runs])
        placement = first
        if not placement.members or name in placement.names:
            return self._image(placement, name, tensor)
        image = self._image(placement, name, tensor)
        part = image if placement.part else image.split(placement.piece[0])[placement.position(name)]
        return part.reshape(tensor.shape).clone()  # tensors that share memory would be taken for tied

    def _image(self, placement: Placement, name: str, tensor: torch.Tensor) -> torch.Tensor:
        key = placement.names[0]
        if len(placement.tensors) > 1 and name not in placement.names:
            _gathered(placement, self.params)  # all of them, or an error that says so
        usual = next((n for n in placement.aliases(name) if n in self.params), name)
        same = self.params[usual].data_ptr() == tensor.data_ptr() and self.params[usual].stride() == tensor.stride()
        if usual == name or same:
            if key not in self.whole:
                self.whole.update(self._images(key, self.params))
            return self.whole[key]
        return self._images(key, {**self.params, usual: tensor})[key]  # another tensor under another name

    def _images(self, key: str, params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        placements = self.group.placements
        try:
            return self.law.images(key, lambda each: placements[each].gather(params))
        except KeyError as error:
            raise ParametersError(
                "a parameter is needed to act on another",
                at=key,
                got=f"missing: {error.args[0]}",
                fix="pass it as well",
            ) from error


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
