"""Scales, signs, matrices and translations, derived from the same walk as the units.

``leaves`` and ``seating`` say how indices correspond, ``solver`` solves exactly, ``fields`` is dimensional analysis,
``shifts`` follows translations, ``mirrors`` and ``rotations`` find what their names say, ``families`` puts everything
together and ``frames`` says it in terms of blocks of parameters.
"""

from orbitope.infer.gauge.families import continuous

__all__ = ["continuous"]
