"""Many parameter axes in few words: ``h.{0..11}.ln_{1,2}.{weight,bias}[0]`` for 48 of them.

Braces mean what they mean to a shell: every combination, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from orbitope.group.naming import shared

Spot = tuple[str, int | None]
"""A parameter and one of its axes; None where whole tensors change places."""

Slot = tuple[object, ...]
Key = tuple[str, tuple[Slot, ...]]

SEVERAL = 3
"""From so many tensors on, all tensors of a module along one axis are written ``bn.*[0]``."""


def spelled(name: str, axis: int | None) -> str:
    """``fc.weight[0]``; of whole tensors the name alone."""
    return name if axis is None else f"{name}[{axis}]"


def patterns(spots: Iterable[Spot], known: Collection[str] = ()) -> list[str]:
    """The same axes as few patterns, in the order in which they come.

    Args:
        spots: parameters and axes.
        known: names of all parameters, to tell where a pattern takes all tensors of a module.

    >>> patterns([("h.0.ln.weight", 0), ("h.0.ln.bias", 0), ("h.1.ln.weight", 0), ("h.1.ln.bias", 0), ("out", 1)])
    ['h.{0,1}.ln.{weight,bias}[0]', 'out[1]']
    """
    leaves: dict[str, set[str]] = {}
    for name in known:
        module, _, leaf = name.rpartition(".")
        leaves.setdefault(module, set()).add(leaf)
    keys = [_key(name, axis, leaves) for name, axis in dict.fromkeys(spots)]
    longest = max((len(slots) for _, slots in keys), default=0)
    for slot in range(longest):
        keys = _merged(keys, slot)
    return [_written(key) for key in keys]


def _key(name: str, axis: int | None, leaves: dict[str, set[str]]) -> Key:
    """What must agree, and the slots that may differ: the axis, then the parts of the name from the right."""
    module = name.rpartition(".")[0]
    parts = name.split(".")
    complete = "\0".join(sorted(leaves.get(module, ())))
    return f"{len(parts)}\1{complete}", ((axis,), *((part,) for part in reversed(parts)))


def _merged(keys: Sequence[Key], slot: int) -> list[Key]:
    """Keys that differ in one slot only become one, in the place of the first."""
    found: dict[object, Slot] = {}
    made: dict[object, Key] = {}
    for rest, slots in keys:
        if slot >= len(slots) or (slot == 0 and slots[0] == (None,)):
            made[rest, slots] = (rest, slots)
            continue
        others = (rest, slots[:slot], slots[slot + 1 :])
        found[others] = (*found.get(others, ()), *(x for x in slots[slot] if x not in found.get(others, ())))
        made[others] = (rest, (*slots[:slot], found[others], *slots[slot + 1 :]))
    return list(made.values())


def _written(key: Key) -> str:
    rest, slots = key
    axes, *parts = slots
    names = [[str(value) for value in values] for values in reversed(parts)]
    complete = set(rest.partition("\1")[2].split("\0"))
    every = len(names[-1]) >= SEVERAL and set(names[-1]) == complete
    text = ".".join([*map(_choice, names[:-1]), "*" if every else _choice(names[-1])])
    return text if axes == (None,) else f"{text}[{','.join(map(str, axes))}]"


def _choice(parts: Sequence[str]) -> str:
    """One of several parts of a name; what they share at word boundaries is written once."""
    if len(parts) == 1:
        return parts[0]
    head = parts[0][: shared(parts)]
    numbers = [part[len(head) :] for part in parts]
    if all(number.isdigit() for number in numbers) and not head[-1:].isdigit():
        return head + _numbers(sorted(map(int, numbers)))
    head = re.sub(r"[^_.]*$", "", head)
    rests = [part[len(head) :][::-1] for part in parts]
    tail = rests[0][: shared(rests)][::-1]
    tail = tail[tail.index("_") :] if "_" in tail else ""
    inner = [part[len(head) : len(part) - len(tail)] for part in parts]
    if not all(inner):
        head, tail, inner = "", "", list(parts)
    return f"{head}{{{','.join(inner)}}}{tail}"


def _numbers(values: Sequence[int]) -> str:
    """``{0..11}`` for neighbours, ``{0,2,5}`` for others, ``{0,2,…,22}`` for many others."""
    if len(values) > 2 and all(b - a == 1 for a, b in pairwise(values)):
        return f"{{{values[0]}..{values[-1]}}}"
    if len(values) > 5:
        return f"{{{values[0]},{values[1]},…,{values[-1]}}}"
    return "{" + ",".join(map(str, values)) + "}"
