"""The catalogue: what the sweep runs over, most used first, and the orders that mathematics gives for some of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from torch import nn
from weights import randomise

Made = tuple[nn.Module, Sequence[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: unique; the model type, then the attention implementation after a colon where there is a choice.
        library: which package it comes from.
        build: makes the model and its inputs.
    """

    name: str
    library: str
    build: Callable[[], Made]

    def make(self) -> Made:
        """The model with random weights, in evaluation mode, and its example inputs."""
        model, args, kwargs = self.build()
        randomise(model)
        return model.eval(), args, kwargs


FIRST = [
    "gpt2",
    "llama",
    "mistral",
    "qwen3",
    "bert",
    "distilbert",
    "roberta",
    "t5",
    "bart",
    "whisper",
    "vit",
    "swin",
    "convnext",
    "clip",
    "mamba",
    "mixtral",
    "gemma2",
    "falcon",
    "bloom",
    "gpt_neox",
    "opt",
    "phi",
    "deberta",
    "albert",
    "electra",
    "resnet18",
    "resnet50",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "vgg11_bn",
    "googlenet",
    "inception_v3",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
    "regnet_y_400mf",
    "convnext_tiny",
    "swin_t",
    "vit_b_32",
    "maxvit_t",
    "qwen2",
    "qwen2_moe",
    "qwen3_moe",
    "deepseek_v3",
    "gemma3_text",
    "phi3",
    "gptj",
    "gpt_neo",
    "mamba2",
    "deit",
    "dinov2",
    "wav2vec2",
    "siglip",
    "segformer",
    "detr",
    "xlnet",
    "mpt",
    "qwen3_next",
    "jamba",
    "nemotron_h",
    "gpt_oss",
    "llama4_text",
    "deepseek_v2",
    "recurrent_gemma",
    "rwkv",
    "xlstm",
    "longformer",
    "led",
    "longt5",
    "switch_transformers",
    "funnel",
    "perceiver",
    "reformer",
    "mobilebert",
    "mobilevit",
    "mobilevitv2",
    "deformable_detr",
    "rt_detr",
    "mask2former",
    "sam",
    "swin2sr",
    "hiera",
    "levit",
    "pvt",
    "speech_to_text",
    "speecht5",
    "wavlm",
    "hubert",
    "mimi",
    "encodec",
    "dac",
    "univnet",
    "vits",
    "time_series_transformer",
    "patchtst",
    "llava",
    "qwen2_vl",
    "idefics3",
    "olmo2",
    "olmoe",
    "granitemoehybrid",
    "minimax",
    "modernbert",
    "roformer",
    "nystromformer",
    "mra",
    "yoso",
    "rembert",
    "squeezebert",
    "convbert",
    "udop",
    "tapas",
    "luke",
    "lxmert",
    "vilt",
    "xclip",
    "timesformer",
    "videomae",
    "owlvit",
    "grounding-dino",
    "dpt",
    "zoedepth",
    "glpn",
    "upernet",
    "vitdet",
    "focalnet",
    "poolformer",
    "swiftformer",
    "resnet",
    "regnet",
    "codegen",
    "ctrl",
    "esm",
    "fnet",
    "stablelm",
    "starcoder2",
    "persimmon",
    "xglm",
    "m2m_100",
    "pegasus",
    "prophetnet",
    "xlm",
    "xmod",
    "zamba2",
    "lfm2",
    "seamless_m4t",
    "decision_transformer",
    "mobilenet_v1",
    "bit",
    "efficientnet",
    "hgnet_v2",
    "textnet",
    "dinov3_vit",
    "vit_mae",
    "beit",
]


def entries(libraries: Sequence[str] | None = None, attention: str = "both") -> list[Entry]:
    """All models of the installed libraries, the most used first."""
    wanted = libraries or [name for name in ("transformers", "torchvision", "timm") if find_spec(name)]
    found = [entry for name in wanted for entry in _LIBRARIES[name](attention)]
    rank = {name: k for k, name in enumerate(FIRST)}
    return sorted(found, key=lambda e: (e.name.endswith(":eager"), rank.get(e.name.split(":")[0], len(rank))))


def _transformers(attention: str) -> Iterator[Entry]:
    import hugging_face

    for model_type in hugging_face.model_types():
        for kind in ("sdpa", "eager") if attention == "both" else (attention,):

            def build(model_type: str = model_type, kind: str = kind) -> Made:
                model, inputs = hugging_face.build(model_type, kind)
                return model, (), inputs

            yield Entry(model_type if kind == "sdpa" else f"{model_type}:eager", "transformers", build)


def _torchvision(attention: str) -> Iterator[Entry]:
    import torchvision  # noqa: F401  once, not in every process
    import vision

    for name in vision.TORCHVISION:
        yield Entry(name, "torchvision", lambda name=name: vision.torchvision_model(name))


def _timm(attention: str) -> Iterator[Entry]:
    import timm  # noqa: F401  once, not in every process
    import vision

    for module in vision.timm_modules():
        yield Entry(f"timm.{module}", "timm", lambda module=module: vision.timm_model(module))


