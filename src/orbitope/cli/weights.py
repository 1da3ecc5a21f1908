"""Reading and writing weights: safetensors, and PyTorch files as far as they can be read without executing them."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from orbitope.errors import FileError, InputError, UnsafeFileError

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
INDEX = ".safetensors.index.json"
KINDS = f"*.safetensors, *{INDEX}, {', '.join('*' + end for end in PICKLED)}"
NESTS = ("state_dict", "model_state_dict", "model", "module", "weights")
"""Where training scripts keep the state dict within a checkpoint."""


@dataclass(frozen=True)
class Weights:
    """Tensors by state-dict name, in the order and the dtypes of their file.

    Attributes:
        tensors: on the CPU.
        source: the file, or what else they came from.
        metadata: of the safetensors file.
    """

    tensors: dict[str, torch.Tensor]
    source: str
    metadata: Mapping[str, str] | None = field(default=None)


# reading --------------------------------------------------------------------------------------------------------


def read_weights(path: str) -> Weights:
    """The tensors in a file.

    Args:
        path: ``.safetensors``, the index of a sharded one, or a PyTorch file (``.pt``, ``.pth``, ``.bin``, ``.ckpt``).

    Raises:
        FileError: it cannot be read: missing, a folder, truncated, of another kind.
        UnsafeFileError: reading it would have to execute code.
    """
    start = _first_bytes(path)
    if path.endswith(INDEX):
        return _read_shards(path)
    if path.endswith(".safetensors"):
        return _read_safetensors(path, start)
    if path.endswith(PICKLED):
        return Weights(_read_pickled(path), path)
    raise FileError(f"cannot tell what kind of weights {path} holds", at=path, fix=f"name one of {KINDS}")


def _first_bytes(path: str) -> bytes:
    if os.path.isdir(path):
        inside = sorted(name for name in os.listdir(path) if name.endswith((".safetensors", INDEX)))[:3]
        fix = f"name a file in it, such as {Path(path) / inside[0]}" if inside else f"name one of {KINDS}"
        raise FileError(f"cannot read weights from {path}", at=path, got="a folder", fix=fix)
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise FileError(f"cannot read {path}", at=path, got=error.strerror or str(error)) from error
    if start.startswith(b"version https://git-lfs"):
        raise FileError(
            f"cannot read weights from {path}",
            at=path,
            got="a Git LFS pointer, not the file that it stands for",
            fix="run git lfs pull in its repository",
        )
    return start


def _read_safetensors(path: str, start: bytes) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            metadata, names = file.metadata(), file.keys()
            return Weights({name: file.get_tensor(name) for name in names}, path, metadata)
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        pickled = start.startswith((b"PK\x03\x04", b"\x80"))
        raise FileError(
            f"cannot read {path} as safetensors",
            at=path,
            got="a PyTorch file by its first bytes" if pickled else str(error).replace("Error while ", "")[:200],
            why="the file is of another kind" if pickled else "the file is truncated or damaged",
            fix="give it its right ending" if pickled else "copy or download it again",
        ) from error


def _read_shards(path: str) -> Weights:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        homes = {str(name): str(shard) for name, shard in document["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"cannot read {path} as an index of shards",
            at=path,
            got=f"{type(error).__name__}: {error}"[:200],
            fix="an index is a JSON object with weight_map: a shard for each name",
        ) from error
    found: dict[str, torch.Tensor] = {}
    problems = []
    for shard in dict.fromkeys(homes.values()):
        place = PurePosixPath(shard)
        if len(place.parts) != 1 or place.parts[0] in ("..", "."):
            problems.append(f"shard {shard}: not a file beside the index")
            continue
        file = str(Path(path).parent / shard)
        tensors = _read_safetensors(file, _first_bytes(file)).tensors
        wanted = [name for name, home in homes.items() if home == shard]
        problems += [f"{name}: not in {shard}" for name in wanted if name not in tensors]
        found |= {name: tensors[name] for name in wanted if name in tensors}
    if problems:
        raise FileError(f"{path} does not fit its shards", at=path, details=problems)
    return Weights({name: found[name] for name in homes}, path)


def _read_pickled(path: str) -> dict[str, torch.Tensor]:
    """The state dict of a PyTorch file, by the restricted unpickler, which builds tensors and containers only."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _not_loaded(path, error) from error
    state = _state_dict(loaded)
    if state is None:
        got = ", ".join(map(str, list(loaded)[:8])) if isinstance(loaded, dict) else type(loaded).__name__
        raise FileError(
            f"{path} holds no state dict",
            at=path,
            got=got or "an empty one",
            fix="save it with torch.save(model.state_dict(), path)",
        )
    return {name: tensor.detach() for name, tensor in state.items()}


