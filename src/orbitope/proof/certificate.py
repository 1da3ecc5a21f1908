"""The certificate: one JSON document that states a claim and carries all that is needed to check it.

The format is written down, and enforced, in ``orbitope.proof.check``; this module builds and stores such documents.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
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
Claim = Literal["midpoint", "average", "orbit-average", "slopes"]

GENERATOR = "orbitope 0.1.0"
"""Name and version that certificates carry."""


def encode_array(value: Array) -> dict[str, Any]:
    """The array's entries exactly, in its own dtype, in the smallest of three forms.

    ``{"dtype", "shape", "data"}`` with base64 of little-endian bytes; ``{"dtype", "shape", "rows", "data"}`` where the
    rows of axis 0 that are not listed are zero; ``{"dtype", "shape", "fill"}`` where all entries are one number.

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
    little: np.ndarray[Any, Any] = (
        np.ascontiguousarray(entries).astype(entries.dtype.newbyteorder("<"), copy=False).reshape(entries.shape)
    )
    stored: dict[str, Any] = {"dtype": dtype, "shape": shape}
    raw = little.reshape(-1).view(np.uint8).reshape(little.size, -1)  # bit by bit: -0.0 is not 0.0
    if little.size > 1 and bool((raw == raw[:1]).all()):
        first = little.reshape(-1)[:1]
        number = torch.from_numpy(first.astype(np.int16)).view(torch.bfloat16) if dtype == "bfloat16" else first
        fill = number.tolist()[0]
        return stored | {"fill": int(fill) if dtype == "bool" else fill}
    if little.size > 1:
        rows = np.flatnonzero(raw.reshape(little.shape[0], -1).any(axis=1)).tolist()
        width = little[0].nbytes * 4 / 3
        if len(rows) * width + len(str(rows)) < little.shape[0] * width:
            return stored | {"rows": rows, "data": base64.b64encode(little[rows].tobytes()).decode()}
    return stored | {"data": base64.b64encode(little.tobytes()).decode()}


def decode_array(value: Mapping[str, Any]) -> torch.Tensor:
    """The tensor that ``encode_array`` stored.

    Raises:
        CertificateError: the value is not one that ``encode_array`` writes.

    Guarantee: exact.
    """
    try:
        shape = array(dict(value), [MAX_BITS], "array").shape
    except MalformedError as error:
        raise CertificateError(f"not a stored array: {error}") from None
    name = value["dtype"]
    if "fill" in value:
        return torch.full(shape, value["fill"], dtype=getattr(torch, name))
    stored = np.dtype("int16" if name == "bfloat16" else name)
    flat = torch.from_numpy(np.frombuffer(base64.b64decode(value["data"]), stored.newbyteorder("<")).astype(stored))
    flat = flat.view(torch.bfloat16) if name == "bfloat16" else flat
    if "rows" not in value:
        return flat.reshape(shape)
    tensor = torch.zeros(shape, dtype=flat.dtype)
    tensor[value["rows"]] = flat.reshape(-1, *shape[1:])
    return tensor


@dataclass(frozen=True)
class Certificate:
    """A claim of non-convexity with its evidence. It proves nothing until ``check`` accepts it.

    Attributes:
        document: the JSON document, format version 2, with its statement and digests.
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
        data: Mapping[str, Array],
        enclosures: Mapping[str, Any],
        steps: Sequence[Document] = (),
        points: Sequence[Mapping[str, Array]] = (),
        times: Sequence[Fraction | int] = (),
        violated: int = 0,
        precision: int = 128,
        agreement: Mapping[str, str | int | float | bool] | None = None,
        generator: str = GENERATOR,
    ) -> Certificate:
        """A certificate, with its statement and digests.

        Args:
            claim: ``midpoint`` of two points, ``average`` of more, ``orbit-average``, or ``slopes``.
            variables: names of the parameters that F is a function of; all others are held fixed.
            program: ``{"nodes", "inputs", "output"}`` for a block of b samples: inputs of shape [b, …], b dividing N;
                F is the mean of the entries of all outputs.
            constants: tensors that the program reads, by name.
            parameters: the point A, and the parameters that are held fixed, by name.
            data: for each input of the program ``[N, …]``.
            enclosures: ``{"points": [(lo, hi), …], "average": …, "start": …, "end": …}`` in floats or hex floats; they
                must enclose the real values of F. ``slopes`` has points only, one for each time; ``start`` and
                ``end`` belong to an orbit average. What the claim does not have may be None or missing.
            steps: ``{"units", "order", "moves": {parameter: [[axis, permutation], …]}}`` for each average; one for a
                midpoint or an average that is not of listed points.
            points: for each point the variables in which it differs from A.
            times: four times for ``slopes``, t1 < t2 <= t3 < t4: F rises faster from X(t1) to X(t2) than from X(t3)
                to X(t4), where X(t) = P + t (Q - P) for the two points P and Q.
            violated: which step of an orbit average breaks Jensen's inequality, counted from 0.
            precision: fractional bits of the checker's numbers, a multiple of 32 from 64 to 2048.
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
            "precision": precision,
            "program": _plain(program),
            "constants": {name: encode_array(value) for name, value in constants.items()},
            "parameters": {name: encode_array(value) for name, value in parameters.items()},
            "steps": _plain(steps),
            "points": [{name: encode_array(value) for name, value in point.items()} for point in points],
            "times": [list(Fraction(time).as_integer_ratio()) for time in times],
            "violated": violated,
            "data": {name: encode_array(value) for name, value in data.items()},
            "enclosures": dict.fromkeys(("average", "start", "end"))
            | {
                name: [_hex(pair) for pair in value] if name == "points" else value and _hex(value)
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
        """``midpoint``, ``average``, ``orbit-average`` or ``slopes``."""
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
    def data(self) -> dict[str, torch.Tensor]:
        """For each input of the program its entries for all samples."""
        return {name: decode_array(value) for name, value in self.document["data"].items()}

    @property
    def moved(self) -> frozenset[str]:
        """Names of the variables in which the points that the claim is about differ."""
        steps = self.document["steps"][: self.document["violated"] + 1]
        listed = [name for point in self.document["points"] for name in point]
        return frozenset([*listed, *(name for step in steps for name in step["moves"])])

    @property
    def first(self) -> tuple[dict[str, torch.Tensor], tuple[float, float]]:
        """The first point at which F is enclosed, and the bounds."""
        bounds, points = self.enclosures, self.document["points"]
        if not points:
            return self.parameters, bounds["start"] or bounds["points"][0]
        start = {name: decode_array(value) for name, value in points[0].items()}
        if not self.document["times"]:
            return {**self.parameters, **start}, bounds["points"][0]
        end = {name: decode_array(value) for name, value in points[1].items()}
        p, q = ({**self.parameters, **point} for point in (start, end))
        top, bottom = self.document["times"][0]
        share = top / bottom
        between = {n: p[n].double() + share * (q[n].double() - p[n].double()) for n in {**start, **end}}
        return {**p, **between}, bounds["points"][0]

    @property
    def enclosures(self) -> dict[str, Any]:
        """The stated bounds of F as ``(lower, upper)``: ``points`` (a list), the others or None."""
        table = self.document["enclosures"]
        return {name: [_floats(p) for p in v] if name == "points" else v and _floats(v) for name, v in table.items()}

    @property
    def gap(self) -> float:
        """Stated lower bound of F at the average minus the mean of F at its points (or of the fall of slope)."""
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
