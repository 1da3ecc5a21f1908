"""Resealed mutations of certificates: none may be accepted whose claim is false.

``python -m tests.proof.campaign [COUNT]`` makes COUNT of them for every base and prints a table.
"""

import base64
import collections
import contextlib
import copy
import json
import random
import re
import sys
import time

import flint
import numpy as np
from tests.proof import evaluation, oracle
from tests.proof.checking import checker
from tests.proof.sealing import BASES, build, seal

from orbitope.proof.certificate import encode_array

WORDS = [
    "relu",
    "tanh",
    "identity",
    "exp",
    "sub",
    "add",
    "mul",
    "midpoint",
    "orbit-average",
    "average",
    "slopes",
    "x",
    "target",
    "n3",
    "w",
    "v",
]


WORDS += [
    "parameter",
    "constant",
    "contract",
    "reduce",
    "sum",
    "mean",
    "float16",
    "int64",
    "bfloat16",
    "bi,oi->ob",
    "minimum",
    "maximum",
    "div",
    "square",
    "abs",
    "neg",
    "le",
    "erf",
    "cos",
    "gt",
    "where",
    "full",
    "safe",
    "log",
    "values",
    "wte",
    "mask",
    "",
    "0x1p-3",
]


def leaves(value, path=()):
    """Every place of a document, inner ones too."""
    yield path, value
    if isinstance(value, dict):
        for key in sorted(value):
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        for k, part in enumerate(value):
            yield from leaves(part, (*path, k))


def replaced(document, path, new):
    document = copy.deepcopy(document)
    if not path:
        return new
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return document


def variants(value, rng):
    """Other values for one place."""
    other = rng.choice([None, True, -1, 0, 1.5, "x", [], {}])
    if isinstance(value, bool):
        return [not value, int(value), other]
    if isinstance(value, int):
        return [value + 1, value - 1, -value, value == 1, float(value), 2**70, other]
    if isinstance(value, float):
        return [float(np.nextafter(value, 9)), -value, value * 2, 0, str(value), other]
    if isinstance(value, str):
        nodes = [f"n{rng.randrange(40)}" for _ in range(4)] if re.fullmatch(r"n\d+", value) else []
        result = [value + "0", value[:-1], value.swapcase(), *rng.sample(WORDS, 4), *nodes, other]
        if value.lstrip("-").startswith("0x"):
            x = float.fromhex(value)
            moved = [x + 1, x - 1, x + 1e-6, x - 1e-6, -x, float(np.nextafter(x, 9)), x / 2, 0.0]
            result += [m.hex() for m in moved] + ["0x1p+4000", "nan", "inf"]
        return result
    if isinstance(value, list):
        result = [[*value, *value[-1:]], value[:-1], value[::-1], [], other]
        result += [[{}, {}], [[0, 1], [1, 3], [1, 3], [1, 1]]] * (not value)
        if len(value) > 1:
            i, j = rng.sample(range(len(value)), 2)
            swapped = list(value)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            result.append(swapped)
        return result
    if isinstance(value, dict):
        keys = sorted(value)
        result = [{**value, "extra": 1}, {}, other]
        if keys:
            gone = rng.choice(keys)
            result.append({k: v for k, v in value.items() if k != gone})
            result.append({(k + "_" if k == gone else k): v for k, v in value.items()})
        if len(keys) > 1:
            i, j = rng.sample(keys, 2)
            result.append({**value, i: value[j], j: value[i]})
        if {"dtype", "shape"} < set(value):
            result += arrays(value, rng)
        return result
    return [other]


