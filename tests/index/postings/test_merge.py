from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postings_helper import key_array, section_start, segment_of

from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings import merge
from expertrag_index.postings.merge import merge_postings
from expertrag_index.postings.segment import PostingSegment

chunk_lists = st.lists(
    st.tuples(
        st.integers(0, 3),  # the segment
        st.booleans(),  # live
        st.lists(st.sampled_from(["a", "b", "ab", "c", "é", "z"]), max_size=6),
    ),
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(chunk_lists)
def test_a_merge_is_what_a_build_of_the_live_chunks_is(
    tmp_path: Path, chunks: list[tuple[int, bool, list[str]]]
) -> None:
    """Byte for byte: files are named by their checksums."""
    parts: list[dict[int, list[str]]] = [{}, {}, {}, {}]
    for key, (number, _, terms) in enumerate(chunks):
        parts[number][key * 2] = terms
    live = {key * 2: terms for key, (_, alive, terms) in enumerate(chunks) if alive}
    segments = [segment_of(part, tmp_path) for part in parts]
    merged = merge_postings(segments, key_array(live), tmp_path)
    assert merged.file == segment_of(live, tmp_path).name
    everything = {key: terms for part in parts for key, terms in part.items()}
    assert merge_postings(segments, None, tmp_path).file == segment_of(everything, tmp_path).name


@pytest.mark.parametrize(("postings", "terms"), [(1, 1), (7, 3), (1 << 20, 2), (40, 1 << 16)])
def test_ranges_of_terms_are_invisible_in_the_result(
    postings: int, terms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "_POSTINGS", postings)
    monkeypatch.setattr(merge, "_TERMS", terms)
    draw = np.random.default_rng(0)
    chunks = {key: [f"w{word}" for word in draw.integers(0, 30, 9)] for key in range(50)}
    parts = [{key: chunks[key] for key in chunks if key % 3 == part} for part in range(3)]
    segments = [segment_of(part, tmp_path) for part in parts]
    assert merge_postings(segments, None, tmp_path).file == segment_of(chunks, tmp_path).name


def test_nothing_to_merge_makes_an_empty_segment(tmp_path: Path) -> None:
    assert merge_postings([], None, tmp_path).file == segment_of({}, tmp_path).name


def test_a_chunk_in_two_segments_is_refused(tmp_path: Path) -> None:
    segments = [segment_of({1: ["a"], 2: ["b"]}, tmp_path), segment_of({2: ["c"]}, tmp_path)]
    with pytest.raises(ValueError, match="chunk 2 is in two segments"):
        merge_postings(segments, None, tmp_path)
    merge_postings(segments, key_array([1]), tmp_path)


def test_a_row_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / segment_of({1: ["a"], 2: ["a"]}, tmp_path).name
    data = bytearray(path.read_bytes())
    data[section_start(data, "rows") + 4] = 2  # rows 0 and 1 become 0 and 2
    damaged = tmp_path / "damaged"
    damaged.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="rows that do not exist"):
        merge_postings([PostingSegment.open(damaged)], None, tmp_path)


def test_terms_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    path = tmp_path / segment_of({1: ["a", "b", "c"]}, tmp_path).name
    intact = path.read_bytes()
    start = section_start(intact, "vocabulary")
    damaged = tmp_path / "damaged"
    for terms in (b"acb", b"cba", b"aab", b"bbb"):
        damaged.write_bytes(intact[:start] + terms + intact[start + 3 :])
        with pytest.raises(StoreCorruptError, match="terms do not ascend"):
            merge_postings([PostingSegment.open(damaged)], None, tmp_path)
        damaged.unlink()
