"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Any

import click

model = click.argument("model")
optional_model = click.argument("model", required=False)
inputs = click.option(
    "--input",
    "shapes",
    multiple=True,
    metavar="SHAPE",
    help="Shape of an example input, batch first, as 8x3x32x32 or 8x128:int64; once for each input.",
)
symmetry = click.option(
    "--symmetry",
    metavar="FILE",
    help="A file that inspect -o wrote, instead of a MODEL; no model code is needed.",
)
weights = click.option(
    "--weights",
    metavar="FILE",
    help="Weights: .safetensors (also the index of a sharded one) or .pt, read without unpickling objects. "
    "By default those that come with the model.",
)
two_weights = click.option(
    "--weights", nargs=2, required=True, metavar="A B", help="Two files of weights, of the same architecture."
)
parts = click.option(
    "--parts",
    metavar="PARTS",
    help="What the random element is made of: permutations (the default), signs, scales, matrices, "
    "translations, with commas between them, or all.",
)
strength = click.option(
    "--strength",
    type=click.FloatRange(min=0),
    help="How far scales and translations go: scales lie between exp(−S) and exp(S), translations have S standard "
    "deviations of what they move. 1 by default.",
)
data = click.option(
    "--data",
    required=True,
    metavar="DATA",
    help="digits, digits:train, digits:test; a .safetensors, .npz or .pt file with arrays x and y, or with inputs by "
    "their names and labels; text:FILE[,N] (bytes as tokens, N windows); random[:N,SEED] for a quick look.",
)
loss = click.option(
    "--loss",
    metavar="LOSS",
    default="cross_entropy",
    show_default=True,
    help="cross_entropy, nll, mse, l1, smooth_l1, huber, hinge, multi_margin or bce_with_logits, with options as in "
    "cross_entropy:label_smoothing=0.1,ignore_index=-100 (also shift=1, axis=-1, output=NAME); or file.py:function "
    "of output and target. Mean over the samples.",
)


def output(ending: str, what: str, required: bool = True) -> Any:
    """``-o``: where to write."""
    return click.option(
        "-o",
        "--output",
        required=required,
        metavar=f"FILE{ending}",
        help=f"Where to write {what}; whole or not at all.",
    )
