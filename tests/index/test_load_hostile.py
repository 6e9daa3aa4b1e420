"""Files that are made to break a loader, or to take its time and memory."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from docx import Document as open_docx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import load_all, zip_of

from expertrag_common.worker_process import WorkerProcess
from expertrag_index.loaders import SUFFIXES, ReadLimits, load, pool
from expertrag_index.loaders import parse as parsing
from expertrag_index.loaders.base import SourceFile
from expertrag_index.types import Document, LoadFailure


def docx_of(body: str) -> bytes:
    """A Word file with a body in its XML; tests write what no word processor would."""
    made = io.BytesIO()
    open_docx().save(made)
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    with zipfile.ZipFile(made) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["word/document.xml"] = (
        f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>'
    ).encode()
    return zip_of(parts)


PARAGRAPH = "<w:p><w:r><w:t>x</w:t></w:r></w:p>"
MERGED = f"<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr>{PARAGRAPH}</w:tc></w:tr>"
WIDE = f'<w:tr><w:tc><w:tcPr><w:gridSpan w:val="100000000"/></w:tcPr>{PARAGRAPH}</w:tc></w:tr>'
TALL = f'<w:tr><w:tc><w:tcPr><w:vMerge w:val="restart"/></w:tcPr>{PARAGRAPH}</w:tc></w:tr>'


@pytest.mark.parametrize(("row", "count"), [(WIDE, 1), (TALL + MERGED * 5_000, 5_001)])
def test_merged_cells_of_a_table_are_read_in_linear_time(
    tmp_path: Path, row: str, count: int
) -> None:
    (tmp_path / "a.docx").write_bytes(docx_of(f"<w:tbl>{row}</w:tbl>"))
    started = time.perf_counter()
    (document,), failures = load_all(tmp_path, limit=2**22)
    assert (document.text, failures) == ("\n".join("x" * count), [])
    assert time.perf_counter() - started < 10


HOSTILE = {
    "a.md": b"---\na: !!bool maybe\n---\nText.",
    "b.md": b'---\na: !!int ""\n---\nText.',
    "c.md": b'---\na: !!float ""\n---\nText.',
    "d.md": b"---\na: !!timestamp x\n---\nText.",
    "f.html": b"<p>Text.</p>" + b"<br>" * 2_000_000,
    "g.docx": docx_of("<w:p/>" * 2_000_000 + PARAGRAPH),
}


def test_a_hostile_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    for name, content in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "h.txt").write_text("Good.")
    (tmp_path / "i.txt").write_text("Good.")
    failures: list[LoadFailure] = []
    documents = list(load([tmp_path], on_failure=failures.append, limits=ReadLimits(max_file_s=2)))
    assert [document.id for document in documents] == [
        "a.md", "b.md", "c.md", "d.md", "h.txt", "i.txt"
    ]  # fmt: skip
    assert [failure.source for failure in failures] == [
        f"{tmp_path.name}/{name}" for name in HOSTILE
    ]
    reasons = [failure.reason for failure in failures]
    assert all(reason.startswith("broken front matter") for reason in reasons[:4])
    assert reasons[4] == reasons[5] == "needs over 2 s or 2 GiB to read"


def test_a_loader_that_raises_anything_is_a_failure_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[Document]:
        raise KeyError("x")

    monkeypatch.setattr(parsing, "reader_of", lambda _: broken)
    file = SourceFile(tmp_path / "a.txt", "a.txt", "docs/a.txt", None, 1)
    (failure,) = parsing.parse(file)
    assert isinstance(failure, LoadFailure)
    assert (failure.source, failure.reason) == (
        "docs/a.txt",
        "cannot be read (KeyError in its parser)",
    )


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_ends_or_hangs_loses_its_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    first = WorkerProcess("expertrag_index.loaders.worker")
    monkeypatch.setattr(pool, "_idle", [first])
    for name in "abcd":
        (tmp_path / f"{name}.jsonl").write_text('{"text": "Text."}\n' * 20_000)
    failures: list[LoadFailure] = []
    documents = load([tmp_path], on_failure=failures.append, limits=ReadLimits(max_file_s=2))
    next(documents)
    os.kill(first.pid, ending)
    rest = Counter(document.id[0] for document in documents)
    assert [failure.source for failure in failures] == [f"{tmp_path.name}/a.jsonl"]
    assert failures[0].reason == "needs over 2 s or 2 GiB to read"
    assert rest["a"] < 20_000 and rest["b"] == rest["c"] == rest["d"] == 20_000


def test_a_worker_that_was_killed_while_idle_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = WorkerProcess("expertrag_index.loaders.worker")
    monkeypatch.setattr(pool, "_idle", [idle])
    idle._process.kill()
    idle._process.wait()
    (tmp_path / "a.txt").write_text("Good.")
    assert [document.id for document in load_all(tmp_path)[0]] == ["a.txt"]


def test_a_module_of_the_working_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_idle", [])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("open('ran', 'w')\nraise SystemExit\n")
    (tmp_path / "a.txt").write_text("Good.")
    assert [document.id for document in load_all(tmp_path / "a.txt")[0]] == ["a.txt"]
    assert not (tmp_path / "ran").exists()


def test_folders_may_be_deeper_than_the_stack(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("a.txt", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    (failure,) = load_all(tmp_path)[1]
    assert failure.source == f"{tmp_path.name}/{'d/' * 1_500}a.txt"
    assert failure.reason == "the file is empty"
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # shutil.rmtree would recurse


ALPHABET = st.sampled_from(
    [b"---\n", b"title: ", b"[", b"]", b"{", b"}", b'"', b":", b",", b"\n", b"text", b"<", b">",
     b"</p>", b"<pre>", b"<!--", b"# ", b"===\n", b".. ", b"::\n", b"`", b"*", b"\\u", b"&#0;",
     b"%PDF-1.4\n", b"PK\x03\x04", b"\x00", b"\xff", b"&a ", b"*a ", b"1e9", b"\x1f\x8b"]
)  # fmt: skip


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(SUFFIXES), st.lists(ALPHABET, max_size=60).map(b"".join), st.booleans())
def test_loaders_never_raise(tmp_path: Path, suffix: str, content: bytes, packed: bool) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if packed and suffix.endswith(".gz") else content)
    for document in load_all(path)[0]:
        assert document.text.strip()
        (document.id + document.title + document.text).encode()


@pytest.mark.parametrize(
    "unit", [b"<div>", b"<p><b>", b"<ul><li>", b"<!--", b"<a b=", b"<a href='", b"<![", b"&#0;"]
)
def test_deep_or_unclosed_html_is_read_in_bounded_time(tmp_path: Path, unit: bytes) -> None:
    (tmp_path / "a.html").write_bytes(b"Text " + unit * (50_000 // len(unit)) + b" end")
    started = time.perf_counter()
    (document,), failures = load_all(tmp_path)
    assert document.text.startswith("Text")
    assert failures == []
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("suffix", "unit"),
    [(".md", "<!--"), (".md", "["), (".md", "**a"), (".md", "<a "), (".rst", "::"), (".rst", ":a")],
)
def test_unclosed_markup_is_read_in_linear_time(tmp_path: Path, suffix: str, unit: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("Text " + unit * (500_000 // len(unit)))
    started = time.perf_counter()
    (_,), failures = load_all(path, limit=10**6)
    assert failures == []
    assert time.perf_counter() - started < 5
