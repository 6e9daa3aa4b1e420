"""``expertrag index watch`` as a process of its own, over real files."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from sources_helper import texts_of, write_notes

from expertrag.config import ModelConfig
from expertrag.stores.embedders import open_embedder
from expertrag.stores.served_index import ServedIndex
from expertrag_index.store.layout import Layout
from expertrag_index.store.lock import WriterLock

LONG_S = 60.0


class Watching:
    """A running watch, and what it says."""

    def __init__(self, store: Path, *arguments: Path | str) -> None:
        command = [sys.executable, "-m", "expertrag", "index", "watch", "--json", "--settle-s=0.3"]
        self._process = subprocess.Popen(
            [*command, str(store), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.errors: queue.Queue[str | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read_events),
            threading.Thread(target=self._read_errors),
        ]
        for thread in self._threads:
            thread.start()

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors.put(line)
        self.errors.put(None)

    def until(self, kind: str, says: str = "") -> dict[str, Any]:
        """Return the next event of a kind whose message has these words."""
        while (event := self._lines.get(timeout=LONG_S)) is not None:
            if event["kind"] == kind and says in event["message"]:
                return event
        raise AssertionError(f"it ended: {''.join(self._rest())}")

    def until_error(self, says: str) -> None:
        """Wait for a line on stderr."""
        while (line := self.errors.get(timeout=LONG_S)) is not None:
            if says in line:
                return
        raise AssertionError(f"it ended without {says!r}")

    def _rest(self) -> Iterator[str]:
        while (line := self.errors.get(timeout=LONG_S)) is not None:
            yield line

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(LONG_S)
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return code


Start = Callable[..., Watching]


@pytest.fixture
def start(minilm_path: Path) -> Iterator[Start]:
    running: list[Watching] = []

    def begin(store: Path, *arguments: Path | str) -> Watching:
        running.append(Watching(store, *arguments))
        return running[-1]

    yield begin
    for watching in running:
        watching.end(signal.SIGKILL)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "notes", a="About roses.", b="About tulips.")


def test_files_come_change_and_go(start: Start, notes: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    watching = start(store, notes)
    assert watching.until("written")["report"]["added"] == 2
    assert "2 documents" in watching.until("ready")["message"]
    served = ServedIndex(store, open_embedder(ModelConfig(), store))

    write_notes(notes, c="About oaks.")
    assert watching.until("written")["report"]["added"] == 1
    write_notes(notes, a="About peonies.")
    assert watching.until("written")["report"]["changed"] == 1
    (notes / "b.md").unlink()
    assert watching.until("written")["report"]["gone"] == ["notes/b.md"]
    (notes / "c.md").rename(notes / "d.md")
    report = watching.until("written")["report"]
    assert (report["added"], report["removed"]) == (1, 1)
    for name in (".c.md.swp", "4913", "c.md~", "~$c.docx", "#c.md#"):
        (notes / name).write_text("an editor's")
    write_notes(notes, e="About elms.")
    assert watching.until("written")["report"]["read"] == ["notes/e.md"]

    expected = {"a.md": "About peonies.", "d.md": "About oaks.", "e.md": "About elms."}
    assert texts_of(store) == expected
    with served.lease() as view:  # a server that serves the store has followed
        assert view.index.generation == report["generation"] + 1
        assert view.index.document_text("e.md").strip() == "About elms."
    served.close()
    assert watching.end(signal.SIGTERM) == 0
    assert watching.until("stopped")["message"].startswith("stopped: ")


def test_a_half_written_file_is_waited_for(start: Start, notes: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    records = notes / "r.json"
    records.write_text('[{"_id": "r", "text": "The old version."}]')
    watching = start(store, notes)
    watching.until("written")

    records.write_text('[{"_id": "r", "text": "The new')  # a writer that pauses for long
    assert "trying again" in watching.until("waiting", "cannot read")["message"]
    assert texts_of(store)["r"] == "The old version."
    records.write_text('[{"_id": "r", "text": "The new version."}]')
    watching.until("written")
    assert texts_of(store)["r"] == "The new version."


def test_a_folder_that_vanishes_keeps_its_documents(
    start: Start, notes: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    other = write_notes(tmp_path / "other", x="About birches.")
    watching = start(store, notes, other)
    watching.until("written")
    away = notes.rename(tmp_path / "away")
    assert "No such file" in watching.until("waiting", "its documents are kept")["message"]
    write_notes(other, y="About limes.")  # the others are still watched
    watching.until("written")
    assert set(texts_of(store)) == {"a.md", "b.md", "x.md", "y.md"}
    notes.mkdir()
    watching.until("waiting", "no file is left in it")
    notes.rmdir()
    away.rename(notes)
    watching.until("watching", "is back")
    (notes / "a.md").unlink()
    assert watching.until("written")["report"]["gone"] == ["notes/a.md"]


def test_killed_in_the_middle_of_a_write(
    start: Start, notes: Path, tmp_path: Path, run: Run
) -> None:
    store = tmp_path / "store"
    texts = {f"n{i}": f"About plant {i}. " + "It grows slowly. " * 30 for i in range(40)}
    write_notes(notes, **texts)
    watching = start(store, notes)
    watching.until_error("embed: ")
    watching.end(signal.SIGKILL)

    (notes / "a.md").unlink()
    watching = start(store, notes)
    watching.until("written")
    assert watching.end(signal.SIGINT) == 0
    assert set(texts_of(store)) == {"b.md", *(f"{name}.md" for name in texts)}
    run("index", "verify", store).ok()

    watching = start(store, notes)
    assert "41 documents" in watching.until("ready")["message"]
    assert watching.end() == 0


def test_another_writer_is_waited_for(start: Start, notes: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    watching = start(store, notes)
    watching.until("written")
    with WriterLock(Layout(store)):
        write_notes(notes, c="About oaks.")
        watching.until("waiting", "another process is still writing")
    assert watching.until("written")["report"]["added"] == 1


def test_a_build_tells_the_watch_what_came_from_where(
    start: Start, run: Run, notes: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run("index", "build", notes, "--out", store).ok()
    (notes / "a.md").unlink()
    watching = start(store, notes)
    assert watching.until("written")["report"]["gone"] == ["notes/a.md"]


def test_errors(run: Run, tmp_path: Path) -> None:
    run("index", "watch", tmp_path / "store", tmp_path / "nowhere").fails(2, "does not exist")
    (tmp_path / "notes").mkdir()
    ran = run("index", "watch", tmp_path / "store", tmp_path / "notes", "--exclude", "[", "!")
    assert ran.code == 2
