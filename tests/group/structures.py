"""Groups written out by hand, small enough to enumerate."""

from collections.abc import Iterator, Mapping
from itertools import permutations, product

import torch

from orbitope.group import (
    Axis,
    Element,
    Fixed,
    Merged,
    Moving,
    Placement,
    Segments,
    SymmetryGroup,
    Units,
    places,
)


def handmade(
    units: list[tuple[str, int, tuple[str, ...]]],
    parameters: Mapping[str, tuple[Axis, ...]],
    bases: Mapping[str, int] | None = None,
) -> SymmetryGroup:
    """A group from units (name, size, over) and the axes of each parameter."""
    bases = dict(bases or {})
    sizes = {**bases, **{name: size for name, size, _ in units}}
    placements = {n: Placement((n,), tuple(axis.size for axis in axes), axes) for n, axes in parameters.items()}
    acts = places(placements)
    return SymmetryGroup(
        tuple(
            Units(name, size, over, tuple(sizes[base] for base in over), "units", acts.get(name, ()))
            for name, size, over in units
        ),
        placements,
        bases,
    )


def elements(group: SymmetryGroup) -> Iterator[Element]:
    """Every element."""
    tables = []
    for unit in group.units:
        rows = list(permutations(range(unit.size)))
        tables.append(
            [torch.tensor(chosen).reshape(*unit.over_sizes, unit.size) for chosen in product(rows, repeat=unit.copies)]
        )
    for chosen in product(*tables):
        yield Element(group, {unit.name: table for unit, table in zip(group.units, chosen, strict=True)})


def orbit(group: SymmetryGroup, params: Mapping[str, torch.Tensor]) -> int:
    """How many distinct parameters the group makes of these, one by one."""
    return len({tuple(tuple(t.flatten().tolist()) for t in g.act(params).values()) for g in elements(group)})


M = Moving
SMALL = {
    "two layers": handmade(
        [("a", 4, ()), ("b", 3, ())],
        {"w1": (M("a", 4), Fixed(2)), "w2": (M("b", 3), M("a", 4)), "w3": (Fixed(1), M("b", 3))},
    ),
    "one layer of five": handmade([("a", 5, ())], {"w": (M("a", 5), Fixed(1)), "v": (Fixed(1), M("a", 5))}),
    "both axes": handmade([("a", 4, ())], {"w": (M("a", 4), M("a", 4)), "b": (M("a", 4),)}),
    "both axes of five": handmade([("a", 5, ())], {"w": (M("a", 5), M("a", 5))}),
    "heads": handmade(
        [("h", 3, ()), ("d", 2, ("h",))], {"w": (Merged((M("h", 3), M("d", 2))), Fixed(2)), "v": (M("h", 3),)}
    ),
    "two fibres that meet": handmade(
        [("h", 2, ()), ("d", 2, ("h",)), ("e", 3, ("h",))],
        {"w": (Merged((M("h", 2), M("d", 2))), Fixed(1)), "v": (M("h", 2), M("d", 2), M("e", 3))},
    ),
    "over a fixed base": handmade([("d", 3, ("h",))], {"w": (Merged((M("h", 2), M("d", 3))), Fixed(2))}, {"h": 2}),
    "segments": handmade(
        [("a", 3, ()), ("b", 2, ())],
        {"w": (Segments((M("a", 3), Fixed(2), M("b", 2))), Segments((M("b", 2), M("a", 3))))},
    ),
    "three storeys": handmade(
        [("h", 2, ()), ("g", 2, ("h",)), ("d", 2, ("h", "g"))],
        {"w": (Merged((M("h", 2), M("g", 2), M("d", 2))),), "x": (M("h", 2), M("g", 2))},
    ),
    "over two bases": handmade(
        [("h", 2, ()), ("g", 2, ()), ("d", 2, ("g", "h"))],
        {"w": (Merged((M("h", 2), M("d", 2), M("g", 2))),), "x": (M("h", 2), M("g", 2))},
    ),
    "fibre before its base": handmade([("h", 3, ()), ("d", 2, ("h",))], {"w": (M("d", 2), Fixed(2), M("h", 3))}),
}
