"""A served object follows its file, also after every kind of failed replacement."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from expertrag.api.errors import Conflict
from expertrag.runtime import hot_swap
from expertrag.runtime.hot_swap import HotSwap

FAILURES = [
    OSError(errno.ENOSPC, "No space left on device"),
    FileNotFoundError("a segment is missing"),
    MemoryError(),
    RuntimeError("CUDA out of memory"),
    ValueError("the manifest is damaged"),
    Conflict("another embedder", reason="X"),
    AssertionError(),
]


class Holder:
    """Serves the text of a file; fails as it is told to."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.failure: Exception | None = None
        self.tries = 0
        self.swap = HotSwap(file, "holder", self.load)
        self.load()

    def load(self) -> None:
        self.tries += 1
        text = self.file.read_text()
        if self.failure is not None:
            raise self.failure
        self.text = text

    def read(self) -> str:
        self.swap.follow()
        return self.text


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    file = tmp_path / "current"
    file.write_text("first")
    yield Holder(file)


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_a_change_after_a_failure_is_served_at_once(holder: Holder, failure: Exception) -> None:
    holder.file.write_text("damaged")
    holder.failure = failure
    assert holder.read() == "first"
    holder.failure = None
    holder.file.write_text("repaired")
    assert holder.read() == "repaired"


def test_a_file_that_is_missing_for_a_moment(holder: Holder) -> None:
    holder.file.unlink()
    assert holder.read() == "first"
    holder.file.write_text("back again")
    assert holder.read() == "back again"


def test_an_old_state_after_a_failure_needs_no_replacement(holder: Holder) -> None:
    old = holder.file.with_suffix(".old")
    holder.file.rename(old)
    holder.file.write_text("damaged")
    holder.failure = ValueError("damaged")
    assert holder.read() == "first"
    old.replace(holder.file)
    assert (holder.read(), holder.tries) == ("first", 2)


def test_a_failed_state_is_tried_again_after_a_while(
    holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder.file.write_text("second")
    holder.failure = OSError("another file is missing")
    for _ in range(5):
        assert holder.read() == "first"
    assert holder.tries == 2
    monkeypatch.setattr(hot_swap, "_RETRY_SECONDS", 0.0)
    holder.file.write_text("second, and more")
    assert (holder.read(), holder.tries) == ("first", 3)
    holder.failure = None
    assert (holder.read(), holder.tries) == ("second, and more", 4)


def test_each_of_many_failures_is_followed_by_its_change(holder: Holder) -> None:
    for number, failure in enumerate(FAILURES):
        holder.failure = failure
        holder.file.write_text(f"damaged {number:5}")
        before = holder.text
        assert holder.read() == before
        holder.failure = None
        holder.file.write_text(f"{number}")
        assert holder.read() == f"{number}"


def test_a_failure_on_demand_is_raised_and_the_next_change_served(holder: Holder) -> None:
    holder.file.write_text("damaged")
    holder.failure = ValueError("damaged")
    with pytest.raises(ValueError, match="damaged"):
        holder.swap.now()
    holder.failure = None
    holder.file.write_text("repaired")
    assert holder.read() == "repaired"


def test_a_writer_waits_for_a_replacement_that_fails(holder: Holder) -> None:
    loading, goes_on = threading.Event(), threading.Event()
    load = holder.load

    def slow() -> None:
        loading.set()
        goes_on.wait(10)
        load()

    holder.swap = HotSwap(holder.file, "holder", slow)
    holder.file.write_text("second")
    holder.failure = ValueError("damaged")
    first = threading.Thread(target=holder.swap.follow)
    first.start()
    assert loading.wait(10)
    waiting = threading.Thread(target=holder.swap.follow, kwargs={"wait": True})
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    goes_on.set()
    first.join(10)
    waiting.join(10)
    assert holder.tries == 2  # the failure is not repeated at once