def _state_dict(loaded: Any) -> dict[str, torch.Tensor] | None:
    if not isinstance(loaded, dict):
        return None
    if loaded and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in loaded.items()):
        return dict(loaded)
    inner = [_state_dict(loaded[name]) for name in NESTS if isinstance(loaded.get(name), dict)]
    return inner[0] if len(inner) == 1 else None


def _not_loaded(path: str, error: Exception) -> FileError:
    text = str(error)
    asked = re.search(r"GLOBAL ([\w.]+)", text)
    script = "TorchScript" in text
    damaged = re.search(r"truncated|Ran out of input|failed (finding|reading)|invalid header", text)
    if script or (isinstance(error, pickle.UnpicklingError) and not damaged):
        got = f"a pickle that asks for {asked[1]}" if asked else "a pickle of more than tensors"
        return UnsafeFileError(
            f"refusing to load {path}",
            at=path,
            got="a TorchScript archive, which is a program" if script else got,
            why="it would have to execute code to be read; nothing in it was executed",
            fix="save the tensors alone: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')",
        )
    first = text.strip().splitlines() or [""]
    return FileError(
        f"cannot read {path} as a PyTorch file",
        at=path,
        got=f"{type(error).__name__}: {first[0][:200]}" if first[0] else "nothing: the file is empty or cut off",
        why="the file is truncated, damaged or of another kind",
        fix="copy or download it again",
    )


# writing --------------------------------------------------------------------------------------------------------


def check_output(path: str, ending: str = "") -> None:
    """Refuse a path that cannot be written, before the work that leads to its content.

    Raises:
        InputError: another ending than ``ending``.
        FileError: the folder is missing or cannot be written, or the path is a folder.
    """
    if not path.endswith(ending):
        raise InputError(
            f"cannot write {path}",
            at=path,
            why=f"what is written is of the kind {ending}",
            fix=f"end the name in {ending}",
        )
    target = Path(os.path.realpath(path))
    got = ""
    if target.is_dir():
        got = "a folder"
    elif not target.parent.is_dir():
        got = f"there is no folder {Path(path).parent}"
    elif not os.access(target.parent, os.W_OK | os.X_OK):
        got = f"no permission to write into {Path(path).parent}"
    if got:
        raise _unwritable(path, got)


def write_weights(path: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None) -> None:
    """Write safetensors, whole or not at all. Names that share memory each get a copy, so that none is dropped.

    Raises:
        FileError: it cannot be written; nothing is left behind.
    """
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        shared = storage.data_ptr() in seen or storage.nbytes() != tensor.numel() * tensor.element_size()
        apart[name] = tensor.clone(memory_format=torch.contiguous_format) if shared else tensor.contiguous()
        seen.add(storage.data_ptr())
    with _replacing(path) as temporary:
        save_file(apart, temporary, dict(metadata) if metadata else None)
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Put the metadata into alphabetical order, in place: the library writes them in a random one."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
            text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            if len(text) <= size:
                file.seek(8)
                file.write(text.ljust(size))


@contextmanager
def _replacing(path: str) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name at the end: for content that is written as a stream."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.partial")
    try:
        temporary.touch(mode=target.stat().st_mode & 0o777 if target.exists() else 0o666, exist_ok=False)
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        raise _unwritable(path, getattr(error, "strerror", None) or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _unwritable(path: str, got: str) -> FileError:
    return FileError(
        f"cannot write {path}",
        at=path,
        got=got,
        why="nothing was left behind; what was there before is unchanged",
        fix="choose a place that exists, can be written and has room",
    )
