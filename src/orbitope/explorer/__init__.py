"""The explorer: the page on which two hidden nodes are exchanged by hand, served on loopback or as one file."""

from orbitope.explorer.page import Assets, load, opening
from orbitope.explorer.standalone import export, single_page

__all__ = ["Assets", "export", "load", "opening", "single_page"]
