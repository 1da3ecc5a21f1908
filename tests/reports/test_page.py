"""The page: one file, no request, nothing believed; files and folders: written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from orbitope.errors import FileError
from orbitope.files import atomic_write, output_folder
from orbitope.reports.figures import draw_segment
from orbitope.reports.page import Fact, Picture, Report, Section, render

HOSTILE = "<script>alert(1)</script>\"'&`<img src=x onerror=y>`**<b>**\u202e"


def picture(alt: str = "A curve that rises and falls.") -> Picture:
    t = np.linspace(0, 1, 9)
    loss = np.sin(np.pi * t)
    return Picture(
        draw_segment(t, loss),
        alt,
        "The *loss*.",
        narrow=draw_segment(t, loss, narrow=True),
        files=("a b.svg",),
    )


def report(text: str = "plain") -> Report:
    section = Section(
        "q1",
        "Q1",
        f"Heading {text}",
        paragraphs=("**Bold**, *soft* and `code`; 2*3*4 stays.", text),
        facts=(
            Fact(f"label {text}", f"value {text}", "exact"),
            Fact("b", "1", "numeric"),
            Fact("c", "2", "heuristic"),
        ),
        pictures=(picture(f"alt {text}"),),
        certificates=("midpoint.orbitope",),
        commands=(f"orbitope check {text}",),
    )
    other = Section("q5", "Q5", "Copies", short="Count")
    return Report("Title " + text, text, (section, other), {text: text}, (Fact("h", text, "exact"),), (text,))


class Outline(HTMLParser):
    """Elements with their attributes, the nesting checked."""

    VOID = frozenset({"meta", "link", "img", "source", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_page_is_one_file_that_asks_for_nothing() -> None:
    text = render(report())
    outline = Outline(text)
    outside = re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|javascript:", outside) and len(outside) < 30_000
    for name, attributes in outline.elements:
        assert name not in {"script", "iframe", "object", "embed", "base", "form"}
        assert not any(key.startswith("on") or key == "style" for key in attributes)
        for key in ("src", "srcset"):
            if key in attributes:
                assert str(attributes[key]).startswith("data:image/svg+xml;base64,")
        if name in {"a", "link"}:
            assert re.match(r"#|\./|data:,", str(attributes["href"]))


def test_policy_admits_exactly_this_style() -> None:
    text = render(report())
    (sheet,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    (policy,) = [a["content"] for a in Outline(text).all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy and "unsafe" not in policy


def test_hostile_text_stays_text() -> None:
    text = render(report(HOSTILE))
    plain, hostile = Outline(render(report())), Outline(text)
    extra = {"code", "strong"}
    names = [[name for name, _ in outline.elements if name not in extra] for outline in (plain, hostile)]
    assert names[0] == names[1]
    assert "<script" not in text and "<b>" not in text and "onerror=y>`" not in text
    assert "<script>alert(1)</script>" in "".join(hostile.text)


def test_file_names_cannot_leave_the_folder() -> None:
    for name in ("javascript:alert(1)", "../secret", "//host/x", 'a"b', "a b#c?d"):
        outline = Outline(render(Report("t", sections=(Section("s", "Q1", "h", certificates=(name,)),))))
        address = str(outline.all("a")[-1]["href"])
        assert re.fullmatch(r"\./[A-Za-z0-9%._~()-]+", address) and "/" not in address[2:]


def test_same_report_same_text() -> None:
    assert render(report()) == render(report())


def test_everything_is_there_and_named() -> None:
    text = render(report())
    outline = Outline(text)
    (image,) = outline.all("img")
    assert image["alt"] == "alt plain" and image["width"] and image["height"]
    assert outline.all("source")[0]["media"] == "(max-width: 640px)"
    assert outline.all("html")[0]["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(outline.all(landmark)) == 1
    ids = [str(attributes["id"]) for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [str(a["href"])[1:] for a in outline.all("a") if str(a["href"]).startswith("#")]
    assert targets == ["page.content", "q1", "q5"] and set(targets) <= set(ids)
    assert all(f'class="badge {name}"' in text for name in ("exact", "numeric", "heuristic"))
    assert "<strong>Bold</strong>, <em>soft</em> and <code>code</code>; 2*3*4 stays." in text
    assert "orbitope check plain" in text and './midpoint.orbitope"' in text and './a%20b.svg"' in text
    headings = [name for name, _ in outline.elements if re.fullmatch(r"h\d", name)]
    assert headings == ["h1", "h2", "h2", "h2"]


def test_picture_inside_is_the_figure() -> None:
    (image,) = Outline(render(report())).all("img")
    data = base64.b64decode(str(image["src"]).split(",")[1])
    assert data.startswith(b"<?xml") and b"<svg" in data


def test_empty_report() -> None:
    Outline(render(Report("Nothing yet")))


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(ValueError, match="guarantee"):
        Fact("a", "b", "certain")
    with pytest.raises(ValueError, match="alternative text"):
        picture(" ")
    with pytest.raises(ValueError, match="id"):
        Section('x" y', "Q1", "h")
    with pytest.raises(ValueError, match="differ"):
        Report("t", sections=(Section("a", "Q1", "h"), Section("a", "Q2", "h")))


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    assert atomic_write(path, b"old") == path
    path.chmod(0o600)
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["a.bin"]


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("real")
    atomic_write(link, b"new")
    assert link.is_symlink() and (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch, step: str, error: BaseException) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(FileError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        atomic_write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.bin"]
    if isinstance(error, OSError):
        assert str(caught.value).startswith("error[E501] cannot write") and "No space left" in str(caught.value)


def test_no_folder_no_device(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot write"):
        atomic_write(tmp_path / "missing" / "a", b"")
    with pytest.raises(FileError, match="not a regular file"):
        atomic_write(tmp_path, b"")
    with pytest.raises(FileError, match="not a regular file"):
        atomic_write("/dev/null", b"")


def make(path: Path, text: str = "page") -> None:
    with output_folder(path) as folder:
        atomic_write(folder / "report.html", text.encode())
        (folder / "figures").mkdir()
        atomic_write(folder / "figures" / "swap.svg", b"<svg/>")


def test_folder_appears_at_the_end_with_its_sums(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "out"
    with output_folder(path) as folder:
        atomic_write(folder / "report.html", b"page")
        assert not path.exists()
    assert names(path) == ["SHA256SUMS", "report.html"] and names(path.parent) == ["out"]
    assert (path / "SHA256SUMS").read_text() == f"{hashlib.sha256(b'page').hexdigest()}  report.html\n"


def test_earlier_report_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out"
    make(path, "old")
    with output_folder(path) as folder:
        atomic_write(folder / "report.html", b"new")
        assert (path / "report.html").read_text() == "old"
    assert names(path) == ["SHA256SUMS", "report.html"] and (path / "report.html").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    assert "report.html" in names(tmp_path / "out")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, FileError])
@pytest.mark.parametrize("earlier", [False, True])
def test_interrupt_leaves_what_was_there(tmp_path: Path, error: type[BaseException], earlier: bool) -> None:
    path = tmp_path / "new" / "out"
    if earlier:
        make(path, "old")
    with pytest.raises(error), output_folder(path) as folder:
        atomic_write(folder / "report.html", b"new")
        raise error("stop")
    if earlier:
        assert names(path.parent) == ["out"] and (path / "report.html").read_text() == "old"
    else:
        assert names(tmp_path) == []


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("error", [OSError(16, "Device or resource busy"), KeyboardInterrupt()])
def test_failed_rename_restores_the_earlier_report(
    tmp_path: Path, monkeypatch, failing: int, error: BaseException
) -> None:
    path = tmp_path / "out"
    make(path, "old")
    calls, rename = [], os.rename

    def fail(source, target) -> None:
        calls.append(source)
        if len(calls) == failing:
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(FileError if isinstance(error, OSError) else KeyboardInterrupt):
        make(path, "new")
    assert names(tmp_path) == ["out"] and (path / "report.html").read_text() == "old"


def test_other_peoples_files_are_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileError, match="refusing to replace"):
        make(path)
    (path / "report.html").write_text("mine")
    with pytest.raises(FileError, match="refusing to replace"):
        make(path)
    assert names(path) == ["report.html", "thesis.tex"]
    other = tmp_path / "other"
    make(other)
    (other / "figures" / "notes.txt").write_text("notes")
    with pytest.raises(FileError) as caught:
        make(other)
    assert caught.value.details == ("figures/notes.txt",)
    assert (other / "figures" / "notes.txt").read_text() == "notes" and names(tmp_path) == ["other", "out"]


def test_file_added_during_the_run_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "out"
    make(path, "old")
    with pytest.raises(FileError), output_folder(path) as folder:
        atomic_write(folder / "report.html", b"new")
        (path / "notes.txt").write_text("notes")
    assert (path / "report.html").read_text() == "old" and (path / "notes.txt").exists()
    assert names(tmp_path) == ["out"]


def test_no_folder_in_the_place_of_a_file_or_of_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="refusing"):
        make(tmp_path / "file")
    with pytest.raises(FileError):
        make(tmp_path / "file" / "out")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match="refusing"):
        make(Path("."))
    assert names(tmp_path) == ["file"]


def test_unwritable_parent_is_one_error(tmp_path: Path, monkeypatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FileError, match="cannot write") as caught, output_folder(tmp_path / "out"):
        raise AssertionError("the block must not run")
    assert caught.value.got == "Permission denied" and names(tmp_path) == []
