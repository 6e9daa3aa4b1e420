"""Changed files are read once they are steady, and tried again if they cannot be read."""

from __future__ import annotations

import time
from pathlib import Path

from expertrag_index.loaders.base import SourceFile
from expertrag_index.sources.base import SourceItem
from expertrag_index.sources.settling import FIRST_RETRY_S, TRIES, Settling


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def item(version: str, age_s: float = 0.0) -> SourceItem:
    file = SourceFile(Path("a.md"), "a.md", "notes/a.md", None, 1_000)
    return SourceItem("notes/a.md", version, lambda: file, time.time() - age_s)


def test_a_file_is_ready_once_it_stays_the_same() -> None:
    clock = Clock()
    settling = Settling(1.0, clock)
    look = settling.look([item("v1")])
    assert (look.ready, look.writing, look.wait_s) == ([], ["notes/a.md"], 1.0)
    clock.now += 0.9
    assert settling.look([item("v2")]).wait_s == 1.0  # it has changed: the time begins again
    clock.now += 0.9
    assert settling.look([item("v2")]).ready == []
    clock.now += 0.2
    look = settling.look([item("v2")])
    assert ([each.version for each in look.ready], look.writing) == (["v2"], [])


def test_a_file_that_is_old_is_ready_at_once_but_not_one_of_the_future() -> None:
    settling = Settling(1.0, Clock())
    assert len(settling.look([item("v1", age_s=60)]).ready) == 1
    assert settling.look([item("v2", age_s=-3_600)]).writing == ["notes/a.md"]


def test_a_file_that_cannot_be_read_is_tried_later_each_time_then_given_up() -> None:
    clock = Clock()
    settling = Settling(1.0, clock)
    given_up: list[str] = []
    waits = []
    for _ in range(TRIES):
        assert len(settling.look([item("v1", age_s=60)]).ready) == 1
        given_up = settling.note_failures(["notes/a.md"])
        waits.append(settling.retry_s)
        assert settling.look([item("v1", age_s=60)]).ready == []
        clock.now += waits[-1] or 0.0
    assert waits == [FIRST_RETRY_S * 2**n for n in range(TRIES - 1)] + [None]
    assert given_up == ["notes/a.md"]
    clock.now += 1_000
    assert settling.look([item("v1", age_s=60)]).ready == []
    assert len(settling.look([item("v2", age_s=60)]).ready) == 1  # it has changed
