"""Resumable long runs: each result is written to disk before the next item begins.

An item that fails is skipped and counted, and the next run tries it again. If the model fails
several times in a row, or on every item, the run stops.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from expertrag.api.errors import Conflict, ExpertRAGError, InvalidArgument, Unavailable
from expertrag_lab.data.types import Skipped
from expertrag_lab.json_lines import read_lines

if TYPE_CHECKING:
    from expertrag_index.types import Progress

FAILURES_IN_A_ROW = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


class Failures:
    """Counts failed items, and stops a run whose model keeps failing."""

    def __init__(self, kept: str) -> None:
        """Take the message about finished work to show when the run stops, ``kept``."""
        self.skipped: list[Skipped] = []
        self._kept = kept
        self._in_a_row = 0

    @contextmanager
    def count(self, item_id: str) -> Iterator[None]:
        """Run the block for one item; count it as skipped if it fails.

        :raises Unavailable: the model failed several times in a row.
        """
        try:
            yield
        except ExpertRAGError as error:
            own_fault = isinstance(error, InvalidArgument)  # the item's fault, not the model's
            self.skipped.append(Skipped(item_id, error.message, retry=not own_fault))
            self._in_a_row += not own_fault
            if self._in_a_row == FAILURES_IN_A_ROW:
                raise self._dead(f"{FAILURES_IN_A_ROW} times in a row", error.message) from error
        else:
            self._in_a_row = 0

    def check_any_left(self, results: Collection[object]) -> None:
        """Check that not everything failed.

        :raises Unavailable: there is no result, and an item failed that may succeed when retried.
        """
        failed = [item for item in self.skipped if item.retry]
        if failed and not results:
            raise self._dead("every time", failed[-1].reason)

    def _dead(self, how: str, last: str) -> Unavailable:
        return Unavailable(
            f"the model failed {how}, last with: {last}; fix it, then run again: {self._kept}"
        )


@contextmanager
def appending(path: Path) -> Iterator[TextIO]:
    """Open a file of results for exclusive appending, after cutting off an incomplete last line.

    :raises Conflict: another run is writing the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another run is writing {path}; wait until it has ended, or use another path"
            ) from None
        _cut_torn_line(path)
        yield file


def work_through(
    items: Mapping[str, Item],
    known: dict[str, Result],
    file: TextIO,
    work: Callable[[Item], Result],
    dump: Callable[[Result], str],
    stage: str,
    progress: Progress,
) -> tuple[Skipped, ...]:
    """Process the items missing from ``known``; add each result to it and append it to ``file``.

    :return: the items that failed.
    :raises Unavailable: the model failed several times in a row, or on every item.
    """
    failures = Failures(f"finished work is kept in {file.name}, and the same command resumes there")
    missing = {name: item for name, item in items.items() if name not in known}
    for done, (name, item) in enumerate(missing.items(), len(items) - len(missing)):
        progress(stage, done, len(items))
        with failures.count(name):
            result = work(item)
            file.write(dump(result) + "\n")
            file.flush()
            os.fsync(file.fileno())
            known[name] = result
    progress(stage, len(items), len(items))
    failures.check_any_left([name for name in items if name in known])
    return tuple(failures.skipped)


def read_results(
    path: Path, parse: Callable[[Mapping[str, Any]], tuple[str, Result]]
) -> dict[str, Result]:
    """Read the results of earlier runs, by name.

    :raises Conflict: the file is damaged.
    """
    try:
        return dict(parse(item) for _, item in read_lines(path)[0])
    except (InvalidArgument, KeyError, TypeError) as error:
        raise Conflict(
            f"{path} of an earlier run is damaged ({error}); delete it, and run again"
        ) from None


def _cut_torn_line(path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
