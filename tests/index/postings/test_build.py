from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from postings_helper import segment_of

from expertrag_index.postings.build import build_postings
from expertrag_index.postings.segment import PostingSegment

CHUNKS = {3: ["b", "a", "b"], 7: [], 8: ["c"], 12: ["a", "été", "a", "a"]}


def test_sections_of_a_small_segment(tmp_path: Path) -> None:
    segment = segment_of(CHUNKS, tmp_path)
    assert segment.keys.tolist() == [3, 7, 8, 12]
    assert segment.lengths.tolist() == [3, 0, 1, 4]
    assert [segment.term(place).decode() for place in range(segment.terms)] == [
        "a",
        "b",
        "c",
        "été",
    ]
    assert [segment.postings(place) for place in range(4)] == [(0, 2), (2, 3), (3, 4), (4, 5)]
    assert segment.rows.tolist() == [0, 3, 0, 2, 3]
    assert segment.counts.tolist() == [1, 3, 2, 1, 1]
    assert segment.block_counts.tolist() == [3]
    assert segment.block_lengths.tolist() == [1]


@pytest.mark.parametrize("run_terms", [1, 1 << 20])
def test_blocks_hold_128_postings(run_terms: int, tmp_path: Path) -> None:
    chunks = {key: ["a"] * (2 + key % 5) + ["b"] * 7 * (key == 200) for key in range(300)}
    segment = segment_of({**chunks, 300: ["b"]}, tmp_path, run_terms)
    assert len(segment.rows) == 302
    assert segment.block_counts.tolist() == [6, 6, 7]
    assert segment.block_lengths.tolist() == [2, 2, 1]


def test_entry_describes_the_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    entry = build_postings([(np.array([1, 2]), [["a"], ["b", "c"]])], tmp_path, run_terms=1)
    data = (tmp_path / entry.file).read_bytes()
    assert entry.bytes == len(data)
    assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == [entry.file]


@pytest.mark.parametrize("run_terms", [1, 2, 5, 100])
def test_runs_are_invisible_in_the_result(run_terms: int, tmp_path: Path) -> None:
    chunks = {key: [f"w{(key * key) % 17}", "é" * (key % 3 + 1), "x"] for key in range(40)}
    whole, runs = (segment_of(chunks, tmp_path, size).name for size in (1 << 20, run_terms))
    assert whole == runs  # named by the checksum


def test_counts_are_limited(tmp_path: Path) -> None:
    segment = segment_of({1: ["a"] * 70_000}, tmp_path)
    assert segment.counts.tolist() == [65_535]
    assert segment.lengths.tolist() == [70_000]


def test_no_chunks_make_an_empty_segment(tmp_path: Path) -> None:
    entry = build_postings([], tmp_path)
    segment = PostingSegment.open(tmp_path / entry.file)
    assert (segment.count, segment.terms) == (0, 0)


@pytest.mark.parametrize(
    "batches",
    [
        [(np.array([2, 1]), [["a"], ["b"]])],
        [(np.array([1, 1]), [["a"], ["b"]])],
        [(np.array([5]), [["a"]]), (np.array([], np.int64), []), (np.array([4]), [["b"]])],
        [(np.array([1, 2]), [["a"]])],
    ],
)
def test_keys_that_do_not_ascend_are_refused(
    batches: list[tuple[np.ndarray, list[list[str]]]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="keys must ascend"):
        build_postings(batches, tmp_path)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keys must ascend"):
        build_postings(
            [(np.array([5, 6]), [["a"], ["b"]]), (np.array([7, 2]), [["a"], ["b"]])],
            tmp_path,
            run_terms=1,
        )
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_chunks_and_then_terms(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    build_postings(
        [(np.array([1, 2]), [["a"], ["b"]]), (np.array([3]), [["c"]])],
        tmp_path,
        lambda stage, done, total: seen.append((stage, done, total)),
        run_terms=2,
    )
    assert seen[:2] == [("index terms", 2, None), ("index terms", 3, None)]
    assert seen[-1] == ("merge postings", 3, 3)
