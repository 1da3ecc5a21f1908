"""Whether what a certificate states is true, by the exact evaluation of its program."""

import re
from fractions import Fraction

import flint
import numpy as np
from tests.proof.evaluation import ball, decode, mean_loss, within


def moved(point, moves):
    point = dict(point)
    for name, pairs in moves.items():
        for axis, permutation in pairs:
            old, new = np.moveaxis(point[name], axis, 0), np.empty_like(np.moveaxis(point[name], axis, 0))
            for i, k in enumerate(permutation):
                new[k] = old[i]
            point[name] = np.moveaxis(new, 0, axis)
    return point


def chain(document):
    """start, the points and the average of the violated step, end; and whether every move fixes the end."""
    point = {name: decode(v) for name, v in document["parameters"].items()}
    found = {"start": point}
    for k, step in enumerate(document["steps"]):
        points = [point]
        for _ in range(step["order"] - 1):
            points.append(moved(points[-1], step["moves"]))
        point = {name: sum((p[name] for p in points[1:]), points[0][name]) / Fraction(step["order"]) for name in point}
        if k == document["violated"]:
            found |= {"points": points, "average": point}
    found["end"] = point
    found["fixed"] = all(
        (moved(point, step["moves"])[name] == point[name]).all() for step in document["steps"] for name in point
    )
    return found


def said_of_moves(document):
    """Whether what the statement says of positions carried into one another is so, by joining them pair by pair."""
    said = re.findall(
        r"those called (\S+) carry (\d+) positions of axis (\d+) of (\S+?) into one another", document["statement"]
    )
    for units, count, axis, name in said:
        links = [
            set(pair)
            for step in document["steps"]
            for k, p in (step["moves"].get(name, []) if step["units"] == units else [])
            if k == int(axis)
            for pair in enumerate(p)
            if pair[0] != pair[1]
        ]
        reached = set(links[0])
        for _ in links:
            reached = reached.union(*(link for link in links if link & reached))
        if len(reached) != int(count) or any(not link <= reached for link in links):
            return False
    return True


def is_true(document):
    """Whether everything that the document states is true, by exact evaluation."""
    table = {name: [float.fromhex(x) for x in v] for name, v in document["enclosures"].items() if name != "points"}
    stated = [[float.fromhex(x) for x in pair] for pair in document["enclosures"]["points"]]
    where = chain(document)
    constants = {name: decode(v) for name, v in document["constants"].items()}
    data = {name: decode(v) for name, v in document["data"].items()}

    def value(point):
        return mean_loss(document["program"], point, constants, data)

    variables = set(document["variables"])
    allowed = all(set(step["moves"]) <= variables for step in document["steps"]) and variables <= set(where["start"])
    values = [value(p) for p in where["points"]]
    average, start, end = value(where["average"]), value(where["start"]), value(where["end"])
    inside = all(within(v, Fraction(s[0]), Fraction(s[1])) for v, s in zip(values, stated, strict=True))
    inside &= all(
        within(v, *map(Fraction, table[name])) for name, v in (("average", average), ("start", start), ("end", end))
    )
    gap = average - sum(values[1:], values[0]) / len(values)
    claims = [end - start, gap] if document["claim"] == "orbit-average" else [gap]
    numbers = [Fraction(x.rstrip(".,;")) for x in re.findall(r"at least (\S+)", document["statement"])]
    said = len(numbers) == len(claims) and all(
        n > 0 and bool(c >= ball_or(n, c)) for n, c in zip(numbers, claims, strict=True)
    )
    if "nor quasi-convex" in document["statement"]:
        said &= all(bool(average > v) for v in values)
    if document["claim"] == "orbit-average":
        said &= where["fixed"] and bool(end > start) and said_of_moves(document)
    else:
        said &= len(document["steps"]) == 1 and document["steps"][0]["order"] == 2
        moved = ", ".join(sorted(document["steps"][0]["moves"]))
        said &= f"with the entries of {moved} permuted as listed in the certificate" in document["statement"]
    said &= f"mean over {len(next(iter(data.values())))} samples" in document["statement"]
    said &= all(name in document["statement"] for name in variables) or len(variables) > 12
    said &= all(step["units"] in document["statement"] for step in document["steps"])
    return bool(allowed and inside and said and bool(gap > 0))


def ball_or(n, like):
    return ball(n) if isinstance(like, flint.arb) else n


def outward(value, width=0.0):
    """A pair of floats around a Fraction or an Arb ball, at most `width` and a rounding away on both sides."""
    middle = float(value.mid()) if isinstance(value, flint.arb) else float(value)
    low, high = middle - width, middle + width
    while not within(value, Fraction(low), Fraction(high)):
        low, high = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    return float(low), float(high)


def enclosures(document_parts, width=0.0):
    """True enclosures for `Certificate.build`, by the oracle."""
    from orbitope.proof.certificate import encode_array

    document = dict(document_parts)
    for section in ("parameters", "constants", "data"):
        document[section] = {name: encode_array(v) for name, v in document_parts[section].items()}
    where = chain(document)
    constants = {name: decode(v) for name, v in document["constants"].items()}
    data = {name: decode(v) for name, v in document["data"].items()}

    def value(point):
        return outward(mean_loss(document["program"], point, constants, data), width)

    return {
        "start": value(where["start"]),
        "points": [value(p) for p in where["points"]],
        "average": value(where["average"]),
        "end": value(where["end"]),
    }