_LIBRARIES: dict[str, Callable[[str], Iterator[Entry]]] = {
    "transformers": _transformers,
    "torchvision": _torchvision,
    "timm": _timm,
}


# closed forms -------------------------------------------------------------------------------------------------------
def _f(n: int) -> float:
    from math import lgamma, log

    return lgamma(n + 1) / log(10)


def _grouped(layers: int, kv: int, g: int, d: int, mlp: float, turned: int | None = None) -> float:
    """Layers of attention with kv × g heads of size d; of each query-key dimension ``turned`` are rotated."""
    keys = 0.0 if turned is None else kv * _f(d - turned)
    return layers * (_f(kv) + kv * _f(g) + kv * _f(d) + keys + mlp)


def _dense(layers: int, h: int, d: int, mlp: float) -> float:
    """Layers of attention without rotation."""
    return layers * (_f(h) + 2 * h * _f(d) + mlp)


CLOSED_FORMS: dict[str, Callable[[], float]] = {
    "gpt2": lambda: _f(48) + _dense(2, 6, 8, _f(192)),
    "llama": lambda: _f(48) + _grouped(2, 3, 2, 10, _f(80)),
    "mistral": lambda: _f(48) + _grouped(2, 3, 2, 10, _f(80)),
    "qwen2": lambda: _f(48) + _grouped(2, 3, 2, 8, _f(80)),
    "qwen3": lambda: _f(48) + _grouped(2, 3, 2, 10, _f(80)),
    "gemma2": lambda: _f(48) + _grouped(2, 3, 2, 10, _f(80)),
    "mixtral": lambda: _f(48) + _grouped(2, 3, 2, 10, _f(5) + 5 * _f(80)),
    "bert": lambda: _f(48) + _dense(2, 6, 8, _f(80)),
    "roberta": lambda: _f(48) + _dense(2, 6, 8, _f(80)),
    "distilbert": lambda: _f(48) + _dense(2, 6, 8, _f(80)),
    "electra": lambda: _f(28) + _f(48) + _dense(2, 6, 8, _f(80)),
    "albert": lambda: _f(28) + _f(48) + _dense(1, 6, 8, _f(80)),
    "deberta": lambda: 2 * _f(48) + _dense(2, 6, 8, _f(80)),
    "opt": lambda: _f(48) + _dense(2, 6, 8, _f(80)),
    "bloom": lambda: _f(48) + 2 * (2 * 6 * _f(8) + _f(192)),
    "falcon": lambda: _f(48) + 2 * (_f(6) + _f(8) + _f(80)),
    "gpt_neox": lambda: _f(48) + 2 * (_f(6) + 6 * _f(8) + 6 * _f(6) + _f(80)),
    "phi": lambda: _f(48) + _grouped(2, 3, 2, 8, _f(80), turned=4),
    "mamba": lambda: _f(48) + 2 * (_f(96) + _f(7) + _f(5)),
    "vit": lambda: _f(48) + _dense(2, 6, 8, _f(80)),
    "clip": lambda: _f(26) + _f(48) + _dense(2, 6, 8, _f(80)) + _f(40) + _dense(2, 5, 8, _f(72)),
    # the relative-position table of the first layer belongs to the heads of all self-attention layers of its stack
    "t5": lambda: _f(48) + 2 * _f(6) + 2 * _f(6) + 6 * 2 * 6 * _f(10) + 4 * _f(80),
    "bart": lambda: _f(48) + _dense(2, 6, 8, _f(80)) + _dense(2, 6, 8, _f(88)) + _dense(2, 6, 8, 0),
    # the encoder's stream, its first convolution and the decoder's stream
    "whisper": lambda: 3 * _f(48) + _dense(2, 6, 8, _f(80)) + _dense(2, 6, 8, _f(88)) + _dense(2, 6, 8, 0),
    "resnet18": lambda: 3 * sum(map(_f, (64, 128, 256, 512))),
    # of each block two inner widths, of each stage its stream; the stem
    "resnet50": lambda: (
        _f(64) + sum((2 * n) * _f(w) + _f(4 * w) for n, w in zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True))
    ),
    "vgg11_bn": lambda: sum(map(_f, (64, 128, 256, 256, 512, 512, 512, 512, 4096, 4096))),
    "alexnet": lambda: sum(map(_f, (64, 192, 384, 256, 256, 4096, 4096))),
    "vit_b_32": lambda: _f(768) + _dense(12, 12, 64, _f(3072)),
    "mobilenet_v2": lambda: sum(
        map(_f, (32, 16, *_inverted((16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)), 1280))
    ),
}


def _inverted(widths: Sequence[int]) -> Iterator[int]:
    """Expanded widths of inverted residuals (by six), and the width of each new stream."""
    for before, after in zip(widths, widths[1:], strict=False):
        yield 6 * before
        if after != before:
            yield after
