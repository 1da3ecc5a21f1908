"""Hugging Face folders: the architecture from ``config.json``, on the meta device; weights are not loaded.

The package ``transformers`` makes the model, from its own classes only: code that comes with a folder is never run,
and nothing is downloaded. Of the weights only the names and shapes in the headers are read, to see that they fit.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from orbitope.errors import FileError, ModelArgumentError, OrbitopeError
from orbitope.frontends.tracing import quiet

BATCH, TOKENS, TARGETS = 2, 7, 5
"""Sizes of example inputs."""

Shape = tuple[int, ...]


def from_folder(folder: str) -> tuple[nn.Module, dict[str, Any], str | None]:
    """The model of a folder with ``config.json``, in evaluation mode, without weights.

    Returns:
        The module, whose parameters are on the meta device; example inputs by name; and the file that holds its
        weights or lists those that do, if there is one.

    Raises:
        FileError: ``config.json`` or the weights cannot be read.
        ModelArgumentError: no class of transformers is meant, it cannot be made, or the weights are not its own.
    """
    described = _configuration(folder)
    library = _library(folder)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    config = _run(
        folder,
        "config.json is not understood",
        lambda: library.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
    )
    for each in (config, *(getattr(config, name, None) for name in getattr(config, "sub_configs", {}) or {})):
        if each is not None:
            each._attn_implementation = None  # a folder may name code to download here
    module = _run(folder, "the model cannot be made", lambda: _built(library, described, config))
    index = _weights_file(folder)
    if index is not None:
        _compare(folder, module, index)
    return module.eval(), example_inputs(module, config), index


def _configuration(folder: str) -> Mapping[str, Any]:
    path = Path(folder, "config.json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(
            f"cannot read {path}",
            at=folder,
            got=error.strerror or str(error),
            why="a folder names a model if it is one of Hugging Face, with a config.json",
        ) from error
    except ValueError as error:
        raise FileError(f"{path} is not JSON", at=str(path), got=str(error)[:200]) from error
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise ModelArgumentError(f"{path} does not say which type of model it is for", at=folder, got="no model_type")
    return found


def _library(folder: str) -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise ModelArgumentError(
            "the package transformers is not installed",
            at=folder,
            got=str(error)[:200],
            why="a Hugging Face folder describes its model by a name that this package knows",
            fix="pip install 'orbitope[hf]', or write a factory: file.py:factory",
        ) from error


def _run(folder: str, what: str, make: Callable[[], Any]) -> Any:
    try:
        with quiet():
            return make()
    except OrbitopeError:
        raise
    except Exception as error:  # whatever the library raises about a folder
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelArgumentError(
            f"{folder}: {what}",
            got=f"{type(error).__name__}: {first[:300]}",
            why="only classes of the installed transformers are used; code that comes with a folder is not run",
            fix="update transformers, or write a factory: file.py:factory",
        ) from error


class _WithoutWeights(TorchFunctionMode):
    """What is made to be filled later is made without entries; what is computed, as frequencies, has them."""

    FILLED = (torch.empty, torch.rand, torch.randn, torch.normal, torch.empty_strided)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = dict(kwargs or {})
        if func in self.FILLED:
            named["device"] = "meta"
        return func(*args, **named)


def _maker(library: Any, described: Mapping[str, Any]) -> Callable[[Any], Any]:
    """What makes the network from its configuration: the class that the folder names, or the library's choice."""
    names = described.get("architectures") or []
    named = getattr(library, names[0], None) if names and isinstance(names[0], str) else None
    if inspect.isclass(named) and issubclass(named, nn.Module):
        return named
    return partial(library.AutoModel.from_config, trust_remote_code=False)


def _built(library: Any, described: Mapping[str, Any], config: Any) -> nn.Module:
    with torch.no_grad(), _WithoutWeights():
        module = _maker(library, described)(config)
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and not parameter.is_meta:
                part._parameters[name] = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
    module.tie_weights()
    return module


# weights --------------------------------------------------------------------------------------------------------


def _weights_file(folder: str) -> str | None:
    for name in ("model.safetensors.index.json", "model.safetensors"):
        if Path(folder, name).is_file():
            return str(Path(folder, name))
    return None


