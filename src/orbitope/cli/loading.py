"""What the words on a command line stand for: models, groups, weights that fit, objectives."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from orbitope.cli.data import Data
from orbitope.cli.factories import demo_network, from_factory, imported
from orbitope.cli.output import talk
from orbitope.cli.weights import PICKLED, Weights, read_weights
from orbitope.errors import ModelArgumentError, ParametersError
from orbitope.frontends.adapters import on_meta
from orbitope.graph import Graph
from orbitope.group import Fixed, Placement, SymmetryGroup

FORMS = "model.pt2, package.module:factory, file.py:factory, a Hugging Face folder, demo:NAME"


@dataclass(frozen=True)
class Model:
    """A network as the commands use it.

    Attributes:
        label: the argument that named it.
        module: in evaluation mode if its author left it there.
        args: example inputs, or None where none are known.
        kwargs: those that are passed by name.
        program: the exported program that it came from, if it did.
        checkpoint: the file with its weights, where it was made without them.
        specialise: whether one path of a model that branches on its data will do.
    """

    label: str
    module: nn.Module
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    program: ExportedProgram | None = None
    checkpoint: str | None = None
    specialise: bool = False

    def inputs(self) -> tuple[Any, ...]:
        """The example inputs.

        Raises:
            ModelArgumentError: there are none.
        """
        if self.args is None:
            raise ModelArgumentError(
                f"no example inputs for {self.label}",
                why="a model is traced by running it once; only the shapes and dtypes matter",
                fix="return (module, example_inputs) from the factory, or give their shapes: --input 8x3x32x32",
            )
        return self.args

    @property
    def runs(self) -> bool:
        """Whether inputs, and what no weights fill, have entries: of shapes alone a model can be traced, not run."""
        return not self._shapes_alone and not self._hollow

    @property
    def _shapes_alone(self) -> bool:
        leaves = pytree.tree_leaves((self.args, dict(self.kwargs)))
        return any(isinstance(leaf, torch.Tensor) and leaf.is_meta for leaf in leaves)

    @property
    def _hollow(self) -> list[str]:
        """Buffers without entries that no file of weights holds."""
        stored = self.module.state_dict()
        return [name for name, x in self.module.named_buffers() if x.is_meta and name not in stored]

    def demand_run(self, purpose: str) -> None:
        """Refuse inputs that have a shape only, and models that weights do not fill.

        Args:
            purpose: what is done by running it, as ``outputs are compared``.

        Raises:
            ModelArgumentError: the model cannot be run.
        """
        if self._hollow:
            raise ModelArgumentError(
                f"{self.label} cannot be run",
                at=", ".join(self._hollow[:3]),
                got="buffers on the meta device that are not among the weights",
                why=f"{purpose} by running the model, and this one was made without entries",
                fix="name a factory that makes it with its weights: file.py:factory",
            )
        if self._shapes_alone:
            raise ModelArgumentError(
                f"the example inputs of {self.label} have no entries",
                at=self.label,
                why=f"{purpose} by running the model, and inputs on the meta device have a shape only",
                fix="give their shapes, and they are drawn at random: --input 8x3x32x32",
            )

    def graphs(self) -> list[Graph]:
        """Its program, lowered, at each size of its inputs that is looked at.

        Raises:
            ExportError, TrainingModeError, LoweringError, InputError: see :func:`orbitope.symmetries`.
        """
        from orbitope.frontends import graphs

        with talk().wait(f"tracing {self.label}"), hush():
            if self.program is not None:
                return graphs(self.program)
            return graphs(self.module, self.inputs(), self.kwargs, specialise=self.specialise)


@contextlib.contextmanager
def hush() -> Iterator[None]:
    """What a tracer prints about a model that it cannot trace is in the error already."""
    if talk().debug:
        yield
        return
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


# models ---------------------------------------------------------------------------------------------------------


def load_model(label: str, shapes: Sequence[str] = (), specialise: bool = False) -> Model:
    """The network that a MODEL argument names.

    Args:
        label: the argument.
        shapes: of example inputs, as ``8x3x32x32`` or ``8x16:int64``; they replace those that come with the model.
        specialise: whether one path of a model that branches on its data will do.

    Raises:
        ModelArgumentError: it names no model.
        FileError: a file cannot be read. UnsafeFileError: it would have to execute code.
    """
    if label.startswith("demo:"):
        module = demo_network(label)
        model = Model(label, module, (example("8x64"),))
    elif label.endswith(".pt2"):
        model = _from_archive(label)
    elif ":" not in label and os.path.isdir(label):
        from orbitope.cli.hugging_face import from_folder

        with talk().wait(f"reading {label}"):
            module, kwargs, checkpoint = from_folder(label)
        model = Model(label, module, (), kwargs, checkpoint=checkpoint)
    else:
        _refuse_other_kinds(label)
        module, args, kwargs = from_factory(label)
        model = Model(label, module, args, kwargs)
    if shapes and model.program is not None:
        raise ModelArgumentError(
            "--input does not apply to an exported program",
            at=label,
            why="the shapes of its inputs were fixed when it was exported",
        )
    model = replace(model, specialise=specialise)
    return replace(model, args=tuple(map(example, shapes)), kwargs={}) if shapes else model


def _refuse_other_kinds(label: str) -> None:
    got = fix = ""
    if label.endswith(".onnx"):
        got, fix = "an ONNX file, which is not supported yet", "name the PyTorch model that it was written from"
    elif label.endswith((*PICKLED, ".safetensors", ".safetensors.index.json")):
        got = "weights, which do not say how they are used"
        fix = f"name a model ({FORMS}) and add --weights {label}"
    elif label.endswith(".json"):
        got = "a JSON file"
        fix = f"if it is a symmetry file, inspect, twin and align take it as --symmetry {label}; others run the model"
    if got or not re.fullmatch(r".+:[A-Za-z_][\w.]*", label):
        raise ModelArgumentError(
            f"{label!r} does not name a model", got=got or None, fix=fix or f"a MODEL is one of {FORMS}"
        )


def _from_archive(path: str) -> Model:
    from orbitope.cli.archives import read_archive

    program = read_archive(path)
    module = program.module(check_guards=False)
    for part in module.modules():
        part.training = False  # an exported program is what it was traced as; it has no modes
    args, kwargs = program.example_inputs or (None, {})
    return Model(path, module, args, kwargs, program)


def example(shape: str) -> torch.Tensor:
    """An example input of that shape, drawn from a fixed seed: normal, for whole numbers 0 and 1.

    Raises:
        ModelArgumentError: not a shape.
    """
    parts = re.fullmatch(r"(\d+(?:x\d+)*)(?::(\w+))?", shape)
    dtype = getattr(torch, parts[2] or "float32", None) if parts else None
    if parts is None or not isinstance(dtype, torch.dtype):
        raise ModelArgumentError(
            f"{shape!r} is not the shape of an input",
            fix="write sizes with x between them, batch first, and a dtype if it is not float32: 8x128:int64",
        )
    generator = torch.Generator().manual_seed(0)
    size = [int(n) for n in parts[1].split("x")]
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
    return torch.randint(0, 2, size, generator=generator).to(dtype)


# groups ---------------------------------------------------------------------------------------------------------


# weights --------------------------------------------------------------------------------------------------------


def load_weights(label: str) -> Weights:
    """The tensors that a ``--weights`` argument names: a file, or ``demo:NAME``."""
    if label.startswith("demo:"):
        return Weights(dict(demo_network(label).state_dict()), label)
    return read_weights(label)


def own_or_loaded(model: Model, label: str | None) -> Weights:
    """The weights of that name, or for None the model's own.

    Raises:
        ParametersError: it has none. FileError, UnsafeFileError: see :func:`load_weights`.
    """
    if label is not None:
        return load_weights(label)
    if model.checkpoint is None and on_meta(model.module):
        raise ParametersError(
            f"{model.label} comes without weights",
            at=model.label,
            got="parameters on the meta device, which have a shape and no entries",
            fix="add --weights FILE",
        )
    talk().note(f"no --weights: using those that come with {model.label}")
    if model.checkpoint is not None:
        return read_weights(model.checkpoint)
    return Weights({name: t.detach() for name, t in model.module.state_dict().items()}, model.label)


def fit(model: Model, *weights: Weights) -> None:
    """Refuse weights that do not fit the module, naming every problem at once.

    Raises:
        ParametersError: some are missing, unexpected, of another shape or not finite.
    """
    names: dict[Any, list[str]] = {}
    state = model.module.state_dict(keep_vars=True)
    for name, tensor in state.items():
        memory = tensor.untyped_storage()._cdata if tensor.is_meta else tensor.data_ptr()
        names.setdefault((memory, tensor.shape) if tensor.numel() else name, []).append(name)
    counters = tuple(name for name in state if name.endswith("num_batches_tracked"))
    placements = {
        found[0]: Placement(tuple(found), tuple(state[found[0]].shape), tuple(map(Fixed, state[found[0]].shape)))
        for found in names.values()
        if found[0] not in counters
    }
    expected = SymmetryGroup((), placements, unused=counters)
    for each in weights:
        check(expected, each)


def check(group: SymmetryGroup, weights: Weights) -> None:
    """Refuse weights that do not fit a group, saying where they came from."""
    try:
        group.check(weights.tensors)
    except ParametersError as error:
        error.at = weights.source
        raise


def with_weights(model: Model, weights: Weights, *others: Weights, data: Data | None = None) -> Model:
    """The model with these weights, in a dtype wide enough that nothing is rounded.

    Args:
        model: changed in place.
        weights: to load.
        others: more that will be used with it.
        data: whose inputs will be used with it.

    Raises:
        ParametersError: they do not fit.
    """
    fit(model, weights, *others)
    tensors = [t for each in (weights, *others) for t in each.tensors.values()]
    wide = _dtype([*model.module.state_dict().values(), *tensors, *(data.tensors if data is not None else [])])
    model.module.to(wide)
    empty = model.checkpoint is not None or on_meta(model.module)
    model.module.load_state_dict(weights.tensors, strict=False, assign=empty)

    def cast(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(wide) if tensor.is_floating_point() else tensor

    args, kwargs = pytree.tree_map_only(torch.Tensor, cast, (model.args, dict(model.kwargs)))
    return replace(model, args=args, kwargs=kwargs, program=None)


def _dtype(tensors: Sequence[torch.Tensor]) -> torch.dtype:
    """The narrowest dtype that holds all floating ones."""
    found = [t.dtype for t in tensors if t.is_floating_point()]
    return reduce(torch.promote_types, found) if found else torch.get_default_dtype()


def load_objective(model: Model, data: Data, loss: str, *weights: Weights, weight_decay: float = 0.0) -> Any:
    """F: the mean loss of the model with the first weights on the data, with weight decay.

    Raises:
        DataError: the data do not fit. ParametersError: the weights do not.
    """
    from orbitope.objective import Objective

    ready = with_weights(model, *weights, data=data)
    given = data.cast(_dtype([*ready.module.state_dict().values()]))
    function, output = read_loss(loss)
    with talk().wait(f"tracing {model.label}"), hush():
        return Objective(ready.module, function, given, output=output, weight_decay=weight_decay)


def read_loss(text: str) -> tuple[Any, str | None]:
    """What a ``--loss`` argument names, and which output it reads if it says so.

    Raises:
        InputError: no such loss. ModelArgumentError: a file or module has no such function.
    """
    from orbitope.objective import LOSSES

    name, _, rest = text.partition(":")
    if name not in LOSSES and rest:
        return imported(text), None
    chosen = [item for item in rest.split(",") if item.startswith("output=")]
    kept = [item for item in rest.split(",") if item and item not in chosen]
    return f"{name}:{','.join(kept)}" if kept else name, chosen[-1].removeprefix("output=") if chosen else None
