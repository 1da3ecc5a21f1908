"""Print the page of activations."""

from orbitope.activations.page import page

print(page(), end="")
