"""Closed forms of torchvision's and timm's models, from the widths in their papers, written by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from forms.terms import F, heads, total

_STAGES = (64, 128, 256, 512)
Channel = tuple[int, int, int, str]


def _bottlenecks(inner: int = 1) -> float:
    """ResNet-50: the stem, each stage's stream, and two inner widths in each block."""
    return F(64) + sum(F(4 * w) + 2 * n * F(inner * w) for w, n in zip(_STAGES, (3, 4, 6, 3), strict=True))


def _grouped_bottlenecks(cardinality: int, per_group: int) -> float:
    """ResNeXt: the inner widths are groups, and dimensions inside each group on both sides of the convolution."""
    found = F(64)
    for k, n in enumerate((3, 4, 6, 3)):
        size = per_group * 2**k
        found += F(4 * _STAGES[k]) + n * (F(cardinality) + 2 * cardinality * F(size))
    return found


def _plain_convolutions() -> float:
    """VGG-11: eight convolutions and two hidden layers."""
    return total(64, 128, 256, 256, 512, 512, 512, 512, 4096, 4096)


def _inverted(stem: int, first: int, blocks: Sequence[tuple[int, int, int]], last: int) -> float:
    """Inverted residuals; each stack is (expansion, width, repetitions).

    The first block expands nothing: its depthwise convolution keeps the stem's channels.
    """
    found, width = total(stem, first, last), first
    for expansion, after, n in blocks:
        found += F(expansion * width) + F(after) + (n - 1) * F(expansion * after)
        width = after
    return found


def _mobilenet_v3_small() -> float:
    streams = total(16, 16, 24, 40, 48, 96)
    expanded = total(72, 88, 96, 240, 240, 120, 144, 288, 576, 576)
    squeezed = total(8, 24, 64, 64, 32, 40, 72, 144, 144)
    return streams + expanded + squeezed + total(576, 1024)


