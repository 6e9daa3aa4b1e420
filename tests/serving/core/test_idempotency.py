"""Idempotency keys: a repeated write changes nothing, whatever its collection is called.

Every name of a collection, the same and other documents, one call after the other and at once, and
after a restart.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from serving_fixtures import OpenPipeline, StartServer, trailing_of

from expertrag.answer.collections import Collections
from expertrag.api.access import Access
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag.config import AuthConfig, QuotaConfig
from expertrag.v1 import index_pb2, index_pb2_grpc
from expertrag_index.build.writer import IndexWriter
from expertrag_retriever.calibrate import calibrator

KEY = "0123"
Texts = dict[str, str]
FIRST: Texts = {"a": "A bicycle can be leased.", "b": "Roses are pruned in March."}
OTHERS: dict[str, Texts] = {
    "another text": {**FIRST, "b": "Roses are pruned in April."},
    "another id": {"a": FIRST["a"], "c": FIRST["b"]},
    "fewer": {"a": FIRST["a"]},
    "more": {**FIRST, "c": "Lunch is at noon."},
    "another order": dict(reversed(FIRST.items())),
    "moved border": {"a": FIRST["a"] + "b", "": FIRST["b"]},
}


class Writer:
    """Writes as one caller, with a key; returns the generation, or the reason of a refusal."""

    def __init__(self, address: str, token: str = "") -> None:
        self._stub = index_pb2_grpc.IndexServiceStub(grpc.insecure_channel(address))
        self._metadata = [("authorization", f"Bearer {token}")] if token else []

    def upsert(
        self, texts: Texts, collection: str = "", key: str = KEY, *, pause_s: float = 0.0
    ) -> Any:
        messages = [
            index_pb2.UpsertRequest(document=index_pb2.Document(id=name, text=text))
            for name, text in texts.items()
        ]
        messages[0].collection, messages[0].idempotency_key = collection, key

        def sent() -> Iterator[index_pb2.UpsertRequest]:
            for number, message in enumerate(messages):
                time.sleep(pause_s if number else 0)
                yield message

        return self._result(lambda: self._stub.Upsert(sent(), **self._options))

    def delete(self, ids: Sequence[str], collection: str = "", key: str = KEY) -> Any:
        message = index_pb2.DeleteRequest(ids=ids, collection=collection, idempotency_key=key)
        return self._result(lambda: self._stub.Delete(message, **self._options))

    @property
    def _options(self) -> dict[str, Any]:
        return {"timeout": 60, "metadata": self._metadata}

    def _result(self, call: Callable[[], Any]) -> Any:
        try:
            return call().generation
        except grpc.RpcError as error:
            status = status_pb2.Status.FromString(trailing_of(error)["grpc-status-details-bin"])
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            return info.reason


REUSED = "IDEMPOTENCY_KEY_REUSED"


@pytest.fixture
def start_writer(
    start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path
) -> Callable[..., Writer]:
    """Starts a server on the same store, and returns a writer to it."""

    def start(**settings: Any) -> Writer:
        settings = {"allow_writes": True, **settings}
        return Writer(start_server(lambda: open_pipeline(store=own_store), **settings).address)

    return start


@pytest.fixture
def writer(start_writer: Callable[..., Writer]) -> Writer:
    return start_writer()


NAMES = [("", "default"), ("default", ""), ("", ""), ("default", "default")]


def test_a_repeated_write_runs_once_under_every_name(writer: Writer) -> None:
    generation = 1
    for number, (first, again) in enumerate(NAMES):
        key = f"key {number}"
        assert writer.upsert(FIRST, first, key) == generation + 1
        assert writer.upsert(FIRST, again, key) == generation + 1
        assert writer.delete(["a"], first, key) == generation + 2  # keys are of a method
        assert writer.delete(["a"], again, key) == generation + 2
        generation += 2


def test_a_key_is_not_reused_for_other_documents(writer: Writer) -> None:
    generation = writer.upsert(FIRST)
    for name in ("", "default"):
        refused = {what: writer.upsert(other, name) for what, other in OTHERS.items()}
        assert refused == dict.fromkeys(OTHERS, REUSED)
    assert writer.upsert(FIRST) == generation
    assert writer.upsert(OTHERS["more"], key="a new one") == generation + 1


def test_a_key_is_not_reused_to_delete_others(writer: Writer) -> None:
    writer.upsert(FIRST)
    generation = writer.delete(["a"])
    for other in (["b"], ["a", "b"], ["b", "a"], ["ab"], []):
        assert writer.delete(other, "default") == REUSED
    assert writer.delete(["a"], "default") == generation


def test_writes_at_once_with_one_key(writer: Writer) -> None:
    bodies = [FIRST, OTHERS["more"]] * 4
    names = ["", "default"] * 2
    for _ in range(3):
        key = uuid.uuid4().hex
        with ThreadPoolExecutor(len(bodies)) as pool:
            calls = [
                pool.submit(writer.upsert, body, name, key)
                for body, name in zip(bodies, names * 2, strict=True)
            ]
            results = [call.result() for call in calls]
        assert results.count(REUSED) == 4
        assert len({result for result in results if result != REUSED}) == 1
        first = results[0] != REUSED
        assert [result != REUSED for result in results] == [first, not first] * 4


def test_a_failed_write_frees_its_key(start_writer: Callable[..., Writer]) -> None:
    writer = start_writer(upload_idle_s=0.3)
    assert writer.upsert(FIRST, pause_s=1) == "UPLOAD_IDLE"
    assert writer.upsert(OTHERS["more"]) == 2
    assert writer.upsert(OTHERS["more"]) == 2


def test_a_repetition_that_stalls_is_ended(start_writer: Callable[..., Writer]) -> None:
    writer = start_writer(upload_idle_s=0.3)
    assert writer.upsert(FIRST) == 2
    assert writer.upsert(FIRST, pause_s=1) == "UPLOAD_IDLE"
    assert writer.upsert(FIRST) == 2


def test_a_repetition_costs_no_further_quota(start_writer: Callable[..., Writer]) -> None:
    writer = start_writer(quota=QuotaConfig(documents=len(FIRST) + 2))
    assert [writer.upsert(FIRST), writer.upsert(FIRST)] == [2, 2]


@pytest.mark.parametrize("name", ["", "default"])
def test_a_restart_forgets_keys(start_writer: Callable[..., Writer], name: str) -> None:
    assert start_writer().upsert(FIRST) == 2
    again = start_writer()
    assert again.upsert(FIRST, name) == 2  # nothing has changed, so there is no generation
    assert again.upsert(OTHERS["more"], name) == REUSED
    other = start_writer()
    assert other.upsert(OTHERS["more"], name) == 3


def test_tenants_and_dropped_collections_have_their_own_keys(
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    embedder: Any,
    tmp_path: Path,
) -> None:
    def create(store: Path) -> None:
        with IndexWriter.open(store, embedder, calibrate=calibrator(embedder)) as made:
            made.build(())

    create(tmp_path / "own")
    collections = Collections(
        lambda store: open_pipeline(store=store),
        {"default": tmp_path / "own"},
        folder=tmp_path / "collections",
        create_store=create,
    )
    file = TokenFile(tmp_path / "tokens.json")
    tokens = {
        tenant: file.create("writer", frozenset(Scope), access=Access(tenant)).text
        for tenant in ("", "acme", "globex")
    }
    server = start_server(
        lambda: collections, allow_writes=True, auth=AuthConfig(tokens=str(file.path))
    )
    for tenant, token in tokens.items():
        with Client(server.address, token=token) as client:
            for name in ["default"] * bool(tenant) + ["wiki"]:
                client.create_collection(name)
            writer = Writer(server.address, token)
            generation = writer.upsert(FIRST, "")
            assert writer.upsert(FIRST, "default") == generation, tenant
            assert writer.upsert(OTHERS["more"], "default") == REUSED, tenant
            assert writer.upsert(OTHERS["more"], "wiki") == generation, "another collection"
            client.drop_collection("wiki")
            client.create_collection("wiki")
            assert writer.upsert(OTHERS["fewer"], "wiki") == generation, "a new one of its name"
