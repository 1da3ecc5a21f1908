"""What explain says over the zoo, and what it costs on large shapes.

    python benchmarks/explanations.py cost [NAME …]
    python benchmarks/explanations.py zoo --library nn --output explanations.jsonl
    python benchmarks/explanations.py cvxpy
    python benchmarks/explanations.py page explanations.jsonl --proofs proofs.jsonl --cost cost.jsonl

*cost*: time and peak memory of explain, each shape in a process of its own. ResNet-50 needs torchvision, the others
need transformers. *zoo*: the mean squared error of every model's outputs, whatever the data. *cvxpy*: how often CVXPY
and the law agree on random programs. *page*: writes the tables of zoo and cost between the marks in a page; joint
verdicts come from the records of ``benchmarks/proofs/zoo.py``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # read once, when NumPy and torch are loaded

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
RECORDS = list[dict[str, Any]]


# cost -----------------------------------------------------------------------------------------------------------------
def _resnet() -> Any:
    import torch
    from torchvision.models import resnet50

    from orbitope import Objective

    torch.manual_seed(0)
    x = torch.randn(2, 3, 224, 224)
    return Objective(resnet50(weights=None).eval(), "cross_entropy", (x, torch.tensor([3, 5])))


def _gpt2() -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from orbitope import Objective

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config()).eval()
    tokens = torch.randint(0, 50257, (2, 16))
    return Objective(model, "cross_entropy:shift=1", ({"input_ids": tokens}, tokens))


def _llama(layers: int = 32) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from orbitope import Outline

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, use_cache=False)).eval()
        tokens = torch.zeros(2, 7, dtype=torch.int64)
    return Outline.of(model, (tokens,), {"use_cache": False}, loss="cross_entropy:shift=1")


SHAPES: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "resnet-50": ("torchvision", "ResNet-50, 224 × 224, random weights", _resnet),
    "gpt2": ("transformers", "GPT-2 small, 16 tokens, random weights", _gpt2),
    "llama-7b": ("transformers", "Llama-2-7B, shapes only", _llama),
    **{f"llama-{n}": ("transformers", f"its first {n} layers", lambda n=n: _llama(n)) for n in (4, 8, 16)},
}


def _peak() -> int:
    """Peak resident set size so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "darwin" else 1024)


def _measured(name: str, send: Any) -> None:
    from orbitope.curvature import explain

    begun = time.perf_counter()
    subject = SHAPES[name][2]()
    figures: dict[str, Any] = {"shape": name, "label": SHAPES[name][1], "prepare": time.perf_counter() - begun}
    figures |= {"peak before": _peak(), "parameters": sum(p.numel() for p in subject.parameters.values())}
    times = []
    for _ in range(3):
        begun = time.process_time()
        found = explain(subject)
        times.append(time.process_time() - begun)
    graph = subject.graph if hasattr(subject, "nonnegative") else subject.graph_for(1)
    verdicts = Counter(a.loss.verdict for a in found.blocks)
    figures |= {"explain": min(times), "peak": _peak(), "nodes": len(graph.nodes), "modules": len(found.blocks)}
    convex = [a.name for a in found.blocks if a.loss.verdict == "PROVED CONVEX"]
    send.send(figures | {"verdicts": verdicts, "convex": convex, "joint": found.joint.loss.reason})


def cost(names: list[str]) -> None:
    """One line of JSON for each shape."""
    context = multiprocessing.get_context("spawn")
    for name in names or SHAPES:
        if not importlib.util.find_spec(SHAPES[name][0]):
            continue
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_measured, args=(name, send))
        process.start()
        send.close()
        try:
            print(json.dumps(receive.recv()), flush=True)
        except EOFError:
            print(json.dumps({"shape": name, "failed": True}), flush=True)
        process.join()


