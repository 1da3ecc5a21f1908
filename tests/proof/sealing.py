"""Certificates to alter, and seals that fit what was altered."""

import contextlib

from tests.proof import examples, oracle
from tests.proof.checking import checker

from orbitope.proof.certificate import Certificate

BASES = {
    "midpoint": examples.absolute_value,
    "orbit average": examples.three_units,
    "cross-entropy": lambda: examples.three_units("tanh", "cross_entropy"),
    "convolutional": examples.convolutional,
    "listed points": lambda: examples.listed_points(3),
    "slopes": examples.slopes,
    "all samples together": examples.together,
    "language model": examples.language_model,
    "decisions": examples.decisions,
}


def build(name, width=1e-9):
    parts = BASES[name]()
    return Certificate.build(**parts, enclosures=oracle.enclosures(parts, width))


def seal(document, statement, module=checker):
    """The bytes of a document whose digests, and perhaps statement, are made to fit."""
    if statement:
        with contextlib.suppress(Exception):
            document["statement"] = module.statement(document)
    document["digests"] = {
        name: digest
        for name, digest in checker.digests({n: document.get(n) for n in checker.SECTIONS}).items()
        if name in document
    }
    return checker.canonical(document).encode() + b"\n"
