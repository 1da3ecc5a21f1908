"""Every lowered operation is audited: no rule says too much, and what a rule does not say has a reason.

``make oracle`` tries more calls and more exchanges and writes them down; this is the part that always runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.oracle.calls import FILE, parse, samples
from tests.oracle.exceptions import EXEMPT, justification
from tests.oracle.subjects import examine

from orbitope.frontends.lowerings import LOWERINGS
from orbitope.graph import Indexing, Label, Sum, Term, labels
from orbitope.primitives import PRIMITIVES

Change = Callable[[Indexing], Indexing]
LIMIT = 12
AWAITING = sorted(LOWERINGS.keys() - samples().keys() - EXEMPT.keys())


@pytest.mark.parametrize("target", sorted(samples()))
def test_the_rule_agrees_with_the_operation(target: str) -> None:
    for found in examine(samples()[target][0], LIMIT, modules=False):
        assert found.verdict.unsound == [], str(found.sample)
        if not justification(target, found.opaque):
            assert found.verdict.missing == [], str(found.sample)


@pytest.mark.parametrize("target", AWAITING)
def test_a_call_is_written_down(target: str) -> None:
    pytest.xfail(f"{target} is lowered but no call of it stands in {FILE.name}: its rule is not audited")


def test_calls_are_read_as_they_are_written() -> None:
    for found in samples().values():
        for sample in found:
            again = parse(f"{sample.target}\t({list(sample.args)!r}, {sample.kwargs!r})")
            assert again.operands == sample.operands, str(sample)
            assert hasattr(sample.function, "_schema")


def test_exceptions_are_needed() -> None:
    assert not EXEMPT.keys() & samples().keys()


# wrong rules ---------------------------------------------------------------------------------------------------------
def _loosened(indexing: Indexing) -> Indexing:
    """As if no position were told apart."""
    return replace(indexing, fixed=frozenset())


def _unmixed(indexing: Indexing) -> Indexing:
    """As if no position depended on another."""
    return replace(indexing, mixed=frozenset())


def _crossed(indexing: Indexing) -> Indexing:
    """The first two axes of the output exchanged, which have one size."""
    return replace(indexing, output=(indexing.output[1], indexing.output[0], *indexing.output[2:]))


def _uncut(indexing: Indexing) -> Indexing:
    """Segments of an axis taken for one index of that axis."""
    whole = {
        str(term): Label(f"whole{k}", term.size) for k, term in enumerate(_axes(indexing)) if isinstance(term, Sum)
    }
    return Indexing(
        tuple(tuple(whole.get(str(term), term) for term in axes) for axes in indexing.operands),
        tuple(whole.get(str(term), term) for term in indexing.output),
    )


def _frozen(indexing: Indexing) -> Indexing:
    """As if every position were told apart."""
    return replace(indexing, fixed=frozenset(label.name for term in _axes(indexing) for label in labels(term)))


def _axes(indexing: Indexing) -> list[Term]:
    return [term for axes in (*indexing.operands, indexing.output) for term in axes]


def _planted(monkeypatch: pytest.MonkeyPatch, op: str, change: Change) -> None:
    kind = type(PRIMITIVES[op])
    right = kind.indexing
    monkeypatch.setattr(kind, "indexing", lambda self, node, shapes: change(right(self, node, shapes)))


WRONG = [
    ("accumulate", _loosened, "aten.cumsum.default\t([f(3, 4), 1], {})"),
    ("scatter", _loosened, "aten.scatter_add.default\t([f(3, 4), 1, i(3, 2, high=3), f(3, 2)], {})"),
    ("convolve", _loosened, "aten.conv1d.default\t([f(2, 3, 5), f(4, 3, 2)], {})"),
    ("pool", _loosened, "aten.max_pool1d.default\t([f(2, 3, 6), [3], [1], [1]], {})"),
    ("softmax", _unmixed, "aten.softmax.int\t([f(4, 3), 1], {})"),
    ("normalise", _unmixed, "aten.layer_norm.default\t([f(4, 3), [3]], {})"),
    ("accumulate", _unmixed, "aten.cumsum.default\t([f(4, 3), 1], {})"),
    ("contract", _crossed, "aten.mm.default\t([f(3, 3), f(3, 3)], {})"),
    ("transpose", _crossed, "aten.permute.default\t([f(3, 3, 2), [1, 0, 2]], {})"),
    ("pointwise", _crossed, "aten.relu.default\t([f(3, 3)], {})"),
    ("concat", _uncut, "aten.cat.default\t([[f(2, 3), f(2, 2)], 1], {})"),
]


@pytest.mark.parametrize(("op", "change", "line"), WRONG, ids=[f"{op}{change.__name__}" for op, change, _ in WRONG])
def test_a_rule_that_says_too_much_is_noticed(
    monkeypatch: pytest.MonkeyPatch, op: str, change: Change, line: str
) -> None:
    sample = parse(line)
    assert all(not found.verdict.unsound for found in examine(sample, 0))
    _planted(monkeypatch, op, change)
    assert any(found.verdict.unsound for found in examine(sample, 0))


@pytest.mark.parametrize(
    ("op", "line"),
    [
        ("contract", "aten.linear.default\t([f(2, 3), f(4, 3)], {})"),
        ("softmax", "aten.softmax.int\t([f(3, 4), 1], {})"),
        ("transpose", "aten.t.default\t([f(3, 4)], {})"),
        ("concat", "aten.cat.default\t([[f(2, 3), f(2, 2)], 1], {})"),
        ("reduce", "aten.sum.dim_IntList\t([f(3, 4), [1]], {})"),
    ],
)
def test_a_rule_that_says_too_little_is_noticed(monkeypatch: pytest.MonkeyPatch, op: str, line: str) -> None:
    sample = parse(line)
    assert all(not found.verdict.missing for found in examine(sample, 24))
    _planted(monkeypatch, op, _frozen)
    assert any(found.verdict.missing for found in examine(sample, 24))
