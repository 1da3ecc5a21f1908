"""Why axes are fixed: the reasons that the analysis gives, in the words of mathematics."""

from __future__ import annotations

import re

# What a reason looks like, a name for its kind, and what it means. The first that matches counts.
REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"^it indexes the input",
        "indexes an input",
        "The entries of an input come in a given order (pixels' colours, features, mel bands). What multiplies "
        "them stays.",
    ),
    (
        r"^it indexes the output",
        "indexes an output",
        "The entries of an output come in a given order (classes, tokens of the vocabulary, box corners).",
    ),
    (
        r"looked up by index",
        "looked up by index",
        "Rows of a table that integers in the input choose: tokens, positions, types. Exchanging rows would ask "
        "for other integers in the input.",
    ),
    (
        r"view_as_(complex|real).*tells positions apart|real and imaginary",
        "real and imaginary parts",
        "Pairs of entries that are read as one complex number; the real part and the imaginary one are not alike.",
    ),
    (
        r"^resample",
        "coordinates",
        "Places at which an image is sampled: x is not y, and pixels have their places.",
    ),
    (
        r"^order tells",
        "order",
        "The number of a position is itself the result, as for argmax, sort or top-k, and is not followed further: "
        "codes of a quantiser that are outputs, or the choice among groups of experts.",
    ),
    (
        r"^pick tells",
        "picked by index",
        "Entries that indices computed from constants pick: distances between positions.",
    ),
    (
        r"convolution tells its spatial positions apart|tells positions apart$|spatial",
        "spatial positions",
        "Taps of a filter and positions of a window differ by where they are; a convolution or a pooling commutes "
        "with no exchange of them.",
    ),
    (
        r"^it indexes the constant",
        "meets a constant",
        "A table that is no parameter and whose entries differ: rotary or sinusoidal frequencies, masks, slopes, "
        "patterns. Only entries that are equal in the table may be exchanged. Rotary positions fix the query-key "
        "dimensions of a head and leave those of values and outputs free.",
    ),
    (
        r"^the function does not read",
        "not read",
        "Nothing depends on these positions (padding rows, distances that do not occur at this length). They are "
        "not counted.",
    ),
    (
        r"^no symmetry rule|known only along",
        "operation without a rule",
        "What the operation does with its axes is not known, so nothing that it touches may move. This is a gap of "
        "the analysis, not a fact about the network.",
    ),
    (
        r"reshape|common factors|is made of",
        "reshape",
        "A reshape cuts an axis where the units on it have no boundary, or merges axes that move in different ways.",
    ),
    (
        r"slice|segment|cut",
        "slice",
        "Positions are taken apart by their number: every second one, the first k of them.",
    ),
    (
        r"",
        "other",
        "Two uses of the same units ask for different things, and only what both allow is free.",
    ),
)


def kind(reason: str) -> str:
    """The kind of a reason."""
    text = re.sub(r" \[[^\]]*\]$", "", reason)  # without the operation
    return next(name for pattern, name, _ in REASONS if re.search(pattern, text))


def is_gap(reason: str) -> bool:
    """Whether a reason is one of the analysis, and not of the network."""
    return kind(reason) in ("operation without a rule", "reshape", "slice", "other")
