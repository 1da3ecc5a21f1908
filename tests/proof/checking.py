"""The checker, whole or with a fault planted in its text, on certificates and on single programs."""

import importlib
import json
import sys
import types
from fractions import Fraction
from pathlib import Path

from tests.proof import evaluation, oracle

from orbitope.proof.certificate import Certificate

SOURCE = Path(__file__).parents[2] / "src" / "orbitope" / "proof" / "check.py"
NARROW = Fraction(1, 1 << 90)
checker = importlib.import_module("orbitope.proof.check")


def load(name, path, text=None):
    """A module from a file, or from altered text of it."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(text if text is not None else path.read_text(), str(path), "exec"), module.__dict__)
    return module


def certificate(parts, width=1e-9, **changes):
    parts = {**parts, **changes}
    bounds = parts.pop("enclosures", None) or oracle.enclosures(parts, width)
    return Certificate.build(**parts, enclosures=bounds)


def enclose(module, program, point, constants=None, data=None, precision=128, matrix=None):
    """The checker's bounds of F at a point; tables are name -> (integers, denominator, shape)."""
    tables = {"parameter": point, "constant": constants or {}, "input": data or {"x": ([0], 1, (1, 1))}}
    samples = next(iter(tables["input"].values()))[2][0]
    block = next((node["shape"][0] for node in program["nodes"] if node["op"] == "input"), samples)
    leaves = {}
    tables = {kind: dict(table) for kind, table in tables.items()}
    for kind, table in tables.items():
        leaves[kind] = {}
        for name, (v, den, shape) in [*table.items()]:
            stored = module.Stored(shape, range(shape[0] if shape else 1), v, den)
            box, shape = module.nonzero(stored), (block, *shape[1:]) if kind == "input" else shape
            box = module.whole(shape) if kind == "input" else box
            leaves[kind][name] = module.Leaf(shape, box, module.width(stored))
            table[name] = (v, den) if kind == "input" else module.inside(stored, box, [0])
    tables = tables.values()
    compiled = module.Program(json.loads(json.dumps(program)), leaves, module.Fixed(precision, matrix))
    return compiled.value(*tables, samples // block, lambda: None)


def exact(program, point, constants=None, data=None):
    tables = [point, constants or {}, data or {"x": ([0], 1, (1, 1))}]
    return evaluation.mean_loss(program, *map(evaluation.point_of, tables))
