"""Reading a log: older files, torn lines, and later feedback overriding earlier."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_fixtures import WriteLog, make_entry

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import Feedback
from expertrag.audit.append import Appender, older
from expertrag.audit.entries import dump_entry
from expertrag.audit.reading import read_log


def test_older_files_come_first(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    appender = Appender(path, max_bytes=1_000)
    for number in range(4):
        appender.append(dump_entry(make_entry(number)))
    assert older(path)[0].exists()
    assert [item.id for item in read_log(path).entries] == [make_entry(n).id for n in range(4)]
    path.unlink()  # just rotated away
    assert len(read_log(path).entries) < 4


def test_torn_lines_are_counted(write_log: WriteLog) -> None:
    path = write_log([make_entry(1), make_entry(2)], [Feedback(make_entry(1).id, helpful=True)])
    for file in (path, path.with_name("feedback.jsonl")):
        with file.open("ab") as torn:
            torn.write(dump_entry(make_entry(3))[:40] + b"\n\n\xff\n")
    log = read_log(path)
    assert (len(log.entries), len(log.feedback), log.torn) == (2, 1, 4)


def test_later_feedback_overrides_earlier(write_log: WriteLog) -> None:
    name = make_entry(1).id
    said = [
        Feedback(name, helpful=True, correct_answer="four", query="?"),
        Feedback(name, correct_answer="five"),
        Feedback(name, helpful=False),
    ]
    log = read_log(write_log([make_entry(1)], said))
    assert log.feedback == {name: Feedback(name, False, "five", "?")}


def test_missing_empty_and_foreign_files_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with pytest.raises(NotFound, match="no audit log"):
        read_log(path)
    path.touch()
    with pytest.raises(InvalidArgument, match="it is empty"):
        read_log(path)
    path.write_text('{"_id": "x"}\nhello\n')
    with pytest.raises(InvalidArgument, match="its 2 lines are torn or not decisions"):
        read_log(path)
