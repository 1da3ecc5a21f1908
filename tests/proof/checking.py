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


def enclose(module, program, point, constants=None, data=None):
    """The checker's bounds of F at a point; tables are name -> (integers, denominator, shape)."""
    constants, data = constants or {}, data or {"x": ([0], 1, (1, 1))}
    shapes = {
        "parameter": {name: shape for name, (_, _, shape) in point.items()},
        "constant": {name: shape for name, (_, _, shape) in constants.items()},
        "input": {name: (1, *shape[1:]) for name, (_, _, shape) in data.items()},
    }

    def strip(table):
        return {name: (v, den) for name, (v, den, _) in table.items()}

    compiled = module.Program(json.loads(json.dumps(program)), shapes)
    return compiled.value(strip(point), strip(constants), strip(data), next(iter(data.values()))[2][0], lambda: None)


def exact(program, point, constants=None, data=None):
    tables = [point, constants or {}, data or {"x": ([0], 1, (1, 1))}]
    return evaluation.mean_loss(program, *map(evaluation.point_of, tables))
