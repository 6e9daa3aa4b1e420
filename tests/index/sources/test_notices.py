"""Changes in folders are noticed, and it is said if they cannot be."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sources_helper import write_notes

from expertrag_index.sources.notices import FolderNotices


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no more files, as when the system's limit is reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def noticed(notices: FolderNotices) -> bool:
    """Whether one of the next ticks tells of a change."""
    return any(notices.wait() for _ in range(4))


def test_only_changes_that_matter_are_noticed(notes: Path, tmp_path: Path) -> None:
    (notes / "store").mkdir()
    notices = FolderNotices([notes], notes / "store", threading.Event())
    assert notices.wait()  # may be anything at the start
    assert not noticed(notices)
    (notes / "a.md~").write_text("an editor's")
    (notes / ".a.md.swp").write_text("an editor's")
    (notes / "store" / "manifest.json").write_text("{}")
    assert not noticed(notices)
    write_notes(notes / "deep" / "deeper", d="About elms.")
    assert noticed(notices)
    (notes / "a.md").unlink()
    assert noticed(notices)


def test_a_folder_that_is_moved_is_watched_again(notes: Path) -> None:
    notices = FolderNotices([notes], notes / "store", threading.Event())
    assert notices.wait()
    away = notes.rename(notes.with_name("away"))
    assert noticed(notices)
    away.rename(notes)
    assert noticed(notices)
    assert not noticed(notices)
    write_notes(notes, d="About elms.")
    assert noticed(notices)


def test_a_system_without_notices_is_said(notes: Path) -> None:
    notices = FolderNotices([notes], notes / "store", threading.Event())
    with no_more_files():
        assert notices.wait()
        assert notices.problem
        assert not notices.wait()
