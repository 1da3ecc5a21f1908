"""Derivations: the steps between variables and a value, as an indented tree and in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from orbitope.curvature import words
from orbitope.curvature.state import Census

WIDTH = 100
TREE = 18
"""Lines of a derivation that are printed; the JSON form has all."""


@dataclass(frozen=True)
class Step:
    """One value of a derivation.

    Attributes:
        node: its name in the graph. call: the traced call that it belongs to. traced: the operation called there.
        module, source: where that stands in the model.
        operation: what is computed.
        census: how many of its entries are proved to be what.
        rule: why, in one sentence; empty for the variables.
        operands: the steps of the operands that vary.
    """

    node: str
    call: str
    traced: str
    module: str
    source: str
    operation: str
    census: Census
    rule: str
    operands: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        plain = {name: getattr(self, name) for name in ("node", "traced", "module", "source", "operation", "rule")}
        return {**plain, "operands": list(self.operands), "curvature": self.census.to_json()}


@dataclass(frozen=True)
class Group:
    """The steps of one traced operation: a dense layer is one line, not a product, a broadcast and a sum."""

    call: str
    module: str
    source: str
    operation: str
    census: Census
    rules: tuple[str, ...]
    leaves: tuple[str, ...]
    operands: tuple[str, ...]


def _groups(steps: Sequence[Step]) -> list[Group]:
    by_call: dict[str, list[Step]] = {}
    call_of = {step.node: step.call for step in steps}
    leaves = {step.node: step.operation for step in steps if not step.rule}
    for step in steps:
        by_call.setdefault(step.call, []).append(step)
    return [_group(call, parts, call_of, leaves) for call, parts in by_call.items()]


def _group(call: str, parts: Sequence[Step], call_of: Mapping[str, str], leaves: Mapping[str, str]) -> Group:
    last = parts[-1]
    outside = dict.fromkeys(x for part in parts for x in part.operands if call_of[x] != call)
    rules = [p.rule for p in parts if p.rule]
    bending = [r for r in rules if not r.startswith(words.MOVED) and not r.endswith(words.AFFINE)]
    telling = bending or [r for r in rules if not r.startswith(words.MOVED)] or rules
    module = f"layer {last.module}" if last.module not in ("", "loss") else last.module
    acting = list(dict.fromkeys(p.operation for p in parts if p.rule != words.MOVED)) or [last.operation]
    main = acting[0] if len(acting) == 1 and acting[0] not in words.SUMS else last.traced or acting[0]
    return Group(
        call,
        module,
        last.source,
        main,
        last.census,
        tuple(dict.fromkeys(telling)),
        tuple(dict.fromkeys(leaves[x] for x in outside if x in leaves)),
        tuple(dict.fromkeys(call_of[x] for x in outside if x not in leaves)),
    )


def chain(steps: Sequence[Step], *, breaks: bool) -> str:
    """A derivation in one line, from the variables on.

    Args:
        steps: operands first.
        breaks: whether the rule breaks at the last of them.
    """
    shown = [
        f"{group.module} {group.operation}".strip() + f": {group.census}" for group in _groups(steps) if group.rules
    ]
    if breaks and shown:
        shown[-1] += " (breaks here)"
    if len(shown) > 7:
        shown = [*shown[:3], f"… {len(shown) - 6} further …", *shown[-3:]]
    return " → ".join(shown)


def tree(steps: Sequence[Step]) -> list[str]:
    """A derivation as lines: a value, and indented below it what it is computed from."""
    by_call = {group.call: group for group in _groups(steps)}
    if not by_call:
        return []
    lines = list(_branches(by_call, steps[-1].call, 0, set()))
    if len(lines) > TREE:
        cut = len(lines) - TREE + 1
        lines = [*lines[: TREE - 4], f"… {cut} further lines (in the JSON form) …", *lines[-3:]]
    return lines


def _branches(groups: Mapping[str, Group], call: str, depth: int, seen: set[str]) -> Iterator[str]:
    group, pad = groups[call], "  " * depth
    place = f"{group.module} ({group.source})" if group.source else group.module
    if call in seen:
        yield f"{pad}{group.census} — {place} {group.operation}, as above"
        return
    seen.add(call)
    text = f"{pad}{group.census} — {place}".rstrip(" —")
    text += f": {'; '.join(group.rules)}" if group.rules else ""
    text += f"; in {', '.join(group.leaves)}" if group.leaves else ""
    yield from fill(text, WIDTH - 6, subsequent_indent=pad + "    ", break_on_hyphens=False).splitlines()
    for operand in group.operands:
        yield from _branches(groups, operand, depth + 1, seen)