def _compare(folder: str, module: nn.Module, index: str) -> None:
    """Refuse weights of which none, or of other shapes, are the model's; say which names it does not find there."""
    from orbitope.cli.output import talk

    stored = _shapes(folder, index)
    own = {name: tuple(tensor.shape) for name, tensor in module.state_dict(keep_vars=True).items()}
    wrong = [name for name in own.keys() & stored.keys() if stored[name] not in (own[name], None)]
    if wrong or not own.keys() & stored.keys():
        raise ModelArgumentError(
            f"the weights in {folder} are not those of {type(module).__name__}",
            at=index,
            got="tensors of other names" if not wrong else None,
            why="its symmetries would not fit the weights",
            fix="correct architectures in config.json",
            details=[
                f"{name} is {list(stored[name] or ())}, the model has {list(own[name])}" for name in sorted(wrong)[:20]
            ],
        )
    tied: dict[int, list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        tied.setdefault(id(tensor), []).append(name)
    missing = [names[0] for names in tied.values() if not any(name in stored for name in names)]
    extra = sorted(stored.keys() - own.keys())
    for what, names in (
        ("of the model are not in the weights", missing),
        ("in the weights are not the model's", extra),
    ):
        if names:
            talk().note(f"{len(names)} tensors {what}: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}")


def _shapes(folder: str, index: str) -> dict[str, Shape | None]:
    """Names and shapes from the headers of the weights; no shape where a shard is not there."""
    from safetensors import SafetensorError, safe_open

    shards = [Path(index).name]
    found: dict[str, Shape | None] = {}
    if index.endswith(".json"):
        try:
            listed = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
            shards = sorted(set(listed.values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(f"cannot read {index}", at=index, got=f"{type(error).__name__}: {error}"[:200]) from error
        found.update(dict.fromkeys(listed))
    for shard in shards:
        path = Path(folder, Path(shard).name)
        if not path.is_file():
            continue
        try:
            with safe_open(str(path), framework="pt") as file:
                names = file.keys()
                found.update({name: tuple(file.get_slice(name).get_shape()) for name in names})
        except (OSError, SafetensorError) as error:
            raise FileError(f"cannot read {path}", at=str(path), got=str(error)[:200]) from error
    return found


# example inputs -------------------------------------------------------------------------------------------------


def example_inputs(module: nn.Module, config: Any) -> dict[str, Any]:
    """What forward wants, by name: shapes and dtypes from the configuration, on the meta device."""
    accepted = inspect.signature(module.forward).parameters
    needed = {name for name, p in accepted.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
    main = str(getattr(module, "main_input_name", "input_ids"))
    two = hasattr(config, "vision_config") and hasattr(config, "text_config") and hasattr(config, "projection_dim")
    wanted = needed | {main} | ({"input_ids", "pixel_values"} if two or main == "pixel_values" else set())
    wanted |= {"decoder_input_ids"} if getattr(config, "is_encoder_decoder", False) else set()
    wanted |= {"bbox"} if "bbox" in accepted else set()
    found: dict[str, Any] = {}
    for name in accepted:
        if name in wanted and name in _MAKERS:
            found[name] = _MAKERS[name](config)
    if "input_ids" in found and "attention_mask" in accepted:
        found["attention_mask"] = torch.ones(BATCH, TOKENS, dtype=torch.int64, device="meta")
    return found


def _tokens(length: int) -> Callable[[Any], torch.Tensor]:
    return lambda config: torch.zeros(BATCH, length, dtype=torch.int64, device="meta")


def _floats(config: Any, *shape: int) -> torch.Tensor:
    return torch.empty(*shape, dtype=getattr(config, "dtype", None) or torch.get_default_dtype(), device="meta")


def _image(config: Any) -> torch.Tensor:
    part = getattr(config, "vision_config", None) or getattr(config, "backbone_config", None) or config
    size = getattr(part, "image_size", None) or 64
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    channels = getattr(part, "num_channels", None) or getattr(part, "in_channels", None)
    return _floats(config, BATCH, channels if isinstance(channels, int) else 3, *sides)


def _features(config: Any) -> torch.Tensor:
    bins = getattr(config, "num_mel_bins", None) or getattr(config, "feature_size", None) or 80
    return _floats(config, BATCH, bins, 2 * (getattr(config, "max_source_positions", None) or 20))


_MAKERS: dict[str, Callable[[Any], torch.Tensor]] = {
    "input_ids": _tokens(TOKENS),
    "decoder_input_ids": _tokens(TARGETS),
    "pixel_values": _image,
    "input_features": _features,
    "input_values": lambda config: _floats(config, BATCH, 4000),
    "bbox": lambda config: torch.zeros(BATCH, TOKENS, 4, dtype=torch.int64, device="meta"),
}
"""Example inputs by the name of the argument."""


__all__ = ["example_inputs", "from_folder"]
