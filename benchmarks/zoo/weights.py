"""Random weights that hide nothing: no gain is one, no bias zero, no matrix zero, no statistic that of data."""

from __future__ import annotations

import math
import re

import torch
from torch import nn

_LOGARITHMS = re.compile(r"(A_log|logit_scale|logit_bias|log_|dt_bias|decay|time_|_min$|_max$)")
_VARIANCES = re.compile(r"(running_var|\.var$|variance)")


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Overwrite every floating parameter and running statistic in place; tied tensors stay tied.

    Matrices are scaled by their fan-in, so that signals neither vanish nor explode. Other buffers keep their values:
    they are tables that the architecture prescribes.
    """
    generator = torch.Generator().manual_seed(seed)
    seen: set[int] = set()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            _overwrite(name, tensor.data, seen, generator)
        for name, tensor in model.named_buffers():
            if re.search(r"running_(mean|var)$", name) and tensor is not None:
                _overwrite(name, tensor, seen, generator)


def _overwrite(name: str, tensor: torch.Tensor, seen: set[int], generator: torch.Generator) -> None:
    if not tensor.is_floating_point() or tensor.numel() == 0 or tensor.data_ptr() in seen:
        return
    seen.add(tensor.data_ptr())
    noise = torch.empty(tensor.shape, dtype=torch.float32).normal_(generator=generator)
    tensor.copy_(_values(name, tensor, noise).to(tensor.dtype))


def _values(name: str, tensor: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    if _VARIANCES.search(name):
        return 0.5 + noise.abs()
    if _LOGARITHMS.search(name):
        start = tensor.float()
        return torch.where(start.isfinite(), start, 0.0) + 0.3 * noise
    if tensor.dim() < 2 or max(tensor.shape) == tensor.numel():
        gain = name.endswith(("weight", "gamma", "scale", "gain")) or bool((tensor == 1).all())
        return (1.0 if gain else 0.0) + 0.3 * noise
    if "embed" in name or "token" in name:
        return 0.7 * noise
    return noise / math.sqrt(tensor[0].numel())
