"""kill -9 at random moments: the store opens, verify passes, and a re-run completes."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest
from store_helper import (
    Child,
    ExpertEmbedder,
    HashingEmbedder,
    build,
    contents,
    make_corpus,
    make_mixed_corpus,
)

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import StoreNotFoundError
from expertrag_index.store.index import Index
from expertrag_index.upkeep.verify import verify

COUNT = 60
KILLS = 25


def run_whole(child: Child, command: str, store: Path) -> float:
    child.start(command, store, COUNT, 0.0005)
    started = time.monotonic()
    assert child.wait() == 0
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize("command", ["build", "add", "experts", "migrate"])
def test_killed_at_random_moments(tmp_path: Path, child: Child, command: str) -> None:
    old, new = make_corpus(COUNT), make_corpus(COUNT, version=1)
    target = {"build": old, "add": new, "experts": make_mixed_corpus(COUNT)}.get(command)
    maker = ExpertEmbedder if command in ("experts", "migrate") else HashingEmbedder
    settings = WriterSettings(embed_batch=16, commit_chunks=16)
    start = tmp_path / "start"
    if command in ("add", "migrate"):
        before = old if command == "add" else make_mixed_corpus(COUNT)
        build(start, HashingEmbedder(), before, settings=settings)
    expected_store = tmp_path / "expected"
    copy(start, expected_store)
    seconds = run_whole(child, command, expected_store)
    expected = contents(expected_store)
    moments = [seconds * (i + random.Random(i).random()) / KILLS for i in range(KILLS)]
    outcomes = set()
    for number, moment in enumerate(moments):
        store = tmp_path / f"store{number}"
        copy(start, store)
        child.start(command, store, COUNT, 0.0005)
        time.sleep(moment)
        child.kill()
        outcomes.add(state(store))
        with IndexWriter.open(
            store, maker(), settings=settings, migrating=command == "migrate"
        ) as writer:
            report = writer.migrate() if target is None else writer.build(target)
        assert not report.failures
        assert verify(store).problems == ()
        assert contents(store) == expected
        shutil.rmtree(store)
    # the kills came both before and, on all but the fastest machines, after the publish
    assert (0 if command in ("build", "experts") else 1) in outcomes


def copy(start: Path, store: Path) -> None:
    if start.exists():
        shutil.copytree(start, store)


def state(store: Path) -> int:
    """Open and verify what the killed child left; return the published generation, 0 for none."""
    try:
        with Index.open(store) as index:
            assert not index.degradation
            assert len(index.sample_chunks(1000)) == index.size
            generation = index.generation
    except StoreNotFoundError:
        return 0
    assert verify(store).problems == ()
    return generation
