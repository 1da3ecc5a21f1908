"""Puts the explorer's page into packages: built from ``web`` only where it is not there yet.

A checkout that is installed in place needs no page; ``make web`` builds it there. A source package carries it built, so
that whoever builds or installs from one needs no Node.js.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src", "orbitope", "explorer", "assets", "index.html")


class CustomBuildHook(BuildHookInterface):
    """Called by hatchling before it collects the files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page if it is absent; a wheel goes without it where npm is missing, a source package does not."""
        root = Path(self.root)
        if version == "editable" or (root / PAGE).is_file():
            return
        npm = shutil.which("npm")
        if npm is None:
            missing = "the explorer's page is not built, and building it needs Node.js with npm"
            if self.target_name == "sdist":
                raise RuntimeError(missing)
            self.app.display_warning(f"{missing}: `orbitope explore` will not work in this package")
            return
        for arguments in (["ci"], ["run", "build"]):
            subprocess.run([npm, *arguments], cwd=root / "web", check=True)
