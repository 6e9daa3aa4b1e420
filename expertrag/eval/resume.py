"""Long work that can be killed: each result is on disk before the next is begun.

A failure of one item is a counted skip, to be tried again by the next run; a model that fails
several times in a row is taken for dead, and the run stops.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from expertrag.errors import ExpertRAGError, InvalidArgument, Unavailable
from expertrag.eval.types import Skipped

if TYPE_CHECKING:
    from expertrag_index.types import Progress

FAILURES_IN_A_ROW = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


class Failures:
    """Counts items that fail, and stops a run whose model is dead."""

    def __init__(self, kept: str) -> None:
        """Say in ``kept`` what becomes of the work done when the run stops."""
        self.skipped: list[Skipped] = []
        self._kept = kept
        self._in_a_row = 0

    @contextmanager
    def counted(self, item_id: str) -> Iterator[None]:
        """Do one item; its failure is a counted skip.

        :raises Unavailable: the model failed several times in a row.
        """
        try:
            yield
        except ExpertRAGError as error:
            self.skipped.append(Skipped(item_id, error.message))
            self._in_a_row += not isinstance(error, InvalidArgument)  # else it is the question
            if self._in_a_row == FAILURES_IN_A_ROW:
                raise Unavailable(
                    f"the model failed {FAILURES_IN_A_ROW} times in a row, last with: "
                    f"{error.message}; mend it, then run again: {self._kept}"
                ) from error
        else:
            self._in_a_row = 0


def work_through(
    items: Mapping[str, Item],
    known: dict[str, Result],
    path: Path,
    work: Callable[[Item], Result],
    dump: Callable[[Result], str],
    stage: str,
    progress: Progress,
) -> tuple[Skipped, ...]:
    """Do the items that ``known`` lacks, add them to it, and append a line of each to ``path``.

    :return: those that failed.
    :raises Unavailable: the model failed several times in a row.
    """
    failures = Failures(f"what was done is kept in {path}, and the same command goes on there")
    missing = {name: item for name, item in items.items() if name not in known}
    with path.open("a", encoding="utf-8") as file:
        for done, (name, item) in enumerate(missing.items(), len(items) - len(missing)):
            progress(stage, done, len(items))
            with failures.counted(name):
                result = work(item)
                file.write(dump(result) + "\n")
                file.flush()
                os.fsync(file.fileno())
                known[name] = result
    progress(stage, len(items), len(items))
    return tuple(failures.skipped)


def cut_torn_line(path: Path) -> int:
    """Drop a last line that a kill left unfinished; returns the bytes that stay, 0 for no file."""
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    return whole
