"""The page as one file that needs nothing else: no server, no network."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

from orbitope.explorer.page import SCRIPT, STYLE, Assets
from orbitope.files import atomic_write


def export(assets: Assets, path: str | os.PathLike[str]) -> Path:
    """Write the page as one self-contained file: afterwards it is there whole, or what was there before.

    Args:
        assets: the page.
        path: the file.

    Raises:
        FileError: the file cannot be written.
    """
    return atomic_write(path, single_page(assets))


def single_page(assets: Assets) -> bytes:
    """The document with script and style sheet inside, and a policy that allows just these two by their hashes."""
    page = assets.page.decode()
    script, style = _quoted(assets.script.decode()), assets.style.decode()
    page = _replaced(page, rf'<script\b[^>]*\bsrc="\./{re.escape(SCRIPT)}"[^>]*></script>', "")
    page = _replaced(page, rf'<link\b[^>]*\bhref="\./{re.escape(STYLE)}"[^>]*>', f"<style>{style}</style>")
    # Hashes are of the exact text between the tags. The script comes last: it needs the element that it fills.
    page = _replaced(page, r"</body>", f'<script type="module">{script}</script>\n  </body>')
    policy = content_policy(f"'sha256-{_digest(script)}'", f"'sha256-{_digest(style)}'")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}" />'
    return _replaced(page, r'<meta charset="utf-8"\s*/?>', f'<meta charset="utf-8" />\n    {meta}').encode()


def content_policy(script: str, style: str) -> str:
    """What the page may load: its own code and style, and pictures that it draws itself; no requests at all."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {script}",
            f"style-src {style}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _quoted(script: str) -> str:
    """The script with nothing in it that would end its element: these marks stand only in strings and comments."""
    return re.sub(r"<(?=/script|script|!--)", r"\\x3c", script, flags=re.IGNORECASE)


def _replaced(page: str, pattern: str, text: str) -> str:
    result, count = re.subn(pattern, lambda _: text, page, count=2)
    if count != 1:
        raise ValueError(f"the built page has {count} places for {pattern}, not one")
    return result


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
