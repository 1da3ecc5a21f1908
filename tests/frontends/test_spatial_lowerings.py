"""Pooling, resampling, padding, sliding windows and strided slices against PyTorch, over many settings."""

import pytest
import torch
import torch.nn.functional as F
from tests.frontends.comparing import check, rand

LINE, IMAGE, VOLUME = rand(2, 3, 11), rand(2, 3, 7, 10), rand(2, 2, 5, 4, 6)
GRID, GRID3 = 1.3 * rand(2, 4, 5, 2, seed=1), 1.3 * rand(2, 3, 4, 2, 3, seed=1)

CASES = {
    "max pool": [
        lambda x, y, z: F.max_pool1d(x, 3, stride=2, padding=1, dilation=2, ceil_mode=True),
        lambda x, y, z: F.max_pool1d(x, 3, stride=4, ceil_mode=True),
        lambda x, y, z: F.max_pool2d(y, (2, 3), stride=(3, 2), padding=(1, 0), ceil_mode=True),
        lambda x, y, z: F.max_pool2d(y, 3, stride=2, padding=1, dilation=(1, 2), ceil_mode=True),
        lambda x, y, z: F.max_pool2d(y, 3, stride=2, padding=1, ceil_mode=True),
        lambda x, y, z: F.max_pool2d(y[0], 2, ceil_mode=True),
        lambda x, y, z: F.max_pool2d(y, 2, stride=5, ceil_mode=True),
        lambda x, y, z: F.max_pool3d(z, 2, ceil_mode=True),
        lambda x, y, z: F.max_pool3d(z, (2, 1, 3), stride=(1, 2, 2), padding=(0, 0, 1)),
        lambda x, y, z: F.adaptive_max_pool2d(y, (3, 4)),
        lambda x, y, z: F.adaptive_max_pool1d(x, 5),
        lambda x, y, z: F.adaptive_max_pool3d(z, (2, 4, 3)),
    ],
    "average pool": [
        lambda x, y, z: F.avg_pool1d(x, 3, stride=2, padding=1, ceil_mode=True),
        lambda x, y, z: F.avg_pool1d(x, 4, stride=3, padding=2, ceil_mode=True, count_include_pad=False),
        lambda x, y, z: F.avg_pool2d(y, (2, 3), stride=(3, 2), padding=(1, 1), ceil_mode=True),
        lambda x, y, z: F.avg_pool2d(y, 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
        lambda x, y, z: F.avg_pool2d(y, 3, stride=(2, 3), padding=1, divisor_override=5),
        lambda x, y, z: F.avg_pool2d(y, 2, ceil_mode=True, divisor_override=3, count_include_pad=False),
        lambda x, y, z: F.avg_pool2d(y[1], 2, ceil_mode=True),
        lambda x, y, z: F.avg_pool3d(z, (2, 3, 2), stride=(2, 1, 3), padding=(1, 1, 0), ceil_mode=True),
        lambda x, y, z: F.avg_pool3d(z, 2, divisor_override=7),
        lambda x, y, z: F.adaptive_avg_pool1d(x, 4),
        lambda x, y, z: F.adaptive_avg_pool1d(x, 16),
        lambda x, y, z: F.adaptive_avg_pool2d(y, (5, 5)),
        lambda x, y, z: F.adaptive_avg_pool2d(y, (None, 3)),
        lambda x, y, z: F.adaptive_avg_pool3d(z, (2, 3, 1)),
        lambda x, y, z: F.lp_pool2d(y.abs(), 2, 3, stride=2, ceil_mode=True),
    ],
    "resampling by size": [
        lambda x, y, z: F.interpolate(x, 7),
        lambda x, y, z: F.interpolate(x, 22),
        lambda x, y, z: F.interpolate(x, 17, mode="nearest-exact"),
        lambda x, y, z: F.interpolate(x, 5, mode="linear"),
        lambda x, y, z: F.interpolate(x, 23, mode="linear", align_corners=True),
        lambda x, y, z: F.interpolate(y, (14, 30)),
        lambda x, y, z: F.interpolate(y, (3, 13), mode="nearest-exact"),
        lambda x, y, z: F.interpolate(y, (9, 4), mode="bilinear"),
        lambda x, y, z: F.interpolate(y, (9, 4), mode="bilinear", align_corners=True),
        lambda x, y, z: F.interpolate(y, (4, 21), mode="bicubic"),
        lambda x, y, z: F.interpolate(y, (15, 3), mode="bicubic", align_corners=True),
        lambda x, y, z: F.interpolate(y, (3, 4), mode="bilinear", antialias=True),
        lambda x, y, z: F.interpolate(y, (5, 23), mode="bicubic", antialias=True),
        lambda x, y, z: F.interpolate(y[..., :1, :1], (4, 5), mode="bilinear"),
        lambda x, y, z: F.interpolate(y, (7, 10), mode="bilinear"),
        lambda x, y, z: F.interpolate(z, (10, 3, 9)),
        lambda x, y, z: F.interpolate(z, (4, 7, 9), mode="nearest-exact"),
        lambda x, y, z: F.interpolate(z, (7, 2, 9), mode="trilinear"),
        lambda x, y, z: F.interpolate(z, (7, 2, 9), mode="trilinear", align_corners=True),
    ],
    "resampling by factor": [
        lambda x, y, z: F.interpolate(x, scale_factor=1.7),
        lambda x, y, z: F.interpolate(x, scale_factor=0.6, mode="linear"),
        lambda x, y, z: F.interpolate(x, scale_factor=1.3, mode="nearest-exact"),
        lambda x, y, z: F.interpolate(y, scale_factor=2),
        lambda x, y, z: F.interpolate(y, scale_factor=(0.5, 1.25)),
        lambda x, y, z: F.interpolate(y, scale_factor=(1.3, 0.7), mode="bilinear"),
        lambda x, y, z: F.interpolate(y, scale_factor=(1.3, 0.7), mode="bilinear", recompute_scale_factor=True),
        lambda x, y, z: F.interpolate(y, scale_factor=(0.45, 1.6), mode="bicubic"),
        lambda x, y, z: F.interpolate(y, scale_factor=(0.45, 0.6), mode="bilinear", antialias=True),
        lambda x, y, z: F.interpolate(z, scale_factor=(2, 1, 1.5)),
        lambda x, y, z: F.interpolate(z, scale_factor=(0.7, 1.4, 2), mode="trilinear"),
    ],
    "resampling without vectors": [
        lambda x, y, z: torch.ops.aten.upsample_bilinear2d(y, [9, 4], False, 1.3, None),
        lambda x, y, z: torch.ops.aten.upsample_nearest2d(y, [9, 4], None, 0.41),
        lambda x, y, z: torch.ops.aten.upsample_nearest1d(x, [9]),
        lambda x, y, z: torch.ops.aten.upsample_bicubic2d(y, [9, 4], True),
        lambda x, y, z: torch.ops.aten._upsample_bicubic2d_aa(y, [3, 4], False, 0.5, None),
        lambda x, y, z: torch.ops.aten.upsample_trilinear3d(z, [3, 4, 5], False),
    ],
    "padding": [
        *(
            lambda x, y, z, mode=mode: (
                F.pad(x, (2, 3), mode=mode), F.pad(y, (1, 0, 4, 2), mode=mode),
                F.pad(z, (1, 2, 0, 3, 2, 1), mode=mode),
            )
            for mode in ("replicate", "circular", "reflect")
        ),
        lambda x, y, z: (F.pad(x, (13, 12), mode="replicate"), F.pad(x, (-2, 3), mode="reflect")),
        lambda x, y, z: F.pad(x, (11, 11), mode="circular"),
        lambda x, y, z: F.pad(z, (1, -2, 0, 3, 2, 0, 1, 1), value=-2.5),
        lambda x, y, z: (torch.ops.aten.reflection_pad2d(y, [3, 1, 0, 4]), torch.ops.aten.replication_pad1d(x, [3, 1])),
        lambda x, y, z: torch.ops.aten.reflection_pad1d(x, [0, 5]),
        lambda x, y, z: torch.ops.aten.replication_pad3d(z, [3, 1, 0, 1, 2, 2]),
    ],
    "strided slices": [
        *(
            lambda x, y, z, a=a, e=e, s=s: (x[..., a:e:s], z[:, :, a:e:s, :, ::2])
            for a in (0, 1, 2, 4) for e in (5, 10, 11, None, -1) for s in (2, 3, 5)
        ),
        lambda x, y, z: (x[..., ::20], x[..., 9::3], (x > 0)[..., 1::3], y.long()[..., 2::3]),
        lambda x, y, z: torch.stack([x[..., :10:2], -x[..., 1:10:2]], -1).flatten(-2),
    ],
    "strided writing": [
        *(
            lambda x, y, z, a=a, e=e, s=s: (
                torch.slice_scatter(x, torch.zeros_like(x[..., a:e:s]), 2, a, e, s),
                torch.slice_scatter(z, 2 * z[:, :, a:e:s], 2, a, e, s),
            )
            for a in (0, 1, 3) for e in (5, 10, 11) for s in (1, 2, 3)
        ),
        lambda x, y, z: torch.slice_scatter(x, torch.zeros(2, 3, 0), 2, 5, 5, 2),
    ],
    "rolling": [
        lambda x, y, z: (torch.roll(x, 3), torch.roll(x, -4, 2), torch.roll(x, 11, 2), torch.roll(x, 25, -1)),
        lambda x, y, z: (torch.roll(y, (1, -2), (2, 3)), torch.roll(z, (3, 1, 2), (2, 2, 1))),
        lambda x, y, z: torch.roll(z, (0, 2), (1, 4)),
        lambda x, y, z: (x.flip(2), y.flip(0, 3), z.flip(-1, 2)),
    ],
    "windows": [
        *(
            lambda x, y, z, s=s: (
                F.unfold(y, (2, 3), **s), F.unfold(y[0], (3, 1), **s), F.unfold(y[..., :9], 1, **s),
                F.fold(F.unfold(y, (2, 3), **s), (7, 10), (2, 3), **s),
                F.fold(F.unfold(y[0], (3, 2), **s), (7, 10), (3, 2), **s),
            )
            for s in ({}, {"stride": 2}, {"stride": (3, 1), "padding": (1, 2)}, {"dilation": (2, 1), "padding": 2})
        ),
        lambda x, y, z: F.unfold(y[:, :, :6], (2, 5), stride=(2, 5)),
        lambda x, y, z: F.fold(y.reshape(2, 30, 7), (7, 10), (1, 10), stride=(1, 10)),
        lambda x, y, z: F.unfold(y, (3, 4), stride=(3, 4), padding=(1, 1)),
        lambda x, y, z: F.fold(F.unfold(y, 3, padding=1, stride=3), (7, 10), 3, stride=3, padding=1),
        lambda x, y, z: (x.unfold(2, 3, 2), x.unfold(-1, 4, 4), x.unfold(0, 2, 1), x.unfold(1, 2, 3)),
        lambda x, y, z: z.unfold(3, 2, 1).unfold(2, 3, 2),
        lambda x, y, z: (y.unfold(2, 7, 1), y.unfold(3, 5, 5), y.unfold(3, 1, 2), y.unfold(3, 2, 7)),
    ],
    "shuffles": [
        lambda x, y, z: (F.pixel_shuffle(y[:, :1].expand(2, 18, 7, 10), 3), F.pixel_unshuffle(y[:, :, :6], 2)),
        lambda x, y, z: (F.channel_shuffle(y.reshape(2, 6, 7, 5), 3), F.channel_shuffle(z.reshape(2, 20, 2, 6), 4)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("family", CASES)
def test_every_setting_computes_what_pytorch_computes(family):
    check(lambda *xs: _all(CASES[family], xs), (LINE, IMAGE, VOLUME))


def _all(functions, inputs):
    found = [function(*inputs) for function in functions]
    return tuple(x for each in found for x in (each if isinstance(each, tuple) else (each,)))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_sampling_at_computed_places(mode):
    def function(image, grid, volume, places):
        found = []
        for padding in ("zeros", "border", "reflection"):
            for align in (False, True):
                found.append(F.grid_sample(image, grid, mode, padding, align))
                if mode != "bicubic":
                    found.append(F.grid_sample(volume, places, mode, padding, align))
        return tuple(found)

    check(function, (IMAGE, GRID, VOLUME, GRID3))


def test_unpooling():
    _, indices = F.max_pool2d(rand(2, 3, 8, 10, seed=1), 2, return_indices=True)
    _, places = F.max_pool3d(rand(2, 2, 4, 6, 2, seed=1), 2, return_indices=True)

    def function(image, indices, volume, places):
        return (
            F.max_unpool2d(image, indices, 2),
            F.max_unpool2d(image[0], indices[0], 2, output_size=(9, 11)),
            F.max_unpool3d(volume, places, 2),
        )

    check(function, (rand(2, 3, 4, 5), indices, rand(2, 2, 2, 3, 1), places))
