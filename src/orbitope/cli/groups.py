"""Groups of networks and what is known of them: from a model, or from a symmetry file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orbitope.cli.loading import FORMS, Model
from orbitope.errors import FileError, ModelArgumentError, OrbitopeError, SymmetryFileError
from orbitope.frontends.graphs import UNEXECUTED
from orbitope.group import SymmetryGroup
from orbitope.guarantee import Guarantee

WRITE = "write it with: orbitope inspect MODEL -o symmetry.json"
"""How a symmetry file comes to be."""

WRITE_ELEMENT = "write it with: orbitope align … --element element.json"
"""How a file of an element comes to be."""


def load_group(model: Model | None, symmetry: str | None) -> SymmetryGroup:
    """The symmetries of a model, or those in a symmetry file.

    Raises:
        SymmetryFileError: the file is no symmetry file. FileError: it cannot be read.
    """
    if symmetry is not None:
        document = read_json(symmetry, SymmetryFileError, WRITE)
        try:
            return SymmetryGroup.from_json(document)
        except SymmetryFileError as error:
            error.at = error.at or symmetry
            error.fix = error.fix or WRITE
            raise
    if model is None:
        raise ModelArgumentError("no MODEL and no --symmetry", fix=f"name a model ({FORMS}), or a symmetry file")
    from orbitope.infer import infer

    return infer(model.graphs())


def read_json(path: str, refusal: type[OrbitopeError], fix: str) -> Mapping[str, Any]:
    """A JSON object from a file.

    Args:
        path: of the file.
        refusal: raised where it holds something else.
        fix: how the file should have been written.

    Raises:
        FileError: the file cannot be read. ``refusal``: it is no JSON object.
    """
    text = ""
    try:
        text = Path(path).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise FileError(f"cannot read {path}", at=path, got=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        unreadable = text or isinstance(error, UnicodeDecodeError)
        found = str(error)[:200] if unreadable else "an empty file"
        raise refusal(f"{path} is not JSON", at=path, got=found, fix=fix) from error
    if not isinstance(document, dict):
        raise refusal(f"{path} is not a JSON object", at=path, got=type(document).__name__, fix=fix)
    return document


def guarantee(group: SymmetryGroup) -> Guarantee:
    """How sure a group is: exact for the traced program, unless that was never run next to the model."""
    return "heuristic" if UNEXECUTED in group.notes else "exact"
