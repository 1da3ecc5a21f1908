"""What units are: a name for each set, chosen by one table of rules from how the network uses the positions.

The names of parameters and modules play no part. A role describes and decides nothing: the group is the same whatever
its units are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orbitope.graph import Graph, Node
from orbitope.infer.unification import Unification
from orbitope.infer.usage import Fact, usage
from orbitope.infer.words import Atom

Facts = frozenset[Fact]


@dataclass(frozen=True)
class Role:
    """What the positions of a set of units are.

    Attributes:
        name: in words, as ``heads``.
        because: the facts that it rests on, in words, with the node that shows the first.
    """

    name: str
    because: str


@dataclass(frozen=True)
class Evidence:
    """What is known of one set of units.

    Attributes:
        own: facts about it.
        base: facts about what it is over.
        fibre: facts about what is over it.
    """

    own: Facts
    base: Facts
    fibre: Facts

    def parts(self) -> bool:
        """Whether each position has layers of its own: weights, a module, or hidden units."""
        return bool(self.own & {Fact.STACKED, Fact.MAPPED} or self.fibre & {Fact.READ, Fact.WRITTEN})


Test = Callable[[Evidence], bool]

F = Fact

RULES: tuple[tuple[str, Test, tuple[Fact, ...]], ...] = (
    ("query heads of a group", lambda e: F.BATCH in e.own and F.BATCH in e.base, (F.BATCH,)),
    ("key/value heads", lambda e: F.BATCH in e.own and F.BATCH in e.fibre, (F.BATCH,)),
    ("heads", lambda e: F.BATCH in e.own and bool(e.fibre & {F.INNER, F.FREE, F.SCORES}), (F.BATCH,)),
    ("state dimension", lambda e: F.STATE in e.own, (F.STATE,)),
    ("experts", lambda e: F.ROUTED in e.own and e.parts(), (F.ROUTED, F.STACKED, F.MAPPED)),
    ("residual stream", lambda e: F.SKIP in e.own, (F.SKIP,)),
    ("recurrent state", lambda e: F.RECURRENT in e.own, (F.RECURRENT,)),
    ("head dimension", lambda e: {F.SCORES, F.ATTENDED, F.INNER} <= e.own, (F.SCORES, F.ATTENDED)),
    ("head dimension (query·key)", lambda e: {F.INNER, F.SCORES} <= e.own, (F.SCORES,)),
    ("head dimension (query·key)", lambda e: F.SCORES in e.own and F.BATCH in e.base, (F.SCORES,)),
    ("head dimension (query·key)", lambda e: F.INNER in e.own and F.BATCH in e.base, (F.INNER,)),
    ("head dimension (value)", lambda e: F.ATTENDED in e.own, (F.ATTENDED,)),
    ("head dimension (value)", lambda e: F.FREE in e.own and F.BATCH in e.base, (F.FREE,)),
    ("heads", lambda e: F.BATCH in e.own and F.CONVOLVED not in e.own, (F.BATCH,)),
    ("branches", lambda e: F.MAPPED in e.own, (F.MAPPED,)),
    ("groups", lambda e: F.GROUPS in e.own, (F.GROUPS,)),
    ("channels", lambda e: F.CONVOLVED in e.own, (F.CONVOLVED,)),
    ("groups", lambda e: F.STACKED in e.own and bool(e.fibre & {F.READ, F.WRITTEN}), (F.STACKED,)),
    ("tokens", lambda e: F.KEYS in e.own, (F.KEYS,)),
    ("inner dimension", lambda e: F.INNER in e.own, (F.INNER,)),
    ("tokens", lambda e: F.APPLIED in e.own and not e.own & {F.WRITTEN, F.READ}, (F.APPLIED,)),
    ("embedding", lambda e: F.LOOKED_UP in e.own and F.WRITTEN not in e.own, (F.LOOKED_UP,)),
    ("hidden units", lambda e: bool(e.own & {F.WRITTEN, F.READ}), (F.WRITTEN, F.READ)),
    ("rank", lambda e: F.LOW_RANK in e.own, (F.LOW_RANK,)),
)
"""The first rule that holds names the role: its name, when it holds, and the facts to tell as its reason."""

ROLES = tuple(dict.fromkeys([*(name for name, _, _ in RULES), "units"]))
"""Every name that a role can have."""


def roles(graph: Graph, result: Unification, over: Mapping[Atom, set[Atom]]) -> dict[Atom, Role]:
    """The role of every atom that some operation uses.

    Args:
        graph: the program.
        result: its unified words.
        over: for every movable atom the atoms that it is over.

    Guarantee: heuristic; a role is a description, from facts that hold of the traced program.
    """
    facts = usage(graph, result, over)
    fibres: dict[Atom, set[Atom]] = {}
    for atom, bases in over.items():
        for base in bases:
            fibres.setdefault(base, set()).add(atom)

    def known(found: Mapping[Atom, set[Atom]], atom: Atom) -> Facts:
        return frozenset(fact for other in found.get(atom, ()) for fact in facts.get(other, ()))

    return {
        atom: _role(Evidence(frozenset(own), known(over, atom), known(fibres, atom)), own)
        for atom, own in facts.items()
    }


UNITS = Role("units", "no rule tells more")


def _role(evidence: Evidence, own: Mapping[Fact, Node]) -> Role:
    for name, holds, reasons in RULES:
        if holds(evidence):
            told = [fact for fact in reasons if fact in own]
            place = own[told[0]].place
            return Role(name, f"the positions {' and '.join(fact.value for fact in told)} ({place})")
    return UNITS


__all__ = ["ROLES", "RULES", "UNITS", "Role", "roles"]
