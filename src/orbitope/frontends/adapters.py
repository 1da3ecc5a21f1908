"""What some libraries do by default and a trace cannot use: caches of past tokens, routing by sorting, stale caches.

Nothing is imported for it: a setting is changed where a model has one of that name, and changed back afterwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

SETTINGS: dict[str, Any] = {"use_cache": False, "_experts_implementation": "batched_mm"}
"""Of configurations: no cache is returned, and experts are computed as products over an axis of experts."""


@contextmanager
def prepared(model: nn.Module, kwargs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Make a model ready to be traced, while the block runs.

    Yields:
        The inputs by name, with ``use_cache=False`` added where the model has such an input.
    """
    changed: list[tuple[Any, str, Any]] = []
    for config in _configurations(model):
        for name, value in SETTINGS.items():
            before = getattr(config, name, None)
            if before is not None and before != value:
                changed.append((config, name, before))
    drop_stale_caches(model)
    accepted = inspect.signature(model.forward).parameters
    silent = {"use_cache": False} if "use_cache" in accepted and "use_cache" not in kwargs else {}
    try:
        for config, name, _ in changed:
            setattr(config, name, SETTINGS[name])
        yield {**kwargs, **silent}
    finally:
        for config, name, before in changed:
            setattr(config, name, before)
        drop_stale_caches(model)


@contextmanager
def without_entries(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """A model whose parameters are on the meta device, with its buffers there too, while the block runs.

    Yields:
        The buffers that have entries, by name: whoever reads the program can still use them.
    """
    values: dict[str, torch.Tensor] = {}
    owners: list[tuple[nn.Module, str, torch.Tensor]] = []
    if on_meta(model):
        for path, module in model.named_modules(remove_duplicate=False):
            for name, buffer in module._buffers.items():
                if buffer is not None and not buffer.is_meta:
                    values[f"{path}.{name}" if path else name] = buffer
                    owners.append((module, name, buffer))
    try:
        moved = {id(buffer): buffer.to("meta") for _, _, buffer in owners}
        for module, name, buffer in owners:
            module._buffers[name] = moved[id(buffer)]
        yield values
    finally:
        for module, name, buffer in owners:
            module._buffers[name] = buffer


def on_meta(model: nn.Module) -> bool:
    """Whether the parameters of a model are shapes without entries."""
    return any(parameter.is_meta for parameter in model.parameters())


def _configurations(model: nn.Module) -> list[Any]:
    """The configurations of the modules and of their parts: objects that name a type of model."""
    found: dict[int, Any] = {}
    pending = [getattr(module, "config", None) for module in model.modules()]
    while pending:
        config = pending.pop()
        if id(config) in found or not isinstance(getattr(config, "model_type", None), str):
            continue
        found[id(config)] = config
        pending.extend(getattr(config, name, None) for name in getattr(config, "sub_configs", None) or {})
    return list(found.values())


def drop_stale_caches(model: nn.Module) -> None:
    """Let modules forget tensors that an earlier call computed from their parameters.

    Some keep attention biases from one evaluation to the next, and forget them when training begins. Their parameters
    would look unread, and what was computed from them would look like a constant.
    """
    for module in model.modules():
        if _keeps_tensors(module):
            module.train(True)
            module.train(False)


def _keeps_tensors(module: nn.Module) -> bool:
    """Whether a module has tensors that are neither parameters nor buffers, and a way of its own to change mode."""
    if type(module).train is nn.Module.train:
        return False
    values = [value for name, value in vars(module).items() if name not in ("_parameters", "_buffers", "_modules")]
    inner = [part for value in values if isinstance(value, dict) for part in value.values()]
    inner += [part for value in values if isinstance(value, list | tuple) for part in value]
    return any(isinstance(value, torch.Tensor) for value in [*values, *inner])


__all__ = ["drop_stale_caches", "on_meta", "prepared", "without_entries"]
