"""Run the analysis over the zoo, one process for each model, and write what was found as JSON lines.

    python benchmarks/zoo/sweep.py --library transformers --output zoo.jsonl
    python benchmarks/zoo/sweep.py --summary zoo.jsonl

Models that the output file already has are skipped, so that a sweep can be taken up again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import select
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from families import CLOSED_FORMS, Entry, entries
from measure import Stage, measure
from summary import summarise

Record = dict[str, Any]


def run(entry: Entry, seconds: float) -> Record:
    """The record of one model, measured in a process of its own that is ended when its time is up."""
    receive, send = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.close(receive)
        signal.alarm(int(seconds) + 5)  # in case that the parent is ended first
        _child(entry, send)
    os.close(send)
    record: Record = {"name": entry.name, "library": entry.library, "seconds": {}}
    timed_out = _collect(receive, record, start + seconds)
    if timed_out:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    record["peak_mb"] = usage.ru_maxrss // 1024
    record["base_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    record["wall"] = round(time.perf_counter() - start, 2)
    if "failure" not in record and record.get("stage") != "done":
        kind = "timeout" if timed_out else f"ended by signal {status & 127}" if status & 127 else "ended"
        record["failure"] = {"stage": record.get("stage"), "type": kind, "message": "", "ours": "", "cause": ""}
    record["seconds"] = {k: round(v, 3) for k, v in record["seconds"].items()}
    return record


def _collect(receive: int, record: Record, deadline: float) -> bool:
    """Merge what the child reports until it closes the pipe; whether the time ran out first."""
    buffer = b""
    while True:
        left = deadline - time.perf_counter()
        if left <= 0 or not select.select([receive], [], [], left)[0]:
            os.close(receive)
            return True
        data = os.read(receive, 1 << 16)
        if not data:
            os.close(receive)
            return False
        buffer += data
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            part = json.loads(line)
            record["seconds"].update(part.pop("seconds", {}))
            record.update(part)


def _child(entry: Entry, send: int) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with os.fdopen(send, "w") as stream:

        def report(part: Record) -> None:
            stream.write(json.dumps(part) + "\n")
            stream.flush()

        try:
            measure(entry.make, report)
            form = CLOSED_FORMS.get(entry.name.partition(":")[0])
            if form is not None:
                report({"expected": form()})
            report({"stage": "done"})
        except Stage:
            pass
        except BaseException as error:
            report(
                {
                    "failure": {
                        "stage": "harness",
                        "type": type(error).__name__,
                        "message": str(error)[:500],
                        "ours": "",
                        "cause": "",
                    }
                }
            )
    os._exit(0)


def main() -> None:
    """Sweep or summarise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=["transformers", "timm", "torchvision"], action="append")
    parser.add_argument("--output", type=Path, default=Path("zoo.jsonl"))
    parser.add_argument("--only", nargs="*", help="names of models, or of model types")
    parser.add_argument("--attention", choices=["eager", "sdpa", "both"], default="sdpa")
    parser.add_argument("--again", action="store_true", help="also those that the output file has")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--budget", type=float, default=1e9, help="seconds after which no model is begun")
    parser.add_argument("--summary", type=Path, nargs="*", help="only summarise these files")
    options = parser.parse_args()
    if options.summary:
        print(summarise(list(load(options.summary))))
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    done = {r["name"] for r in load([options.output])} if options.output.exists() and not options.again else set()
    start = time.perf_counter()
    with options.output.open("a") as stream:
        for entry in entries(options.library, options.attention):
            wanted = not options.only or entry.name in options.only or entry.name.split(":")[0] in options.only
            if not wanted or entry.name in done:
                continue
            if time.perf_counter() - start > options.budget:
                break
            record = run(entry, options.timeout)
            stream.write(json.dumps(record) + "\n")
            stream.flush()
            print(one_line(record), flush=True)


def load(paths: list[Path]) -> list[Record]:
    """The latest record of each model."""
    found: dict[str, Record] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            record = json.loads(line)
            found[record["name"]] = record
    return list(found.values())


def one_line(record: Record) -> str:
    """A record in one line."""
    failure = record.get("failure")
    if failure:
        text = f"FAILED in {failure['stage']}: {failure['type']} {failure['message'][:160]} {failure.get('cause', '')[:120]}"
    else:
        text = f"10^{record['log10_order']:.1f}"
        if "expected" in record:
            text += f" (expected {record['expected']:.1f})"
        text += f" errors {record['error lowered']:.0e} {record['error real']:.0e} control {record['control']:.0e}"
        text += f" unknown {record['unknown']}" if record["unknown"] else ""
    seconds = " ".join(f"{k} {v:.1f}" for k, v in record["seconds"].items())
    return f"{record['name']}: {text} [{seconds}] {record['peak_mb']} MB"


if __name__ == "__main__":
    main()
