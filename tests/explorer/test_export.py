"""One file with everything in it, whose policy allows just what is in it."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser

import pytest

from orbitope import explorer
from orbitope.errors import FileError
from orbitope.explorer import Assets, export, single_page
from orbitope.explorer import page as module

PAGE = b"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>a page</title>
    <script type="module" crossorigin src="./explorer.js"></script>
    <link rel="stylesheet" crossorigin href="./explorer.css">
  </head>
  <body>
    <div id="app"></div>
  </body>
</html>
"""
SCRIPT = 'const a = "</script><script>alert(1)</SCRIPT>", b = "<!-- \\\\1 \\g<0> é";\n'
STYLE = "p::before { content: '\\\\201c' }"


class Elements(HTMLParser):
    """The page as a browser divides it."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.started: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.inside = ""
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.started.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        self.text[self.inside] = self.text.get(self.inside, "") + data

    def policy(self) -> dict[str, str]:
        found = [a["content"] for tag, a in self.started if a.get("http-equiv") == "Content-Security-Policy"]
        assert len(found) == 1
        return dict(part.split(" ", 1) for part in str(found[0]).split("; "))


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def checked(page: bytes) -> Elements:
    elements = Elements(page)
    tags = [tag for tag, _ in elements.started]
    assert tags.count("script") == tags.count("style") == 1
    assert "link" not in [tag for tag, a in elements.started if not str(a.get("href", "")).startswith("data:")]
    assert not any(a.get("src") for _, a in elements.started)
    policy = elements.policy()
    assert policy["script-src"] == digest(elements.text["script"])
    assert policy["style-src"] == digest(elements.text["style"])
    assert policy["default-src"] == "'none'"
    # The policy holds from where it stands, so that it has to stand before what it is about.
    assert [tag for tag in tags if tag in ("meta", "script", "style")].index("meta") == 0
    order = [k for k, (tag, a) in enumerate(elements.started) if "http-equiv" in a or tag in ("script", "style")]
    assert "http-equiv" in elements.started[order[0]][1]
    return elements


def test_script_and_style_are_inside_and_hashed():
    elements = checked(single_page(Assets(PAGE, SCRIPT.encode(), STYLE.encode())))
    assert elements.text["style"] == STYLE
    # Read as a string of JavaScript, \x3c is the mark that it stands for.
    assert elements.text["script"].replace("\\x3c", "<") == SCRIPT
    assert not {"</script", "<script", "<!--"} & {elements.text["script"].lower()}


def test_a_page_of_another_form_is_not_half_exported():
    with pytest.raises(ValueError, match="places for"):
        single_page(Assets(PAGE.replace(b"explorer.css", b"other.css"), b"", b""))


def test_a_page_that_was_not_built_says_how(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "files", lambda _: tmp_path)
    with pytest.raises(FileError, match="has not been built") as caught:
        explorer.load()
    assert caught.value.fix is not None and caught.value.fix.startswith("make web")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    assets = Assets(PAGE, b";", b"")
    assert export(assets, tmp_path / "page.html") == tmp_path / "page.html"
    before = (tmp_path / "page.html").read_bytes()
    assert before == single_page(assets)
    with pytest.raises(FileError):
        export(assets, tmp_path / "missing" / "page.html")
    with pytest.raises(FileError):
        export(assets, tmp_path)
    assert (tmp_path / "page.html").read_bytes() == before


def test_a_page_can_open_a_file_by_itself(tmp_path):
    text = "x,y\n1,2 </script><script>alert(1)</script> <!-- é\n"
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8-sig")
    page = explorer.opening(Assets(PAGE, SCRIPT.encode(), STYLE.encode()), tmp_path / "mine.csv")
    elements = Elements(single_page(page))
    assert [a for tag, a in elements.started if tag == "script"] == [
        {"type": "application/json", "id": "opening"},
        {"type": "module"},
    ]
    document, end = json.JSONDecoder().raw_decode(elements.text["script"])
    assert document == {"name": "mine.csv", "text": text}
    assert elements.policy()["script-src"] == digest(elements.text["script"][end:])


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("mine.csv", None, "cannot read"),
        ("mine.csv", b"\xff\xfe1", "is not text"),
        ("mine.csv", b"1" * 4_000_001, "is too large for the page"),
        ("mine.xlsx", b"", "the page cannot open"),
    ],
)
def test_a_file_that_cannot_be_carried_is_refused(tmp_path, name, content, what):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=what):
        explorer.opening(Assets(PAGE, b"", b""), tmp_path / name)


def test_the_built_page_is_small_and_whole():
    try:
        assets = explorer.load()
    except FileError:
        pytest.skip("the built page was not tested: it needs Node.js and `make web`")
    page = single_page(assets)
    checked(page)
    assert b"http://localhost" not in page
    assert b"sourceMappingURL" not in page
