"""Where units are at home among the modules of a network, read off the names of the parameters that they move."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from orbitope.group.units import Units


def home(unit: Units) -> str:
    """The path of the innermost module that holds every parameter that the units move; empty for the whole network.

    >>> home(Units("0", 6, acts_on=(("block.0.weight", 0), ("block.2.weight", 1))))
    'block'
    """
    paths = [name.split(".")[:-1] for name, _ in unit.acts_on]
    return ".".join(paths[0][: shared(paths)]) if paths else ""


def shared(sequences: Sequence[Sequence[Hashable]]) -> int:
    """How many leading items all sequences have in common.

    >>> shared(["conv1", "conv2"])
    4
    """
    count = 0
    for items in zip(*sequences, strict=False):
        if len(set(items)) > 1:
            break
        count += 1
    return count


def told_from(path: str, name: str) -> str:
    """A name as told from a module; of what is named after that module, its last part.

    >>> told_from("h.0", "h.0.attn.qkv#2"), told_from("h.0.attn", "h.0.attn#2"), told_from("h.0", "out")
    ('attn.qkv#2', 'attn#2', 'out')
    """
    stem, mark, number = name.partition("#")
    if stem == path:
        return path.rpartition(".")[2] + mark + number
    return name[len(path) + 1 :] if path and name.startswith(f"{path}.") else name
