"""Models that are Python: factories in modules and files, and the small networks of the demonstration."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from orbitope.cli.output import talk
from orbitope.errors import FileError, ModelArgumentError

RETURNS = "a module, (module, example_inputs) or (module, args, kwargs)"

Made = tuple[nn.Module, tuple[Any, ...] | None, Mapping[str, Any]]


def from_factory(label: str) -> Made:
    """Call ``package.module:factory`` or ``file.py:factory``.

    Returns:
        The module, its example inputs (None where the factory gives none), and those passed by name.

    Raises:
        ModelArgumentError: no such module or factory, it raises, or it returns something else.
        FileError: no such file.
    """
    found = imported(label)
    if isinstance(found, nn.Module):
        return found, None, {}
    if not callable(found):
        raise ModelArgumentError(
            f"{label} is not a factory",
            got=type(found).__name__,
            fix=f"name a function that returns {RETURNS}",
        )
    return _made(label, _run(label, "the factory failed", found))


def imported(label: str) -> Any:
    """The object that ``package.module:name`` or ``file.py:name`` stands for.

    Raises:
        ModelArgumentError: no such module, or nothing of that name in it.
        FileError: no such file.
    """
    home, _, name = label.rpartition(":")
    found = _import(label, home)
    for part in name.split("."):
        if not hasattr(found, part):
            known = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
            known.sort(key=lambda key: isinstance(vars(found)[key], type))  # factories before classes
            raise ModelArgumentError(
                f"{home} has no {name}", at=label, got=f"it has {', '.join(known[:12]) or 'nothing to call'}"
            )
        found = getattr(found, part)
    return found


def _import(label: str, home: str) -> Any:
    """The module, imported the way ``python`` in this folder would."""
    if home.endswith(".py"):
        path = Path(home)
        if not path.is_file():
            raise FileError(
                f"cannot read {home}",
                at=home,
                got="a folder" if path.is_dir() else "No such file or directory",
            )
        sys.path.insert(0, str(path.parent.resolve()))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        loader = spec and spec.loader
        if spec is None or loader is None:
            raise ModelArgumentError(f"{home} cannot be imported", at=label)
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        _run(label, "the file cannot be imported", lambda: loader.exec_module(module))
        return module
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", home):
        raise ModelArgumentError(f"{home!r} is neither a Python file nor a module", at=label)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return _run(label, "the module cannot be imported", lambda: importlib.import_module(home))


def _run(label: str, what: str, code: Callable[[], Any]) -> Any:
    """Run the user's own code; whatever it raises is told with its place."""
    try:
        return code()
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in (__file__,)]
        own = [f for f in frames if "importlib" not in f.filename and "site-packages" not in f.filename]
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}: {own[-1].line}" if own else label
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelArgumentError(
            f"{label}: {what}",
            at=place,
            got=f"{type(error).__name__}: {first[:300]}",
            fix="it must run in this environment without arguments",
        ) from error


def _made(label: str, result: Any) -> Made:
    match result:
        case nn.Module():
            return result, None, {}
        case (nn.Module() as module, tuple() | list() as args):
            return module, tuple(args), {}
        case (nn.Module() as module, torch.Tensor() as only):
            return module, (only,), {}
        case (nn.Module() as module, tuple() | list() as args, Mapping() as kwargs):
            return module, tuple(args), dict(kwargs)
        case _:
            pass
    got = type(result).__name__
    if isinstance(result, tuple | list):
        got = f"{got} of {', '.join(type(part).__name__ for part in result)}"
    raise ModelArgumentError(f"{label} does not return a model", got=got, fix=f"return {RETURNS}")


# demonstration networks -----------------------------------------------------------------------------------------

NETWORKS: dict[str, str] = {
    "digits-mlp": "64-32-32-10, ReLU",
    "digits-cnn": "two convolutions of 8 and 16 channels, ReLU",
    "digits-tanh": "64-32-32-10, tanh",
    "digits-linear": "64-10, logistic regression",
}


def demo_network(label: str) -> nn.Module:
    """``demo:NAME`` with random weights; ``demo:NAME,trained`` is trained on the digits, ``,seed=1`` sets the seed.

    Raises:
        ModelArgumentError: no such network or option.
    """
    from orbitope.reports.digits import classifier, cnn, digits, train

    name, *options = label.removeprefix("demo:").split(",")
    seeds = [option for option in options if re.fullmatch(r"seed=\d{1,9}", option)]
    unknown = [option for option in options if option != "trained" and option not in seeds]
    if name not in NETWORKS or unknown:
        raise ModelArgumentError(
            f"{label!r} does not name a demonstration network",
            got=f"option {unknown[0]!r}" if unknown and name in NETWORKS else None,
            fix=f"demo: with one of {', '.join(NETWORKS)}; then, if wanted, ,trained and ,seed=1",
        )
    seed = int(seeds[-1].removeprefix("seed=")) if seeds else 0
    match name:
        case "digits-cnn":
            network = cnn(seed)
        case "digits-linear":
            network = classifier((), seed=seed)
        case _:
            network = classifier((32, 32), "tanh" if name == "digits-tanh" else "relu", seed)
    if "trained" in options:
        x, y = digits("train")
        with talk().wait(f"training {label}") as tick:
            train(network, x, y, epochs=20 if name == "digits-cnn" else 40, seed=seed, progress=tick)
    return network
