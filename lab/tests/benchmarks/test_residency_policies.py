"""Hit rates of cache policies on routings whose best is known."""

from __future__ import annotations

from residency_policies import belady, lru, skew


def test_a_cycle_longer_than_the_cache_defeats_lru_but_not_belady() -> None:
    trace = [[(0, expert)] for _ in range(10) for expert in range(4)]
    assert lru(trace, 3) == 0
    assert belady(trace, 3) > 0.5
    assert lru(trace, 4) == belady(trace, 4) == 36 / 40


def test_what_the_prompt_has_read_is_there_and_is_not_counted() -> None:
    trace = [[(0, 1), (0, 2)], [(0, 1)], [(0, 2)]]
    assert lru(trace, 2, skipped=1) == belady(trace, 2, skipped=1) == 1
    assert lru(trace, 2) == 2 / 4


def test_the_share_of_the_most_used_eighth() -> None:
    even = [[(0, expert)] for expert in range(16)]
    assert skew(even, 16) == 2 / 16
    assert skew([*even, *([[(0, 3)]] * 16)], 16) == 18 / 32
