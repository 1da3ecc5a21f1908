"""Run the analysis over the zoo, one process for each model, and write what was found as JSON lines.

    python benchmarks/zoo/sweep.py --library transformers --output zoo.jsonl
    python benchmarks/zoo/sweep.py --summary zoo.jsonl

Models that the output file has already are skipped, so that a sweep can be taken up again; ``--again`` measures them
anew, and the newest record of each counts. ``--failed`` takes those again of which something did not work.
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
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from families import Entry, entries
from measure import Stage, measure
from records import Record, analysed, load, verdict
from summary import summarise
from torch import nn

from orbitope.frontends import trace


def main() -> None:
    """Sweep or summarise."""
    options = _options()
    if options.summary:
        print(summarise(load(options.summary)))
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    todo = _chosen(options)
    trace(nn.Linear(2, 3).eval(), (torch.ones(4, 2),))  # import the tracer once, not in every process
    workers = [_worker(todo[k :: options.jobs], options) for k in range(1, options.jobs)]
    _sweep(todo[:: options.jobs], options)
    for worker in workers:
        os.waitpid(worker, 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=["nn", "transformers", "torchvision", "timm"], action="append")
    parser.add_argument("--output", type=Path, default=Path("zoo.jsonl"))
    parser.add_argument("--only", nargs="*", help="names of models; of both kinds of attention")
    parser.add_argument("--attention", choices=["eager", "sdpa", "both"], default="both")
    parser.add_argument("--again", action="store_true", help="also those that the output file has")
    parser.add_argument("--failed", action="store_true", help="also those that failed or were unsound in it")
    parser.add_argument("--timeout", type=float, default=200, help="seconds for each model")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds after which no model is begun")
    parser.add_argument("--memory", type=float, default=8, help="GiB of address space for each model")
    parser.add_argument("--jobs", type=int, default=1, help="how many models at the same time")
    parser.add_argument("--summary", type=Path, nargs="*", help="only summarise these files")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[Entry]:
    """What is wanted and not done yet."""
    before = load([options.output], skipped=True) if options.output.exists() and not options.again else []
    done = {r["key"] for r in before if not options.failed or verdict(r) not in ("failed", "unsound")}
    found = entries(options.library, options.attention)
    return [e for e in found if (not options.only or e.name in options.only) and e.key not in done]


def _worker(todo: Sequence[Entry], options: argparse.Namespace) -> int:
    """A process that sweeps over part of the models."""
    child = os.fork()
    if child == 0:
        _sweep(todo, options)
        os._exit(0)
    return child


def _sweep(todo: Sequence[Entry], options: argparse.Namespace) -> None:
    start = time.perf_counter()
    output = os.open(options.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for entry in todo:
        if time.perf_counter() - start > options.budget:
            break
        record = run(entry, options.timeout, int(options.memory * 2**30))
        os.write(output, (json.dumps(record) + "\n").encode())
        print(one_line(record), flush=True)
    os.close(output)


def run(entry: Entry, seconds: float, memory: int) -> Record:
    """The record of one model, measured in a process of its own that is ended when its time is up."""
    receive, send = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.close(receive)
        signal.alarm(int(seconds) + 5)  # in case that the parent is ended first
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        _child(entry, send)
    os.close(send)
    record: Record = {"key": entry.key, "name": entry.name, "library": entry.library, "attention": entry.attention}
    record["seconds"] = {}
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
    """Measure and report; never returns."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with os.fdopen(send, "w") as stream:

        def report(part: Record) -> None:
            stream.write(json.dumps(part) + "\n")
            stream.flush()

        try:
            order = entry.expected()
            if order is not None:
                report({"expected": order})
            measure(entry.make, report)
            report({"stage": "done"})
        except Stage:
            pass
        except BaseException as error:  # a fault of the harness is a finding too
            failure = {"stage": "harness", "type": type(error).__name__, "message": str(error)[:500]}
            report({"failure": {**failure, "ours": "", "cause": ""}})
    os._exit(0)


def one_line(record: Record) -> str:
    """A record in one line."""
    failure = record.get("failure")
    if verdict(record) == "skipped":
        return f"{record['key']}: skipped, {failure['message']}"
    if not analysed(record):
        text = f"FAILED in {failure['stage']}: {failure['type']} {failure['message'][:160]} {failure['cause'][:120]}"
    else:
        text = f"{verdict(record)} 10^{record['log10_order']:.1f}"
        text += f" (closed form {record['expected']:.1f})" if "expected" in record else ""
        text += f" errors {record['error lowered']:.0e} {record['error real']:.0e} control {record['control']:.0e}"
        text += f" unknown {record['unknown']}" if record["unknown"] else ""
    seconds = " ".join(f"{k} {v:.1f}" for k, v in record["seconds"].items())
    return f"{record['key']}: {text} [{seconds}] {record['peak_mb']} MB"


if __name__ == "__main__":
    main()
