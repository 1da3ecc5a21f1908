"""The demonstration: two networks are trained on handwritten digits, and the argument is told with their numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from safetensors.torch import save as to_bytes
from torch import nn

from orbitope.files import atomic_write, output_folder
from orbitope.group import Element, SymmetryGroup, Units
from orbitope.infer import infer
from orbitope.objective import Objective
from orbitope.proof import Certificate
from orbitope.reports import chapters
from orbitope.reports.digits import classifier, digits, one_thread, train
from orbitope.reports.figures import save_figure
from orbitope.reports.page import Fact, Picture, Report, Section, render

HIDDEN = (32, 32)
EPOCHS = 40


@dataclass
class Story:
    """What the chapters share, and what they produce.

    Attributes:
        objective: the first network with the data. other: the parameters of the second, trained alone.
        group: the symmetries of both.
        console: where the story is told. progress: where progress is shown.
        folder: where files are written.
        certificates: by claim, once they are proved.
    """

    objective: Objective
    other: Mapping[str, torch.Tensor]
    group: SymmetryGroup
    folder: Path
    progress: Progress
    certificates: dict[str, Certificate] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    highlights: list[Fact] = field(default_factory=list)

    @property
    def params(self) -> Mapping[str, torch.Tensor]:
        """A: the parameters of the first network."""
        return self.objective.parameters

    def swapped(self) -> tuple[Units, int, int, Element]:
        """The exchange that the midpoint certificate uses."""
        move = self.certificates["midpoint"].document["steps"][0]
        unit = self.group.by_name[move["units"]]
        name, axis = unit.acts_on[0]
        permutation = next(p for k, p in move["moves"][name] if k == axis)
        i, j = [k for k, image in enumerate(permutation) if image != k]
        return unit, i, j, self.group.swap(unit, i, j)

    def save(self, picture: Picture, name: str) -> Picture:
        """The picture, also written beside the page as PNG and SVG."""
        files = save_figure(picture.figure, self.folder / name)
        return Picture(
            picture.figure, picture.alt, picture.caption, picture.narrow, tuple(Path(file).name for file in files)
        )

    def keep(self, name: str, params: Mapping[str, torch.Tensor]) -> None:
        """Write parameters beside the page."""
        atomic_write(self.folder / name, to_bytes({key: tensor.contiguous() for key, tensor in params.items()}))

    @contextmanager
    def task(self, text: str, total: int | None = None) -> Iterator[chapters.Tick]:
        """A progress bar for the time of a block."""
        bar = self.progress.add_task(text, total=total)

        def tick(done: int, of: int) -> None:
            self.progress.update(bar, completed=done, total=of)

        yield tick
        self.progress.remove_task(bar)


def demo(
    folder: str | os.PathLike[str] = "orbitope-demo",
    seed: int = 0,
    console: Console | None = None,
    errors: Console | None = None,
) -> Path:
    """Train two digit classifiers, tell the story on the console, write report, figures and certificates.

    Args:
        folder: made, or replaced where it holds an earlier report; written whole or not at all.
        seed: of the initial weights and the order of samples; the same seed gives the same report.
        console: where the story is printed.
        errors: where progress is shown.

    Returns:
        The path of ``report.html``.

    Raises:
        FileError: the folder cannot be written; nothing is left behind.
    """
    told = console or Console()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=errors or Console(stderr=True),
        transient=True,
    )
    with output_folder(folder) as room, progress, one_thread():
        story = _begin(seed, Path(room), progress)
        report = _tell(story, told, seed)
        (Path(room) / "report.html").write_text(render(report), encoding="utf-8")
    return Path(folder) / "report.html"


def _begin(seed: int, room: Path, progress: Progress) -> Story:
    """Two networks of one shape, trained from different initial weights."""
    x, y = digits()
    networks: list[nn.Module] = []
    for k in (0, 1):
        bar = progress.add_task(f"training network {k + 1} of 2", total=EPOCHS)
        network = classifier(HIDDEN, "relu", seed=2 * seed + k)
        train(
            network,
            x,
            y,
            epochs=EPOCHS,
            seed=2 * seed + k,
            progress=lambda done, total, bar=bar: progress.update(bar, completed=done, total=total),
        )
        progress.remove_task(bar)
        networks.append(network.eval())
    objective = Objective(networks[0], "cross_entropy", (x, y))
    story = Story(objective, networks[1].state_dict(), infer(objective.network), room, progress)
    story.keep(chapters.FIRST, objective.parameters)
    story.keep(chapters.SECOND, story.other)
    return story


def _tell(story: Story, console: Console, seed: int) -> Report:
    """Every chapter, printed as it is reached."""
    console.print("[bold]Why does the symmetry of hidden units make a neural network non-convex?[/bold]\n")
    lead = chapters.lead(story)
    for text in lead:
        console.print(Padding(_plain(text), (0, 0, 0, 0)))
    sections = []
    chapters.prove_both(story)
    for chapter in chapters.CHAPTERS:
        section = chapter(story)
        _print(console, section)
        sections.append(section)
    return Report(
        title="Why symmetry makes this network non-convex",
        subtitle="Two digit classifiers, their symmetries, and what follows from them",
        sections=tuple(sections),
        environment={
            "data": "scikit-learn digits, 1797 images of 8 × 8 pixels",
            "network": " - ".join(map(str, (64, *HIDDEN, 10))) + ", ReLU",
            "seed": str(seed),
            "PyTorch": torch.__version__,
            "Python": platform.python_version(),
            "arithmetic of proof": "float64 balls (prove), exact integers at 2^-128 (check)",
        },
        highlights=tuple(story.highlights),
        lead=tuple(lead),
    )


def _print(console: Console, section: Section) -> None:
    console.print()
    console.print(f"[bold]{section.number}  {section.heading}[/bold]", highlight=False)
    for text in section.paragraphs:
        console.print(Padding(_plain(text), (0, 0, 0, 4)))
    table = Table.grid(padding=(0, 2), pad_edge=True)
    for fact in section.facts:
        table.add_row("  " + fact.label, f"[bold]{fact.value}[/bold]", f"[dim]{fact.guarantee}[/dim]")
    console.print(table, highlight=False)


def _plain(text: str) -> str:
    """Running text for the terminal: the page's marks become the console's."""
    return text.replace("[", "\\[").replace("**", "").replace("*", "").replace("`", "")
