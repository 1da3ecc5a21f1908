"""Proofs of trained networks: gap, width of the enclosure, and time as multiples of one float64 forward pass.

    python benchmarks/proofs/table.py [NAME ...] [--into docs/proofs.md]

One process for each network, one thread, one after the other; forward, proof and check of one run in the same
process. Peak memory is the resident set of that process. Networks are trained first where they are not there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # read once, when NumPy and torch are loaded

HERE = Path(__file__).resolve().parent

RUNS: dict[str, dict[str, Any]] = {
    "mlp": {"title": "64-32-32-10, digits", "samples": 1797},
    "mlp-784": {"title": "784-512-512-10, digits of 28 × 28", "samples": 10_000},
    "resnet20": {"title": "ResNet-20, digits of 32 × 32", "samples": 1000},
    "lstm": {"title": "LSTM 8 → 24, digits row by row", "samples": 1797},
    "vit": {"title": "ViT, 2 layers of width 32, digits", "samples": 200},
    "gpt": {"title": "GPT, 4 layers of width 64, characters", "samples": 8},
    "gpt2-small": {"title": "GPT-2 small's shape, at initialisation", "samples": 1, "claim": "slice"},
}


def measure(name: str) -> dict[str, Any]:
    """Everything about one network."""
    import torch

    from orbitope.objective import Objective
    from orbitope.proof import Certificate, check_certificate, prove

    torch.set_num_threads(1)
    sys.path.insert(0, str(HERE))
    import networks

    run = RUNS[name]
    if name == "gpt2-small":
        torch.manual_seed(0)
        model = networks.gpt2_small().eval()
        x, y = torch.randint(0, 50257, (1, 8)), torch.randint(0, 50257, (1, 8))
    else:
        model, (x, y) = networks.trained(name)
        x, y = x[: run["samples"]], y[: run["samples"]]
    objective = Objective(model, "cross_entropy", (x, y))
    own = {key: tensor.clone() for key, tensor in objective.parameters.items()}
    double = model.double()
    wide = x.double() if x.is_floating_point() else x
    times = []
    with torch.no_grad():
        for _ in range(5):
            begun = time.perf_counter()
            networks.cross_entropy(double(wide), y)
            times.append(time.perf_counter() - begun)
    model.float()
    objective = Objective(model, "cross_entropy", (x, y))
    begun = time.perf_counter()
    result = prove(objective, params=own, claim=run.get("claim", "best"))
    facts: dict[str, Any] = {"name": name, "title": run["title"], "samples": len(x), "forward": min(times)}
    facts["prove"] = time.perf_counter() - begun
    facts["parameters"] = sum(p.numel() for p in model.parameters())
    facts["proving peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if not isinstance(result, Certificate):
        return facts | {"reason": result.reason, "tried": list(result.tried)}
    content = result.to_bytes()
    begun = time.perf_counter()
    verdict = check_certificate(content)
    facts["check"] = time.perf_counter() - begun
    facts |= {"bytes": len(content), "accepted": verdict.accepted, "gap": verdict.gap_float, "reason": verdict.reason}
    facts |= {"strategy": result.document["agreement"].get("strategy"), "work": verdict.multiply_adds}
    facts |= {"quasi-convexity": verdict.quasiconvex_refuted, "weight decay": verdict.weight_decay}
    facts["width"] = result.document["agreement"].get("enclosure width")
    facts["bits"] = result.document["agreement"].get("bits")
    facts["arithmetic"] = verdict.arithmetic
    return facts


def apart(name: str) -> dict[str, Any]:
    """The same in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        done = subprocess.run([sys.executable, __file__, "--one", name, "--json", file.name], check=False)
        if done.returncode:
            return {"name": name, "title": RUNS[name]["title"], "reason": f"exit code {done.returncode}"}
        return json.loads(Path(file.name).read_text())


HEAD = (
    "| network | samples | found by | gap ≥ | bits | width | prove s (× forward) | check s (× forward) | MiB | file |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)


def row(facts: dict[str, Any]) -> str:
    """One line of the table."""
    if not facts.get("accepted"):
        return f"| {facts['title']} | {facts.get('samples', '')} | not proved: {facts.get('reason')} | | | | | | | |\n"
    forward = facts["forward"]
    cells = [
        facts["title"],
        f"{facts['samples']:,}".replace(",", " "),
        facts["strategy"],
        f"{facts['gap']:.4g}",
        str(facts["bits"]),
        f"{facts['width']:.1e}",
        f"{facts['prove']:.1f} ({facts['prove'] / forward:.0f})",
        f"{facts['check']:.1f} ({facts['check'] / forward:.0f})",
        str(facts["proving peak"]),
        f"{facts['bytes'] / 1e6:.1f} MB",
    ]
    return "| " + " | ".join(cells) + " |\n"


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--one")
    parser.add_argument("--json")
    parser.add_argument("--into")
    options = parser.parse_args()
    if options.one:
        Path(options.json).write_text(json.dumps(measure(options.one)))
        return
    table = HEAD
    for name in options.names or RUNS:
        facts = apart(name)
        print(json.dumps(facts), file=sys.stderr)
        table += row(facts)
    print(table)
    if options.into:
        Path(options.into).write_text(f"# Proofs of trained networks\n\n`python benchmarks/proofs/table.py`\n\n{table}")


if __name__ == "__main__":
    main()
