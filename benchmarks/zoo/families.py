"""The catalogue: what the sweep runs over, most used first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forms import expected
from torch import nn
from weights import randomise

Made = tuple[nn.Module, Sequence[Any], Mapping[str, Any]]

# The order of the sweep, so that one that is ended early has the models that most people use. Of transformers' types
# these are the architectures; most of the others are parts or variants of one of them.
FIRST = (Path(__file__).parent / "first.txt").read_text().split()


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: the model type, module or model within its library.
        library: which package it comes from; ``nn`` for plain torch.nn.
        attention: ``sdpa`` or ``eager`` where a model of transformers has the choice, else empty.
        build: makes the model and its inputs.
    """

    name: str
    library: str
    attention: str
    build: Callable[[], Made]

    @property
    def key(self) -> str:
        """Unique."""
        return f"{self.library}/{self.name}" + (f":{self.attention}" if self.attention else "")

    def make(self) -> Made:
        """The model with random weights, in evaluation mode, and its example inputs."""
        model, args, kwargs = self.build()
        randomise(model)
        return model.eval(), args, kwargs

    def expected(self) -> float | None:
        """The closed form of its order, where there is one."""
        return expected(self.library, self.name)


def entries(libraries: Sequence[str] | None = None, attention: str = "both") -> list[Entry]:
    """All models of the installed libraries, the most used first.

    Args:
        libraries: which; all that are installed by default.
        attention: of transformers' models: ``sdpa``, ``eager``, or ``both`` of those that ``first.txt`` names.
    """
    wanted = libraries or ["nn", *(name for name in ("transformers", "torchvision", "timm") if find_spec(name))]
    found = [entry for name in wanted for entry in _LIBRARIES[name](attention)]
    rank = {name: k for k, name in enumerate(FIRST)}
    return sorted(found, key=lambda e: (e.name not in rank, e.attention == "eager", rank.get(e.name, 0)))


def _transformers(attention: str) -> Iterator[Entry]:
    import hugging_face

    for model_type in hugging_face.model_types():
        both = ("sdpa", "eager") if model_type in FIRST else ("sdpa",)
        for kind in both if attention == "both" else (attention,):

            def build(model_type: str = model_type, kind: str = kind) -> Made:
                model, inputs = hugging_face.build(model_type, kind)
                return model, (), inputs

            yield Entry(model_type, "transformers", kind, build)


def _torchvision(attention: str) -> Iterator[Entry]:
    import vision

    import_module("torchvision")  # once, not in every process
    for name in vision.TORCHVISION:
        yield Entry(name, "torchvision", "", lambda name=name: vision.torchvision_model(name))


def _timm(attention: str) -> Iterator[Entry]:
    import vision

    import_module("timm")  # once, not in every process
    for module in vision.TIMM:
        yield Entry(module, "timm", "", lambda module=module: vision.timm_model(module))


def _plain(attention: str) -> Iterator[Entry]:
    import plain

    for name, build in plain.PLAIN.items():
        yield Entry(name, "nn", "", build)


_LIBRARIES: dict[str, Callable[[str], Iterator[Entry]]] = {
    "nn": _plain,
    "transformers": _transformers,
    "torchvision": _torchvision,
    "timm": _timm,
}
