"""Which units may move differently for each position of others (fibres over a base).

What is asked. Let units ``a`` occur in a tensor. A ``b`` *belongs* to this occurrence if it is the only one in the
axis that the ``a`` is a factor of, or the only one in the tensor. Units ``a`` may be over ``b`` where in every tensor
a ``b`` belongs to every ``a``, and in every operation, with its labels (`graph/index.py`) for axes, a ``b`` belongs to
every ``a``: one in the same label, or one in another label that is mixed only if the label of the ``a`` is.

So in a weight ``[g·c, g·c]`` behind a GroupNorm each ``c`` has the ``g`` of its own axis. In ``[g, g, c]`` none belongs
to the ``c``, and in a Gram matrix of the ``c``, ``Σ_c x[g, c] x[g', c]``, none does among the labels.

Why that is enough. An element moves every tensor factor by factor: ``a`` by a permutation for each position of the
``b`` that belongs to it. Operations have to carry the images of their operands to the image of their value.

1. *The labels decide.* Say a label ℓ holds an ``a``. Either the only ``b`` among all labels belongs to it, which in
   operands and value alike is the only one that can; or one in ℓ does, the only one there. An axis that is ℓ, or a
   product with ℓ in it, has this ``b``; if one belongs to the ``a`` by the axis, it is this one, and if it belongs as
   the only one in the tensor, it is too. All tensors of the operation move the ``a`` in step.
2. *In one label.* A permutation of ``a`` for each ``b`` within ℓ is a permutation of ℓ: every operation promises to
   keep those, mixed or not, unless it fixes ℓ, and then ``a`` is no units.
3. *In two labels.* The promise is that permutations may differ from position to position of a label that is not mixed,
   and those of a mixed label from position to position of another. To mix along ``b`` while ``a`` stays is neither:
   in ``h + cumsum(h)`` the consumed axis comes back through the sum, so that both are in all tensors side by side.

Values that are made of constants alone are not asked. A constant has units only where any permutation of them leaves it
as it is, as one of the rows and columns of the identity matrix together does, and so has what is computed from such:
beside a ``b`` it is the same for every ``b``, and each permutation leaves it alone. Operations that read it are asked.

An operation that mixes nothing has all its labels in its value, where they belong as in the operands; only products
regroup labels, ``[g·c, g]`` to ``[g, c·g]``, so that the labels are looked at there.

Elements compose if what is over ``a`` is over all that ``a`` is over, and each over the same one: where a tensor is
``[x·c, a·c]``, with ``x`` over both, ``x`` has another ``c`` than its ``a``. Then ``x`` is not over ``a``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from orbitope.graph import Label, Product, Sum, Term
from orbitope.infer.unification import Unification, Use
from orbitope.infer.words import Atom, Family, Wild, Word, Words, common_runs, size_of, starts_of


def leaves(words: Words, axes: Sequence[Word], alike: bool = True) -> Iterator[list[tuple[Atom, ...]]]:
    """The plain atoms of each axis of a tensor, once for each choice of segments of its sums.

    An index of families is chosen once for the whole tensor, so that each family yields the member that belongs.
    Without ``alike`` segments of an axis that consist of the same atoms, as single positions do, are chosen once.
    """
    plain = [words.resolve(word) for word in axes]
    runs: dict[Atom, list[int]] = {}
    for family in (family for word in plain for family in words.families(word)):
        index = words.find(family.index)
        own = [size_of(segment) for segment in words.segments(index)] or [index.size]
        runs[index] = common_runs([family.sizes, runs.get(index, own)])
    for starts in product(*(starts_of(sizes) for sizes in runs.values())):
        at = dict(zip(runs, starts, strict=True))
        found = (_choices(words, word, at) for word in plain)
        yield from map(list, product(*(choices if alike else dict.fromkeys(choices) for choices in found)))


def _choices(words: Words, word: Word, at: Mapping[Atom, int]) -> list[tuple[Atom, ...]]:
    """The atoms of one resolved word, for each choice of its segments."""
    choices: list[list[tuple[Atom, ...]]] = []
    for factor in words.resolve(word):
        if isinstance(factor, Wild):
            continue
        if isinstance(factor, Family):
            choices.append(_choices(words, words.member(factor, at[words.find(factor.index)]), at))
        elif factor in at:
            choices.append(_choices(words, _segment(words, factor, at[factor]), at))
        elif factor.segments is None:
            choices.append([(factor,)])
        else:
            choices.append([x for segment in words.segments(factor) for x in _choices(words, segment, at)])
    return [sum(choice, ()) for choice in product(*choices)]


def _segment(words: Words, index: Atom, position: int) -> Word:
    """The segment of an index that holds a position; the position itself where it has no segments."""
    segments = words.segments(index)
    for start, segment in zip(starts_of([size_of(s) for s in segments]), segments, strict=True):
        if start <= position < start + size_of(segment):
            return segment
    return ()


Parts = list[tuple[Atom, ...]]
"""The atoms that one entry of a tensor has along each of its axes, or each of its labels."""


def bases(result: Unification) -> dict[Atom, set[Atom]]:
    """For every movable atom the atoms that it may be over (movable or fixed)."""
    found = _Found()
    words = result.words
    for axes in result.parameters.values():
        for parts in leaves(words, axes, alike=False):
            found.add(parts, acted_on=True)
    for use in result.uses:
        if use.node.name in result.constants:
            continue
        for parts in leaves(words, result.values[use.node.name], alike=False):
            found.add(parts)
        if use.mixed:
            # the virtual tensor over all labels of an operation; it catches Gram matrices, where an atom meets itself
            names = sorted(use.labels)
            mixed = frozenset(k for k, name in enumerate(names) if name in use.mixed)
            for parts in leaves(words, [use.labels[name] for name in names], alike=False):
                found.add(parts, mixed)
            continue
        for names in _regrouped(words, use):
            for parts in leaves(words, [use.labels[name] for name in names], alike=False):
                found.add(parts)
    return found.closed()


def _regrouped(words: Words, use: Use) -> Iterator[list[str]]:
    """The labels of each operand and of the output, entry by entry, where one of them has products for axes.

    Only there may an axis have more beside an atom than the label that it is from; and only where some atom stands
    in the labels twice does that matter.
    """
    tensors = (*use.indexing.operands, use.indexing.output)
    if any(isinstance(part, Product) for axes in tensors for term in axes for part in _terms(term)):
        present = [atom for word in use.labels.values() for atom in words.inside(word)]
        if len(present) == len(set(present)):
            return
        for axes in tensors:
            for choice in product(*map(_one_segment, axes)):
                yield [name for names in choice for name in names if name in use.labels]


def _terms(term: Term) -> Iterator[Term]:
    yield term
    for part in term.segments if isinstance(term, Sum) else term.factors if isinstance(term, Product) else ():
        yield from _terms(part)


def _one_segment(term: Term) -> list[list[str]]:
    """The labels that index one entry along an axis, for each choice of segments."""
    match term:
        case Label(name=name):
            return [[name]]
        case Product(factors=factors):
            return [[x for names in choice for x in names] for choice in product(*map(_one_segment, factors))]
        case Sum(segments=segments):
            return [names for segment in segments for names in _one_segment(segment)]


class _Found:
    """What is left of all that units could be over, tensor by tensor."""

    def __init__(self) -> None:
        self.over: dict[Atom, set[Atom]] = {}
        self.apart: set[tuple[Atom, Atom, Atom]] = set()
        """``(a, b, c)`` where a tensor that moves has one c beside an a, and another beside the b of that a."""
        self._seen: set[object] = set()

    def add(self, parts: Parts, mixed: frozenset[int] = frozenset(), *, acted_on: bool = False) -> None:
        """Take one tensor into account.

        Args:
            parts: its atoms, axis by axis or label by label.
            mixed: positions of the labels that are mixed.
            acted_on: whether elements act on it: a parameter.
        """
        flat = [atom for part in parts for atom in part]
        present = frozenset(flat)
        if len(present) == len(flat):
            moved = frozenset(atom for k in mixed for atom in parts[k])
            if self._is_new((present, moved)):
                for atom in flat:
                    self._keep(atom, (present if atom in moved else present - moved) - {atom})
            return
        if not self._is_new((tuple(parts), mixed, acted_on)):
            return
        beside = _Beside(parts, mixed)
        for k, part in enumerate(parts):
            for atom in dict.fromkeys(part):
                places = beside.places(atom, k)
                self._keep(atom, places)
                if acted_on:
                    self._compare(atom, places, beside)

    def _is_new(self, key: object) -> bool:
        known = key in self._seen
        self._seen.add(key)
        return not known

    def _keep(self, atom: Atom, allowed: Iterable[Atom]) -> None:
        if atom.fixed is None:
            self.over[atom] = self.over[atom].intersection(allowed) if atom in self.over else set(allowed)

    def _compare(self, a: Atom, places: Mapping[Atom, int], beside: _Beside) -> None:
        for b, at in places.items():
            for c, place in beside.places(b, at).items():
                if c in places and places[c] != place:
                    self.apart.add((a, b, c))

    def closed(self) -> dict[Atom, set[Atom]]:
        """What is over units that are themselves over others must be over these as well, and over the same ones."""
        changed = True
        while changed:
            changed = False
            for a, found in self.over.items():
                for b in sorted(found, key=lambda atom: atom.serial):
                    if any(c is not a and (c not in found or (a, b, c) in self.apart) for c in self.over.get(b, ())):
                        found.discard(b)
                        changed = True
        return self.over


class _Beside:
    """Which of several equal atoms belongs to another."""

    def __init__(self, parts: Parts, mixed: frozenset[int]) -> None:
        self.counts = [Counter(part) for part in parts]
        self.mixed = mixed
        total = Counter(atom for part in parts for atom in part)
        self.only = {atom: k for k, part in enumerate(parts) for atom in part if total[atom] == 1}

    def places(self, atom: Atom, at: int) -> dict[Atom, int]:
        """For each base that an atom in one part may have, the part that the base is in."""
        stays = at not in self.mixed
        places = {base: k for base, k in self.only.items() if k == at or not (stays and k in self.mixed)}
        places |= {base: at for base, count in self.counts[at].items() if count == 1}
        return {base: k for base, k in places.items() if base is not atom}