def _efficientnet_b0() -> float:
    """Inverted residuals with squeeze and excitation by a quarter of a block's input."""
    found, width = total(32, 8, 16, 1280), 16
    for after, n in ((24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1)):
        found += F(after)
        for before in (width, *[after] * (n - 1)):
            found += F(6 * before) + F(before // 4)
        width = after
    return found


def _regnet(widths: Sequence[int], depths: Sequence[int], group: int, squeeze: bool) -> float:
    """The stem, each stage's stream, grouped inner widths, and squeeze and excitation by a quarter of the input."""
    found = F(32)
    for (before, width), n in zip(pairwise((32, *widths)), depths, strict=True):
        groups = width // group
        found += F(width) + n * (F(groups) + 2 * groups * F(group))
        if squeeze:
            found += F(round(before / 4)) + (n - 1) * F(round(width / 4))
    return found


def _densenet(blocks: Sequence[int], growth: int = 32, stem: int = 64) -> float:
    """Every layer adds a segment of its own to what all later ones read; transitions begin anew with half."""
    found, width = F(stem), stem
    for k, n in enumerate(blocks):
        found += n * (F(4 * growth) + F(growth))
        width += n * growth
        if k + 1 < len(blocks):
            width //= 2
            found += F(width)
    return found


def _squeezenet() -> float:
    fires = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    return F(96) + sum(F(squeezed) + 2 * F(wide) for squeezed, wide in fires)


def _googlenet() -> float:
    """Every branch of a concatenation is a segment."""
    blocks = (
        (64, 96, 128, 16, 32, 32),
        (128, 128, 192, 32, 96, 64),
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
        (256, 160, 320, 32, 128, 128),
        (384, 192, 384, 48, 128, 128),
    )
    return total(64, 64, 192) + sum(total(*block) for block in blocks)


def _inception_v3() -> float:
    found = total(32, 32, 64, 80, 192)
    found += sum(total(64, 48, 64, 64, 96, 96, pooled) for pooled in (32, 64, 64))
    found += total(384, 64, 96, 96)
    found += sum(total(192, c, c, 192, c, c, c, c, 192, 192) for c in (128, 160, 160, 192))
    found += total(192, 320, 192, 192, 192, 192)
    return found + 2 * total(320, 384, 384, 384, 448, 384, 384, 384, 192)


def _shufflenet(repeats: Sequence[int], widths: Sequence[int]) -> float:
    """Channels of one convolution are interchangeable as long as every shuffle sends them to the same half.

    Each channel carries the convolution that made it and the halves it went to.
    """
    found = total(widths[0], widths[-1])
    for stage, (n, width) in enumerate(zip(repeats, widths[1:], strict=False)):
        half = width // 2
        found += F(half)  # inside the second branch of the first block
        channels = _shuffled([(stage, 0, 1, "")] * half, [(stage, 0, 2, "")] * half)
        classes: Counter[Channel] = Counter()
        for block in range(1, n):
            found += F(half)
            kept = [(*c[:3], c[3] + "k") for c in channels[:half]]
            classes.update((*c[:3], c[3] + "r") for c in channels[half:])
            channels = _shuffled(kept, [(stage, block, 2, "")] * half)
        classes.update(channels)
        found += total(*classes.values())
    return found


def _shuffled(left: Sequence[Channel], right: Sequence[Channel]) -> list[Channel]:
    return [x for pair in zip(left, right, strict=True) for x in pair]


def _windows(width: int, depths: Sequence[int], heads_: Sequence[int], extra: float = 0.0) -> float:
    """Swin: in each stage a stream; in each layer a table of biases of its own, or ``extra`` for what makes it."""
    found = 0.0
    for k, (n, h) in enumerate(zip(depths, heads_, strict=True)):
        w = width * 2**k
        found += F(w) + n * (heads(h, w // h) + F(4 * w) + extra)
    return found


def _vit(width: int, depth: int, h: int, inner: int) -> float:
    return F(width) + depth * (heads(h, width // h) + F(inner))


def _convnext(widths: Sequence[int], depths: Sequence[int]) -> float:
    return sum(F(w) + n * F(4 * w) for w, n in zip(widths, depths, strict=True))


def _factored_video() -> float:
    """R(2+1)D-18: every convolution in space and time has a width between its two parts."""

    def between(before: int, after: int) -> int:
        return (before * after * 27) // (before * 9 + 3 * after)

    found, before = total(45, 64), 64
    for k, width in enumerate(_STAGES):
        first, second = between(before, width), between(width, width)
        found += 2 * F(first) + 2 * F(second) + 2 * F(width) + (F(width) if k else 0.0)
        before = width
    return found


Form = Callable[[], float]
_RESNET18 = 3 * total(*_STAGES)

TORCHVISION: dict[str, Form] = {
    "alexnet": lambda: total(64, 192, 384, 256, 256, 4096, 4096),
    **dict.fromkeys(("vgg11", "vgg11_bn"), _plain_convolutions),
    # the stem shares the stream of the first stage
    **dict.fromkeys(("resnet18", "r3d_18", "mc3_18"), lambda: _RESNET18),
    "resnet50": _bottlenecks,
    "wide_resnet50_2": lambda: _bottlenecks(2),
    "resnext50_32x4d": lambda: _grouped_bottlenecks(32, 4),
    "fcn_resnet50": lambda: _bottlenecks() + F(512),
    "r2plus1d_18": _factored_video,
    "mobilenet_v2": lambda: _inverted(
        32, 16, ((6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)), 1280
    ),
    "mnasnet0_5": lambda: _inverted(
        16, 8, ((3, 16, 3), (3, 24, 3), (6, 40, 3), (6, 48, 2), (6, 96, 4), (6, 160, 1)), 1280
    ),
    "mobilenet_v3_small": _mobilenet_v3_small,
    "efficientnet_b0": _efficientnet_b0,
    "regnet_x_400mf": lambda: _regnet((32, 64, 160, 400), (1, 2, 7, 12), 16, False),
    "regnet_y_400mf": lambda: _regnet((48, 104, 208, 440), (1, 3, 6, 6), 8, True),
    "densenet121": lambda: _densenet((6, 12, 24, 16)),
    "squeezenet1_0": _squeezenet,
    "googlenet": _googlenet,
    "inception_v3": _inception_v3,
    "shufflenet_v2_x0_5": lambda: _shufflenet((4, 8, 4), (24, 48, 96, 192, 1024)),
    "convnext_tiny": lambda: _convnext((96, 192, 384, 768), (3, 3, 9, 3)),
    "vit_b_32": lambda: _vit(768, 12, 12, 3072),
    "swin_t": lambda: _windows(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin_v2_t": lambda: _windows(96, (2, 2, 6, 2), (3, 6, 12, 24), F(512)),
}

TIMM: dict[str, Form] = {
    "beit": lambda: _vit(48, 2, 6, 192),
    "deit": lambda: _vit(192, 2, 3, 768),
    # the stem, and after each block new channels
    "convmixer": lambda: 33 * F(768),
    "densenet": lambda: _densenet((2, 2, 2, 2)),
    "inception_v3": _inception_v3,
    "regnet": lambda: _regnet((24, 56, 152, 368), (1, 1, 4, 7), 8, False),
    # ResNet-18, and in each of two blocks of a stage a squeezed width of a sixteenth
    "senet": lambda: _RESNET18 + 2 * total(*(w // 16 for w in _STAGES)),
    "swin_transformer": lambda: _windows(24, (2, 1, 1, 1), (3, 6, 12, 24)),
    "swin_transformer_v2": lambda: _windows(24, (2, 1, 1, 1), (3, 6, 12, 24), F(512)),
    "vgg": _plain_convolutions,
}
