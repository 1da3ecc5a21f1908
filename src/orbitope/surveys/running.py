"""``survey``: every activation × width × depth × loss × seed, trained, measured and proved; resumable and parallel."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orbitope.activations.known import ACTIVATIONS, known
from orbitope.activations.own import own
from orbitope.errors import InputError
from orbitope.guarantee import Guarantee
from orbitope.surveys.cells import Cell, run
from orbitope.surveys.networks import Function
from orbitope.surveys.problems import LOSSES, problem, small_digits
from orbitope.surveys.records import Record, Records

WIDTHS, DEPTHS, SEEDS = (1, 2, 3, 8, 32), (1, 2), (0, 1)
WEIGHT_DECAY = 1e-3
RECORDS = "records.jsonl"
"""Name of the file of records in the folder of a survey."""

Tick = Callable[[int, int], object]


@dataclass(frozen=True)
class Survey:
    """The records of a survey.

    Attributes:
        records: one for each activation, width, depth, loss and seed, in this order.
        folder: where they are, None where they were not written.
        fresh: how many were measured now; the others were there already.
        guarantee: ``numeric``; what is ``proved`` in a record was accepted by the independent checker.
    """

    records: tuple[Record, ...]
    folder: Path | None = None
    fresh: int = 0
    guarantee: Guarantee = "numeric"

    def __str__(self) -> str:
        """The table by activation and width."""
        from orbitope.surveys.tables import summary

        return summary(self.records)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": "orbitope survey",
            "version": 1,
            "records": list(self.records),
            "fresh": self.fresh,
            "guarantee": self.guarantee,
        }


def survey(
    activations: Sequence[str] | Mapping[str, Function] | None = None,
    *,
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = DEPTHS,
    losses: Sequence[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    data: Any = None,
    weight_decay: float = WEIGHT_DECAY,
    prove: bool = True,
    folder: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    progress: Tick | None = None,
    label: str | None = None,
) -> Survey:
    """Train small networks to near stationarity and try the argument of the swap on each, before and after.

    Args:
        activations: names of known ones, or functions of your own by a name; all known ones that have no jumps by
            default.
        widths: of the hidden layers.
        depths: how many hidden layers.
        losses: ``mse`` and ``cross_entropy`` by default; only those that the data allow.
        seeds: of the initial weights.
        data: a pair of inputs and of class numbers or values; 100 handwritten digits of 4 × 4 pixels by default.
        weight_decay: λ of λ/2‖θ‖², added to every loss so that minima exist.
        prove: whether certificates are made and checked.
        folder: where records are kept. A survey that was interrupted goes on where it was; records of equal settings
            are not measured again.
        jobs: processes; the number of cores by default, each on one thread. 1 for functions that cannot be sent to
            another process.
        progress: called with how many cells are done, and how many there are.
        label: a name for the data.

    Raises:
        InputError: no cells, a width or depth below 1, an unknown activation or loss, λ not positive; a function that
            is not entrywise, random, or not finite. DataError: the data. FileError: the folder.

    Guarantee: numeric, but for what is proved.
    """
    cells = _cells(_functions(activations), widths, depths, losses, seeds, data, weight_decay, prove, label or "data")
    records = Records(Path(folder) / RECORDS) if folder is not None else None
    found: dict[str, Record] = dict(records.found) if records is not None else {}
    missing = [replace(cell, seeds=left) for cell in cells if (left := _left(cell, found))]
    total = sum(len(cell.seeds) for cell in cells)
    fresh = sum(len(cell.seeds) for cell in missing)
    done = total - fresh
    tick = progress or (lambda *_: None)
    tick(done, total)
    for measured in _measured(missing, _jobs(jobs, missing)):
        if records is not None:
            records.append(measured)
        found.update({record["key"]: record for record in measured})
        done += len(measured)
        tick(done, total)
    wanted = [cell.key(seed) for cell in cells for seed in cell.seeds]
    return Survey(tuple(found[key] for key in wanted), None if folder is None else Path(folder), fresh)


def _left(cell: Cell, found: Mapping[str, Record]) -> tuple[int, ...]:
    return tuple(seed for seed in cell.seeds if cell.key(seed) not in found)


def default_activations() -> tuple[str, ...]:
    """All known ones without jumps."""
    return tuple(name for name, activation in ACTIVATIONS.items() if activation.facts.order >= 0)


def _functions(given: Sequence[str] | Mapping[str, Function] | None) -> dict[str, Function | None]:
    """Functions by name; None for those that are known."""
    if given is None:
        return dict.fromkeys(default_activations())
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        return dict.fromkeys(known(name).name for name in given)
    taken = sorted(given.keys() & ACTIVATIONS.keys())
    if taken:
        raise InputError("a function of your own has a known name", got=", ".join(taken), fix="give it another")
    return {name: own(function, name) for name, function in given.items()}


def _cells(
    functions: Mapping[str, Function | None],
    widths: Sequence[int],
    depths: Sequence[int],
    losses: Sequence[str] | None,
    seeds: Sequence[int],
    data: Any,
    weight_decay: float,
    prove: bool,
    label: str,
) -> list[Cell]:
    if data is None:
        data, label = small_digits(), "digits"
    problems = []
    if not functions or not widths or not depths or not seeds or (losses is not None and not losses):
        problems.append("nothing to survey: activations, widths, depths, losses and seeds must each name one at least")
    problems += [f"width {w}: a layer without units computes nothing" for w in widths if w < 1]
    problems += [f"depth {d}: without a hidden layer there is nothing to exchange" for d in depths if d < 1]
    if problems:
        raise InputError("this is no survey", details=problems, fix="as --width 1,2,8 --depth 1,2")
    if losses is None:
        losses = LOSSES if _has_classes(data) else LOSSES[:1]
    made = [problem(data, loss, weight_decay, label) for loss in dict.fromkeys(losses)]
    return [
        Cell(name, width, depth, tuple(dict.fromkeys(seeds)), each, function, prove)
        for name, function in functions.items()
        for width in dict.fromkeys(widths)
        for depth in dict.fromkeys(depths)
        for each in made
    ]


def _has_classes(data: Any) -> bool:
    from orbitope.objective.data import read

    y = read(data).y
    return not y.is_floating_point() and y.dim() == 1


# processes --------------------------------------------------------------------------------------------------------
def _jobs(wanted: int | None, cells: Sequence[Cell]) -> int:
    if wanted is not None and wanted < 1:
        raise InputError("a survey needs one process at least", got=f"jobs={wanted}")
    count = min(wanted or os.cpu_count() or 1, len(cells))
    if count <= 1:
        return 1
    for cell in {cell.activation: cell for cell in cells}.values():
        try:
            pickle.dumps(cell.function)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            if wanted is None:
                return 1
            raise InputError(
                f"the activation {cell.activation} cannot be sent to another process",
                got=str(error)[:200],
                fix="jobs=1, or define it with def at the top of a file",
            ) from error
    return count


def _measured(cells: Sequence[Cell], jobs: int) -> Iterator[Sequence[Record]]:
    """Records of each cell, as they come."""
    if jobs == 1:
        yield from map(run, cells)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_alone) as pool:
        waiting = {pool.submit(run, cell) for cell in cells}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException:
            children = [*(getattr(pool, "_processes", None) or {}).values()]  # forgotten by shutdown
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()
            raise


def _alone() -> None:
    """One thread for each process; only the parent answers an interruption."""
    import signal

    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