# zoo ------------------------------------------------------------------------------------------------------------------
def zoo(libraries: list[str], output: Path, every: int, only: list[str]) -> None:
    """One line for each model, in one process; what the file has is not done again."""
    import torch

    sys.path.insert(0, str(HERE / "zoo"))
    from families import entries

    from orbitope.curvature import Outline, explain

    torch.set_num_threads(1)
    known = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    done = {(r["library"], r["name"]) for r in known}
    for entry in entries(libraries, "sdpa")[::every]:
        if (entry.library, entry.name) in done or (only and entry.name not in only):
            continue
        torch.manual_seed(0)
        facts: dict[str, Any] = {"library": entry.library, "name": entry.name}
        begun = time.perf_counter()
        try:
            model, args, kwargs = entry.make()
            subject = Outline.of(model, args, kwargs, loss="mse")
            facts["outline"] = time.perf_counter() - begun
            begun = time.perf_counter()
            found = explain(subject)
        except Exception as error:  # whatever a model raises is what is to be known
            facts |= {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
        else:
            facts |= {"explain": time.perf_counter() - begun, "nodes": len(subject.graph.nodes)}
            facts |= {"inputs": _said(found.inputs.outputs), "joint": _said(found.joint.loss)}
            facts["blocks"] = {a.name: _said(a.loss) for a in found.blocks}
        with output.open("a") as file:
            file.write(json.dumps(facts) + "\n")
        print(entry.key, facts.get("failed") or facts["joint"], flush=True)


def _said(finding: Any) -> list[str]:
    """The verdict, the operation where it breaks, and the reason."""
    broken = finding.broken
    return [finding.verdict, broken.operation if broken else "", finding.reason[:400]]


# cvxpy ----------------------------------------------------------------------------------------------------------------
def agreement(programs: int) -> None:
    """How often CVXPY and the law know a claim about a value of a random program."""
    sys.path.insert(0, str(HERE.parent))
    from tests.curvature.test_cvxpy import compared

    total: Counter[Any] = Counter()
    for seed in range(programs):
        for width in (1, 3):
            total += compared(seed, width)[0]
    print("| claim | both | only Orbitope | only CVXPY | neither |\n|---|---|---|---|---|")
    for claim in ("convex", "concave", "affine", "constant", "nonnegative", "nonpositive"):
        counts = [f"{total[claim, who]:,}" for who in ("both", "ours", "theirs", "neither")]
        print(f"| {claim} | {' | '.join(counts)} |")


# page -----------------------------------------------------------------------------------------------------------------
KINDS = (
    ("product of two varying", "product of two varying expressions"),
    ("of which nothing is known", "operation without answers"),
    ("integers", "inputs are integers"),
    ("multiplies", "weights of both signs multiply what bends"),
    ("neither convex nor concave", "function that is neither convex nor concave"),
    ("convex and concave functions", "convex plus concave"),
    ("needs a", "function of what bends the wrong way"),
    ("at places that depend", "lookup at places that vary"),
    ("of two varying expressions", "other function of two varying expressions"),
)


def _kind(reason: str) -> str:
    return next((kind for part, kind in KINDS if part in reason), "other")


def zoo_table(records: RECORDS, proofs: RECORDS) -> str:
    """What is said over the zoo."""
    proved = {(r["library"], r["name"]): r for r in proofs}
    told = [r for r in records if "failed" not in r]
    joint: Counter[str] = Counter()
    why: Counter[str] = Counter()
    for r in told:
        proof = proved.get((r["library"], r["name"]))
        by_rule = r["joint"][0] != "UNKNOWN"
        verdict = r["joint"][0] if by_rule else "PROVED NON-CONVEX" if proof and proof.get("accepted") else "UNKNOWN"
        joint[verdict] += 1
        if verdict == "UNKNOWN":
            why["no certificate was looked for" if proof is None else f"{_why(proof)}"] += 1
    breaks = Counter(_kind(r["joint"][2]) for r in told if r["joint"][0] == "UNKNOWN")
    inputs = Counter(r["inputs"][0] if r["inputs"][0] != "UNKNOWN" else _kind(r["inputs"][2]) for r in told)
    blocks = Counter(b[0] for r in told for b in r["blocks"].values())
    alone = sum(any(b[0] == "PROVED CONVEX" for b in r["blocks"].values()) for r in told)
    failed = Counter(r["failed"].partition("\n")[0][:100] for r in records if "failed" in r)
    times = sorted(r["explain"] for r in told)
    lines = [
        f"{len(records)} models, {len(told)} of them explained "
        f"({', '.join(f'{n} {lib}' for lib, n in Counter(r['library'] for r in told).most_common())}); "
        f"median {times[len(times) // 2]:.2f} s, slowest {times[-1]:.1f} s.",
        "",
        *_rows("jointly, F is", joint),
        *(_rows("still unknown, since", why) if why else []),
        *_rows("where the rules break jointly", breaks),
        *_rows("outputs, in the inputs", inputs),
        *_rows(f"one module alone ({sum(blocks.values()):,} modules)", blocks),
        f"In {alone} of {len(told)} networks F is convex in the parameters of at least one module alone.",
    ]
    if failed:
        lines += ["", *_rows("not explained", failed)]
    return "\n".join(lines)


def _why(proof: dict[str, Any]) -> str:
    return re.sub(r"[\d,.e+-]{3,}", "…", proof.get("reason", "?").partition(" at node")[0].partition("\n")[0])[
        :90
    ].replace("|", "/")


def _rows(head: str, counts: Counter[str]) -> list[str]:
    return [f"| {head} | |", "|---|---|", *(f"| {name} | {n:,} |" for name, n in counts.most_common(12)), ""]


def cost_table(records: RECORDS) -> str:
    """What it costs."""
    lines = [
        "| shape | parameters | nodes | modules | explain, CPU s | peak MiB before | after | convex alone in |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        if "failed" not in r:
            lines.append(
                f"| {r['label']} | {r['parameters']:,} | {r['nodes']:,} | {r['modules']} | {r['explain']:.2f} | "
                f"{r['peak before']:,} | {r['peak']:,} | {', '.join(f'`{n}`' for n in r['convex'])} |"
            )
    return "\n".join(lines)


def _read(path: Path | None) -> RECORDS:
    if path is None or not path.exists():
        return []
    latest: dict[Any, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        latest[record.get("library"), record.get("name"), record.get("shape")] = record
    return list(latest.values())


def page(records: Path, proofs: Path | None, costs: Path | None, into: Path | None) -> None:
    """Print the tables, or put them between the marks of a page."""
    tables = {"zoo": zoo_table(_read(records), _read(proofs)), "cost": cost_table(_read(costs))}
    if into is None:
        print("\n\n".join(tables.values()))
        return
    text = into.read_text()
    for name, table in tables.items():
        begin, end = BEGIN.format(name), END.format(name)
        text = re.sub(f"{begin}.*?{end}", lambda _, t=table, b=begin, e=end: f"{b}\n{t}\n{e}", text, flags=re.DOTALL)
    into.write_text(text)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    costs = commands.add_parser("cost")
    costs.add_argument("names", nargs="*", choices=[[], *SHAPES], default=[])
    sweep = commands.add_parser("zoo")
    sweep.add_argument("--library", action="append", default=[])
    sweep.add_argument("--output", type=Path, default=Path("explanations.jsonl"))
    sweep.add_argument("--every", type=int, default=1, help="take one model of so many")
    sweep.add_argument("--only", nargs="*", default=[])
    random = commands.add_parser("cvxpy")
    random.add_argument("--programs", type=int, default=200)
    pages = commands.add_parser("page")
    pages.add_argument("records", type=Path)
    pages.add_argument("--proofs", type=Path)
    pages.add_argument("--cost", type=Path)
    pages.add_argument("--into", type=Path)
    wanted = parser.parse_args()
    match wanted.command:
        case "cost":
            cost(wanted.names)
        case "cvxpy":
            agreement(wanted.programs)
        case "zoo":
            zoo(wanted.library or ["nn"], wanted.output, wanted.every, wanted.only)
        case _:
            page(wanted.records, wanted.proofs, wanted.cost, wanted.into)


if __name__ == "__main__":
    main()
