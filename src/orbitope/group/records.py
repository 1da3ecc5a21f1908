"""The continuous part as JSON, and whether one that was read fits the parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, prod
from typing import Any

from orbitope.errors import SymmetryFileError
from orbitope.group.blocks import outlines
from orbitope.group.continuous import (
    Continuous,
    Factor,
    Family,
    Flips,
    Matrices,
    Rotations,
    Scaling,
    Spot,
    Term,
    Translation,
)
from orbitope.group.effects import spots_of, terms_of
from orbitope.group.layout import Axis, Placement, axis_from_json, axis_to_json, movings

KINDS = ("general", "orthogonal", "complex")
Shapes = Mapping[str, Sequence[tuple[int, ...]]]
"""For each parameter that has a frame the shapes of its blocks."""


def continuous_to_json(continuous: Continuous) -> dict[str, Any]:
    """The continuous part as JSON: frames, families, and what made them smaller."""
    names = {m.name: m.size for axes in continuous.frames.values() for axis in axes for m in movings(axis)}
    return {
        "names": names,
        "frames": {name: [axis_to_json(axis) for axis in axes] for name, axes in continuous.frames.items()},
        "scalings": [
            {
                **_family(x),
                "spots": _spots(x.spots),
                "approximate": x.approximate,
                "loss": x.loss,
                "contained": x.contained,
            }
            for x in continuous.scalings
        ],
        "flips": [
            {
                **_family(x),
                "spots": _spots(x.spots),
                "carries": _terms(x.carries),
                "loss": x.loss,
                "contained": x.contained,
            }
            for x in continuous.flips
        ],
        "matrices": [
            {**_family(x), "spots": _spots(x.spots), "kind": x.kind, "ones": x.ones, "reason": x.reason}
            for x in continuous.matrices
        ],
        "translations": [{**_family(x), "terms": _terms(x.terms), **_counted(x)} for x in continuous.translations],
        "rotations": [{**_family(x), "pairs": [_spots(pair) for pair in x.pairs]} for x in continuous.rotations],
        "reasons": list(continuous.reasons),
    }


def continuous_from_json(document: Mapping[str, Any], placements: Mapping[str, Placement]) -> Continuous:
    """The reverse of :func:`continuous_to_json`.

    Raises:
        SymmetryFileError: frames, families and parameters contradict each other.
        KeyError, TypeError, ValueError, AttributeError: it is not of that form.
    """
    sizes = {str(name): _whole(size) for name, size in document["names"].items()}
    frames = {
        str(name): tuple(axis_from_json(axis, sizes) for axis in axes) for name, axes in document["frames"].items()
    }
    found = Continuous(
        frames,
        tuple(
            Scaling(
                *_space(x),
                _read_spots(x["spots"]),
                str(x["approximate"]),
                _flag(x["loss"]),
                _within(x["contained"], x["sizes"]),
            )
            for x in document["scalings"]
        ),
        tuple(
            Flips(
                *_space(x),
                _read_spots(x["spots"]),
                _read_terms(x["carries"]),
                _flag(x["loss"]),
                _within(x["contained"], x["sizes"]),
            )
            for x in document["flips"]
        ),
        tuple(
            Matrices(*_space(x), _read_spots(x["spots"]), x["kind"], _flag(x["ones"]), str(x["reason"]))
            for x in document["matrices"]
        ),
        tuple(
            Translation(*_space(x), _read_terms(x["terms"]), _flag(x["loss"]), _within(x["contained"], x["sizes"]))
            for x in document["translations"]
        ),
        tuple(Rotations(*_space(x), tuple(map(_read_pair, x["pairs"]))) for x in document["rotations"]),
        tuple(map(str, document["reasons"])),
    )
    if problems := contradictions(found, placements):
        raise SymmetryFileError(
            "the continuous part of the symmetry file contradicts itself",
            details=problems[:20],
            fix="write it again with orbitope inspect MODEL -o symmetry.json",
        )
    return found


def _counted(family: Scaling | Flips | Translation) -> dict[str, Any]:
    return {"loss": family.loss, "contained": family.contained}


def _within(value: object, sizes: Sequence[int]) -> int:
    """A dimension that a family of these sizes can have."""
    number = _whole(value)
    if not 0 <= number <= prod(map(_whole, sizes)):
        raise ValueError(f"{number} dimensions of {prod(sizes)}")
    return number


def contradictions(continuous: Continuous, placements: Mapping[str, Placement]) -> list[str]:
    """Everything in a continuous part that does not fit the parameters, or itself; empty where it is well formed."""
    problems = list(_frame_problems(continuous.frames, placements))
    if problems:
        return problems
    shapes = {
        name: [tuple(block.tensor.shape) for block in outlines(name, placements[name].shape, axes)]
        for name, axes in continuous.frames.items()
    }
    families = (
        *continuous.scalings,
        *continuous.flips,
        *continuous.matrices,
        *continuous.rotations,
        *continuous.translations,
    )
    for name, number in Counter(family.name for family in families).items():
        if number > 1:
            problems.append(f"{name}: {number} families of one name")
    for family in families:
        problems += [f"{family.name}: {problem}" for problem in _family_problems(family, shapes)]
    return problems


def _frame_problems(frames: Mapping[str, tuple[Axis, ...]], placements: Mapping[str, Placement]) -> Iterator[str]:
    sizes: dict[str, int] = {}
    for name, axes in frames.items():
        placement = placements.get(name)
        if placement is None:
            yield f"{name}: a frame for no parameter"
        elif tuple(axis.size for axis in axes) != placement.shape:
            yield f"{name}: its frame has another shape than it"
        for axis in axes:
            for moving in movings(axis):
                if sizes.setdefault(moving.name, moving.size) != moving.size:
                    yield f"{name}: {moving.name} has two sizes"


def _family_problems(family: Family, shapes: Shapes) -> Iterator[str]:
    if len(family.space) != len(family.sizes) or any(size < 0 for size in family.sizes):
        yield "its space and its sizes do not fit"
        return
    if isinstance(family, Matrices) and not _possible(family):
        yield "no such matrices"
        return
    for spot in spots_of(family):
        yield from _spot_problems(family, spot, shapes)
    for one, other in family.pairs if isinstance(family, Rotations) else ():
        sides = [shapes.get(spot.parameter, ())[spot.block : spot.block + 1] for spot in (one, other)]
        if (
            sides[0] != sides[1]
            or one.dims != other.dims
            or (one.parameter, one.block) == (other.parameter, other.block)
        ):
            yield f"{one.parameter} and {other.parameter} have no pairs of entries there"
    if prod(family.sizes) > 1 and not spots_of(family) and not terms_of(family):
        yield "it acts nowhere"
    for term in terms_of(family):
        if len(term.vector) != len(family.space):
            yield "a term has another number of letters than its space has names"
        else:
            yield from _term_problems(family, term, shapes)


def _possible(family: Matrices) -> bool:
    """Whether there are matrices of this kind and size."""
    return family.kind in KINDS and bool(family.sizes) and (family.kind != "complex" or family.sizes[0] == 2)


def _spot_problems(family: Family, spot: Spot, shapes: Shapes) -> Iterator[str]:
    known = shapes.get(spot.parameter, ())
    if not 0 <= spot.block < len(known):
        yield f"{spot.parameter} has no block {spot.block}"
        return
    shape = known[spot.block]
    if len(set(spot.dims)) < len(spot.dims) or not all(0 <= k < len(shape) for k in spot.dims):
        yield f"{spot.parameter} has no such axes in block {spot.block}"
    elif tuple(shape[k] for k in spot.dims) != tuple(family.sizes):
        yield f"{spot.parameter} has other sizes in block {spot.block}"
    if not isfinite(spot.offset) or abs(spot.power) > 64 or (isinstance(family, Matrices) and abs(spot.power) != 1):
        yield f"{spot.parameter}: no such power or offset"
    if isinstance(family, Matrices) and spot.offset:
        yield f"{spot.parameter}: matrices do not act with an offset"


def _term_problems(family: Family, term: Term, shapes: Shapes) -> Iterator[str]:
    sizes = dict(zip(term.vector, family.sizes, strict=True))
    if len(sizes) < len(term.vector) or not isfinite(term.coefficient):
        yield "a term names an index twice, or has no finite coefficient"
    if len(set(term.letters)) < len(term.letters):
        yield "a term names an axis of what it changes twice"
    uses = [(factor.parameter, factor.block, factor.letters) for factor in term.factors]
    for parameter, number, letters in [*uses, (term.parameter, term.block, term.letters)]:
        known = shapes.get(parameter, ())
        if not 0 <= number < len(known) or len(letters) != len(known[number]):
            yield f"{parameter} has no block {number} with axes {letters!r}"
            continue
        for letter, size in zip(letters, known[number], strict=True):
            if not ("a" <= letter <= "z" or "A" <= letter <= "Y") or sizes.setdefault(letter, size) != size:
                yield f"{parameter}: the letter {letter!r} has two sizes, or is none"
    if any(not isfinite(factor.power) or not isfinite(factor.offset) for factor in term.factors):
        yield "a factor has no finite power or offset"


# one family ---------------------------------------------------------------------------------------------------------
def _family(family: Family) -> dict[str, Any]:
    return {"name": family.name, "space": list(family.space), "sizes": list(family.sizes)}


def _spots(spots: Sequence[Spot]) -> list[dict[str, Any]]:
    return [
        {"parameter": s.parameter, "block": s.block, "dims": list(s.dims), "power": s.power, "offset": s.offset}
        for s in spots
    ]


def _terms(terms: Sequence[Term]) -> list[dict[str, Any]]:
    return [
        {
            "parameter": t.parameter,
            "block": t.block,
            "letters": t.letters,
            "vector": t.vector,
            "factors": [
                {"parameter": f.parameter, "block": f.block, "letters": f.letters, "power": f.power, "offset": f.offset}
                for f in t.factors
            ],
            "coefficient": t.coefficient,
        }
        for t in terms
    ]


def _space(item: Mapping[str, Any]) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
    return str(item["name"]), tuple(map(str, item["space"])), tuple(map(_whole, item["sizes"]))


def _read_spots(items: Sequence[Mapping[str, Any]]) -> tuple[Spot, ...]:
    return tuple(
        Spot(
            str(x["parameter"]),
            _whole(x["block"]),
            tuple(map(_whole, x["dims"])),
            _whole(x["power"]),
            float(x["offset"]),
        )
        for x in items
    )


def _read_pair(items: Sequence[Mapping[str, Any]]) -> tuple[Spot, Spot]:
    one, other = _read_spots(items)
    return one, other


def _read_terms(items: Sequence[Mapping[str, Any]]) -> tuple[Term, ...]:
    return tuple(
        Term(
            str(x["parameter"]),
            _whole(x["block"]),
            str(x["letters"]),
            str(x["vector"]),
            tuple(map(_read_factor, x["factors"])),
            float(x["coefficient"]),
        )
        for x in items
    )


def _read_factor(x: Mapping[str, Any]) -> Factor:
    return Factor(str(x["parameter"]), _whole(x["block"]), str(x["letters"]), float(x["power"]), float(x["offset"]))


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a whole number is expected, not {value!r}"[:80])
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false is expected, not {value!r}"[:80])
    return value
