"""Activations: which traits each has, what each trait says, and how to look for them in a function of your own."""

from orbitope.activations.conditions import TRAITS
from orbitope.activations.known import ACTIVATIONS, Activation
from orbitope.activations.own import ActivationError, own
from orbitope.activations.traits import Traits, Verdict, traits

__all__ = ["ACTIVATIONS", "TRAITS", "Activation", "ActivationError", "Traits", "Verdict", "own", "traits"]
