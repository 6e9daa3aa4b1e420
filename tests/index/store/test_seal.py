"""Damage of what is sealed, or of SQLite's log, never changes an answer without an error."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_helper import HashingEmbedder, change_database, contents, make_corpus

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import IndexStoreError, StoreCorruptError
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify

MUTATIONS = 120
QUERIES = ("checkpoints edition1", "replication number7", "word3 word5", "edition2 word88")
BROKEN = "UPDATE seal SET checksum = x'00'"
OTHER = "UPDATE documents SET added_in = 1 WHERE row = (SELECT max(row) FROM documents)"
LATE = [Document("late", "Added after all the others.")]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose last generation is in the log, and in the database as well."""
    folder = tmp_path_factory.mktemp("seal")
    embedder = HashingEmbedder()
    for version in (0, 1):
        with IndexWriter.open(folder / "open", embedder) as writer:
            writer.add(make_corpus(60, version))
    with IndexWriter.open(folder / "open", embedder) as writer:
        writer.add(make_corpus(60, 2))
        return Path(shutil.copytree(folder / "open", folder / "store"))


@pytest.fixture
def store(logged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(logged, tmp_path / "store"))


def answers(path: Path) -> list[Any]:
    """Return what searches find, with scores, and how rare each word is."""
    embedder = HashingEmbedder()
    with Index.open(path) as index:
        seen: list[Any] = [index.generation, index.degradation]
        for query in QUERIES:
            vector = embedder.encode_query(query)
            found = [index.search_lexical(query, 5), index.search_dense(vector, 5)]
            found.append(index.search_dense(vector, 5, {"parity": "odd"}))
            texts = [index.chunks([hit.key for hit in hits]) for hits in found]
            seen.append((found, texts, index.term_statistics(query)))
    return seen


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip a bit, replace eight bytes, or cut the end off."""
    changed, at, kind = bytearray(data), rng.randrange(len(data)), rng.random()
    if kind < 0.7:
        changed[at] ^= 1 << rng.randrange(8)
    elif kind < 0.9:
        changed[at : at + 8] = rng.randbytes(len(changed[at : at + 8]))
    else:
        del changed[rng.choice([at, len(data) - 1]) :]
    return bytes(changed)


@pytest.mark.parametrize(("file", "seed"), [("store.db", 3), ("store.db-wal", 5)])
def test_damage_is_detected_or_harmless(logged: Path, tmp_path: Path, file: str, seed: int) -> None:
    source = Path(shutil.copytree(logged, tmp_path / "source"))
    if file == "store.db":
        with closing(sqlite3.connect(source / "store.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    expected, rng = answers(source), random.Random(seed)
    data, noticed = (source / file).read_bytes(), 0
    for number in range(MUTATIONS):
        store = Path(shutil.copytree(source, tmp_path / "store"))
        (store / "store.db-shm").unlink(missing_ok=True)
        (store / file).write_bytes(mutate(data, rng))
        try:
            seen = answers(store)
        except IndexStoreError as error:
            noticed += 1
            assert "\n" not in str(error)
        else:
            degraded = seen[1]
            assert degraded or seen == expected, f"mutation {number} changes answers silently"
            noticed += bool(degraded)
        shutil.rmtree(store)
    assert noticed > MUTATIONS / 10  # most bytes are of texts and vectors, which it did not read


def test_a_state_that_is_not_sealed_is_refused_and_repaired(store: Path, hashing: Any) -> None:
    expected, content = answers(store), contents(store)
    change_database(store, BROKEN)
    with pytest.raises(StoreCorruptError, match=r"do not match their seal.*index repair"):
        Index.open(store)
    with (
        IndexWriter.open(store, hashing) as writer,
        pytest.raises(StoreCorruptError, match="index repair"),
    ):
        writer.add(LATE)  # a new seal would hide the damage
    with pytest.raises(StoreCorruptError, match="seal"):
        Index.open(store)
    report = verify(store, repair=True)
    assert report.problems == ()
    assert any("seal" in line for line in report.repaired)
    assert contents(store) == content
    assert [found[2] for found in answers(store)[2:]] == [found[2] for found in expected[2:]]


@pytest.mark.parametrize("removed", [1, 2**31, (1 << 62) - 1])
def test_a_version_that_no_row_has_is_refused(store: Path, hashing: Any, removed: int) -> None:
    """Modulo the prime of the sums, they are that of a row that was never removed."""
    change_database(store, f"UPDATE chunks SET removed_in = {removed} WHERE key = 130")
    with pytest.raises(StoreCorruptError, match="seal"):
        Index.open(store)


def test_another_version_is_refused_and_its_document_removed(store: Path, hashing: Any) -> None:
    change_database(store, OTHER)
    with pytest.raises(StoreCorruptError, match=r"do not match their seal.*index repair"):
        Index.open(store)
    before = len(contents(store)[0])
    assert verify(store, repair=True).problems == ()
    assert len(contents(store)[0]) == before - 1


def test_a_transaction_that_is_lost_from_the_log_is_noticed(store: Path) -> None:
    """The pages of the generation before, of which the database holds newer ones."""
    log = (store / "store.db-wal").read_bytes()
    frame = 24 + 4096
    commits = [
        at for at in range(32, len(log), frame) if int.from_bytes(log[at + 4 : at + 8], "big")
    ]
    assert len(commits) > 1
    expected, noticed = answers(store), 0
    for end in commits[:-1]:
        copy = Path(shutil.copytree(store, store.with_name("copy")))
        (copy / "store.db-shm").unlink()
        (copy / "store.db-wal").write_bytes(log[: end + frame])
        try:
            assert answers(copy) == expected  # of vectors alone, which are in the segments, too
        except StoreCorruptError:
            noticed += 1
        shutil.rmtree(copy)
    assert noticed


def test_damage_before_a_crash_is_not_sealed_by_the_recovery(store: Path, hashing: Any) -> None:
    change_database(
        store,
        BROKEN,
        "UPDATE meta SET value = value + 1 WHERE name IN ('staged', 'epoch')",
        "UPDATE seal SET epoch = epoch + 1",
    )
    IndexWriter.open(store, hashing).close()
    with pytest.raises(StoreCorruptError, match="seal"):
        Index.open(store)


def test_a_known_state_is_not_compared_again(store: Path, hashing: Any) -> None:
    with Index.open(store) as index:
        known = index.seal
    change_database(store, OTHER)
    Index.open(store, known=known).close()
    with pytest.raises(StoreCorruptError, match="seal"):
        Index.open(store)
    assert verify(store, repair=True).problems == ()
    with IndexWriter.open(store, hashing) as writer:
        writer.add(LATE)
        written = writer.seal
    change_database(store, OTHER)
    with pytest.raises(StoreCorruptError, match="seal"):
        Index.open(store, known=known)
    Index.open(store, known=written).close()
    with IndexWriter.open(store, hashing) as writer:
        with pytest.raises(StoreCorruptError, match="seal"):
            writer.delete(["late"])
        writer.trust(written)
        writer.delete(["late"])
