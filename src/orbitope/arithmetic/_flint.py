"""Exact rationals and Arb by python-flint, which is imported only when it is needed."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orbitope.errors import EnclosureError

_PRECISION = 128
"""Working precision of Arb, in bits: the result is rounded to float64 afterwards."""


def load_flint(purpose: str) -> Any:
    """The module ``flint``.

    Args:
        purpose: what needs it, for the message.

    Raises:
        EnclosureError: it is not installed.
    """
    try:
        return importlib.import_module("flint")
    except ImportError as error:
        raise EnclosureError(
            f"{purpose} needs python-flint",
            got=str(error),
            fix="pip install 'orbitope[exact]'",
        ) from error


def enclose_by_arb(
    name: str, center: NDArray[np.float64], radius: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Balls around the values of ``sin`` or ``cos``, entry by entry, by Arb's ball arithmetic.

    Args:
        name: a method of ``flint.arb``.
        center: a vector of finite midpoints.
        radius: finite radii, None for exact midpoints.

    Returns:
        Midpoints and radii. Each radius is compared with the deviation in Arb after its conversion to a
        float.

    Guarantee: exact, on the correctness of Arb.
    Source: Johansson 2017 [johansson2017].
    """
    flint = load_flint(f"the function {name!r} in ball arithmetic")
    radii = np.zeros_like(center) if radius is None else radius
    out_center, out_radius = np.empty(center.size), np.empty(center.size)
    with flint.ctx.workprec(_PRECISION):
        for k, (mid, rad) in enumerate(zip(center.tolist(), radii.tolist(), strict=True)):
            value = getattr(flint.arb(mid, rad), name)()
            near = float(value.mid())
            reach = abs(value - flint.arb(near)).abs_upper()
            above = float(reach.mid())
            while not reach <= flint.arb(above):  # the conversion may have rounded down; NaN never ends here
                if not np.isfinite(above):
                    raise EnclosureError(f"no finite enclosure of {name}({mid!r} ± {rad!r})")
                above = float(np.nextafter(above, np.inf))
            out_center[k], out_radius[k] = near, above
    return out_center, out_radius
