"""Flipped bits, truncated and missing files are detected before use, and repaired."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from store_helper import CORPUS, HashingEmbedder, build, change_database, contents

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import (
    IndexStoreError,
    StorageFullError,
    StoreCorruptError,
    StoreFormatError,
    StoreNotFoundError,
)
from expertrag_index.store import manifest
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import dumps, loads
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify

FLIPS_DERIVED = 8
FLIPS_DATABASE = 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "store"
    with IndexWriter.open(path, HashingEmbedder()) as writer:
        writer.build(CORPUS)
        writer.add([Document("extra", "A late addition.", metadata={"number": 99})])
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "store"))


def read_all(path: Path, hashing: Any) -> tuple[Any, ...]:
    """Return everything that a reader can see, and whether an older generation is in use."""
    with Index.open(path) as index:
        chunks = sorted(index.sample_chunks(index.size), key=lambda pair: pair[0])
        texts = [index.document_text(name) for name in {chunk.document_id for _, chunk in chunks}]
        query = hashing.encode_query("replication word5 number7")
        found = [index.search_dense(query, 20), index.search_lexical("replication number7", 20)]
        found.append(index.search_dense(query, 20, {"number": {"$gt": 30}}))
        return chunks, sorted(texts), found, index.degradation


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(data)


def is_noticed(path: Path, hashing: Any, expected: tuple[Any, ...]) -> bool:
    """Whether opening, reading or verifying reports damage."""
    try:
        seen = read_all(path, hashing)
    except IndexStoreError:
        return True
    if seen[-1]:
        return True
    # rows have hashes that reading checks; the full-text index has none, so verify compares it
    assert seen[:2] == expected[:2], "read a wrong text without a word"
    assert seen[2][0] == expected[2][0], "found a wrong neighbour without a word"
    try:
        problems = verify(path).problems
    except IndexStoreError:
        return True
    assert problems or seen == expected, "verify did not notice what search shows"
    return bool(problems)


def test_a_flipped_bit_in_any_derived_file_is_detected_and_repaired(
    whole: Path, tmp_path: Path, hashing: Any
) -> None:
    expected, content = read_all(whole, hashing), contents(whole)
    files = [
        file.relative_to(whole)
        for file in whole.rglob("*")
        if file.is_file() and file.name not in ("store.db", "LOCK")
    ]
    # CURRENT; manifest, vectors, their rows and postings of two generations
    assert len(files) == 9
    for file in files:
        bits = (whole / file).stat().st_size * 8
        for bit in random.Random(str(file)).sample(range(bits), FLIPS_DERIVED):
            store = Path(shutil.copytree(whole, tmp_path / "store"))
            flip(store / file, bit)
            assert is_noticed(store, hashing, expected), (file, bit)
            assert verify(store, repair=True).problems == ()
            assert contents(store) == content
            assert read_all(store, hashing)[-1] == ""
            shutil.rmtree(store)


def test_a_flipped_bit_in_the_database_is_detected_or_harmless(whole: Path, tmp_path: Path) -> None:
    hashing = HashingEmbedder()
    expected, content = read_all(whole, hashing), contents(whole)
    bits = (whole / "store.db").stat().st_size * 8
    noticed = repaired = 0
    extra = Document("extra", "A late addition.", metadata={"number": 99})
    for bit in random.Random(7).sample(range(bits), FLIPS_DATABASE):
        store = Path(shutil.copytree(whole, tmp_path / "store"))
        flip(store / "store.db", bit)
        if is_noticed(store, hashing, expected):
            noticed += 1
            try:
                report = verify(store, repair=True)
            except IndexStoreError as error:
                assert "\n" not in str(error)
            else:
                if not report.problems:
                    repaired += 1
                    build(store, hashing, [*CORPUS, extra])  # what the repair had to remove
                    assert verify(store).problems == ()
                    assert contents(store) == content, bit
        else:
            assert contents(store) == content, bit
        shutil.rmtree(store)
    assert noticed > 10
    assert repaired > noticed / 2


@pytest.mark.parametrize("field", [16, 18, 19, 20, 24, 28, 32, 36, 40, 44, 47, 52, 56, 60, 64, 92])
def test_a_flipped_byte_in_the_header_of_the_database(
    store: Path, hashing: Any, field: int
) -> None:
    expected = read_all(store, hashing)
    for bit in (field * 8, field * 8 + 6):
        flip(store / "store.db", bit)
        is_noticed(store, hashing, expected)
        with contextlib.suppress(IndexStoreError):
            IndexWriter.open(store, hashing).close()


@pytest.mark.parametrize("at", [0, 40, 5_000, None])
def test_a_damaged_write_ahead_log(
    store: Path, tmp_path: Path, hashing: Any, at: int | None
) -> None:
    """While a reader is open, the last publication may be in SQLite's log only."""
    copy = tmp_path / "copy"
    with Index.open(store), IndexWriter.open(store, hashing) as writer:
        writer.add([Document("late", "Added while somebody reads.")])
        shutil.copytree(store, copy)
    (copy / "store.db-shm").unlink()
    if at is None:
        (copy / "store.db-wal").unlink()
    else:
        flip(copy / "store.db-wal", at * 8)
    with Index.open(copy) as index:
        assert (index.generation, "does not hold generation 3" in index.degradation) == (2, True)
    assert "older than CURRENT" in verify(copy).problems[0]
    with pytest.raises(StoreCorruptError, match="older than CURRENT"):
        IndexWriter.open(copy, hashing)


