"""The command ``orbitope``: one file per command, shared loading and output, one boundary for all errors."""

from orbitope.cli.application import application, main

__all__ = ["application", "main"]
