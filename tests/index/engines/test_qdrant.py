"""What only Qdrant does: writes without transactions, digests of fields, API keys, folders."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from engine_places import InQdrant, settings
from qdrant_server import EdgeServer, edge_server
from store_helper import CORPUS, HashingEmbedder, build, make_corpus

from expertrag_common.extras import install_command
from expertrag_index.build.settings import WriterSettings
from expertrag_index.engines import connect, qdrant_collection, qdrant_connection, qdrant_search
from expertrag_index.engines.connect import connect_engine
from expertrag_index.engines.qdrant import QdrantVectors
from expertrag_index.engines.qdrant_connection import API_KEY
from expertrag_index.engines.qdrant_points import conditions, keys_of, of_generation
from expertrag_index.errors import EngineError, StoreCorruptError
from expertrag_index.search.vector_store import KEPT, Among, VectorBatch
from expertrag_index.store.index import Index
from expertrag_index.store.manifest import EngineEntry
from expertrag_index.store.schema import NEVER
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify

from .test_conformance import FILTERS, NASTY


@pytest.fixture
def server(memory: Path, request: pytest.FixtureRequest) -> Iterator[EdgeServer]:
    """A server of a test's own, which can be made to fail."""
    with edge_server(memory / request.node.name[:40]) as running:
        yield running


def store_in(server: EdgeServer, dimension: int = 4) -> QdrantVectors:
    store = connect_engine(EngineEntry(f"qdrant+{server.url}#one", "one"), dimension)
    assert isinstance(store, QdrantVectors)
    return store


