"""The chunks that a filter admits, and the best hits among them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_index.search.selection import best_hits, bitmap, rows_by_partition

KEYS = st.lists(st.integers(0, 60), unique=True).map(sorted)


@given(KEYS, KEYS, KEYS)
def test_rows_are_those_whose_keys_are_in_the_partition(
    keys: list[int], one: list[int], other: list[int]
) -> None:
    asked = np.array(keys, np.int64)
    partitions = {name: np.array(part, np.int64) for name, part in (("a", one), ("b", other))}
    partitions = {name: part for name, part in partitions.items() if len(part)}
    rows = rows_by_partition(asked, partitions)
    expected = {
        name: [row for row, key in enumerate(keys) if key in part.tolist()]
        for name, part in partitions.items()
    }
    assert {name: part.tolist() for name, part in rows.items()} == {
        name: part for name, part in expected.items() if part
    }


@given(KEYS)
def test_a_bitmap_has_the_bits_of_its_keys(keys: list[int]) -> None:
    bits = np.unpackbits(bitmap(np.array(keys, np.int64)), bitorder="little")
    assert np.flatnonzero(bits).tolist() == keys


@pytest.mark.parametrize(("k", "expected"), [(2, [7, 3]), (9, [7, 3, 5, 1])])
def test_equal_scores_keep_the_older_chunk_first(k: int, expected: list[int]) -> None:
    hits = best_hits(np.array([1, 3, 5, 7]), np.array([0.1, 0.5, 0.5, 0.9]), k)
    assert [hit.key for hit in hits] == expected
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
