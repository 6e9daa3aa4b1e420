"""Files under ``segments/`` have the names of their hashes, and are compared before use."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from expertrag_index.errors import StoreCorruptError
from expertrag_index.search.segment_files import adopt_file, map_verified, temporary_file
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import FileEntry

CONTENT = b"what a segment holds"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "segments").mkdir()
    return Layout(tmp_path)


@pytest.fixture
def entry(layout: Layout) -> FileEntry:
    temporary_file(layout).write_bytes(CONTENT)
    return adopt_file(temporary_file(layout), ".rows")


def test_a_file_is_named_and_described(layout: Layout, entry: FileEntry) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert entry == FileEntry(f"{digest[:16]}.rows", len(CONTENT), digest)
    assert [file.name for file in layout.segments.iterdir()] == [entry.file]
    assert bytes(map_verified(layout, entry)) == CONTENT


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"!", CONTENT.upper(), None])
def test_another_content_is_refused(
    layout: Layout, entry: FileEntry, content: bytes | None
) -> None:
    path = layout.segments / entry.file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreCorruptError, match="missing" if content is None else "damaged"):
        map_verified(layout, entry)
