"""What the audit leaves out, and what rules do not say although it is so, each with its reason."""

from __future__ import annotations

import re

_LENGTH = "how long its result is depends on the data, so that no draw can be compared with another"
_DRAWN = "it draws random numbers: no two values can be compared"
_DETECTION = "the environment of the tests has no torchvision; tests/frontends compares its closed forms"

EXEMPT: dict[str, str] = {
    **dict.fromkeys(
        (
            *("aten.argwhere.default", "aten.masked_select.default", "aten.nonzero.default", "aten.where.default"),
            *("aten.nonzero_numpy.default", "aten.repeat_interleave.self_Tensor"),
        ),
        _LENGTH,
    ),
    **dict.fromkeys(
        (
            *("aten.bernoulli.p", "aten.cauchy.default", "aten.exponential.default", "aten.geometric.default"),
            *("aten.log_normal.default", "aten.normal.Tensor_Tensor", "aten.normal.Tensor_float"),
            *("aten.normal.float_Tensor", "aten.normal_functional.default", "aten.rand_like.default"),
            *("aten.randint_like.default", "aten.randint_like.low_dtype", "aten.randn_like.default"),
            "aten.uniform.default",
        ),
        _DRAWN,
    ),
    **dict.fromkeys(
        (f"torchvision.{name}.default" for name in ("deform_conv2d", "nms", "roi_align", "roi_pool")), _DETECTION
    ),
    "aten.empty.memory_format": "its value is whatever stood in memory",
    "aten.empty_like.default": "its value is whatever stood in memory",
    "aten.new_empty.default": "its value is whatever stood in memory",
    "aten.new_empty_strided.default": "its value is whatever stood in memory",
    "aten._adaptive_avg_pool1d.default": "this version of PyTorch has no such operation",
    "aten._grouped_mm.default": "PyTorch runs it in half precision only",
}
"""Targets without a call in ``calls.txt``."""

_SPACE = "spatial positions are told apart, also where one size makes a mirror image or a set of windows symmetric"
_REASONS: tuple[tuple[str, str], ...] = (
    (r"upsample|pool|conv|pad|im2col|col2im|unfold|grid_sampler", _SPACE),
    (r"flip|roll|diff\.|rot90", "an operation along an axis fixes it; what it does to all positions is not composed"),
    (r"channel_shuffle", "the axis is kept as two factors; that a shuffle of it is one permutation is not used"),
    (
        r"reshape|view|flatten|unflatten",
        "a factor common to both shapes is not looked for beside factors without a common divisor",
    ),
    (r"view_as_complex|view_as_real|fft", "complex numbers are one factor, real and imaginary parts are told apart"),
    (
        r"split|chunk|select\.int|unbind",
        "entries that a result does not read stay where they are, also beside others that move",
    ),
    (r"lstm|gru|rnn_", "the state before a step and the state behind it are one set of units, as over several steps"),
    (r"linalg|cholesky", "matrices are told apart: what a permutation of rows does to factors is not stated"),
)


def justification(target: str, opaque: bool = False) -> str:
    """Why exchanges that the operation lets happen are not in the group; empty where there is no reason.

    Args:
        target: the operation.
        opaque: whether its lowering refused this call.
    """
    if opaque:
        return "kept as it is: nothing is claimed of what is not lowered"
    return next((reason for pattern, reason in _REASONS if re.search(pattern, target)), "")
