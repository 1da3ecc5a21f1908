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
    if document["points"]:
        start, names = found["start"], {name for table in document["points"] for name in table}
        points = [start | {n: decode(v) for n, v in table.items()} for table in document["points"]]
        if document["claim"] == "slopes":
            p, q = points
            times = [Fraction(*t) for t in document["times"]]
            points = [start | {n: p[n] + t * (q[n] - p[n]) for n in names} for t in times]
        else:
            count = Fraction(len(points))
            found["average"] = start | {n: sum((x[n] for x in points[1:]), points[0][n]) / count for n in names}
        found["points"] = points
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
    claim, text = document["claim"], document["statement"]
    stated = [[float.fromhex(x) for x in pair] for pair in document["enclosures"]["points"]]
    where = chain(document)
    constants = {name: decode(v) for name, v in document["constants"].items()}
    data = {name: decode(v) for name, v in document["data"].items()}

    def value(point):
        return mean_loss(document["program"], point, constants, data)

    variables = set(document["variables"])
    touched = {name for table in [*document["points"], *(s["moves"] for s in document["steps"])] for name in table}
    allowed = touched <= variables <= set(where["start"])
    values = [value(p) for p in where["points"]]
    inside = len(stated) == len(values)
    inside &= all(within(v, Fraction(s[0]), Fraction(s[1])) for v, s in zip(values, stated, strict=True))
    found = {}
    for name in ("average", "start", "end"):
        pair = document["enclosures"][name]
        if pair is not None:
            found[name] = value(where[name])
            inside &= within(found[name], *(Fraction(float.fromhex(x)) for x in pair))
    if claim == "slopes":
        t1, t2, t3, t4 = (Fraction(*t) for t in document["times"])
        assert t1 < t2 <= t3 < t4
        gap = (values[1] - values[0]) / ball_or(t2 - t1, values[0]) - (values[3] - values[2]) / ball_or(
            t4 - t3, values[0]
        )
        above = any(all(bool(inner > outer) for outer in (values[0], values[3])) for inner in values[1:3])
    else:
        gap = found["average"] - sum(values[1:], values[0]) / len(values)
        above = all(bool(found["average"] > v) for v in values)
    claims = [found["end"] - found["start"], gap] if claim == "orbit-average" else [gap]
    numbers = [Fraction(x.rstrip(".,;")) for x in re.findall(r"at least (\S+)", text)]
    said = len(numbers) == len(claims) and all(
        n > 0 and bool(c >= ball_or(n, c)) for n, c in zip(numbers, claims, strict=True)
    )
    said &= above or "nor quasi-convex" not in text
    if claim == "orbit-average":
        said &= where["fixed"] and bool(found["end"] > found["start"]) and said_of_moves(document)
    elif document["steps"]:
        said &= len(document["steps"]) == 1 and document["steps"][0]["order"] == len(values)
        said &= f"with the entries of {', '.join(sorted(document['steps'][0]['moves']))} permuted as listed" in text
    else:
        said &= f"equal to its parameters but for {', '.join(sorted(touched))}" in text or len(touched) > 12
    samples = len(next(iter(data.values())))
    block = next((node["shape"][0] for node in document["program"]["nodes"] if node["op"] == "input"), samples)
    at_once = {1: "", samples: " together" * (samples > 1)}.get(block, f", {block} at a time")
    said &= f"mean of the program's outputs over {samples} samples{at_once}, as a function of" in text
    said &= claim != "midpoint" or len(values) == 2
    said &= all(name in text for name in variables) or len(variables) > 12
    said &= all(step["units"] in text for step in document["steps"])
    if claim == "slopes":
        t = [str(Fraction(*time)) for time in document["times"]]
        said &= f"from s = {t[0]} to t = {t[1]} exceeds that from s = {t[2]} to t = {t[3]} by" in text
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

    document = {"steps": [], "violated": 0, **document_parts}
    for section in ("parameters", "constants", "data"):
        stored = {name: v if isinstance(v, dict) else encode_array(v) for name, v in document_parts[section].items()}
        document[section] = stored
    document["points"] = [{n: encode_array(v) for n, v in table.items()} for table in document.get("points", ())]
    document["times"] = [Fraction(t).as_integer_ratio() for t in document.get("times", ())]
    where = chain(document)
    constants = {name: decode(v) for name, v in document["constants"].items()}
    data = {name: decode(v) for name, v in document["data"].items()}

    def value(point):
        return outward(mean_loss(document["program"], point, constants, data), width)

    names = {"orbit-average": ("start", "average", "end"), "slopes": ()}.get(document["claim"], ("average",))
    return {"points": [value(p) for p in where["points"]], **{name: value(where[name]) for name in names}}
