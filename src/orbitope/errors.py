"""The errors of Orbitope: one tree, each with a code and with what, where, got, why and fix."""

from __future__ import annotations

from collections.abc import Sequence


class OrbitopeError(Exception):
    """An error that says what went wrong, where, why it is refused and how to mend it.

    Args:
        what: one sentence, what is wrong.
        at: where: node, source line, file, parameter.
        got: what was found, and what was expected.
        why: why we refuse.
        fix: what the reader can do.
        details: one line per further problem of the same input (all are reported at once).
    """

    code = "E000"

    def __init__(
        self,
        what: str,
        *,
        at: str | None = None,
        got: str | None = None,
        why: str | None = None,
        fix: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        """Keep the parts, so that the JSON form carries them apart."""
        super().__init__(what)
        self.what, self.at, self.got, self.why, self.fix = what, at, got, why, fix
        self.details = tuple(details)

    def __str__(self) -> str:
        """The message by the template: a heading, then the parts that are known."""
        lines = [f"error[{self.code}] {self.what}"]
        for label in ("at", "got", "why", "fix"):
            text = getattr(self, label)
            if text:
                lines.append(f"  {label:<4} {text}")
        lines.extend(f"  -    {detail}" for detail in self.details)
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """The same as a JSON object."""
        parts = {label: getattr(self, label) for label in ("what", "at", "got", "why", "fix")}
        return {"code": self.code, **parts, "details": list(self.details)}


class InputError(OrbitopeError):
    """The input cannot be used as it is."""

    code = "E100"


class ExportError(InputError):
    """The model cannot be traced."""

    code = "E101"


class TrainingModeError(InputError):
    """The model is in training mode."""

    code = "E102"


class LoweringError(InputError):
    """A lowering does not compute what the traced program computes."""

    code = "E104"


class ModelArgumentError(InputError):
    """The MODEL argument does not name a model."""

    code = "E105"


class ParametersError(InputError):
    """Parameters are missing, unexpected, of another shape or not finite."""

    code = "E201"


class ElementError(InputError):
    """A group element does not belong to this group or is not well formed."""

    code = "E202"


class SymmetryFileError(InputError):
    """A symmetry file cannot be read."""

    code = "E203"


class DataError(InputError):
    """The data do not fit the model or the loss."""

    code = "E301"


class CertificateError(InputError):
    """A certificate is unreadable, truncated or altered."""

    code = "E401"


class EnclosureError(OrbitopeError):
    """An operation has no rigorous enclosure."""

    code = "E402"


class FileError(InputError):
    """A file cannot be read or written."""

    code = "E501"


class UnsafeFileError(FileError):
    """A file would have to execute code to be read."""

    code = "E502"
