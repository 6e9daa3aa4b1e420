"""What a campaign asks of a server, at both doors and in the threads of its store."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from grpc_health.v1 import health_pb2
from service_doors import CONSOLE, PLANTED, Doors, Refused
from store_helper import CORPUS

from expertrag.config import Config, ReplicaConfig
from expertrag.serving.core import health, replication, upkeep
from expertrag.serving.core.health import GENERATING
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.core.replication import Replication
from expertrag.stores import served_index
from expertrag.v1 import (
    answer_pb2,
    audit_pb2,
    collection_pb2,
    document_pb2,
    embed_pb2,
    gate_pb2,
    index_pb2,
    info_pb2,
    rerank_pb2,
    retrieve_pb2,
)

QUESTION = "About checkpoints number3 edition0 word6"
_TEXTS = ("About roses in March.", "About tulips in October.")
_THREAD_S = 0.005  # between two looks of the store's threads
_ROUNDS = 3

Scenario = Callable[[Doors], Any]


def _asked(mode: str, **more: Any) -> answer_pb2.Question:
    policy = gate_pb2.GatePolicy(mode=f"GATE_MODE_{mode}")
    return answer_pb2.Question(text=QUESTION, policy=policy, k=3, **more)


def plain(doors: Doors) -> Any:
    """Ask the same plain question at both doors, from documents and without them."""
    body = {"model": "default:never", "messages": _chat(), "max_tokens": 6}
    return [doors.stream(_asked("ALWAYS")), doors.post("/v1/chat/completions", body)]


def _chat() -> list[dict[str, str]]:
    return [{"role": "user", "content": QUESTION}]


def _completion(mode: str, *, stream: bool, cut_after: int | None = None) -> Scenario:
    body = {"model": f"default:{mode}", "messages": _chat(), "max_tokens": 6, "stream": stream}
    path = "/v1/chat/completions"
    if stream:
        return lambda doors: doors.events(path, body, cut_after)
    return lambda doors: doors.post(path, body)


def _read(doors: Doors) -> Any:
    """Read what a store holds, over gRPC."""
    document, stubs = CORPUS[3].id, doors.stubs
    return [
        doors.call(stubs.document.ListDocuments, document_pb2.ListDocumentsRequest(page_size=2)),
        doors.call(stubs.document.GetDocument, document_pb2.GetDocumentRequest(id=document)),
        doors.call(stubs.document.ListChunks, document_pb2.ListChunksRequest(id=document)),
        doors.call(stubs.document.ListSkipped, document_pb2.ListSkippedRequest()),
        doors.call(stubs.collection.ListCollections, collection_pb2.ListCollectionsRequest()),
    ]


def _console(doors: Doors) -> Any:
    """Read what a store holds, over HTTP."""
    return [
        doors.post("/api/documents/list", {"page_size": 2}),
        doors.post("/api/documents/text", {"id": CORPUS[3].id}),
        doors.post("/api/stats", {}),
        doors.post("/api/info"),
        doors.post("/v1/models"),
        doors.post("/v1/models/default:never"),
    ]


def _states(doors: Doors) -> Any:
    """Ask how the server does."""
    checked = doors.call(doors.health.Check, health_pb2.HealthCheckRequest())
    stats = doors.call(doors.stubs.index.Stats, index_pb2.StatsRequest())
    info = doors.call(doors.stubs.info.Info, info_pb2.InfoRequest())
    return [checked, stats, info.get("problems"), doors.post("/health")]


def _decisions(doors: Doors) -> Any:
    """Read the audit log, which grows: whether that can be done is all that does not vary."""
    audit = doors.stubs.audit
    doors.call(audit.Replay, audit_pb2.ReplayRequest(threshold=0.5))
    doors.call(audit.ListQuestions, audit_pb2.ListQuestionsRequest())
    doors.call(audit.CountExperts, audit_pb2.CountExpertsRequest())
    return "read"


def _feedback(doors: Doors) -> Any:
    said = gate_pb2.ReportFeedbackRequest(answer_id=doors.answer_id, helpful=True)
    doors.call(doors.stubs.gate.ReportFeedback, said)
    return doors.post("/api/feedback", {"answer_id": doors.answer_id, "helpful": False})


def _write(doors: Doors) -> Any:
    return [doors.upsert(keyed=True), doors.delete(keyed=True)]


def _write_over_http(doors: Doors) -> Any:
    document = {"id": PLANTED, "text": "About planting, of edition9."}
    return [
        doors.post("/api/documents/upsert", {"documents": [document]}),
        doors.post("/api/documents/delete", {"ids": [PLANTED]}),
    ]


def _kept(doors: Doors) -> Any:
    """Compact the store as the server's task does, which goes on whatever happens."""
    served, runtime = doors.server.pipeline._served, doors.server.grpc.core.runtime
    runtime = replace(runtime, config=replace(runtime.config, compact_after_s=_THREAD_S))

    def looked() -> bool:
        if served._weighed is None or served._write_lock.locked():
            return False
        served._weighed = None
        return True

    served._weighed = None
    with _set(served_index, "WASTEFUL", -1.0):
        return _followed(doors, upkeep.keep_compact(runtime), looked, 1)


def _watched(doors: Doors) -> Any:
    """Watch the model as the server's task does, which goes on whatever happens."""
    looks = itertools.count()
    collections = doors.server.grpc.core.runtime.collections

    def healthy() -> bool:
        next(looks)
        return collections.healthy

    task = health.watch_model(doors.server.grpc.core.health, healthy, GENERATING)
    served = doors.server.grpc.core.health
    try:
        with _set(health, "CHECK_S", _THREAD_S):
            return _followed(doors, task, lambda: True, _ROUNDS)
    finally:
        if not served.serving():  # this task ends before it looks again
            doors.server.background.run(served.set(True))


