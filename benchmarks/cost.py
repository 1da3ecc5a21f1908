"""What an analysis costs beside the export that it needs: seconds and peak memory, each shape in a process of its own.

Run: python benchmarks/cost.py [NAME …] [--slope] [--json FILE]

Models are built on the meta device: no weight is ever made. The shapes need `transformers` (llama-7b, mixtral-8x7b,
deepseek-v3), `diffusers` (sdxl-unet) or `torchvision` (resnet-50); shapes whose library is missing are left out.
Inference is the best of three runs, with and without the continuous part; the rest is run once. `--slope` measures
Llama at 2, 4, 8, 16 and 32 layers.
Seconds depend on the machine; the ratios do not.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

Made = tuple[Any, tuple[Any, ...], dict[str, Any]]
"""A module in evaluation mode on the meta device, and its example inputs."""

BUILDERS: dict[str, tuple[str, Callable[..., Made]]] = {}
"""By name: the library that it needs, and what builds it."""


def builds(name: str, library: str) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Enter a builder."""

    def enter(build: Callable[..., Made]) -> Callable[..., Made]:
        BUILDERS[name] = library, build
        return build

    return enter


def _tokens() -> Any:
    import torch

    return torch.zeros(2, 7, dtype=torch.int64, device="meta")


def _language_model(config: Any) -> Made:
    import torch
    from transformers import AutoModelForCausalLM

    config.use_cache = False
    config._experts_implementation = "batched_mm"
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return model.eval(), (_tokens(),), {"use_cache": False}


@builds("llama-7b", "transformers")
def llama(layers: int = 32) -> Made:
    """Llama-2-7B: width 4096, 32 heads, 11008 hidden units."""
    from transformers import LlamaConfig

    return _language_model(LlamaConfig(num_hidden_layers=layers))


@builds("mixtral-8x7b", "transformers")
def mixtral() -> Made:
    """32 layers of 8 experts."""
    from transformers import MixtralConfig

    return _language_model(MixtralConfig())


@builds("deepseek-v3", "transformers")
def deepseek() -> Made:
    """671 billion parameters: 61 layers, 256 experts."""
    from transformers import DeepseekV3Config

    return _language_model(DeepseekV3Config())


@builds("sdxl-unet", "diffusers")
def sdxl() -> Made:
    """The U-Net of Stable Diffusion XL: 2.6 billion parameters, 70 attention blocks."""
    import torch
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel(
            sample_size=32,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    sample, text = torch.zeros(2, 4, 32, 32, device="meta"), torch.zeros(2, 7, 2048, device="meta")
    added = {"text_embeds": torch.zeros(2, 1280, device="meta"), "time_ids": torch.zeros(2, 6, device="meta")}
    step = torch.zeros(2, device="meta")
    return model.eval(), (sample, step, text), {"added_cond_kwargs": added, "return_dict": False}


@builds("resnet-50", "torchvision")
def resnet() -> Made:
    """50 layers, 224 × 224."""
    import torch
    from torchvision.models import resnet50

    with torch.device("meta"):
        model = resnet50()
    return model.eval(), (torch.zeros(2, 3, 224, 224, device="meta"),), {}


def measure(name: str, settings: dict[str, Any], send: Any) -> None:
    """Export, lower and infer; figures go to ``send``."""
    import torch

    from orbitope.frontends import lower, trace
    from orbitope.group.continuous import Continuous
    from orbitope.infer import infer

    library, build = BUILDERS[name]
    importlib.import_module(library)
    start = time.perf_counter()
    model, args, kwargs = build(**settings)
    figures: dict[str, Any] = {"imports": _peak(), "build": time.perf_counter() - start}

    start = time.perf_counter()
    with torch.no_grad():
        torch.export.export(model, args, kwargs, strict=False)
    figures["export alone"] = time.perf_counter() - start
    start = time.perf_counter()
    program = trace(model, args, kwargs)
    figures["trace"] = time.perf_counter() - start
    start = time.perf_counter()
    graph = lower(program)
    figures["lower"] = time.perf_counter() - start
    with mock.patch("orbitope.infer.continuous", lambda *_: lambda *_: Continuous()):
        figures["discrete"] = min(_seconds(infer, graph) for _ in range(3))
    figures["peak without"] = _peak()
    figures["infer"] = min(_seconds(infer, graph) for _ in range(3))
    group = infer(graph)
    figures |= {
        "nodes": len(graph.nodes),
        "dimension": group.dimension,
        "sign bits": group.sign_bits,
        "units": len(group.units),
        "log10 order": group.log10_order,
        "unknown": len({d.reason for d in group.diagnostics if d.unknown}),
        "peak": _peak(),
    }
    send.send(figures)


def _seconds(function: Callable[..., Any], *args: Any) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def _peak() -> int:
    """Peak resident set size so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "darwin" else 1024)


def run(name: str, **settings: Any) -> dict[str, Any] | None:
    """The figures of one shape; None where it failed or its library is missing."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, settings, send))
    process.start()
    send.close()
    try:
        figures = receive.recv()
    except EOFError:
        figures = None
    process.join()
    return figures


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *BUILDERS], default=[])
    parser.add_argument("--slope", action="store_true")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    cases = [(name, {}) for name in wanted.names or BUILDERS if importlib.util.find_spec(BUILDERS[name][0])]
    if wanted.slope:
        cases = [("llama-7b", {"layers": layers}) for layers in (2, 4, 8, 16, 32)]
    found = []
    heads = " ".join(f"{head:>8}" for head in ("export", "trace", "lower", "discrete", "infer"))
    print(f"{'shape':24} {heads} {'infer/export':>13} {'nodes':>7} {'MiB':>6} {'without':>7}")
    for name, settings in cases:
        figures = run(name, **settings)
        label = f"{name} {settings or ''}".strip()
        if figures is None:
            print(f"{label:24} failed")
            continue
        found.append({"shape": label, **figures})
        times = " ".join(f"{figures[key]:8.2f}" for key in ("export alone", "trace", "lower", "discrete", "infer"))
        order = f"10^{figures['log10 order']:.1f} {figures['dimension']} flat 2^{figures['sign bits']}"
        ratio = figures["infer"] / figures["export alone"]
        peaks = f"{figures['peak']:6} {figures['peak without']:7}"
        print(f"{label:24} {times} {ratio:13.3f} {figures['nodes']:7} {peaks}  {order}")
    if wanted.json:
        wanted.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