def arrays(value, rng):
    """Other numbers in a stored array, and other forms of the same or nearly the same numbers."""
    dtype, shape = value["dtype"], value["shape"]
    found = [{"dtype": dtype, "shape": shape, "fill": x} for x in (0, 1, -1, 0.5, value.get("fill", 2) * 2, 10**30)]
    if value.get("data"):
        raw = base64.b64decode(value["data"])
        for _ in range(4):
            changed = bytearray(raw)
            changed[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            found.append({**value, "data": base64.b64encode(changed).decode()})
    if "rows" in value:
        rows = value["rows"]
        found += [{**value, "rows": other} for other in ([r + 1 for r in rows], [r - 1 for r in rows], rows[::-1], [])]
        found.append({k: v for k, v in value.items() if k != "rows"})
        found.append({**value, "rows": [], "data": ""})
    elif "data" in value and shape:
        found.append({**value, "rows": list(range(shape[0]))})
        found.append({**value, "rows": list(range(1, shape[0] + 1))})
        found.append({**value, "rows": [0]})
    numbers = oracle.decode(value).astype(float)
    kind = np.dtype("float32" if dtype == "bfloat16" else dtype)
    for factor in (0, 2, -1)[: 2 if kind.kind in "ub" else 3]:
        found.append(encode_array((numbers * factor).astype(kind)))
    found.append(encode_array(numbers))
    found.append(encode_array(numbers[::-1].astype(kind) if numbers.ndim else numbers))
    if numbers.size:
        moved = numbers.copy()
        moved.reshape(-1)[rng.randrange(numbers.size)] = 0
        found.append(encode_array(moved))
    return found


def fitted(document):
    """The same with the enclosures that the checker computes, so that little but their truth can be wrong with it."""
    table, claim = document["enclosures"], document["claim"]
    low, high = ["-0x1.0p+900"] * 2, ["0x1.0p+900"] * 2
    points = [low for _ in table["points"]] if claim != "slopes" else [low, high, high, low]
    others = {name: table[name] and (low if name == "start" else high) for name in ("average", "start", "end")}
    asked = copy.deepcopy(document) | {"enclosures": {**others, "points": points}}
    found = checker.check(seal(asked, statement=True)).enclosures
    hexes = {n: v and [float(x).hex() for x in v] for n, v in found.items() if n != "points"}
    return document | {"enclosures": {**hexes, "points": [[x.hex() for x in pair] for pair in found["points"]]}}


def well_formed(document):
    """Whether the checker reads it when it is sealed."""
    try:
        checker.check(seal(document, statement=True), limit=0)
    except checker.MalformedError:
        return False
    return True


def mutations(document, rng):
    """(path, new value) of every place, in random order but for one of each kind of place, which come first."""
    every = [(path, new) for path, value in leaves(document) if path for new in variants(value, rng) if new != value]
    rng.shuffle(every)
    first, later, seen = [], [], set()
    for path, new in every:
        kind = tuple(key for key in path if isinstance(key, str))[:2]
        (later if kind in seen else first).append((path, new))
        seen.add(kind)
    return first + later


def forgeries(document, rng, count):
    """(what was changed, bytes) of resealed mutations: half of them arbitrary, half still well formed.

    Of those, some have two changes. The statement is made to fit or not, or the enclosures and the statement are.
    """
    sealed = {name: part for name, part in document.items() if name != "digests"}
    some = mutations(sealed, rng)
    alive = []
    while len(alive) < count // 5 + 1:
        found = [(path, new) for path, new in mutations(sealed, rng) if new != sealed.get(path[0])][: 4 * count + 400]
        alive += [change for change in found if well_formed(replaced(sealed, *change))]
    rng.shuffle(alive)
    made = 0
    while made < count:
        for changes in (some.pop(0) if some else rng.choice(alive),), tuple(rng.sample(alive, rng.choice([1, 2]))):
            altered = sealed
            for change in changes:
                with contextlib.suppress(LookupError, TypeError):
                    altered = replaced(altered, *change)
            if json.dumps(altered) == json.dumps(sealed):
                continue
            for how in ("stated", "as it was", "fitted"):
                data = None
                with contextlib.suppress(Exception):
                    data = seal(fitted(altered) if how == "fitted" else altered, how != "as it was")
                if data is not None:
                    made += 1
                    yield (changes[0][0], [new for _, new in changes], how), data


def verdict_on(data, module=checker):
    """True, False, or None where it is no certificate. Nothing else may happen, and nothing slowly."""
    began = time.process_time()
    try:
        result = bool(module.check(data))
    except module.MalformedError as error:
        assert 0 < len(str(error)) <= 300 and str(error).isprintable()
        result = None
    assert time.process_time() - began < 5
    return result


def is_true(data):
    return oracle.is_true(json.loads(data))


def judge(data):
    """The checker's answer to some bytes, and, where it accepts them, whether the oracle finds them true."""
    result = verdict_on(data)
    if not result:
        return "rejected" if result is False else "malformed"
    try:
        return "accepted, true" if is_true(data) else "ACCEPTED, FALSE"
    except evaluation.UndecidedError:
        return "ACCEPTED, UNDECIDED"


def main():
    """The campaign."""
    count, columns = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, ("malformed", "rejected", "accepted, true")
    total = collections.Counter()
    with flint.ctx.workprec(evaluation.PRECISION):
        print(f"{'base':28}{'mutations':>10}" + "".join(f"{c:>16}" for c in columns) + f"{'other':>8}{'seconds':>9}")
        for name in BASES:
            began, rng, tally, sections = time.perf_counter(), random.Random(name), collections.Counter(), set()
            for (path, new, statement), data in forgeries(build(name).document, rng, count):
                answer = judge(data)
                tally[answer] += 1
                sections.add(path[0] if len(path) else None)
                if answer not in columns:
                    print(name, path, repr(new)[:200], statement)
            missing = set(checker.SECTIONS) - sections
            print(
                f"{name:28}{tally.total():10}"
                + "".join(f"{tally[c]:16}" for c in columns)
                + f"{sum(n for c, n in tally.items() if c not in columns):8}{time.perf_counter() - began:9.0f}",
                f"never changed: {sorted(missing)}" if missing else "",
                flush=True,
            )
            total += tally
    print(f"{'all':28}{total.total():10}" + "".join(f"{total[c]:16}" for c in columns))


if __name__ == "__main__":
    main()
