"""Damaged files: an error, or other results, but never a crash or a read outside the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from postings_helper import engines, key_array, section_start, segment_of

from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.engine import PostingEngine
from expertrag_index.postings.file_format import HEADER_BYTES
from expertrag_index.postings.merge import merge_postings
from expertrag_index.postings.search import PostingSearcher
from expertrag_index.postings.segment import PostingSegment


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("postings")
    draw = np.random.default_rng(0)
    chunks = {key: [f"w{int(word)}" for word in draw.zipf(1.3, 20) % 50] for key in range(300)}
    return (folder / segment_of(chunks, folder).name).read_bytes()


def _use(path: Path, engine: PostingEngine, folder: Path) -> None:
    """Open a file, search it in every way, and merge it."""
    segment = PostingSegment.open(path)
    for live in (None, key_array(range(0, 300, 2))):
        searcher = PostingSearcher([segment], live, engine)
        statistics = searcher.statistics(" ".join(f"w{word}" for word in range(30)))
        searcher.search(statistics, 10)
        searcher.search(statistics, 10, searcher.mask(key_array(range(10, 20))))
        searcher.scores(statistics, list(range(50)))
    merge_postings([segment], None, folder)


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
def test_flipped_bytes(engine: PostingEngine, content: bytes, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    refused = 0
    for number in range(400):
        data = bytearray(content)
        at = number if number < HEADER_BYTES else int(draw.integers(HEADER_BYTES, len(data)))
        data[at] ^= int(draw.integers(1, 256))
        path = tmp_path / "damaged"
        path.unlink(missing_ok=True)  # the one before may still be mapped
        path.write_bytes(data)
        try:
            _use(path, engine, tmp_path)
        except StoreCorruptError:
            refused += 1
        else:
            assert number >= HEADER_BYTES, "every byte of the header counts"
    assert refused < 400


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
def test_sections_of_random_numbers(engine: PostingEngine, content: bytes, tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    intact = tmp_path / "intact"
    intact.write_bytes(content)
    for name in ("rows", "counts", "lengths", "block_counts", "block_lengths", "vocabulary"):
        sizes = PostingSegment.open(intact)
        section = getattr(sizes, name)
        start = section_start(content, name)
        data = bytearray(content)
        data[start : start + section.nbytes] = draw.bytes(section.nbytes)
        path = tmp_path / name
        path.write_bytes(data)
        if name in ("rows", "vocabulary"):
            with pytest.raises(StoreCorruptError, match="is damaged"):
                _use(path, engine, tmp_path)
        else:
            _use(path, engine, tmp_path)


def test_truncated_and_longer_files_are_refused(content: bytes, tmp_path: Path) -> None:
    sizes = [0, 1, 7, 15, 16, HEADER_BYTES - 1, HEADER_BYTES, len(content) // 2, len(content) - 1]
    variants = [content[:size] for size in sizes] + [content + b"\0", content + content]
    for number, data in enumerate(variants):
        path = tmp_path / f"file{number}"
        path.write_bytes(data)
        with pytest.raises(StoreCorruptError, match=f"file{number} is damaged"):
            PostingSegment.open(path)


def test_garbage_is_refused(content: bytes, tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    path = tmp_path / "garbage"
    for head in (b"", content[:16], content[:HEADER_BYTES]):
        path.write_bytes(head + draw.bytes(len(content) - len(head)))
        with pytest.raises(StoreCorruptError, match="garbage is damaged"):
            PostingSegment.open(path)


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(StoreCorruptError, match=r"none\.postings is missing"):
        PostingSegment.open(tmp_path / "none.postings")
