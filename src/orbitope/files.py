"""Files and folders that are written whole or not at all.

A file is written under a temporary name in the same folder, brought to disk and then renamed. A folder is
filled under a temporary name beside its place and renamed at the end. An error or an interrupt leaves what
was there before.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orbitope.errors import FileError

MARKER = "report.html"
"""The file that every report folder holds."""

CHECKSUMS = "SHA256SUMS"
"""The list of a report folder's files, in the form that ``sha256sum -c`` reads."""


def atomic_write(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write ``data`` to ``path``: afterwards the file holds all of it, or what it held before.

    Args:
        path: the file; a symbolic link is followed, so that the link stays.
        data: its whole content.

    Returns:
        The path as given.

    Raises:
        FileError: the folder is missing or cannot be written, the disk is full, or ``path`` is not a regular
            file.
    """
    given = Path(path)
    target = Path(os.path.realpath(given))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.partial")
    try:
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            raise FileError(
                f"{given} is not a regular file",
                at=str(given),
                got="a folder or a device",
                why="the file is written under a temporary name and renamed, which would replace it",
                fix="name a file",
            )
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(given, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return given


@contextmanager
def output_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Build a folder beside its place, and rename it into place when the block ends without an error.

    The block gets a new empty folder and writes into it. When it ends, a list of check sums (``SHA256SUMS``)
    is added and the folder takes the name ``path``. A folder that is there already is replaced only if it is
    empty or an earlier report: it holds ``report.html``, and nothing that its ``SHA256SUMS`` does not list.
    Missing parents are made. Replacing takes two renames; a power cut between them leaves the earlier report
    beside its place under a name that ends in ``.previous``.

    Args:
        path: the folder.

    Yields:
        The temporary folder to write into.

    Raises:
        FileError: the folder cannot be made here, or something is in its place that is not an earlier
            report. Nothing is left behind.
    """
    given = Path(path)
    target = Path(os.path.realpath(given))
    _check_replaceable(given, target)
    tag = secrets.token_hex(4)
    temporary = target.with_name(f".{target.name[:100]}.{tag}.partial")
    made: list[Path] = []
    try:
        try:
            for parent in reversed(target.parents):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            temporary.mkdir()
        except OSError as error:
            raise _unwritable(given, error) from error
        yield temporary
        try:
            _write_checksums(temporary)
            _check_replaceable(given, target)
            _rename_into_place(temporary, target, target.with_name(f".{target.name[:100]}.{tag}.previous"))
        except OSError as error:
            raise _unwritable(given, error) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _check_replaceable(given: Path, target: Path) -> None:
    """Raise unless ``target`` is free, an empty folder, or an earlier report and nothing else."""
    refused = f"refusing to replace {given}"
    elsewhere = "choose another folder, or one that does not exist yet"
    try:
        if not target.exists():
            return
        if not target.is_dir():
            raise FileError(refused, at=str(given), got="a file, not a folder", fix=elsewhere)
        working = Path.cwd()
        if target == working or target in working.parents or os.path.ismount(target):
            raise FileError(
                refused,
                at=str(given),
                got="the working folder, a folder above it, or a mount point",
                why="the folder is built beside its place and renamed, which these do not allow",
                fix=f"name a folder inside it, such as {given / 'report'}",
            )
        top = {entry.name for entry in target.iterdir()}
        if not top:
            return
        if not {MARKER, CHECKSUMS} <= top:
            raise FileError(
                refused,
                at=str(given),
                got=f"a folder that is not an earlier report; it holds {', '.join(sorted(top)[:3])}",
                why=f"only a folder with {MARKER} and {CHECKSUMS} is taken for an earlier report",
                fix=elsewhere,
            )
        found = sorted(entry.relative_to(target).as_posix() for entry in target.rglob("*") if not entry.is_dir())
        foreign = [name for name in found if name not in _listed(target) | {CHECKSUMS}]
        if foreign:
            raise FileError(
                refused,
                at=str(given),
                got=f"an earlier report that also holds {len(foreign)} other file{'s' * (len(foreign) > 1)}",
                why="replacing the folder would delete them",
                fix="move them away, or choose another folder",
                details=foreign[:20],
            )
    except OSError as error:
        raise _unwritable(given, error) from error


def _listed(folder: Path) -> set[str]:
    """The names in the folder's list of check sums."""
    lines = (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    return {line[66:] for line in lines if len(line) > 66}


def _write_checksums(folder: Path) -> None:
    """List the SHA-256 of every file of the folder, by name."""
    files = sorted(entry for entry in folder.rglob("*") if entry.is_file())
    lines = [
        f"{hashlib.sha256(entry.read_bytes()).hexdigest()}  {entry.relative_to(folder).as_posix()}\n" for entry in files
    ]
    atomic_write(folder / CHECKSUMS, "".join(lines).encode())


def _rename_into_place(temporary: Path, target: Path, previous: Path) -> None:
    """Give ``temporary`` the name ``target``; whatever goes wrong, the earlier folder gets its name back."""
    _sync_folder(temporary)
    moved = False
    try:
        if target.exists():
            os.rename(target, previous)
            moved = True
        os.rename(temporary, target)
    except BaseException:
        if moved or previous.exists():
            with contextlib.suppress(OSError):
                os.rename(previous, target)
        raise
    _sync_folder(target.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> FileError:
    """The one error for everything that the file system refuses."""
    return FileError(
        f"cannot write {path}",
        at=str(path),
        got=error.strerror or str(error),
        why="nothing was left behind; what was there before is unchanged",
        fix="choose a place that exists, can be written and has room",
    )
