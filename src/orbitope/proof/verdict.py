"""check: the standalone checker, with the package's own errors."""

from __future__ import annotations

import os
from collections.abc import Callable

from orbitope.errors import CertificateError, FileError
from orbitope.proof import check as checker


def check(
    path: str | os.PathLike[str] | bytes,
    *,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    plain: bool = False,
) -> checker.Verdict:
    """Verdict on a certificate, by the standalone checker: it evaluates every point again in its own arithmetic.

    Args:
        path: a file, or the bytes of one.
        limit: refuse to begin beyond this many units of work; by default 10⁹, more with python-flint.
        progress: called with the number of evaluations of a block of samples done and their total.
        plain: use the standard library only, even where python-flint is installed.

    Raises:
        FileError: the file cannot be read.
        CertificateError: it is not a certificate, or it was truncated or altered.

    Guarantee: exact, in the arithmetic that the verdict names.
    """
    if not isinstance(path, bytes):
        try:
            with open(path, "rb") as file:
                content = file.read(checker.MAX_BYTES + 1)
        except OSError as error:
            raise FileError("cannot read the certificate", at=str(path), got=error.strerror or str(error)) from error
    else:
        content = path
    try:
        return checker.check(content, limit=limit, progress=progress, plain=plain)
    except checker.MalformedError as error:
        raise CertificateError(
            f"not a certificate that can be read: {error}",
            at=None if isinstance(path, bytes) else str(path),
            why="a certificate is believed as a whole or not at all",
            fix="write it again with prove; certificates are not edited by hand",
        ) from None
