"""Records of a survey: one JSON object a line, appended as they come, so that an interrupted survey goes on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orbitope.errors import FileError

Record = Mapping[str, Any]


class Records:
    """A file of records.

    A line is written by one call and flushed to the disk. A line without its end, or one that is no record, is what an
    interruption leaves; it is cut off when the file is opened, and its cell is measured again.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read what is there.

        Raises:
            FileError: the file cannot be read or written.
        """
        self.path = Path(path)
        self.found: dict[str, Record] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            raw = self.path.read_bytes() if self.path.exists() else b""
            whole = self._read(raw)
            if whole < len(raw):
                with open(self.path, "r+b") as file:
                    file.truncate(whole)
        except OSError as error:
            raise FileError(f"cannot use {self.path}", at=str(self.path), got=error.strerror) from error

    def _read(self, raw: bytes) -> int:
        """Keep the records of the bytes.

        Returns:
            How many bytes from the beginning are whole lines.

        Raises:
            FileError: a whole line is no record.
        """
        place = 0
        lines = raw.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            record = _parsed(line) if line.endswith(b"\n") else None
            if record is None:
                if number == len(lines):
                    break
                raise FileError(
                    f"{self.path} is no file of survey records",
                    at=f"{self.path}:{number}",
                    got=line[:80].decode(errors="replace").strip(),
                    why="only the last line can be what an interruption left; this one was written by something else",
                    fix="name another folder with -o, or remove the file",
                )
            self.found[record["key"]] = record
            place += len(line)
        return place

    def append(self, records: Iterable[Record]) -> None:
        """Add records to the file, each whole.

        Raises:
            FileError: the file cannot be written.
        """
        for record in records:
            line = json.dumps(finite(record), ensure_ascii=False, allow_nan=False) + "\n"
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
                try:
                    os.write(descriptor, line.encode())
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise FileError(f"cannot write {self.path}", at=str(self.path), got=error.strerror) from error
            self.found[record["key"]] = json.loads(line)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("key"), str) else None


def finite(value: Any) -> Any:
    """The same with null in place of what is not finite, which JSON cannot say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value
