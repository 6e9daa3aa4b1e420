"""What only PostgreSQL does: transactions, row security, an HNSW index, and its failures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from engine_places import InPostgres, settings
from postgres_server import Postgres, postgres_server
from store_helper import CORPUS, HashingEmbedder, build, make_corpus

from expertrag_common.extras import install_command
from expertrag_index.build.settings import WriterSettings
from expertrag_index.engines import connect, postgres_writer
from expertrag_index.engines import postgres as postgres_module
from expertrag_index.engines.connect import connect_engine
from expertrag_index.errors import EngineError
from expertrag_index.search.vector_store import Among, VectorBatch
from expertrag_index.store.index import Index
from expertrag_index.store.manifest import EngineEntry
from expertrag_index.store.schema import NEVER
from expertrag_index.types import Document


@pytest.fixture
def named(postgres: Postgres, request: pytest.FixtureRequest) -> InPostgres:
    return InPostgres(postgres, request.node.name.lower()[:40])


def test_row_security_hides_labelled_rows(
    tmp_path: Path, named: InPostgres, hashing: HashingEmbedder
) -> None:
    documents = [
        Document("all", "one"),
        Document("red", "two", labels=["red"]),
        Document("blue", "three", labels=["blue", "green"]),
    ]
    build(tmp_path / "store", hashing, documents, settings=settings(named))
    address = named.vectors.partition("#")[0]
    query = f"SELECT count(*) FROM expertrag_{named.name}.chunks_32"
    with psycopg.connect(address) as session:  # as the owner of the table
        for shown, rows in ((None, 1), ('["red"]', 2), ('["green", "x"]', 2), ("*", 3), ("", 1)):
            if shown is not None:
                session.execute("SELECT set_config('expertrag.labels', %s, false)", (shown,))
            assert session.execute(query).fetchone() == (rows,), shown


def test_a_failed_generation_leaves_nothing(postgres: Postgres, named: InPostgres) -> None:
    store = connect_engine(EngineEntry(named.vectors, "one"), 4)
    with store.writing(1) as writer:
        writer.upsert(_batch(range(3), 1))
    with pytest.raises(ZeroDivisionError), store.writing(2) as writer:
        writer.upsert(_batch(range(3, 5), 2))
        writer.delete(np.array([0]))
        raise ZeroDivisionError
    assert store.count(1) == store.count(2) == {"general": 3}


def test_a_large_partition_is_indexed(named: InPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_writer, "EXACT_LIMIT", 2_000)
    store, size, dimension = connect_engine(EngineEntry(named.vectors, "one"), 16), 3_000, 16
    with store.writing(1) as writer:
        writer.upsert(_batch(range(size), 1, dimension))
    vectors = store.at(1, {"general": size})
    plan = named.server.sql(
        f"""EXPLAIN SELECT key FROM expertrag_{named.name}.chunks_16 WHERE expert = 'general'
        AND added_in <= 1 AND removed_in > 1 ORDER BY embedding <#> '{[0.25] * 16}' LIMIT 5"""
    )
    assert "hnsw" in plan
    assert store.at(1, {"general": 10**6}).scan_cost("general") < 10**4
    everything = _batch(range(size), 1, dimension).vectors.astype(np.float32)
    everything /= np.linalg.norm(everything, axis=1, keepdims=True)
    found = 0
    for row in range(0, 2000, 100):
        hits = vectors.search("general", everything[row], 10, Among(np.arange(size)))
        found += len(set(hits.keys.tolist()) & set(np.argsort(-everything @ everything[row])[:10]))
    assert found >= 0.97 * 200


@pytest.fixture
def other_server() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


def test_a_server_that_is_down_says_so_and_comes_back(
    tmp_path: Path,
    other_server: Postgres,
    hashing: HashingEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_module, "WAIT_S", 1.0)
    path, place = tmp_path / "store", InPostgres(other_server, "down")
    build(path, hashing, CORPUS, settings=settings(place))
    query = hashing.encode_query("word3")
    with Index.open(path) as index:
        before = index.search_dense(query, 3)
        other_server.stop()
        with pytest.raises(EngineError, match="see that it runs"):
            index.search_dense(query, 3)
        with pytest.raises(EngineError):
            build(path, hashing, make_corpus(70))
        other_server.start()
        deadline = time.monotonic() + 30
        while True:
            try:
                assert index.search_dense(query, 3) == before
                break
            except EngineError:  # a connection takes longer than the short wait
                assert time.monotonic() < deadline
    assert build(path, hashing, make_corpus(70)).added == 10


def test_two_stores_do_not_share_a_name(
    tmp_path: Path, named: InPostgres, hashing: HashingEmbedder
) -> None:
    build(tmp_path / "one", hashing, CORPUS[:3], settings=settings(named))
    with pytest.raises(EngineError, match=r"vectors of another store.*DROP SCHEMA"):
        build(tmp_path / "two", hashing, CORPUS[:3], settings=settings(named))
    with pytest.raises(EngineError, match="another store"):  # and it can be tried again
        build(tmp_path / "two", hashing, CORPUS[:3], settings=settings(named))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://me:secret@host/db#one", "PGPASSWORD"),
        ("postgresql://host/db", "ends with a name"),
        ("postgresql://host/db#Bad-Name", "lower-case"),
        ("mysql://host/db#one", "mysql is not an engine"),
        ("nothing", "not an engine"),
        ("postgresql://nobody@127.0.0.1:1/db?connect_timeout=1#one", "see that it runs"),
    ],
)
def test_bad_addresses_say_what_to_do(
    tmp_path: Path, hashing: HashingEmbedder, address: str, said: str
) -> None:
    with pytest.raises(EngineError, match=said) as caught:
        build(tmp_path / "store", hashing, CORPUS[:2], settings=WriterSettings(vectors=address))
    assert "secret" not in str(caught.value)
    assert build(tmp_path / "store", hashing, CORPUS[:2]).added == 2


def test_a_missing_client_names_the_extra(
    tmp_path: Path, hashing: HashingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "expertrag_index.engines.postgres", None)
    monkeypatch.setattr(connect, "_connected", {})
    with pytest.raises(EngineError, match=re.escape(install_command("server", "postgresql"))):
        place = WriterSettings(vectors="postgresql://host/db#one")
        build(tmp_path / "store", hashing, CORPUS[:2], settings=place)


def _batch(keys: range, generation: int, dimension: int = 4) -> VectorBatch:
    count = len(keys)
    centres = np.random.default_rng(0).normal(size=(50, dimension))
    noise = np.random.default_rng(keys.start).normal(size=(count, dimension))
    vectors = centres[np.arange(count) % 50] + 0.7 * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return VectorBatch(
        np.array(keys, np.int64),
        np.full(count, generation, np.int64),
        np.full(count, NEVER, np.int64),
        ["general"] * count,
        vectors.astype("<f2"),
        [{}] * count,
        [()] * count,
    )
