"""The built page: one document, one script, one style sheet."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from orbitope.errors import FileError

PAGE, SCRIPT, STYLE = "index.html", "explorer.js", "explorer.css"
"""The names under which the build writes them and the server hands them out."""

ENDINGS = (".csv", ".tsv", ".txt", ".json")
LARGEST = 4_000_000


@dataclass(frozen=True)
class Assets:
    """The files of the page.

    Attributes:
        page: the document, which refers to the other two by name.
        script: all code.
        style: the style sheet.
    """

    page: bytes
    script: bytes
    style: bytes


def load() -> Assets:
    """The page that came with the package.

    Raises:
        FileError: it was not built, as in a checkout of the sources.
    """
    folder = files("orbitope.explorer") / "assets"
    found = {name: folder / name for name in (PAGE, SCRIPT, STYLE)}
    missing = [name for name, file in found.items() if not file.is_file()]
    if missing:
        raise FileError(
            "the explorer's page has not been built",
            at=str(folder),
            got=f"no {', '.join(missing)}",
            why="it is written in TypeScript; packages carry it built, a checkout of the sources does not",
            fix="make web (needs Node.js 20.19 or newer with npm), or install a released package",
        )
    return Assets(*(found[name].read_bytes() for name in (PAGE, SCRIPT, STYLE)))


def opening(assets: Assets, path: str | os.PathLike[str]) -> Assets:
    """The page with a file that it opens by itself: the reader's data, or a screen that was saved.

    What is wrong inside the file the page says; here only that it can be carried.

    Args:
        assets: the page.
        path: a text file of at most 4 MB.

    Raises:
        FileError: it cannot be read, is of another kind, too large, or not text in UTF-8.
    """
    file = Path(path)
    if file.suffix.lower() not in ENDINGS:
        kinds = f"a name that ends in {', '.join(ENDINGS)}"
        raise FileError(f"the page cannot open {file}", at=str(file), got=file.suffix or "no ending", fix=kinds)
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise FileError(f"{file} is too large for the page", at=str(file), got="more than 4 MB", fix="take a part")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise FileError(f"cannot read {file}", at=str(file), got=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise FileError(f"{file} is not text", at=str(file), got=str(error), fix="save it in UTF-8") from error
    # In a block of data nothing but this mark could end the element.
    document = json.dumps({"name": file.name, "text": text}).replace("<", "\\u003c")
    block = f'<script type="application/json" id="opening">{document}</script>\n  </body>'
    return replace(assets, page=assets.page.replace(b"</body>", block.encode()))
