"""Copies that follow a URL, and stores that are pushed again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from serving_fixtures import wait_until
from store_helper import HashingEmbedder, contents

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import IndexStoreError
from expertrag_index.replicas.follow import Follower
from expertrag_index.replicas.keep_pushed import Pusher
from expertrag_index.replicas.pull import PullReport, pull
from expertrag_index.replicas.push import PushReport, push
from expertrag_index.replicas.repeat import Repeated, Schedule, StoppedError
from expertrag_index.types import Document


def add(store: Path, number: int) -> None:
    with IndexWriter.open(store, HashingEmbedder()) as writer:
        writer.add([Document(f"late{number}", f"Added later, number{number}.")])


def newest_is(transfer: Repeated, generation: int) -> bool:
    return transfer.state.newest == generation


class Log:
    """What a transfer has told."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reports: list[PullReport | PushReport] = []
        self.failures: list[str] = []

    def failed(self, problem: str, wait_s: float) -> None:
        assert wait_s > 0
        self.failures.append(problem)


@contextmanager
def running(transfer: Repeated, log: Log) -> Iterator[None]:
    thread = threading.Thread(target=transfer.run)
    thread.start()
    try:
        yield
    finally:
        log.stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_a_copy_follows_a_store_that_is_pushed(store: Path, tmp_path: Path) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    log, pushed = Log(), Log()
    follower = Follower(url, copy, Schedule(log.stop, 0.02, log.failed), looked=log.reports.append)
    pusher = Pusher(
        store, url, Schedule(pushed.stop, 0.02, pushed.failed), pushed=pushed.reports.append
    )
    with running(follower, log):
        wait_until(lambda: len(log.failures) > 0)  # nothing is there yet
        assert "no generations at" in log.failures[0]
        assert follower.state.failures > 0
        with running(pusher, pushed):
            for number in range(3):
                add(store, number)
                wait_until(partial(newest_is, follower, number + 2), 20)
                assert pusher.state.newest == number + 2
        wait_until(lambda: log.reports[-1].generation == 4, 20)
    assert (follower.state.failures, follower.state.problem) == (0, "")
    assert contents(copy) == contents(store)
    assert not pushed.failures


def test_an_unreachable_url_is_survived(store: Path, tmp_path: Path) -> None:
    url, copy = tmp_path / "shared", tmp_path / "copy"
    push(store, str(url))
    log = Log()
    follower = Follower(
        str(url), copy, Schedule(log.stop, 0.02, log.failed), looked=log.reports.append
    )
    with running(follower, log):
        wait_until(lambda: len(log.reports) > 0, 20)
        url.rename(tmp_path / "away")
        url.write_text("unmounted")
        wait_until(lambda: any("cannot be read or written" in each for each in log.failures))
        behind_from = follower.state.in_step_at
        assert follower.state.newest == 1
        url.unlink()
        (tmp_path / "away").rename(url)
        wait_until(lambda: follower.state.in_step_at > behind_from)


def test_a_url_that_is_no_url_is_told_at_once(store: Path, tmp_path: Path) -> None:
    log = Log()
    for url, path in (("https://example.com/x", tmp_path / "copy"), (str(tmp_path), store)):
        with pytest.raises(IndexStoreError):
            Follower(url, path, Schedule(log.stop, 1, log.failed), looked=log.reports.append)


def test_waits_get_longer_and_a_stop_ends_them(tmp_path: Path) -> None:
    log, waits = Log(), list[float]()

    def failed(problem: str, wait_s: float) -> None:
        log.failed(problem, wait_s)
        waits.append(wait_s)
        if len(waits) == 4:
            log.stop.set()

    follower = Follower(
        str(tmp_path / "none"),
        tmp_path / "copy",
        Schedule(log.stop, 0.05, failed),
        looked=log.reports.append,
    )
    assert not follower.run(once=True)
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]


def test_a_pull_is_given_up(store: Path, tmp_path: Path) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    log = Log()
    follower = Follower(url, copy, Schedule(log.stop, 0.05, log.failed), looked=log.reports.append)
    log.stop.set()
    assert not follower.run()
    with pytest.raises(StoppedError):
        follower.step()
    assert not copy.exists()
    assert pull(url, copy).changed


def test_secrets_are_not_told(store: Path, tmp_path: Path) -> None:
    """Whatever a file system raises: its text may hold the URL."""
    log = Log()

    class Failing(Follower):
        def step(self) -> None:
            raise RuntimeError("cannot open s3://ann:secret@bucket")

    follower = Failing(
        str(tmp_path / "x"), tmp_path / "copy", Schedule(log.stop, 0.01, log.failed), looked=print
    )
    with running(follower, log):
        wait_until(lambda: len(log.failures) > 0)
    assert log.failures[0] == "RuntimeError"
    assert "secret" not in follower.state.problem


class Panic(BaseException):
    """What a panic in a library of Rust looks like: no ``Exception``."""


def test_a_listener_that_fails_does_not_end_the_tries() -> None:
    tries: list[float] = []

    class Failing(Repeated):
        def step(self) -> None:
            if len(tries) < 3:
                raise (OSError, ValueError, Panic)[len(tries)]

    def failed(_problem: str, wait_s: float) -> None:
        tries.append(wait_s)
        raise RuntimeError

    assert Failing(Schedule(threading.Event(), 0.001, failed)).run(once=True)
    assert len(tries) == 3
