"""kill -9 at random moments: the store opens, verify passes, and a re-run completes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expertrag_index.build import IndexWriter
from expertrag_index.errors import StoreNotFoundError
from expertrag_index.index import Index
from expertrag_index.settings import WriterSettings
from expertrag_index.types import Document
from expertrag_index.verify import verify

COUNT = 60
KILLS = 50
SCRIPT = Path(__file__).with_name("store_helper.py")


class Child:
    """A warm child interpreter that has imported everything and waits for one command."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def start(self, command: str, store: Path) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._process.stdin.write(f"{command} {store} {COUNT} 0.0005\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        code = self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        return code


def run_whole(command: str, store: Path) -> float:
    child = Child()
    child.start(command, store)
    started = time.monotonic()
    assert child.wait() == 0
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize("command", ["build", "add", "experts", "migrate"])
def test_killed_at_random_moments(
    tmp_path: Path,
    make_corpus: Callable[..., list[Document]],
    make_mixed_corpus: Callable[[int], list[Document]],
    make_embedder: Any,
    make_experts: Any,
    contents: Callable[[Path], object],
    command: str,
) -> None:
    old, new = make_corpus(COUNT), make_corpus(COUNT, version=1)
    target = {"build": old, "add": new, "experts": make_mixed_corpus(COUNT)}.get(command)
    maker = make_experts if command in ("experts", "migrate") else make_embedder
    settings = WriterSettings(embed_batch=16)
    start = tmp_path / "start"
    if command in ("add", "migrate"):
        before = old if command == "add" else make_mixed_corpus(COUNT)
        with IndexWriter.open(start, make_embedder(), settings=settings) as writer:
            writer.build(before)
    expected_store = tmp_path / "expected"
    copy(start, expected_store)
    seconds = run_whole(command, expected_store)
    expected = contents(expected_store)
    # one kill per 25 ms of the whole run, while the next child warms up
    moments = [seconds * (i + random.Random(i).random()) / KILLS for i in range(KILLS)]
    child = Child()
    outcomes = set()
    for number, moment in enumerate(moments):
        store = tmp_path / f"store{number}"
        copy(start, store)
        following = Child()
        child.start(command, store)
        time.sleep(moment)
        child.kill()
        child = following
        outcomes.add(state(store))
        with IndexWriter.open(
            store, maker(), settings=settings, migrating=command == "migrate"
        ) as writer:
            report = writer.migrate() if target is None else writer.build(target)
        assert not report.failures
        assert verify(store).problems == ()
        assert contents(store) == expected
        shutil.rmtree(store)
    child.kill()
    # the kills came both before and, on all but the fastest machines, after the publish
    assert (0 if command in ("build", "experts") else 1) in outcomes


def copy(start: Path, store: Path) -> None:
    if start.exists():
        shutil.copytree(start, store)


def state(store: Path) -> int:
    """Open and verify what the killed child left; return the published generation, 0 for none."""
    try:
        with Index.open(store) as index:
            assert not index.degraded
            assert len(index.sample_chunks(1000)) == index.size
            generation = index.generation
    except StoreNotFoundError:
        return 0
    assert verify(store).problems == ()
    return generation
