"""The page's own checks and tests: Biome, the types, Vitest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from tests.explorer.fixtures import FOLDER

WEB = FOLDER.parent
COMMANDS = {
    "biome": ["biome", "ci", "--colors=off", "."],
    "types": ["svelte-check", "--tsconfig", "./tsconfig.json", "--fail-on-warnings"],
    "vitest": ["vitest", "run"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page(name):
    program, *arguments = COMMANDS[name]
    path = WEB / "node_modules" / ".bin" / program
    if not path.exists() or shutil.which("node") is None:
        pytest.skip(f"the page's own tests were not run: {name} needs Node.js and `make web`")
    plain = {**os.environ, "NO_COLOR": "1", "CI": "1"}
    done = subprocess.run([str(path), *arguments], cwd=WEB, capture_output=True, text=True, timeout=600, env=plain)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    if name == "vitest":
        counted = re.search(r"Tests +(\d+) passed", done.stdout)
        assert counted is not None and int(counted[1]) > 500
