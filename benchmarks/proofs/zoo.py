"""Certificates for the zoo: for every model that can be traced, whether its loss is proved not convex, or why not.

    python benchmarks/proofs/zoo.py --library nn --library transformers --output proofs.jsonl
    python benchmarks/proofs/zoo.py --summary proofs.jsonl --into docs/proofs-zoo.md

The loss is the mean squared error of the model's first floating output (or its logits) against random targets, on the
random inputs of the zoo. One process for each model; what the output file has already is skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # read once, when NumPy and torch are loaded

ZOO = Path(__file__).resolve().parent.parent / "zoo"


def measure(library: str, name: str) -> dict[str, Any]:
    """What prove and check say of one model."""
    import torch

    sys.path.insert(0, str(ZOO))
    from families import entries

    from orbitope import Objective, prove
    from orbitope.errors import OrbitopeError
    from orbitope.frontends import lower, trace
    from orbitope.proof import check_certificate

    torch.set_num_threads(1)
    torch.manual_seed(0)
    entry = next(e for e in entries([library], "sdpa") if e.name == name)
    facts: dict[str, Any] = {"library": library, "name": name}
    begun = time.perf_counter()
    try:
        model, args, kwargs = entry.make()
        program = trace(model, args, kwargs)
        output = _read(lower(program))
        fixed = {key: value for key, value in kwargs.items() if not isinstance(value, torch.Tensor)}
        named = {key: value for key, value in kwargs.items() if key not in fixed}
        if (args and named) or any(not isinstance(x, torch.Tensor) for x in (*args, *_leaves(fixed))):
            return facts | {"reason": "the zoo's inputs are not plain tensors"}
        if fixed:
            model = _held(model, fixed)
        inputs, (label, shape) = tuple(args) or named, output
        target = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        objective = Objective(model, "mse", (inputs, target), output=label)
        facts["objective"] = time.perf_counter() - begun
        begun = time.perf_counter()
        result = prove(objective)
        facts["prove"] = time.perf_counter() - begun
    except OrbitopeError as error:
        return facts | {"reason": f"{type(error).__name__}: {error.what}"}
    if not result:
        return facts | {"reason": result.reason, "tried": list(result.tried)}
    told = result.document["agreement"]
    facts |= {"strategy": told["strategy"], "bits": told["bits"], "width": told["enclosure width"], "gap": result.gap}
    begun = time.perf_counter()
    verdict = check_certificate(result.to_bytes())
    facts |= {"check": time.perf_counter() - begun, "accepted": verdict.accepted, "work": verdict.multiply_adds}
    return facts if verdict.accepted else facts | {"reason": verdict.reason}


def _leaves(fixed: dict[str, Any]) -> list[Any]:
    """The tensors within arguments that are no tensors."""
    from torch.utils import _pytree as pytree

    found = [leaf for leaf in pytree.tree_leaves(fixed) if hasattr(leaf, "shape")]
    return [None] * len(found)  # none of them may be there


def _held(model: Any, fixed: dict[str, Any]) -> Any:
    """The model with some arguments, such as flags, given already."""
    from torch import nn

    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.model(*args, **kwargs, **fixed)

    return Held().eval()


def _read(graph: Any) -> tuple[str, tuple[int, ...]]:
    """Name and shape of the output that the loss reads."""
    names = list(zip(graph.output_names, graph.outputs, strict=True))
    logits = [pair for pair in names if pair[0].split(".")[-1] == "logits"]
    real = [pair for pair in names if graph.node(pair[1]).dtype.startswith(("float", "bfloat"))]
    name, node = (logits or real or names)[0]
    return name, graph.node(node).shape


def sweep(libraries: list[str], output: Path, timeout: float, only: list[str]) -> None:
    """One process for each model."""
    sys.path.insert(0, str(ZOO))
    from families import entries

    known = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    done = {(r["library"], r["name"]) for r in known}
    for entry in entries(libraries, "sdpa"):
        key = (entry.library, entry.name)
        if key in done or (only and entry.name not in only):
            continue
        done.add(key)
        begun = time.perf_counter()
        try:
            command = [sys.executable, __file__, "--one", *key]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
            lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
            facts = json.loads(lines[-1]) if lines else {"reason": f"crashed: {ended.stderr.strip()[-200:]}"}
        except subprocess.TimeoutExpired:
            facts = {"reason": f"not done after {timeout:g} seconds"}
        facts |= {"library": key[0], "name": key[1], "seconds": time.perf_counter() - begun}
        with output.open("a") as file:
            file.write(json.dumps(facts) + "\n")
        print(key, facts.get("strategy") or facts.get("reason"), f"{facts['seconds']:.0f} s", flush=True)


def page(records: list[dict[str, Any]]) -> str:
    """The page of text."""
    proved = [r for r in records if r.get("accepted")]
    strategies, bits = (Counter(r[key] for r in proved) for key in ("strategy", "bits"))
    reasons = Counter(_short(r["reason"]) for r in records if not r.get("accepted"))
    lines = [
        "# Proofs over the zoo",
        "",
        "`python benchmarks/proofs/zoo.py`: mean squared error against random targets, random weights and inputs.",
        "",
        f"{len(records)} models, {len(proved)} certificates that the checker accepts.",
        "",
        "| found by | models |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in strategies.most_common()),
        "",
        "| arithmetic of the prover | models |",
        "|---|---|",
        *(f"| {'float64' if name == 53 else f'{name} bits'} | {count} |" for name, count in sorted(bits.items())),
        "",
        "| why there is none | models | for example |",
        "|---|---|---|",
    ]
    for reason, count in reasons.most_common():
        example = next(r["name"] for r in records if not r.get("accepted") and _short(r["reason"]) == reason)
        lines.append(f"| {reason} | {count} | {example} |")
    return "\n".join(lines) + "\n"


def _short(reason: str) -> str:
    """A reason without what differs from model to model."""
    kind = "crashed" if reason.startswith("crashed") else reason.partition(" at node")[0]
    return kind.replace("|", "/")[:120]


def main() -> None:
    """Sweep, or summarise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2)
    parser.add_argument("--library", action="append", default=[])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--output", type=Path, default=Path("proofs.jsonl"))
    parser.add_argument("--timeout", type=float, default=180)
    parser.add_argument("--summary", type=Path)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
    elif options.summary:
        latest = {(r["library"], r["name"]): r for r in map(json.loads, options.summary.read_text().splitlines())}
        text = page(list(latest.values()))
        print(text)
        if options.into:
            options.into.write_text(text)
    else:
        sweep(options.library or ["nn", "transformers"], options.output, options.timeout, options.only)


if __name__ == "__main__":
    main()
