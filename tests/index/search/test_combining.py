"""Concurrent calls share batches; a call that finds nothing running starts at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from expertrag_index.search.combining import Combiner


class Squares:
    """Squares numbers; a batch waits until it is let go, and negative numbers fail."""

    def __init__(self, most: int = 100) -> None:
        self.batches: list[list[int]] = []
        self.started, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.combined = Combiner(self._run, most)

    def _run(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.started.release()
        assert self.go.acquire(timeout=30)
        if min(numbers) < 0:
            raise ValueError("negative")
        return [number * number for number in numbers]


@pytest.fixture
def squares() -> Squares:
    return Squares()


def queued(
    squares: Squares, pool: ThreadPoolExecutor, calls: Sequence[Sequence[int]]
) -> list[Future[Sequence[int]]]:
    """Start the first call, and queue the others one by one while it runs."""
    futures = [pool.submit(squares.combined, calls[0])]
    assert squares.started.acquire(timeout=30)
    for number, call in enumerate(calls[1:], 1):
        futures.append(pool.submit(squares.combined, call))
        while len(squares.combined._waiting) < number:
            threading.Event().wait(0.001)
    return futures


def test_a_lone_call_runs_at_once(squares: Squares) -> None:
    squares.go.release(2)
    assert squares.combined([3, 4]) == [9, 16]
    assert squares.combined([5]) == [25]
    assert squares.batches == [[3, 4], [5]]


def test_calls_that_come_meanwhile_form_the_next_batch(squares: Squares) -> None:
    with ThreadPoolExecutor(4) as pool:
        futures = queued(squares, pool, [[1], [2, 3], [4], [5]])
        squares.go.release(2)
        assert [future.result(30) for future in futures] == [[1], [4, 9], [16], [25]]
        squares.go.release()
        assert squares.combined([6]) == [36]
    assert squares.batches == [[1], [2, 3, 4, 5], [6]]


def test_a_batch_is_bounded() -> None:
    squares = Squares(most=3)
    with ThreadPoolExecutor(5) as pool:
        futures = queued(squares, pool, [[1], [2, 3], [4], [5], [6, 7, 8, 9]])
        squares.go.release(9)
        assert [future.result(30) for future in futures][-1] == [36, 49, 64, 81]
    assert squares.batches == [[1], [2, 3, 4], [5], [6, 7, 8, 9]]


def test_an_error_reaches_only_the_caller_whose_items_fail(squares: Squares) -> None:
    with ThreadPoolExecutor(4) as pool:
        futures = queued(squares, pool, [[1], [2], [-3], [4]])
        squares.go.release(9)
        assert [future.result(30) for future in (futures[0], futures[1], futures[3])] == [
            [1],
            [4],
            [16],
        ]
        with pytest.raises(ValueError, match="negative"):
            futures[2].result(30)
        assert squares.combined([7]) == [49]  # nothing is stuck


def test_an_error_of_the_first_call_lets_the_next_run(squares: Squares) -> None:
    with ThreadPoolExecutor(2) as pool:
        futures = queued(squares, pool, [[-1], [2]])
        squares.go.release(2)
        with pytest.raises(ValueError, match="negative"):
            futures[0].result(30)
        assert futures[1].result(30) == [4]
