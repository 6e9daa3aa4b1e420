"""Read a log with its older files, and its feedback."""

from __future__ import annotations

from collections import deque
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
    """Decisions, oldest first, and the feedback on answers by id.

    ``torn`` counts the incomplete lines of both files, left by a killed process or a full disk.
    """

    path: Path
    entries: tuple[AuditEntry, ...]
    feedback: dict[str, Feedback]
    torn: int


def read_log(path: Path, latest: int | None = None) -> Log:
    """Read a log; torn lines are skipped and counted.

    :param latest: most lines to read, the newest of the log; None for all.

    :raises NotFound: if there is no such file.
    :raises InvalidArgument: if it cannot be read, or has no decision.
    """
    files = [file for file in (*reversed(older(path)), path) if file.is_file()]
    if not files:
        raise NotFound(
            f"no audit log {path}; give the file of the server's --audit-path",
            reason="FILE_NOT_FOUND",
        )
    newest = deque((line for file in files for line in _lines(file)), maxlen=latest)
    lines = [_parse_line(line, parse_entry) for line in newest]
    entries = tuple(entry for entry in lines if entry is not None)
    if not entries:
        what = f"its {len(lines):,} lines are torn or not decisions" if lines else "it is empty"
        raise InvalidArgument(f"{path} has no decision: {what}; give a log of `expertrag serve`")
    feedback, torn = _read_feedback(path.with_name(FEEDBACK))
    return Log(path, entries, feedback, len(lines) - len(entries) + torn)


def _read_feedback(path: Path) -> tuple[dict[str, Feedback], int]:
    """Read the feedback by answer, later lines overriding earlier ones, and count torn lines."""
    feedback: dict[str, Feedback] = {}
    torn = 0
    for file in (*reversed(older(path)), path):
        for line in _lines(file) if file.is_file() else ():
            item = _parse_line(line, parse_feedback)
            if item is None:
                torn += 1
            else:
                feedback[item.answer_id] = _over(feedback.get(item.answer_id), item)
    return feedback, torn


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


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            yield from (line for line in lines if line.strip())
    except OSError as error:
        raise InvalidArgument(f"{file} cannot be read ({error.strerror}); fix that") from None


def _parse_line(line: bytes, parse: Callable[[bytes], T]) -> T | None:
    """Return a parsed line; None for a torn one."""
    with suppress(ValueError):
        return parse(line)
    return None
