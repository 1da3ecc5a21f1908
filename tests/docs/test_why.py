"""The page for students: what it computes on a network that fits in one hand, and that the page was built from it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


@pytest.fixture(scope="module")
def hand():
    spec = importlib.util.spec_from_file_location("build", DOCS / "student" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.by_hand()


def test_the_network_that_fits_in_one_hand(hand):
    assert hand["a"] == [1, -1, 1, 1]
    assert hand["b"] == [-1, 1, 1, 1]
    assert hand["m"] == [0, 0, 1, 1]
    assert hand["loss"] == {"a": 0, "b": 0, "m": 2.5}  # the mean of 4, 1, 1, 4
    assert hand["gap"] == pytest.approx(2.5, abs=1e-12)
    assert hand["control_verdict"] == "PROVED CONVEX"
    assert hand["control"].startswith("not proven")


def test_the_page_says_so(hand):
    page = (DOCS / "why.md").read_text(encoding="utf-8")
    assert "{{" not in page
    assert "{%" not in page
    assert hand["statement"] in page
    assert "its error is $F(M) = 2.5$" in page


def test_links_and_pictures_of_the_pages_are_there():
    for page in (DOCS.parent / "README.md", *DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name} links to {link}"
