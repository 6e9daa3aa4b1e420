"""Pulls and pushes that are killed, run out of space, or find the URL away."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_helper import HashingEmbedder, contents, make_corpus

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import (
    IndexStoreError,
    RemoteUnreachableError,
    StoreLockedError,
)
from expertrag_index.replicas.pull import pull
from expertrag_index.replicas.push import push
from expertrag_index.store.layout import Layout
from expertrag_index.store.lock import WriterLock
from expertrag_index.types import Progress
from expertrag_index.upkeep.verify import verify

KILLS = 6

CHILD = """
import sys
from pathlib import Path
from expertrag_index.replicas.pull import pull
print("ready", flush=True)
for line in sys.stdin:
    pull(sys.argv[1], Path(sys.argv[2]))
    print("done", flush=True)
"""


class InterruptedPullError(Exception):
    """Ends a transfer at a moment that the test chooses."""


def interrupted_at(stage: str, done: int) -> Progress:
    def progress(now: str, step: int, _total: int | None) -> None:
        if (now, step) == (stage, done):
            raise InterruptedPullError

    return progress


def add(store: Path, number: int) -> None:
    with IndexWriter.open(store, HashingEmbedder()) as writer:
        writer.add(make_corpus(60, number))


@pytest.mark.parametrize(("stage", "done"), [("files", 2), ("download", 4)])
def test_the_next_pull_goes_on(store: Path, tmp_path: Path, stage: str, done: int) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    whole = pull(url, tmp_path / "other")
    with pytest.raises(InterruptedPullError):
        pull(url, copy, progress=interrupted_at(stage, done))
    assert not copy.exists()
    rest = pull(url, copy)
    assert rest.objects <= whole.objects - done
    assert contents(copy) == contents(store)
    assert verify(copy).problems == ()
    assert not list(tmp_path.glob("*.tmp"))


def test_killed_at_random_moments(store: Path, tmp_path: Path) -> None:
    """The copy is the old or the new generation, whole; the next pull brings it up to date."""
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    pull(url, copy)
    states = [contents(copy)]
    rng = random.Random(3)
    at = killed = 0
    for number in range(KILLS):
        add(store, number + 1)
        push(store, url)
        states.append(contents(store))
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(copy)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            child.stdin.write(b"\n")
            child.stdin.flush()
            time.sleep(0.1 * rng.random())
            child.kill()
            killed += child.stdout.read() == b""
        now = states.index(contents(copy))
        assert now >= at
        at = now
    assert killed
    pull(url, copy, again=True)
    assert contents(copy) == states[-1]
    assert verify(copy).problems == ()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_generation_that_is_dropped_meanwhile(store: Path, tmp_path: Path) -> None:
    """A slow reader of a fast writer goes over to the newest one."""
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    pushed: list[int] = []

    def meanwhile(_stage: str, _done: int, _total: int | None) -> None:
        while len(pushed) < 3:
            pushed.append(len(pushed))
            add(store, len(pushed))
            push(store, url, keep=2)

    assert pull(url, copy, progress=meanwhile).generation == 4
    assert contents(copy) == contents(store)


def test_an_interrupted_push_is_not_seen(store: Path, tmp_path: Path) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    before = contents(store)
    add(store, 1)
    with pytest.raises(InterruptedPullError):
        push(store, url, progress=interrupted_at("upload", 3))
    assert pull(url, copy).generation == 1
    assert contents(copy) == before
    push(store, url)
    pull(url, copy)
    assert contents(copy) == contents(store)
    assert not list(tmp_path.glob("*.tmp"))


def test_one_pull_and_one_push_at_a_time(store: Path, tmp_path: Path) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    (tmp_path / "copy.pull.tmp").mkdir()
    with WriterLock(Layout(tmp_path / "copy.pull.tmp")), pytest.raises(StoreLockedError):
        pull(url, copy)
    add(store, 1)
    (tmp_path / "store.push.tmp").mkdir()
    with WriterLock(Layout(tmp_path / "store.push.tmp")), pytest.raises(StoreLockedError):
        push(store, url)


FULL = """
import resource, sys
from pathlib import Path
from expertrag_index.errors import StorageFullError
from expertrag_index.replicas.{what} import {what}
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    {what}({first}, {second})
except StorageFullError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["pull", "push"])
def test_a_full_disk(store: Path, tmp_path: Path, what: str) -> None:
    """A limit of the size of files is the same error as a quota."""
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    if what == "pull":
        push(store, url)
        arguments = {"first": repr(url), "second": f"Path({str(copy)!r})"}
    else:
        arguments = {"first": f"Path({str(store)!r})", "second": repr(url)}
    code = FULL.format(what=what, **arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "free some space" in done.stdout, done.stderr
    assert not (tmp_path / "shared" / "CURRENT").exists() or what == "pull"
    assert not copy.exists()
    push(store, url)
    pull(url, copy)
    assert contents(copy) == contents(store)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_no_permission(store: Path, tmp_path: Path) -> None:
    url, locked = str(tmp_path / "shared"), tmp_path / "locked"
    push(store, url)
    locked.mkdir(mode=0o500)
    with pytest.raises(IndexStoreError, match="change the permissions"):
        pull(url, locked / "copy")
    with pytest.raises(RemoteUnreachableError, match="its permissions"):
        push(store, str(locked / "shared"))


def test_a_file_in_the_place_of_the_folder(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RemoteUnreachableError, match="cannot be read or written"):
        push(store, str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_the_copy_stays_whole_on_a_full_disk(store: Path, tmp_path: Path) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    pull(url, copy)
    before = contents(copy)
    add(store, 1)
    push(store, url)
    arguments = {"first": repr(url), "second": f"Path({str(copy)!r})"}
    subprocess.run([sys.executable, "-c", FULL.format(what="pull", **arguments)], check=True)
    assert contents(copy) == before


def test_leftovers_of_a_pull_that_had_exchanged_the_folders(store: Path, tmp_path: Path) -> None:
    """Killed before it deleted the copy before, which is then only a source of blocks."""
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    push(store, url)
    pull(url, copy)
    left = Path(shutil.copytree(copy, tmp_path / "copy.pull.tmp"))
    add(store, 1)
    push(store, url)
    update = pull(url, copy)
    assert update.changed
    assert contents(copy) == contents(store)
    assert verify(copy).problems == ()
    assert not left.exists()
