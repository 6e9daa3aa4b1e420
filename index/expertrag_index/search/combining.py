"""Runs the work of concurrent callers in batches, without waiting for a batch to fill.

A caller that finds nothing running starts at once, alone. Those that come meanwhile form the next
batch, which the first of them runs (flat combining; Hendler et al. 2010). So a lone caller never
waits, and the batches grow with the load.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Share(Generic[T, R]):
    """The items of one caller; ``result`` is None for the caller who is to run the next batch."""

    items: Sequence[T]
    result: Future[Sequence[R] | None] = field(default_factory=Future)


class Combiner(Generic[T, R]):
    """Calls a function on the items of several callers at once. Thread-safe."""

    def __init__(self, run: Callable[[Sequence[T]], Sequence[R]], most: int) -> None:
        """Combine calls of ``run``, which returns a result for each item.

        :param most: items of a batch; a caller with more runs them in a batch of its own.
        """
        self._run = run
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Share[T, R]] = deque()
        self._busy = False

    def __call__(self, items: Sequence[T]) -> Sequence[R]:
        """Return the results of ``items``, in their order; raises what ``run`` raises for them."""
        share: _Share[T, R] = _Share(items)
        with self._lock:
            self._waiting.append(share)
            leads, self._busy = not self._busy, True
        if not leads:
            result = share.result.result()
            if result is not None:
                return result
            share.result = Future()
        batch = self._next()
        try:
            self._serve(batch)
        finally:
            self._hand_over()
        results = share.result.result()
        assert results is not None  # only a waiting caller is asked to run a batch
        return results

    def _next(self) -> list[_Share[T, R]]:
        """Take the callers of the next batch; the one that runs it is the first."""
        with self._lock:
            batch = [self._waiting.popleft()]
            count = len(batch[0].items)
            while self._waiting and count + len(self._waiting[0].items) <= self._most:
                batch.append(self._waiting.popleft())
                count += len(batch[-1].items)
        return batch

    def _serve(self, batch: Sequence[_Share[T, R]]) -> None:
        try:
            results = self._run([item for share in batch for item in share.items])
        except BaseException as error:
            if len(batch) == 1:
                batch[0].result.set_exception(error)
                return
            for share in batch:  # so that nobody gets the error of another's items
                self._serve([share])
            return
        start = 0
        for share in batch:
            share.result.set_result(results[start : start + len(share.items)])
            start += len(share.items)

    def _hand_over(self) -> None:
        """Let the caller who has waited longest run the next batch."""
        with self._lock:
            if self._waiting:
                self._waiting[0].result.set_result(None)
            else:
                self._busy = False
