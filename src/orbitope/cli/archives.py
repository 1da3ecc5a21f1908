"""Reading ``.pt2`` archives as data.

``torch.export.load`` trusts its file: it unpickles some tensors and objects, evaluates size expressions and guards as
Python, looks operations up by any dotted name, and writes Python source from names. An archive is therefore read
here first, record by record, with torch's own reader, and is refused unless all of it is data: plain tensors,
operations of ``torch.ops.aten`` and arithmetic of sizes, names that are names. Only then it is loaded.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from orbitope.errors import FileError, UnsafeFileError

RECORDS = re.compile(
    r"(archive_format|archive_version|byteorder|\.data/(version|serialization_id)|\.format_version|\.storage_alignment"
    r"|version|models/model\.json|data/sample_inputs/model\.pt|extra/[\w./-]*"
    r"|data/weights/(model_weights_config\.json|weight_\d+)"
    r"|data/constants/(model_constants_config\.json|tensor_\d+))"
)
"""All that an archive may hold: programs as JSON, tensors as bytes, example inputs."""

NAME = re.compile(r"[\w.@]*")
OPERATION = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!__|from_file|save|load)\w+(\.\w+)?"
    r"|torch\.ops\.aten\.__(and|or|xor|lshift|rshift)__\.\w+"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|neg|pos|abs|pow|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|(math\.|torch\._?sym_)[a-z]\w*"
)
"""All that a node may call: tensor operations without those that open files, and arithmetic of sizes."""

TEXT = {
    *("stack_trace", "nn_module_stack", "torch_fn", "source_fn_stack", "from_node", "custom"),
    *("torch_version", "as_string", "as_strings"),
}
"""Strings that are kept as text and never evaluated."""

TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}

FUNCTIONS = {
    *("Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Abs", "Max", "Min", "Mod", "PythonMod"),
    *("FloorDiv", "CleanDiv", "CeilDiv", "CeilToInt", "FloorToInt", "TruncToInt", "RoundToInt", "IntTrueDiv"),
    *(
        "FloatTrueDiv",
        "ToFloat",
        "ModularIndexing",
        "Where",
        "Eq",
        "Ne",
        "Gt",
        "Lt",
        "Ge",
        "Le",
        "And",
        "Or",
        "Not",
    ),
    *(
        "StrictLessThan",
        "LessThan",
        "StrictGreaterThan",
        "GreaterThan",
        "Equality",
        "Unequality",
        "floor",
        "ceiling",
    ),
}
"""What a size expression may call."""

METHODS = {"size", "stride", "storage_offset", "dim"}
"""What a guard may ask of an input."""

_EXPRESSIONS = (
    *(
        ast.Expression,
        ast.Constant,
        ast.Name,
        ast.Load,
        ast.keyword,
        ast.Call,
        ast.Subscript,
        ast.Attribute,
        ast.Tuple,
    ),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)


def read_archive(path: str) -> ExportedProgram:
    """The program in a ``.pt2`` archive, with its weights and example inputs.

    Raises:
        FileError: the file cannot be read, or is no archive that this version of torch reads.
        UnsafeFileError: reading it would have to execute or unpickle something.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise _unreadable(path, "it is not a zip archive")
    except OSError as error:
        raise FileError(f"cannot read {path}", at=path, got=error.strerror or str(error)) from error
    with _restricted():
        try:
            _refuse_unsafe(path)
            return torch.export.load(path)
        except FileError:
            raise
        except Exception as error:  # whatever torch's reader meets in a damaged archive
            first = str(error).strip().splitlines() or [""]
            raise _unreadable(path, f"{type(error).__name__}: {first[0][:200]}") from error


def _unreadable(path: str, got: str) -> FileError:
    return FileError(
        f"cannot read {path} as a torch.export archive",
        at=path,
        got=got,
        why="the file is truncated, or was not written by torch.export.save of a version that this torch reads",
        fix="write it again: torch.export.save(torch.export.export(model, args), 'model.pt2')",
    )


