"""The zoo: tiny models with distinct sizes everywhere, and the exact order of each one's permutation group.

``order`` is what the mathematics says, derived in ``notes`` before anything was run; None where only soundness is
claimed. Default initialisation hides errors, so tests call :func:`randomise` first. ``ZOO`` holds small networks, one
feature each; ``ARCHITECTURES`` miniatures of published ones.
"""

from tests.zoo import dense  # isort: skip  (the zoo keeps this order)
from tests.zoo import convolutional  # isort: skip
from tests.zoo import spatial  # isort: skip
from tests.zoo import sequences  # isort: skip
from tests.zoo import (  # isort: skip
    convnets,
    decoders,
    encoders,
    entries,
    experts,
    functions,
    generative,
    latents,
    recurrent,
    vision_transformers,
)
from tests.zoo.convolutional import BasicBlock, ResNet18
from tests.zoo.core import (
    ARCHITECTURES,
    C1,
    C2,
    C3,
    ZOO,
    Case,
    Inputs,
    L,
    Made,
    Params,
    Prepared,
    architecture,
    between,
    case_of,
    difference,
    example,
    fac,
    model,
    outputs,
    prepare,
    prepared,
    randomise,
    relu,
    seq,
)

__all__ = [
    "ARCHITECTURES",
    "C1",
    "C2",
    "C3",
    "ZOO",
    "BasicBlock",
    "Case",
    "Inputs",
    "L",
    "Made",
    "Params",
    "Prepared",
    "ResNet18",
    "architecture",
    "between",
    "case_of",
    "convnets",
    "convolutional",
    "decoders",
    "dense",
    "difference",
    "encoders",
    "entries",
    "example",
    "experts",
    "fac",
    "functions",
    "generative",
    "latents",
    "model",
    "outputs",
    "prepare",
    "prepared",
    "randomise",
    "recurrent",
    "relu",
    "seq",
    "sequences",
    "spatial",
    "vision_transformers",
]