def batch(keys: Sequence[int], generation: int, dimension: int = 4, **more: Any) -> VectorBatch:
    count = len(keys)
    vectors = np.random.default_rng(keys[0]).normal(size=(count, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values: dict[str, Any] = {"fields": [{}] * count, "labels": [()] * count, **more}
    return VectorBatch(
        np.array(keys, np.int64),
        np.full(count, generation, np.int64),
        np.full(count, NEVER, np.int64),
        ["general"] * count,
        vectors.astype("<f2"),
        **values,
    )


def keys_at(store: QdrantVectors, generation: int, among: Sequence[int]) -> list[int]:
    """The chunks that a search of a generation finds."""
    vectors = store.at(generation, {"general": len(among)})
    query = np.full(4, 0.5, np.float32)
    hits = vectors.search("general", query, len(among), Among(np.array(among, np.int64)))
    return sorted(hits.keys.tolist())


def change(store: QdrantVectors) -> None:
    """Write the second generation of a store: one chunk ends, one has changed, two are new."""
    with store.writing(2) as writer:
        writer.upsert(batch([7], 2))
        writer.upsert(batch([8], 2))
        writer.delete(np.array([2, 3]))


def test_a_writer_may_be_killed_at_any_step(server: EdgeServer) -> None:
    store = store_in(server)
    first, second = [1, 2, 3, 4, 5], [1, 4, 5, 7, 8]
    with store.writing(1) as writer:
        writer.upsert(batch(first, 1))
    server.left = 1000
    change(store)
    steps = 1000 - server.left
    assert steps > 8
    for step in range(steps):
        server.left = None
        store.recover(1, 0)
        server.left = step
        with pytest.raises(EngineError, match="the service is down"):
            change(store)
        server.left = None
        assert keys_at(store, 1, first) == first
        server.left = step % 4  # and so may be the one after it
        with pytest.raises(EngineError):
            store.recover(1, 0)
        server.left = None
        assert keys_at(store, 1, first) == first
        change(store)  # repairs what it finds
        assert store.verify(1, iter([batch(first, 1)])) == []  # 2 and 3 end with the next one
        assert keys_at(store, 2, second) == second
        assert store.count(2) == {"general": 5}


def test_a_killed_refill_leaves_the_generation_whole(server: EdgeServer) -> None:
    store = store_in(server)
    with store.writing(1) as writer:
        writer.upsert(batch([1, 2, 3], 1))

    def refill() -> None:
        with store.writing(2) as writer:
            writer.clear()
            writer.upsert(batch([1, 2, 3], 1))
            writer.upsert(batch([9], 2))

    strange = batch([70, 71], 1)  # what a refill drops
    store._collection.upsert(strange)
    server.left = 1000
    refill()
    for step in range(1000 - server.left):
        server.left = None
        store.recover(1, 0)
        store._collection.upsert(strange)
        server.left = step
        with pytest.raises(EngineError):
            refill()
        server.left = None
        assert keys_at(store, 1, [1, 2, 3]) == [1, 2, 3]
    refill()
    assert store.count(2) == {"general": 4}
    assert keys_at(store, 2, [1, 2, 3, 9]) == [1, 2, 3, 9]


def test_old_rows_and_other_lengths_go_when_no_reader_needs_them(server: EdgeServer) -> None:
    small, large = store_in(server), store_in(server, 8)
    with small.writing(1) as writer:
        writer.upsert(batch([1, 2], 1))
    with large.writing(2) as writer:  # a migration: all chunks are new
        writer.upsert(batch([3, 4], 2, 8))
    with small.writing(3) as writer:  # and back
        writer.upsert(batch([5], 3))
    assert small.count(1) == {"general": 2}
    assert small.count(3) == {"general": 1}
    assert keys_at(small, 3, [5]) == [5]
    small.recover(3, 2)
    assert set(server.collections) == {"expertrag_one_4", "expertrag_one_8"}
    with large.writing(4) as writer:
        writer.upsert(batch([6], 4, 8))
    assert large.count(4) == {"general": 1}
    with large.writing(5) as writer:
        writer.delete(np.array([6]))
        writer.upsert(batch([7], 5, 8))
    large.recover(5, 3 + KEPT)
    assert set(server.collections) == {"expertrag_one_4", "expertrag_one_8"}
    large.recover(5, 4 + KEPT)
    assert set(server.collections) == {"expertrag_one_8"}
    assert large.count(4) == {"general": 1}
    with pytest.raises(StoreCorruptError, match="holds generations 4 to 5, not 3"):
        large.at(3, {})
    large.recover(5, 5 + KEPT)
    assert server.collections["expertrag_one_8"].count({}) == {"count": 2}  # one tells of the rest


@pytest.mark.parametrize("where", ["server", "folder"])
def test_qdrant_answers_filters_by_itself(
    tmp_path: Path,
    memory: Path,
    hashing: HashingEmbedder,
    request: pytest.FixtureRequest,
    where: str,
) -> None:
    odd = ["", "values", "expert", "removed_in", "a[]", "a[0].b", "…\n'\"\\", "ключ", "f" * 300]
    documents = [
        *NASTY,
        *(Document(f"x{i}", "w", metadata={name: [i, str(i)]}) for i, name in enumerate(odd)),
    ]
    filters = [*FILTERS, *({name: each} for i, name in enumerate(odd) for each in (i, str(i)))]
    address = f"qdrant:{memory}/filters"
    if where == "server":
        address = request.getfixturevalue("qdrant_server")
    place = InQdrant(f"{address}#t{uuid.uuid4().hex[:12]}")
    build(tmp_path / "store", hashing, documents, settings=settings(place))
    alone = 0
    with Index.open(tmp_path / "store") as index:
        for wanted in filters:
            found = conditions(wanted)
            asked = of_generation(1, found.must, found.must_not)
            with qdrant_connection.connect(place.vectors).use() as client:
                points, _ = client.scroll(place.collection, asked, limit=1000)
            selection = index._selection(wanted)
            assert selection is not None
            admitted = set(selection.keys.tolist())
            matched = set(keys_of(points).tolist())
            assert admitted == matched if found.whole else admitted <= matched, wanted
            alone += found.whole
    assert len(filters) - alone == 6  # the order of texts, one of a large number, an empty list


def test_what_qdrant_cannot_express_is_found_among_many(
    server: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, count = store_in(server), 300
    names = [{"name": [f"{key:03}"]} for key in range(count)]
    with store.writing(1) as writer:
        writer.upsert(batch(range(count), 1, fields=names))
    vectors, query = store.at(1, {"general": count}), np.full(4, 0.5, np.float32)
    cosines = vectors.cosines("general", np.arange(count), query)
    assert len(vectors.search("general", query, 9, Among(np.arange(0))).keys) == 0
    for page in (10_000, 7):  # by their keys, and by asking for more and more
        monkeypatch.setattr(qdrant_search, "PAGE", page)
        for first in (10, 150, 280):
            keys = np.arange(first, count)
            among = Among(keys, filter={"name": {"$gte": f"{first:03}"}})
            hits = vectors.search("general", query, 9, among)
            assert hits.keys.tolist() == keys[np.argsort(-cosines[keys])[:9]].tolist()
            assert hits.scores == pytest.approx(cosines[hits.keys])


def test_labels_hold_in_qdrant_itself(server: EdgeServer) -> None:
    store = store_in(server)
    with store.writing(1) as writer:
        writer.upsert(batch([1, 2, 3], 1, labels=[(), ("red",), ("blue", "red")]))
    body = {"filter": {"must": [{"key": "labels", "match": {"any": ["*", "blue"]}}]}}
    assert server.collections["expertrag_one_4"].count(body) == {"count": 2}
    vectors, query = store.at(1, {"general": 3}), np.full(4, 0.5, np.float32)
    among = Among(np.array([1, 3]), labels=frozenset({"blue"}))
    assert sorted(vectors.search("general", query, 3, among).keys.tolist()) == [1, 3]


def test_fields_are_indexed(server: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_collection, "_MOST_INDEXES", 8)
    store = store_in(server)
    fields = [{f"year{key}": [2000 + key], "name": ["x"]} for key in range(6)]
    with store.writing(1) as writer:
        writer.upsert(batch(range(6), 1, fields=fields))
    kinds = list(server.collections["expertrag_one_4"].schema.values())
    assert sorted(kinds) == [*["float"] * 3, *["integer"] * 2, *["keyword"] * 3]
    vectors, query = store.at(1, {"general": 6}), np.full(4, 0.5, np.float32)
    for key in range(6):
        among = Among(np.array([key]), filter={f"year{key}": {"$gt": 1999 + key}})
        assert vectors.search("general", query, 1, among).keys.tolist() == [key]


def test_a_lost_engine_is_not_written_on(
    tmp_path: Path, server: EdgeServer, hashing: HashingEmbedder
) -> None:
    path = tmp_path / "store"
    build(path, hashing, CORPUS, settings=WriterSettings(vectors=f"qdrant+{server.url}#lost"))
    server.drop("expertrag_lost_32")
    with pytest.raises(StoreCorruptError, match=r"generations 0 to 0, not 1: .*index repair"):
        Index.open(path)
    with pytest.raises(StoreCorruptError, match="index repair"):
        build(path, hashing, make_corpus(30))
    assert "holds generations 0 to 0, not 1" in " ".join(verify(path).problems)
    assert verify(path, repair=True).problems == ()
    assert build(path, hashing, make_corpus(30)).removed == 30


def test_two_stores_do_not_share_a_name(server: EdgeServer) -> None:
    with store_in(server).writing(1) as writer:
        writer.upsert(batch([1], 1))
    other = EngineEntry(f"qdrant+{server.url}#one", "another")
    with pytest.raises(EngineError, match=r"another store: use another name.*expertrag_one_4"):
        connect_engine(other, 4)


def test_an_api_key_is_asked_for_and_never_shown(
    server: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.api_key = "right-secret"
    for key in ("", "wrong-secret", "two\nlines-secret", "schlüssel-secret", "x" * 9000):
        monkeypatch.setenv(API_KEY, key)
        with pytest.raises(EngineError, match=API_KEY) as caught:
            store_in(server)
        shown = f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__cause__}"
        assert "\n" not in str(caught.value)
        assert "secret" not in shown
        assert "xxx" not in shown
    monkeypatch.setenv(API_KEY, " right-secret\n")
    assert store_in(server).count(1) == {}
    monkeypatch.setenv(API_KEY, "right-secret")
    with pytest.raises(EngineError, match=r"plain text: use qdrant\+https"):
        connect_engine(EngineEntry("qdrant+http://qdrant.example:6333#one", "one"), 4)


def test_tls_is_verified(
    server: EdgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    entry = EngineEntry(f"qdrant+https://localhost:{server.server_port}#one", "one")
    monkeypatch.setenv(API_KEY, "secret")
    with pytest.raises(EngineError, match="certificate verify failed"):
        connect_engine(entry, 4)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server.api_key = "secret"
    assert connect_engine(entry, 4).count(1) == {}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("qdrant+http://127.0.0.1:1#one", "cannot be reached .*see that it runs"),
        ("qdrant+http://127.0.0.1:99999#one", "names no server"),
        ("qdrant+http://127.0.0.1:port#one", "names no server"),
        ("qdrant+http:///x#one", "names no server"),
        ("qdrant+http://me@127.0.0.1#one", "names no server"),
        ("qdrant+http://127.0.0.1?x=1#one", "names no server"),
        ("qdrant:folder#one", "names no folder"),
        ("qdrant://host/folder#one", "names no folder"),
        ("qdrant:/dev/null/folder#one", "fails: .*Not a directory"),
    ],
)
def test_bad_addresses_say_what_to_do(address: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        connect_engine(EngineEntry(address, "one"), 4)


def test_what_is_not_qdrant_is_no_traceback(
    server: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdrant_connection, "TIMEOUT_S", 1)
    server.instead = b"<html>hello"
    with pytest.raises(EngineError, match="something else than Qdrant's API"):
        store_in(server)
    server.left = 0
    with pytest.raises(EngineError, match="refuses with status 503: Service Unavailable"):
        store_in(server)
    server.instead = server.left = None
    server.version = "1.9.2"
    with pytest.raises(EngineError, match=r"is Qdrant 1\.9\.2: update it to 1\.12"):
        store_in(server)
    server.delay_s = 1.5
    with pytest.raises(EngineError, match="does not answer in time"):
        store_in(server)
    server.delay_s, server.version = 0.0, "dev"
    assert store_in(server).count(1) == {}


def test_a_folder_is_for_one_process(memory: Path) -> None:
    address = f"qdrant:{memory}/busy#one"
    with connect_engine(EngineEntry(address, "one"), 4).writing(1) as writer:
        writer.upsert(batch([1], 1))
    program = (
        "import sys\n"
        "from expertrag_index.engines.qdrant_connection import connect\n"
        "try: connect(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, address], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("EngineError Qdrant at")
    assert "is open in another process: use it from one at a time, or a server" in done.stdout


def test_threads_share_a_folder(memory: Path) -> None:
    store = connect_engine(EngineEntry(f"qdrant:{memory}/threads#one", "one"), 4)
    assert isinstance(store, QdrantVectors)
    with store.writing(1) as writer:
        writer.upsert(batch(range(50), 1))
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(10):
                assert keys_at(store, 1, range(50)) == list(range(50))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    with store.writing(2) as writer:
        for key in range(50, 80):
            writer.upsert(batch([key], 2))
        writer.delete(np.arange(40))
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.count(2) == {"general": 40}


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "expertrag_index.engines.qdrant", None)
    monkeypatch.setattr(connect, "_connected", {})
    with pytest.raises(EngineError, match=re.escape(install_command("server", "qdrant"))):
        connect_engine(EngineEntry("qdrant+http://127.0.0.1#one", "one"), 4)
