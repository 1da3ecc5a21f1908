"""explain: curvature by composition, on three separate axes, and why the ReLU objection fails on this network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

import torch

from orbitope.curvature import words
from orbitope.curvature.outline import Outline
from orbitope.curvature.report import Analysis, Explanation
from orbitope.curvature.study import Progress, Prover, Study, Subject
from orbitope.curvature.summary import summarise
from orbitope.curvature.walk import Program
from orbitope.curvature.witness import Evidence, read
from orbitope.errors import InputError
from orbitope.objective import Objective

Blocks = Mapping[str, str | Iterable[str]] | Iterable[str | Iterable[str]]

GUARANTEE = (
    "exact. What is PROVED CONVEX holds by rule in real arithmetic, for the program that was lowered from the model, "
    "on this data, wherever that program is defined; what is PROVED NON-CONVEX has a certificate. That the program is "
    "the model is numeric (it was executed and compared). UNKNOWN claims nothing: the rules are sufficient, not "
    "necessary."
)
OUTLINED = (
    "exact. What is PROVED holds by rule in real arithmetic, for the program that was lowered from the model, for all "
    "data of these shapes, wherever that program is defined. UNKNOWN claims nothing: the rules are sufficient, not "
    "necessary."
)


def explain(
    objective: Subject,
    certificate: Evidence | None = None,
    *,
    params: Mapping[str, torch.Tensor] | None = None,
    blocks: Blocks | None = None,
    tensors: bool = False,
    prover: Prover | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Where the loss is convex by the rules of composition, and the node where they break elsewhere.

    Three separate axes: the outputs and F as functions of the inputs, at these parameters; F as a function of the
    parameters of each module alone, all else held at its value; F as a function of all trainable parameters jointly.

    Signs decide whether a constant factor keeps curvature. They are exact for parameters, constants, inputs and targets
    (read entry by entry; data must have the sign in every sample) and follow by rule for what is computed from them
    (ReLU, softmax, exp, squares and the like are nonnegative; sums and products of signed things are signed); a value
    that was only observed to have a sign counts as unsigned. An activation that happens to be inactive on the data is
    not used. Values of large programs have one sign and one curvature for all their entries.

    Args:
        objective: model, loss and data; or the outline of one, which needs no data and perhaps no weights.
        certificate: of non-convexity; cited on every axis that its points lie in, after it was compared with this
            objective. Falsy ones are ignored. Whether it is valid is for ``check`` to say.
        params: parameters by name; the model's own by default.
        blocks: further sets of parameters to vary together: patterns (``layers.0.*``), lists of patterns, or a mapping
            from labels to these.
        tensors: also vary every trainable tensor alone.
        prover: asked for a certificate, with no other variables, wherever the rules prove nothing of the loss in
            parameters. It must return only such as ``check`` accepts, or something falsy.
        progress: called with what is done, how much of it and out of how much.

    Raises:
        ParametersError: the parameters do not fit.
        InputError: a pattern matches no trainable parameter.
        CertificateError: the certificate contradicts what the rules prove.

    Guarantee: exact for PROVED verdicts, in real arithmetic.
    Source: disciplined convex programming, Grant, Boyd and Ye 2006 [grant2006].
    """
    given = objective.canonical(params)
    study = _study(objective, given)
    notes: list[str] = []
    if isinstance(objective, Objective) and certificate:
        witness = read(certificate, objective, given)
        study.witnesses.append(witness)
        notes += [f"The certificate that was given is not used: {witness.objection}."] if witness.objection else []
    if isinstance(objective, Objective):
        study.prover = prover
    study.progress = progress or (lambda *_: None)
    variables = _computed(objective, study.program)
    modules: dict[str, list[str]] = {}
    for name in variables:
        modules.setdefault(name.rpartition(".")[0], []).append(name)
    named = _named(objective, blocks)
    study.total = 1 + len(named) + len(modules) + len(variables) * tensors
    joint = study.parameters("joint", "", variables)
    subsets = tuple(study.parameters("subset", label, names) for label, names in named)
    parts = tuple(study.parameters("block", module, names) for module, names in modules.items())
    alone = tuple(study.parameters("tensor", name, [name]) for name in variables) if tensors else ()
    inputs, apart = study.inputs()
    explanation = Explanation(
        function=_function(objective),
        inputs=inputs,
        apart=apart,
        blocks=parts,
        joint=study.again(joint),
        tensors=alone,
        subsets=tuple(map(study.again, subsets)),
        summary=(),
        notes=(*notes, *study.notes()),
        guarantee=OUTLINED if isinstance(objective, Outline) else GUARANTEE,
    )
    return replace(explanation, summary=summarise(explanation, study.program, study.outputs))


def walked(objective: Subject, analysis: Analysis, params: Mapping[str, torch.Tensor] | None = None) -> Study:
    """The program that an analysis followed, for pictures of it.

    Args:
        objective: what was explained.
        analysis: one of its choices of variables.
        params: as they were given.
    """
    return _study(objective, objective.canonical(params)).at(analysis)


def _study(objective: Subject, params: Mapping[str, torch.Tensor]) -> Study:
    """The program of one sample, or of all that mix; the node of its loss and that of the network's outputs."""
    if isinstance(objective, Outline):
        program = objective.program()
    else:
        graph = objective.graph if objective.whole else objective.graph_for(1)
        program = Program(graph, params, objective.data)
    last = objective.network.node(objective.network.outputs[0]).inputs[0]
    target = program.graph.node(program.graph.outputs[0]).inputs[0]
    return Study(objective, params, program, program.same[target], program.same[last])


def _computed(objective: Subject, program: Program) -> list[str]:
    """The trainable parameters in the order in which the program uses them."""
    trainable = set(objective.variables)
    order: dict[str, None] = {}
    for node in program.nodes.values():
        for name in node.inputs:
            parameter = program.nodes[name].attributes.get("parameter")
            if parameter in trainable:
                order.setdefault(parameter)
    return [*order, *(name for name in objective.variables if name not in order)]


def _function(objective: Subject) -> str:
    loss, model = words.loss(objective.loss), type(objective.model).__name__
    over = f"{objective.samples} samples" if isinstance(objective, Objective) else "samples, whatever they are,"
    text = f"the mean over {over} of the {loss} of {model}"
    if objective.output not in ("", "0", "output", "logits"):
        text += f" (output {objective.output})"
    return text + (f", plus {objective.weight_decay / 2:g} times ‖θ‖²" if objective.weight_decay else "")


def _named(objective: Subject, blocks: Blocks | None) -> list[tuple[str, list[str]]]:
    """The user's own sets of parameters."""
    if blocks is None:
        return []
    given = blocks.items() if isinstance(blocks, Mapping) else [(None, patterns) for patterns in blocks]
    named, idle = [], []
    table = {name: objective.network.parameters[name].names for name in objective.variables}
    for label, patterns in given:
        listed = [patterns] if isinstance(patterns, str) else list(patterns)
        idle += [p for p in listed if not any(fnmatchcase(a, p) for names in table.values() for a in names)]
        found = [n for n, names in table.items() if any(fnmatchcase(a, p) for p in listed for a in names)]
        named.append((label or ", ".join(listed), found))
    if idle or not all(found for _, found in named):
        raise InputError(
            "a block names no trainable parameter",
            got=", ".join(idle) or "an empty list of patterns",
            fix=f"trainable parameters are {', '.join(objective.variables[:8])}"
            + (" …" if len(objective.variables) > 8 else ""),
        )
    return named