def test_a_read_only_database_is_not_reported_as_damaged(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot read without creating its log. Simulated, because root may write anywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with (
        pytest.raises(IndexStoreError, match="is not writable") as caught,
        store_errors(Layout(store)),
    ):
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error
    assert type(caught.value) is IndexStoreError


@pytest.mark.parametrize(
    ("number", "cure"), [(errno.EIO, "check it and run"), (errno.ENOSPC, "free some space and run")]
)
def test_a_disk_that_fails_differs_from_a_full_one(store: Path, number: int, cure: str) -> None:
    with pytest.raises(StorageFullError, match=cure), store_errors(Layout(store)):
        raise OSError(number, os.strerror(number))


def manifest_of(store: Path, generation: int = 2) -> Any:
    path = store / "generations" / f"gen-{generation:06d}" / "manifest.json"
    return loads(path.read_bytes(), str(path))


def rewrite_manifest(store: Path, **changes: object) -> None:
    """Change fields of the newest manifest, with a checksum that is right."""
    path = store / "generations" / "gen-000002" / "manifest.json"
    body = json.loads(path.read_bytes())
    del body["checksum"]
    path.write_bytes(manifest._canonical({**body, **changes}))


def assert_whole(store: Path) -> None:
    with Index.open(store) as index:
        assert (index.degradation, index.manifest.documents) == ("", 61)


def test_falls_back_to_the_previous_generation_if_the_newest_is_damaged(
    store: Path, hashing: Any
) -> None:
    added, *_ = [
        file for file in manifest_of(store).files if file not in manifest_of(store, 1).files
    ]
    (store / "segments" / added.file).write_bytes(b"nothing")
    with Index.open(store) as index:
        assert (index.generation, index.manifest.documents) == (1, 60)
        assert added.file in index.degradation
        assert f"expertrag index repair {store}" in index.degradation
        assert "\n" not in index.degradation
        assert index.search_lexical("addition", 5) == []
        assert len(index.search_dense(hashing.encode_query("late addition"), 1000)) == index.size
    for entry in manifest_of(store, 1).files:
        (store / "segments" / entry.file).unlink()
    with pytest.raises(StoreCorruptError, match=r"index repair"):
        Index.open(store)
    report = verify(store, repair=True)
    assert report.problems == ()
    assert len(report.repaired) == 3  # the vectors of both generations, the postings of one
    with Index.open(store) as index:
        assert (index.generation, index.degradation, index.manifest.documents) == (3, "", 61)


@pytest.mark.parametrize("content", [b"", b"gen-000002", b"gen-000002 0\n", b"\xff\xfe", None])
def test_a_damaged_current(store: Path, hashing: Any, content: bytes | None) -> None:
    if content is None:
        (store / "CURRENT").unlink()
    else:
        (store / "CURRENT").write_bytes(content)
    with Index.open(store) as index:
        assert index.generation == 2
        assert "CURRENT" in index.degradation
    with pytest.raises(StoreCorruptError, match=r"CURRENT .* index repair"):
        IndexWriter.open(store, hashing)
    assert len(verify(store).problems) == 1
    assert verify(store, repair=True).problems == ()
    assert_whole(store)


def test_a_lost_manifest(store: Path, hashing: Any) -> None:
    shutil.rmtree(store / "generations" / "gen-000002")
    with Index.open(store) as index:
        assert (index.generation, bool(index.degradation)) == (1, True)
    with pytest.raises(StoreCorruptError, match=r"missing.*index repair"):
        IndexWriter.open(store, hashing)
    assert verify(store, repair=True).problems == ()
    assert_whole(store)


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be read as one" * 9])
def test_a_lost_database_is_not_replaced_by_an_empty_one(
    store: Path, hashing: Any, content: bytes
) -> None:
    (store / "store.db").write_bytes(content)
    for attempt in (lambda: Index.open(store), lambda: IndexWriter.open(store, hashing)):
        with pytest.raises(StoreCorruptError, match="index repair"):
            attempt()
    for repair in (False, True):
        report = verify(store, repair=repair)
        assert "beyond repair" in report.problems[0]
        assert not report.repaired
    (store / "store.db").unlink()
    assert "beyond repair" in verify(store).problems[0]
    with pytest.raises(StoreCorruptError):
        Index.open(store)


def test_a_database_that_is_deleted_while_it_is_open(store: Path) -> None:
    with Index.open(store) as index:
        (store / "store.db").unlink()
        with pytest.raises(StoreCorruptError, match="is missing: run 'expertrag index repair"):
            _ = index.size_bytes


@pytest.mark.parametrize(
    ("version", "cure"), [(2, "build the store again from its documents"), (7, "pip install -U")]
)
def test_rejects_a_store_of_another_version(
    store: Path, hashing: Any, version: int, cure: str
) -> None:
    change_database(store, f"PRAGMA user_version = {version}")
    with pytest.raises(StoreFormatError, match=cure):
        IndexWriter.open(store, hashing)
    rewrite_manifest(store, format_version=version, unheard_of=1)
    for attempt in (
        lambda: Index.open(store),
        lambda: IndexWriter.open(store, hashing),
        lambda: verify(store, repair=True),
    ):
        with pytest.raises(StoreFormatError, match=cure):
            attempt()


def test_damaged_rows_are_rejected_and_removed_by_a_repair(store: Path, hashing: Any) -> None:
    change_database(
        store,
        """UPDATE chunks SET text = 'X' || substr(text, 2)
        WHERE document = (SELECT row FROM documents WHERE id = 'doc1')""",
        "UPDATE documents SET text = text || '.' WHERE id = 'doc2'",
        """UPDATE vectors SET embedding = zeroblob(64) WHERE content_hash =
        (SELECT content_hash FROM chunks WHERE document =
        (SELECT row FROM documents WHERE id = 'doc4'))""",
    )
    with Index.open(store) as index:
        with pytest.raises(StoreCorruptError, match=r"chunk row .* index repair"):
            index.sample_chunks(index.size)
        with pytest.raises(StoreCorruptError, match=r"'doc2' is damaged.*index repair"):
            index.document_text("doc2")
        # the segment has the vectors of its own, under its checksum
        assert len(index.dense_scores(hashing.encode_query("x"), list(range(1, 20)))) == 19
    change_database(store, "UPDATE documents SET metadata = '{}' WHERE id = 'doc3'")
    with Index.open(store) as index:
        for read in (
            lambda: index.search_lexical("word1", 5, {"parity": "odd"}),  # which would miss it
            lambda: index.catalog.count({"parity": "odd"}),
            lambda: index.catalog.documents({"parity": "odd"}),
        ):
            with pytest.raises(StoreCorruptError, match=r"document row .* index repair"):
                read()
    report = verify(store)
    assert all(any(f"'doc{i}'" in line for line in report.problems) for i in (1, 2, 3, 4))
    repaired = verify(store, repair=True)
    assert repaired.problems == ()
    assert sum("removed; run 'expertrag index build'" in line for line in repaired.repaired) == 4
    with IndexWriter.open(store, hashing) as writer:
        again = writer.add(CORPUS)
    assert (again.added, again.unchanged) == (4, 56)


def test_the_manifest_is_read_back_as_written(store: Path) -> None:
    written = manifest_of(store)
    assert loads(dumps(written), "x") == written
    assert written.normalised
    assert written.metric == "inner_product"


def test_verify_rejects_a_missing_store(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        verify(tmp_path)
    assert list(tmp_path.iterdir()) == []
