"""Reads a log with its older files, and the feedback beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import Feedback
from expertrag.audit.append import older
from expertrag.audit.audit import FEEDBACK
from expertrag.audit.entries import AuditEntry, parse_entry, parse_feedback

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Log:
    """Decisions from the oldest to the newest, and what was said of answers, by id.

    ``torn`` counts lines that are whole in neither file: of a process that was killed, or a disk
    that was full.
    """

    path: Path
    entries: tuple[AuditEntry, ...]
    feedback: dict[str, Feedback]
    torn: int


def read_log(path: Path) -> Log:
    """Read a log; torn lines are skipped, counted.

    :raises NotFound: no such file.
    :raises InvalidArgument: it cannot be read, or holds no decision.
    """
    files = [file for file in (*reversed(older(path)), path) if file.is_file()]
    if not files:
        raise NotFound(
            f"no audit log {path}; name the file that the server was given with --audit-path",
            reason="FILE_NOT_FOUND",
        )
    lines = [parsed for file in files for parsed in _parsed(file, parse_entry)]
    entries = tuple(entry for entry in lines if entry is not None)
    if not entries:
        what = f"its {len(lines):,} lines are torn, or of another kind" if lines else "it is empty"
        raise InvalidArgument(f"{path} holds no decision: {what}; name a log of `expertrag serve`")
    feedback, torn = _read_feedback(path.with_name(FEEDBACK))
    return Log(path, entries, feedback, len(lines) - len(entries) + torn)


def _read_feedback(path: Path) -> tuple[dict[str, Feedback], int]:
    """Read feedback by answer, a later word over an earlier one, and count torn lines."""
    said: dict[str, Feedback] = {}
    torn = 0
    for file in (*reversed(older(path)), path):
        for item in _parsed(file, parse_feedback) if file.is_file() else ():
            if item is None:
                torn += 1
            else:
                said[item.answer_id] = _over(said.get(item.answer_id), item)
    return said, torn


def _over(earlier: Feedback | None, later: Feedback) -> Feedback:
    if earlier is None:
        return later
    correct, query = later.correct_answer, later.query
    return replace(
        later,
        helpful=earlier.helpful if later.helpful is None else later.helpful,
        correct_answer=earlier.correct_answer if correct is None else correct,
        query=earlier.query if query is None else query,
    )


def _parsed(file: Path, parse: Callable[[bytes], T]) -> Iterator[T | None]:
    """Yield what each line holds; None for a torn one."""
    try:
        with file.open("rb") as lines:
            for line in lines:
                if line.strip():
                    parsed = None
                    with suppress(ValueError):
                        parsed = parse(line)
                    yield parsed
    except OSError as error:
        raise InvalidArgument(f"{file} cannot be read ({error.strerror}); mend that") from None
