"""Places of keys among ascending keys, with and without gaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from expertrag_index.search.ascending_keys import candidate_places, places_of

KEYS = st.integers(0, 60)


@given(st.sets(KEYS, min_size=1), st.lists(KEYS))
def test_a_key_can_only_be_at_its_place(among: set[int], keys: list[int]) -> None:
    ascending, wanted = np.array(sorted(among)), np.array(keys, np.int64)
    places = candidate_places(wanted, ascending)
    assert (ascending[places] == wanted).tolist() == [key in among for key in keys]


@given(KEYS, st.integers(1, 30), st.lists(KEYS))
def test_nothing_is_searched_where_there_are_no_gaps(
    first: int, count: int, keys: list[int]
) -> None:
    ascending, wanted = np.arange(first, first + count), np.array(keys, np.int64)
    searched = np.minimum(np.searchsorted(ascending, wanted), count - 1)
    assert np.array_equal(candidate_places(wanted, ascending), searched)


def test_places_of_keys_that_are_there() -> None:
    ascending = np.array([2, 3, 7])
    assert places_of(np.array([1, 2, 7, 9]), ascending).tolist() == [0, 2]
    assert places_of(np.array([1]), np.empty(0, np.int64)).tolist() == []
