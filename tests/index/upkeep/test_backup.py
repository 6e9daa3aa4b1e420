"""Backups of a store that is written meanwhile, killed at any moment, and restored."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from store_helper import (
    CORPUS,
    Child,
    HashingEmbedder,
    build,
    change_database,
    contents,
    make_corpus,
)

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import (
    IndexStoreError,
    StoreCorruptError,
    StoreLockedError,
    StoreNotFoundError,
)
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.types import Document
from expertrag_index.upkeep.backup import SUMS, backup, restore
from expertrag_index.upkeep.verify import verify

KILLS = 12


@pytest.fixture
def store(tmp_path: Path, hashing: HashingEmbedder) -> Path:
    path = tmp_path / "store"
    build(path, hashing, CORPUS)
    return path


def late(number: int) -> list[Document]:
    return [Document(f"late{number}", f"Added later, number{number}.")]


def test_a_backup_restores_the_same_store(store: Path, tmp_path: Path, hashing: Any) -> None:
    made = backup(store, tmp_path / "copy")
    assert (made.generation, made.documents, made.chunks) == (1, 60, 120)
    sums = subprocess.run(["sha256sum", "-c", SUMS], cwd=tmp_path / "copy", capture_output=True)
    assert sums.returncode == 0
    assert restore(tmp_path / "copy", tmp_path / "new").generation == 1
    assert contents(tmp_path / "new") == contents(store)
    assert verify(tmp_path / "new").problems == ()
    assert build(tmp_path / "new", hashing, CORPUS).unchanged == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "new", "store"]


def test_a_backup_while_a_writer_writes(store: Path, tmp_path: Path) -> None:
    """Each backup is one published generation, not a mixture."""
    stop = threading.Event()

    def write() -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            with IndexWriter.open(store, HashingEmbedder()) as writer:
                writer.add([*make_corpus(60, number), *late(number)])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = set()
        for number in range(6):
            made = backup(store, tmp_path / f"copy{number}")
            seen.add(made.generation)
            assert made.documents == 60 + made.generation - 1  # each generation adds one
            restore(tmp_path / f"copy{number}", tmp_path / "new", force=number > 0)
            documents, _, _ = contents(tmp_path / "new")
            editions = {row[6].split()[3] for row in documents if row[0].startswith("doc")}
            assert editions == {"edition0.", f"edition{max(0, made.generation - 2)}."}
    finally:
        stop.set()
        thread.join()
    assert len(seen) > 1
    assert verify(store).problems == ()


def run_for(child: Child, seconds: float | None, *command: object) -> tuple[bool, float]:
    """Run a command, and kill it after so many seconds; return whether it was, and its seconds."""
    started = time.monotonic()
    child.start(*map(str, command))
    if seconds is not None:
        time.sleep(seconds)
    code = child.wait() if seconds is None else child.kill()
    return code < 0, time.monotonic() - started


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_killed_at_random_moments(
    store: Path, tmp_path: Path, hashing: Any, child: Child, command: str
) -> None:
    """The target is the old or the new state, whole; what a killed run leaves is not a backup."""
    rng = random.Random(command)
    first, second = tmp_path / "first", tmp_path / "second"
    backup(store, first)
    old = contents(store)
    with IndexWriter.open(store, hashing) as writer:
        writer.add(late(1))
    backup(store, second)
    states = [old, contents(store)]
    target = Path(shutil.copytree(first if command == "backup" else second, tmp_path / "target"))
    source = store if command == "backup" else second
    seconds = run_for(child, None, command, source, target)[1]
    killed = 0
    for number in range(KILLS):
        source = store if command == "backup" else (first, second)[number % 2]
        killed += run_for(child, seconds * rng.random(), command, source, target)[0]
        if command == "backup":
            restore(target, tmp_path / "new", force=True)
            assert contents(tmp_path / "new") in states
        else:
            assert verify(target).problems == ()
            assert contents(target) in states
        for left in tmp_path.glob("*.tmp"):
            if not (left / SUMS).exists():  # killed after the exchange: the whole old backup
                with pytest.raises((StoreCorruptError, StoreNotFoundError)):
                    restore(left, tmp_path / "never")
    assert killed
    backup(store, tmp_path / "last")
    if command == "backup":
        backup(store, target, force=True)
    else:
        restore(tmp_path / "last", target, force=True)
    assert contents(target) == states[1]
    assert not list(tmp_path.glob("*.tmp"))


def test_nothing_is_replaced_without_force(store: Path, tmp_path: Path) -> None:
    backup(store, tmp_path / "copy")
    with pytest.raises(IndexStoreError, match=r"exists.*--force"):
        backup(store, tmp_path / "copy")
    with pytest.raises(IndexStoreError, match=r"exists.*--force"):
        restore(tmp_path / "copy", store)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(IndexStoreError, match="is not a backup"):
        backup(store, tmp_path / "other", force=True)
    with pytest.raises(IndexStoreError, match="is not a store"):
        restore(tmp_path / "copy", tmp_path / "other", force=True)
    assert (tmp_path / "other" / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize("damage", ["flip", "cut", "sums", "missing", "outside"])
def test_a_damaged_backup_is_refused(store: Path, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "copy"
    backup(store, copy)
    before = contents(store)
    database, sums = copy / "store.db", copy / SUMS
    data = bytearray(database.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        database.write_bytes(data)
    elif damage == "cut":
        database.write_bytes(data[:-4096])
    elif damage == "missing":
        database.unlink()
    elif damage == "sums":
        sums.unlink()
    else:
        sums.write_text(f"{sums.read_text()}{'0' * 64}  ../store/CURRENT\n")
    for target in (store, tmp_path / "new"):
        with pytest.raises(StoreCorruptError, match="another backup"):
            restore(copy, target, force=True)
    assert contents(store) == before
    assert not (tmp_path / "new").exists()


def test_a_damaged_store_is_not_backed_up(store: Path, tmp_path: Path) -> None:
    change_database(store, "UPDATE documents SET text = text || '.' WHERE id = 'doc2'")
    with pytest.raises(StoreCorruptError, match=r"'doc2'.*index repair"):
        backup(store, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_restored_store_has_its_one_generation(store: Path, tmp_path: Path) -> None:
    """Under the number before it, there is none that it could fall back to."""
    backup(store, tmp_path / "copy")
    assert restore(tmp_path / "copy", store, force=True).generation == 2
    assert Layout(store).generation_numbers() == [2]


def test_restore_waits_for_no_writer_and_readers_go_over(
    store: Path, tmp_path: Path, hashing: Any
) -> None:
    backup(store, tmp_path / "copy")
    old = contents(store)
    with IndexWriter.open(store, hashing) as writer:
        writer.add(late(1))
        with pytest.raises(StoreLockedError):
            restore(tmp_path / "copy", store, force=True)
    with Index.open(store) as reader:
        assert restore(tmp_path / "copy", store, force=True).generation == 3
        assert len(reader.search_lexical("later", 5)) == 1  # still its own generation
        with Index.open(store) as index:
            assert (index.generation, index.search_lexical("later", 5)) == (3, [])
    with IndexWriter.open(store, hashing) as writer:
        assert writer.add(late(2)).generation == 4
        writer.delete(["late2"])
    assert contents(store) == old
    assert verify(store).problems == ()


def test_a_writer_that_waited_for_a_restore_writes_to_the_restored_store(
    store: Path, tmp_path: Path
) -> None:
    backup(store, tmp_path / "copy")
    settings = WriterSettings(lock_wait_s=30)
    stop = threading.Event()
    done: list[int] = []

    def write() -> None:
        for number in range(10_000):
            if stop.wait(0.02):
                return
            with IndexWriter.open(store, HashingEmbedder(), settings=settings) as writer:
                done.append(writer.add(late(number)).generation)

    thread = threading.Thread(target=write)
    thread.start()
    restored = 0
    try:
        while restored < 5 and thread.is_alive():
            with contextlib.suppress(StoreLockedError):
                restore(tmp_path / "copy", store, force=True)
                restored += 1
    finally:
        stop.set()
        thread.join()
    assert restored == 5, "the writer has failed"
    assert done == sorted(done), "a generation was published into a store that was replaced"
    assert verify(store).problems == ()
