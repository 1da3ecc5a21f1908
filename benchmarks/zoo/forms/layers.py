"""Closed forms of the networks in ``plain``."""

from __future__ import annotations

from collections.abc import Callable

from forms.terms import F, heads, total

_SHARED_LAYER = heads(3, 8) + F(20)

LAYERS: dict[str, Callable[[], float]] = {
    "mlp": lambda: F(10),
    "rnn": lambda: F(10),
    "rnn bidirectional": lambda: 2 * F(10),
    # the gates share one set of hidden units
    "lstm": lambda: F(10),
    "lstm two layers": lambda: 2 * F(10),
    # cells, and what is projected from them
    "lstm projected": lambda: total(10, 7),
    "gru": lambda: F(10),
    "gru bidirectional": lambda: 2 * F(10),
    "multihead attention": lambda: F(24) + heads(3, 8),
    "transformer encoder": lambda: F(24) + 2 * _SHARED_LAYER,
    # the streams of source and target; a layer of the decoder attends twice
    "transformer": lambda: 2 * F(24) + 2 * _SHARED_LAYER + 2 * (_SHARED_LAYER + heads(3, 8)),
    "bilinear": lambda: total(10, 9, 7),
    "embedding bag": lambda: total(10, 8),
    # four channels make one of four times as many pixels
    "pixel shuffle": lambda: F(5),
    "pixel unshuffle": lambda: F(5),
    "channel shuffle": lambda: F(12),
    "fold": lambda: F(5),
    "weight norm": lambda: F(10),
    "spectral norm": lambda: F(10),
    # both ranks, and the width between
    "adapter": lambda: total(2, 10, 3),
    "group norm": lambda: F(3) + 3 * F(4),
    # three groups of four inputs and five outputs
    "grouped convolution": lambda: F(3) + 3 * F(4) + 3 * F(5),
    "transposed convolution": lambda: total(10, 7),
    "flatten": lambda: total(10, 8),
}
