"""The certificate: one JSON document that states a claim and carries all that is needed to check it.

The format is written down, and enforced, in ``orbitope.proof.check``; this module builds and stores such documents.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from orbitope.errors import CertificateError, FileError
from orbitope.files import atomic_write
from orbitope.proof.check import (
    DTYPES,
    FORMAT,
    MAX_BITS,
    MAX_BYTES,
    VERSION,
    MalformedError,
    array,
    canonical,
    claimed,
    digests,
    excess,
    read,
    rounded_down,
    statement,
)

Array = np.ndarray[Any, np.dtype[Any]] | torch.Tensor
Document = Mapping[str, Any]
Claim = Literal["midpoint", "orbit-average"]

GENERATOR = "orbitope 0.1.0"
"""Name and version that certificates carry."""


def encode_array(value: Array) -> dict[str, Any]:
    """The array's entries exactly, in its own dtype: ``{"dtype", "shape", "data"}``, base64 of little-endian bytes.

    Args:
        value: a NumPy array or a tensor on any device, of a dtype in ``orbitope.proof.check.DTYPES``.

    Raises:
        CertificateError: the dtype cannot be stored, or an entry is not finite.

    Guarantee: exact.
    """
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu().contiguous()
        dtype, shape = str(tensor.dtype).removeprefix("torch."), list(tensor.shape)
        finite = bool(torch.isfinite(tensor).all())
        entries = (tensor.view(torch.int16) if dtype == "bfloat16" else tensor).numpy()
    else:
        entries = np.asarray(value)
        dtype, shape = entries.dtype.name, list(entries.shape)
        finite = entries.dtype.kind not in "fc" or bool(np.isfinite(entries).all())
    if dtype not in DTYPES:
        raise CertificateError(
            "an array cannot be stored in a certificate",
            got=f"dtype {dtype}; known: {', '.join(DTYPES)}",
            why="the checker reads only numbers whose value it knows exactly",
            fix="convert the array to float64 before the certificate is built",
        )
    if not finite:
        raise CertificateError(
            "an array with NaN or infinity cannot be stored in a certificate",
            got=f"{dtype} of shape {shape}",
            why="a statement about real numbers needs real numbers",
        )
    little = np.ascontiguousarray(entries).astype(entries.dtype.newbyteorder("<"), copy=False)
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(little.tobytes()).decode()}


def decode_array(value: Mapping[str, Any]) -> torch.Tensor:
    """The tensor that ``encode_array`` stored.

    Raises:
        CertificateError: the value is not one that ``encode_array`` writes.

    Guarantee: exact.
    """
    try:
        shape, _, _ = array(dict(value), [MAX_BITS], "array")
    except MalformedError as error:
        raise CertificateError(f"not a stored array: {error}") from None
    raw, name = base64.b64decode(value["data"]), value["dtype"]
    stored = np.dtype("int16" if name == "bfloat16" else name)
    flat = torch.from_numpy(np.frombuffer(raw, dtype=stored.newbyteorder("<")).astype(stored))
    return (flat.view(torch.bfloat16) if name == "bfloat16" else flat).reshape(shape)


@dataclass(frozen=True)
class Certificate:
    """A claim of non-convexity with its evidence. It proves nothing until ``check`` accepts it.

    Attributes:
        document: the JSON document, format version 1, with its statement and digests.
    """

    document: Document

    @classmethod
    def build(
        cls,
        *,
        claim: Claim,
        variables: Sequence[str],
        program: Document,
        constants: Mapping[str, Array],
        parameters: Mapping[str, Array],
        steps: Sequence[Document],
        violated: int,
        data: Mapping[str, Array],
        enclosures: Mapping[str, Any],
        agreement: Mapping[str, str | int | float | bool] | None = None,
        generator: str = GENERATOR,
    ) -> Certificate:
        """A certificate, with its statement and digests.

        Args:
            claim: ``midpoint`` or ``orbit-average``.
            variables: names of the parameters that F is a function of; all others are held fixed.
            program: ``{"nodes", "inputs", "output"}`` for one sample: batch axis of size 1, concrete shapes.
            constants: tensors that the program reads, by name.
            parameters: the point A, and the parameters that are held fixed, by name.
            steps: ``{"units", "order", "moves": {parameter: [[axis, permutation], …]}}`` for each average.
            violated: which step breaks Jensen's inequality, counted from 0.
            data: for each input of the program ``[N, …]``.
            enclosures: ``{"start": (lo, hi), "points": [(lo, hi), …], "average": …, "end": …}`` in floats or hex
                floats; they must enclose the real values of F.
            agreement: how well the program agrees with the user's model; facts for the reader, not checked.
            generator: name and version of the program that writes the certificate.

        Raises:
            CertificateError: the parts do not make a document of the format, or it would be too large.

        Guarantee: the document is well formed; whether its claim is true is for ``check`` to say.
        """
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "generator": generator,
            "claim": claim,
            "statement": "",
            "variables": list(variables),
            "program": _plain(program),
            "constants": {name: encode_array(value) for name, value in constants.items()},
            "parameters": {name: encode_array(value) for name, value in parameters.items()},
            "steps": _plain(steps),
            "violated": violated,
            "data": {name: encode_array(value) for name, value in data.items()},
            "enclosures": {
                name: [_hex(pair) for pair in value] if name == "points" else _hex(value)
                for name, value in enclosures.items()
            },
            "agreement": _plain(agreement or {}),
        }
        try:
            document["statement"] = statement(document)
            document["digests"] = digests(document)
            read(_serialise(document))
        except (MalformedError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise CertificateError(f"these parts do not make a certificate: {error}") from error
        return cls(document)

    @classmethod
    def from_bytes(cls, data: bytes, *, at: str | None = None) -> Certificate:
        """The certificate in a file's bytes.

        Args:
            data: the content of a file.
            at: where the bytes come from, for messages.

        Raises:
            CertificateError: the bytes are not a certificate, or were truncated or altered.
        """
        try:
            return cls(read(data))
        except MalformedError as error:
            raise CertificateError(
                f"not a readable certificate: {error}",
                at=at,
                why="a certificate is believed as a whole or not at all",
                fix="write it again; certificates are not edited by hand",
            ) from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """The certificate in a file.

        Raises:
            FileError: the file cannot be read.
            CertificateError: its content is not a certificate, or was truncated or altered.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise FileError("cannot read the certificate", at=str(path), got=str(error)) from error
        return cls.from_bytes(data, at=str(path))

    def to_bytes(self) -> bytes:
        """The certificate as it stands in a file: canonical JSON in UTF-8 and a newline."""
        return _serialise(self.document)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the certificate whole or not at all: an interrupted write leaves the old file or none.

        Raises:
            FileError: the file cannot be written; nothing is left behind.
        """
        atomic_write(path, self.to_bytes())

    def __bool__(self) -> bool:
        """True, where ``NotProven`` is false."""
        return True

    @property
    def claim(self) -> Claim:
        """``midpoint`` or ``orbit-average``."""
        return self.document["claim"]

    @property
    def statement(self) -> str:
        """What an accepted certificate proves, in plain sentences of mathematics."""
        return self.document["statement"]

    @property
    def variables(self) -> tuple[str, ...]:
        """The parameters that F is a function of."""
        return tuple(self.document["variables"])

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """The point A, and the parameters that are held fixed."""
        return {name: decode_array(value) for name, value in self.document["parameters"].items()}

    @property
    def enclosures(self) -> dict[str, Any]:
        """The stated bounds of F as ``(lower, upper)``: ``start``, ``points`` (a list), ``average``, ``end``."""
        table = self.document["enclosures"]
        return {name: [_floats(p) for p in v] if name == "points" else _floats(v) for name, v in table.items()}

    @property
    def gap(self) -> float:
        """Stated lower bound of F at the violated average minus the mean of F at its points, rounded down."""
        return rounded_down(excess(claimed(self.document))[0])


def _serialise(document: Document) -> bytes:
    return canonical(document).encode() + b"\n"


def _floats(pair: Sequence[str]) -> tuple[float, float]:
    return float.fromhex(pair[0]), float.fromhex(pair[1])


def _hex(pair: Sequence[float] | Sequence[str]) -> list[str]:
    return [bound if isinstance(bound, str) else float(bound).hex() for bound in pair]


def _plain(value: Any) -> Any:
    """The same in JSON's own types: tuples become lists, NumPy's numbers Python's."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value
