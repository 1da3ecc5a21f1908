"""``orbitope fold``: the gains of norms multiplied into the weights behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.groups import guarantee
from orbitope.cli.loading import Model, fit, load_model, own_or_loaded
from orbitope.cli.output import Prose, Result, facts, number, stack, talk, verdict
from orbitope.cli.verification import Replacement
from orbitope.cli.weights import Weights, check_output, write_weights
from orbitope.group import SymmetryGroup

if TYPE_CHECKING:
    from orbitope.comparison import Verification
    from orbitope.infer.equivalents import Folded, Plan


@command("fold")
@options.model
@options.inputs
@options.weights
@options.output(".safetensors", "the folded weights")
def fold(model: str, shapes: tuple[str, ...], weights: str | None, output: str) -> Result:
    """Multiply the gains of norms into the weights behind them.

    The architecture stays as it is and computes the same function: the gains become one, their biases zero. Residual
    streams then turn freely, as far as no gain is left; each that is left is listed with the reason. Weights are
    computed in float64 and rounded once to the dtype that they have in the file.
    """
    from orbitope.infer.equivalents import folded, plan

    check_output(output, ".safetensors")
    network = load_model(model, shapes)
    loaded = own_or_loaded(network, weights)
    fit(network, loaded)
    ways = plan(network.graphs())
    with talk().wait("folding"):
        found = folded(ways, loaded.tensors)
    verification, rounding = _verify(network, loaded, found, ways)
    equal = verification is None or verification.equal
    if equal:
        write_weights(output, found.params, loaded.metadata)
    body = {
        "model": model,
        "weights": loaded.source,
        "output": output if equal else None,
        "folded": {name: list(takers) for name, takers in found.folded.items()},
        "left": dict(found.left),
        "dimension": found.group.dimension,
        "rotations": [
            {"index": each.space[0], "size": each.sizes[0], "ones": each.ones}
            for each in found.group.continuous.matrices
            if each.kind == "orthogonal"
        ],
        "rounding": rounding,
        "verification": None if verification is None else verification.to_json(),
        "guarantee": "numeric" if verification is not None else guarantee(found.group),
    }
    return Result("fold", body, _human(body, verification), 0 if equal else 1)


def _verify(model: Model, before: Weights, found: Folded, ways: Plan) -> tuple[Verification | None, float | None]:
    """Outputs before and behind, with weights folded in float64, and how far their rounding then moves the outputs."""
    from orbitope.comparison import verify
    from orbitope.infer.equivalents import folded_parameters

    if not model.runs:
        talk().note("the model or its example inputs have no entries: outputs were not compared")
        return None, None

    def compared(wide: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> Verification:
        other: Any = Replacement(SymmetryGroup((), {}), after, is_permutation=False)
        return verify(model.program or model.module, other, model.inputs(), model.kwargs, wide)

    with talk().wait("comparing outputs"):
        wide = _widened(before.tensors)
        exact = compared(wide, folded_parameters(ways, wide))
        return exact, compared(wide, _widened(found.params)).max_rel


def _widened(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _human(body: dict[str, Any], verification: Verification | None) -> Any:
    if body["output"] is None:
        return verdict("NOT WRITTEN", False, f"the outputs differ: {verification.reason if verification else ''}")
    count = len(body["folded"])
    what = "gain or bias" if count == 1 else "gains and biases"
    head = verdict("written", True, f"{body['output']}, {body['weights']} with {number(count)} {what} folded")
    if not count:
        head = verdict("written", True, f"{body['output']}, which is {body['weights']}: no gain could be folded")
    turns = [f"O({r['size']}){' that keeps the ones' if r['ones'] else ''} of {r['index']}" for r in body["rotations"]]
    rows = [
        ("rotations now free", ", ".join(turns) or "none", "exact"),
        ("flat directions", number(body["dimension"]), "exact"),
    ]
    if verification is not None:
        rows.append(("outputs agree to", f"{verification.max_rel:.1e} relative, before weights are rounded", "numeric"))
        rows.append(("rounding weights", f"changes outputs by {body['rounding']:.1e} relative", "numeric"))
    left = [Prose(f"left: {name}: {why}") for name, why in body["left"].items()]
    return stack(head, facts(rows), *left)
