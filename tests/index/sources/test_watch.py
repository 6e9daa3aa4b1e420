"""A watch goes on whatever happens to the disk, and reports each thing once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from file_helper import no_file_beyond
from sources_helper import StoreInStep, write_notes
from store_helper import HashingEmbedder, build

from expertrag_index.errors import EmbedderMismatchError
from expertrag_index.sources.watch import FolderWatcher, WatchEvent

LONG_S = 60.0


class Watched:
    """A watch in a thread, and what it tells."""

    def __init__(self, kept: StoreInStep, *folders: Path) -> None:
        self._events: queue.Queue[WatchEvent] = queue.Queue()
        self.stop = threading.Event()
        self.watcher = FolderWatcher(
            kept.store,
            [kept.folder(folder) for folder in folders],
            kept.writer,
            tell=self._events.put,
            stop=self.stop,
            settle_s=0.1,
        )

    def until(self, kind: str) -> str:
        """Return the message of the next event of a kind."""
        while (event := self._events.get(timeout=LONG_S)).kind != kind:
            pass
        return event.message

    def rest(self) -> list[str]:
        """Return the kinds of the events that nobody has waited for."""
        return [self._events.get().kind for _ in range(self._events.qsize())]


@contextmanager
def watching(kept: StoreInStep, *folders: Path) -> Iterator[Watched]:
    watched = Watched(kept, *folders)
    thread = threading.Thread(target=watched.watcher.run)
    thread.start()
    try:
        yield watched
    finally:
        watched.stop.set()
        thread.join(LONG_S)


def test_a_full_disk_is_waited_for(kept: StoreInStep, notes: Path) -> None:
    with watching(kept, notes) as watched:
        watched.until("ready")
        with no_file_beyond(1_000):
            (notes / "d.md").write_text("About elms.")
            assert "free some space" in watched.until("waiting")
        watched.until("written")
    assert kept.texts["d.md"] == "About elms."


def test_a_ledger_that_cannot_be_written_is_waited_for(kept: StoreInStep, notes: Path) -> None:
    kept.step(kept.folder(notes))
    (kept.store / "sources.db").unlink()
    with no_file_beyond(1_000), watching(kept, notes) as watched:
        assert "free some space" in watched.until("waiting")
    with watching(kept, notes) as watched:
        assert "3 documents" in watched.until("ready")


def test_what_cannot_be_read_is_told_once(kept: StoreInStep, notes: Path) -> None:
    (notes / "b.md").unlink()
    (notes / "empty.md").write_text("")
    (notes / "other.xyz").write_text("Of no known type.")
    with watching(kept, notes) as watched:
        assert "cannot read notes/empty.md yet (the file is empty)" in watched.until("waiting")
        write_notes(notes, d="About elms.")
        watched.until("written")
        write_notes(notes, d="About alders.")
        watched.until("written")
    assert watched.rest() == ["stopped"]


def test_a_store_that_goes_over_to_another_embedder_ends_it(kept: StoreInStep, notes: Path) -> None:
    build(kept.store, HashingEmbedder(fingerprint="another"), [])
    with pytest.raises(EmbedderMismatchError, match="index migrate"):
        Watched(kept, notes).watcher.run()


def test_a_store_that_is_lost_is_built_again(kept: StoreInStep, notes: Path) -> None:
    with watching(kept, notes) as watched:
        watched.until("ready")
        kept.store.rename(kept.store.with_name("lost"))
        write_notes(notes, d="About elms.")
        watched.until("written")
    assert len(kept.texts) == 4