def _unsafe(path: str, got: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"refusing to load {path}",
        at=path,
        got=got,
        why="reading this would execute what the file says; Orbitope reads data only",
        fix="export the model again with plain tensors, or name its Python factory: file.py:factory",
    )


@contextmanager
def _restricted() -> Iterator[None]:
    """Every ``torch.load`` that happens meanwhile reads weights only."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _refuse_unsafe(path: str) -> None:
    """Raise unless everything in the archive is data."""
    from torch.export.pt2_archive import PT2ArchiveReader

    with PT2ArchiveReader(path) as archive:
        records = archive.get_file_names()
        with zipfile.ZipFile(path) as plain:  # the two readers must see the same archive
            entries = [Path(name).parts for name in plain.namelist()]
        if len({parts[0] for parts in entries if parts}) != 1 or any(len(parts) < 2 for parts in entries):
            raise _unsafe(path, "records outside of one folder")
        if sorted(records) != sorted("/".join(parts[1:]) for parts in entries) or len({*records}) != len(records):
            raise _unsafe(path, "records that two zip readers see differently")
        for record in records:
            if not RECORDS.fullmatch(record):
                raise _unsafe(path, f"the record {record!r}, which is not plain data")
        for config in [record for record in records if record.endswith("_config.json")]:
            for name, payload in json.loads(archive.read_string(config))["config"].items():
                kind = "weight_" if "weights" in config else "tensor_"
                if payload["use_pickle"] or not re.fullmatch(kind + r"\d+", payload["path_name"]):
                    raise _unsafe(path, f"the entry {name!r}, which is pickled")
                if not NAME.fullmatch(name):
                    raise _unsafe(path, f"the name {name!r}")
        _read_examples(path, archive.read_bytes("data/sample_inputs/model.pt"))
        problem = _problem(json.loads(archive.read_string("models/model.json")))
        if problem:
            raise _unsafe(path, problem)


def _read_examples(path: str, data: bytes) -> None:
    if data:
        try:
            torch.load(io.BytesIO(data), weights_only=True)
        except Exception as error:  # whatever the restricted unpickler refuses
            raise _unsafe(path, "example inputs that are more than tensors and containers") from error


def _problem(program: Any) -> str:
    """What in a program is not data; empty where all of it is."""
    for key, value in _strings(program, ""):
        if key in TEXT:
            continue
        if key in ("target", "as_operator"):
            if not OPERATION.fullmatch(value):
                return f"the operation {value[:80]!r}"
        elif key in ("expr_str", "guards_code"):
            if not _harmless(value):
                return f"the expression {value[:80]!r}"
        elif key in ("in_spec", "out_spec"):
            if not _plain_tree(json.loads(value)[1] if value else None):
                return "inputs or outputs in containers of other classes than tuple, list and dict"
        elif not NAME.fullmatch(value):
            return f"the name {value[:80]!r}"
    return ""


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every string of a document with the key that it stands under; keys themselves under ``key``."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield "key", name
            yield from _strings(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, key)


def _plain_tree(node: Any) -> bool:
    if node is None:
        return True
    return node["type"] in TREES and all(map(_plain_tree, node["children_spec"]))


def _harmless(text: str) -> bool:
    """Whether an expression is arithmetic of sizes: no call, name or attribute but those that are listed."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError):
        return False
    for node in nodes:
        match node:
            case ast.Constant(value=str() as symbol) if not re.fullmatch(r"\w+", symbol):
                return False
            case ast.Name(id=name) if name not in FUNCTIONS and not re.fullmatch(r"[A-Za-z]{1,3}\d*|True|False", name):
                return False
            case ast.Attribute(attr=name) if name not in METHODS:
                return False
            case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
                return False
            case ast.Call(func=function) if not isinstance(function, ast.Name | ast.Attribute):
                return False
            case _ if not isinstance(node, _EXPRESSIONS):
                return False
            case _:
                pass
    return True