def _followed(doors: Doors, work: Any, looked: Callable[[], bool], rounds: int) -> Any:
    """Run a task of the server for some rounds; fail if it has ended by itself."""

    async def follow() -> bool:
        task = asyncio.create_task(work)
        ends, seen = time.monotonic() + 60 * _THREAD_S, 0
        while seen < rounds and not task.done() and time.monotonic() < ends:
            await asyncio.sleep(_THREAD_S)
            seen += looked()
        alive = not task.done()
        while not task.done():  # a fault may take the place of the cancellation
            task.cancel()
            await asyncio.wait([task], timeout=_THREAD_S)
        return alive

    if not doors.server.background.run(follow()):
        raise Refused("ENDED", "a task of the server has ended", typed=False)
    return "goes on"


def _pushed(doors: Doors) -> Any:
    """Push the store as the server's thread does, which goes on whatever happens."""
    pushed = ReplicaConfig(push=str(doors.server.work / "pushed"))
    return _replicated(doors, doors.server.store, pushed)


def _pulled(doors: Doors) -> Any:
    """Pull a store as the server's thread does, which goes on whatever happens."""
    copy = doors.server.work / "copy"
    followed = ReplicaConfig(follow=str(doors.server.work / "published"))
    return _replicated(doors, copy, followed)


def _replicated(doors: Doors, store: Path, replica: ReplicaConfig) -> Any:
    """Run the transfers of a server until they are in step; fail if their thread has ended."""
    config = Config(index=str(store), replica=replica)
    with _set(replication, "_PUSH_EVERY_S", _THREAD_S):
        transfers = Replication(config, Metrics())
    assert transfers._transfers is not None, "there is a URL"
    transfers._transfers._every_s = _THREAD_S
    ends = time.monotonic() + 60 * _THREAD_S
    try:
        transfers.start(doors.server.grpc.core.runtime.collections)
        thread = transfers._thread
        assert thread is not None, "it has started"
        while time.monotonic() < ends and thread.is_alive():
            state = transfers._transfers.state
            if state.newest and not state.failures and state.in_step_at > ends - 60 * _THREAD_S:
                break
            time.sleep(_THREAD_S)
        if not thread.is_alive():
            raise Refused("ENDED", "a thread of the server has ended", typed=False)
    finally:
        transfers.stop()
        for folder in (doors.server.work / "pushed", doors.server.work / "copy"):
            shutil.rmtree(folder, ignore_errors=True)
    return "goes on"


@contextmanager
def _set(module: ModuleType, name: str, value: float) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


SCENARIOS: dict[str, Scenario] = {
    "never": lambda doors: doors.stream(_asked("NEVER")),
    "always": lambda doors: doors.stream(_asked("ALWAYS", steps=2)),
    "auto": lambda doors: doors.stream(_asked("AUTO")),
    "strict": lambda doors: doors.stream(_asked("STRICT")),
    "list": lambda doors: doors.stream(_asked("ALWAYS", scope="QUESTION_SCOPE_LIST")),
    "two hops": lambda doors: doors.stream(_asked("ALWAYS", scope="QUESTION_SCOPE_TWO_HOPS")),
    "document": lambda doors: doors.stream(_asked("ALWAYS", scope="QUESTION_SCOPE_DOCUMENT")),
    "whole": lambda doors: doors.call(
        doors.stubs.answer.Answer, answer_pb2.AnswerRequest(question=_asked("ALWAYS"))
    ),
    "cancelled": lambda doors: doors.stream(_asked("ALWAYS"), cancel_after=2),
    "chat": _completion("never", stream=False),
    "chat from documents": _completion("always", stream=False),
    "chat streamed": _completion("always", stream=True),
    "chat cut": _completion("always", stream=True, cut_after=2),
    "responses": lambda doors: doors.post(
        "/v1/responses", {"model": "default:always", "input": QUESTION}
    ),
    "console answer": lambda doors: doors.events(CONSOLE, {"question": QUESTION}),
    "retrieve": lambda doors: doors.call(
        doors.stubs.retrieve.Retrieve, retrieve_pb2.RetrieveRequest(query=QUESTION, k=3)
    ),
    "retrieve over HTTP": lambda doors: doors.post("/api/retrieve", {"query": QUESTION}),
    "embed": lambda doors: doors.call(
        doors.stubs.embed.Embed, embed_pb2.EmbedRequest(texts=_TEXTS)
    ),
    "embed over HTTP": lambda doors: doors.post(
        "/v1/embeddings", {"model": "default", "input": list(_TEXTS)}
    ),
    "rerank": lambda doors: doors.call(
        doors.stubs.rerank.Rerank,
        rerank_pb2.RerankRequest(query="roses", texts=_TEXTS, truncate=True),
    ),
    "decide": lambda doors: doors.call(
        doors.stubs.gate.Decide, gate_pb2.DecideRequest(query=QUESTION)
    ),
    "decide over HTTP": lambda doors: doors.post("/api/decide", {"question": QUESTION}),
    "read": _read,
    "console": _console,
    "states": _states,
    "decisions": _decisions,
    "feedback": _feedback,
    "write": _write,
    "write over HTTP": _write_over_http,
    "compact": _kept,
    "watch": _watched,
    "push": _pushed,
    "pull": _pulled,
}
WRITING = frozenset(["write", "write over HTTP", "compact", "push", "pull"])
"""Scenarios that change the store, or read its files as another process does."""
TASKS = frozenset(["compact", "watch", "push", "pull"])
"""Scenarios that no caller waits for: a task or a thread of the server."""
