"""A server with two doors, made of parts without weights, and a caller of both."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2_grpc
from serving_fixtures import Background, PacedGenerator, trailing_of
from store_helper import CORPUS, HashingEmbedder, build

from expertrag.answer.collections import Collections
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.answer.rerank import ServedReranker
from expertrag.audit import Audit
from expertrag.auth.caller import ALL_SCOPES
from expertrag.auth.quota import Quota
from expertrag.auth.token_file import TokenFile
from expertrag.client.channel import Stubs
from expertrag.config import AuthConfig, Config, ServiceConfig
from expertrag.serving.http import HttpServer
from expertrag.serving.server import Server
from expertrag.serving.web import http_server
from expertrag.v1 import answer_pb2, index_pb2
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.rerank.reranking import Reranking

PATIENCE_S = 10.0
"""How long a caller waits for what has no fault, before it is a finding."""
PLANTED = "planted"
"""The document that a caller adds and deletes."""
CONSOLE = "/api/answer"
_TIMES = frozenset(["created", "createdAt", "created_at", "completed_at"])
_MEASURED = frozenset(["contributions", "reason", "signals", "sizeBytes", "size_bytes", "usage"])
_VOLATILE = _TIMES | _MEASURED | {"answerId", "answer_id", "generation", "id", "output"}
_CODES = frozenset(code.name for code in grpc.StatusCode) - {"OK", "UNKNOWN"}
_ERROR_KEYS = {"message", "type", "param", "code"}


class WordEmbedder(HashingEmbedder):
    """An embedder with all members that a pipeline uses, without weights."""

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> Any:
        """Encode texts of documents."""
        return np.stack([super(WordEmbedder, self).encode_query(text) for text in texts])

    def encode_query(self, text: str, domain: str | None = None) -> Any:
        """Encode a query."""
        return super().encode_query(text)

    def encode_queries(self, texts: Sequence[str], domain: str | None = None) -> Any:
        """Encode queries."""
        return self.encode_documents(texts)

    def encode_queries_by_experts(self, texts: Sequence[str], experts: Sequence[str]) -> Any:
        """Encode queries with each expert, all of which are the base model."""
        return np.repeat(self.encode_documents(texts)[:, None], len(experts), axis=1)

    def tokens_read(self, texts: Sequence[str], role: str) -> list[int]:
        """Count the tokens that were read."""
        return self.count_tokens(texts)


class WordReranker:
    """A reranker without weights: it counts common words."""

    @property
    def name(self) -> str:
        """Name it."""
        return "words"

    @property
    def fingerprint(self) -> str:
        """Name its version."""
        return "words-1"

    @property
    def search_weight(self) -> float:
        """Weigh the search's score."""
        return 0.5

    @property
    def max_tokens(self) -> int:
        """Read so many tokens."""
        return 64

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of a query with each text."""
        return [len(query.split()) + len(text.split()) for text in texts]

    def score(self, query: str, texts: Sequence[str]) -> Any:
        """Score texts."""
        asked = set(query.lower().split())
        return np.array([len(asked & set(text.lower().split())) for text in texts], np.float32)


@dataclass(slots=True)
class Running:
    """A server in this process, and what it was made of."""

    background: Background
    grpc: Server
    http: HttpServer
    pipeline: Pipeline
    paced: PacedGenerator
    store: Path
    work: Path
    token: str


@contextmanager
def running(work: Path) -> Iterator[Running]:
    """Serve a store of the tests; one loop serves both doors."""
    embedder, paced, store = WordEmbedder(), PacedGenerator(words=6), work / "store"
    build(store, embedder, CORPUS[:20], calibrate=calibrator(embedder))  # type: ignore[arg-type]
    quota = Quota(10**9, 10**9, 10**9, 10**12, 10**3)
    made = TokenFile(work / "tokens.json").create("campaign", ALL_SCOPES, quota=quota)
    reranker = ServedReranker(Reranking(WordReranker(), candidates=8), always=True)
    service = ServiceConfig(
        address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        max_concurrency=2,
        allow_writes=True,
        compact_after_s=0,
        lame_duck_s=0.0,
    )
    config = Config(index=str(store), service=service, auth=AuthConfig(str(work / "tokens.json")))
    audit = Audit(work / "audit.jsonl", texts=True)
    models = PipelineModels(embedder, paced, paced.reading, reranker=reranker)  # type: ignore[arg-type]
    pipeline = Pipeline(store, models, audit=audit)
    background = Background()
    with closing(background), closing(pipeline):
        server = Server(config, lambda: Collections.single(pipeline))
        front = http_server(config)
        background.run(server.start())
        background.run(front.start(server.core))
        background.run(server.wait_loaded())
        try:
            yield Running(background, server, front, pipeline, paced, store, work, made.text)
        finally:
            background.run(front.stop())
            background.run(server.stop())


class Refused(Exception):
    """A call has failed. ``typed``: in the documented way; ``told``: all that was sent."""

    def __init__(self, code: str, told: str, *, typed: bool) -> None:
        super().__init__(f"{code}: {told}")
        self.code, self.told, self.typed = code, told, typed


class Doors:
    """A caller of both doors. ``timeout``: how long it waits."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.timeout = PATIENCE_S
        self.answer_id = ""
        self._metadata = (("authorization", f"Bearer {server.token}"),)
        self.channel = grpc.insecure_channel(server.grpc.address)
        self.stubs = Stubs(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)
        self._http = httpx.Client(
            base_url=f"http://{server.http.address}",
            headers={"authorization": f"Bearer {server.token}"},
        )
        self._keys = itertools.count()

    def close(self) -> None:
        """Hang up."""
        self._http.close()
        self.channel.close()

    def call(self, method: Callable[..., Any], message: Any) -> Any:
        """Make a gRPC call; return the parts of its response that are always the same."""
        with _grpc_errors():
            sent = method(message, timeout=self.timeout, metadata=self._metadata)
            return stable(MessageToDict(sent))

    def stream(self, question: answer_pb2.Question, cancel_after: int | None = None) -> Any:
        """Answer over gRPC; return its text, its citations and how it ends.

        :param cancel_after: cancel after so many events.
        """
        message = answer_pb2.StreamAnswerRequest(question=question)
        with _grpc_errors():
            call = self.stubs.answer.StreamAnswer(
                message, timeout=self.timeout, metadata=self._metadata
            )
            told: list[Message] = []
            for event in call:
                told.append(event)
                if len(told) == cancel_after:
                    call.cancel()
                    return "cancelled"
            parts = [MessageToDict(event) for event in told]
        if not parts or "done" not in parts[-1]:
            raise Refused("cut short", str(parts[-1:]), typed=False)
        self.answer_id = parts[0]["gate"]["id"]
        return _folded(parts)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send an HTTP request; return the parts of its response that are always the same."""
        with _http_errors():
            method = "GET" if body is None else "POST"
            got = self._http.request(method, path, json=body, timeout=self.timeout)
        if got.status_code != 200:
            raise Refused(str(got.status_code), got.text, typed=_is_error(got.text))
        return stable(got.json())

    def events(self, path: str, body: Mapping[str, Any], cut_after: int | None = None) -> Any:
        """Send an HTTP request for a stream of events; return them without what varies."""
        with (
            _http_errors(),
            self._http.stream("POST", path, json=body, timeout=self.timeout) as got,
        ):
            if got.status_code != 200:
                text = got.read().decode()
                raise Refused(str(got.status_code), text, typed=_is_error(text))
            told = []
            for line in got.iter_lines():
                if line.startswith("data: "):
                    told.append(line.removeprefix("data: "))
                if len(told) == cut_after:
                    return "cut"
        last = told[-1] if told else ""
        if '"error"' in last[:12]:
            raise Refused("event", last, typed=_is_error(last))
        if path == CONSOLE and "finish_reason" in last:
            return "done"
        if last != "[DONE]":
            raise Refused("cut short", last[:200], typed=False)
        found = [stable(json.loads(each)) for each in told if each != "[DONE]"]
        text = "".join(str(each["choices"][0]["delta"].get("content", "")) for each in found)
        return [text, found[-1]["choices"][0]["finish_reason"]]

    def upsert(self, document_id: str = PLANTED, *, keyed: bool = False) -> Any:
        """Add a document."""
        document = index_pb2.Document(id=document_id, text="About planting, of edition9.")
        key = f"key-{next(self._keys)}" if keyed else ""
        first = index_pb2.UpsertRequest(document=document, idempotency_key=key)
        return self.call(self.stubs.index.Upsert, iter([first]))

    def delete(self, document_id: str = PLANTED, *, keyed: bool = False) -> Any:
        """Delete a document."""
        key = f"key-{next(self._keys)}" if keyed else ""
        wanted = index_pb2.DeleteRequest(ids=[document_id], idempotency_key=key)
        return self.call(self.stubs.index.Delete, wanted)


def stable(value: Any) -> Any:
    """Return a response without identifiers, times, the generation and what is measured."""
    if isinstance(value, Mapping):
        kept = {name: item for name, item in value.items() if not isinstance(item, float)}
        return {name: stable(item) for name, item in kept.items() if name not in _VOLATILE}
    if isinstance(value, list):
        return [stable(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def _folded(parts: list[dict[str, Any]]) -> Any:
    text = "".join(part["delta"]["text"] for part in parts if "delta" in part)
    others = [stable(part) for part in parts if "delta" not in part and "usage" not in part]
    for part in others:
        part.pop("seq", None)
    return [text, others]


@contextmanager
def _grpc_errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        code, trailing = error.code().name, trailing_of(error)
        own = code in ("DEADLINE_EXCEEDED", "CANCELLED")  # the caller's side may give up first
        typed = code in _CODES and (own or "grpc-status-details-bin" in trailing)
        raise Refused(code, f"{error.details()} {trailing}", typed=typed) from None


@contextmanager
def _http_errors() -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException:
        raise Refused("DEADLINE_EXCEEDED", "", typed=True) from None
    except httpx.HTTPError as error:
        raise Refused(type(error).__name__, str(error), typed=False) from None


def _is_error(text: str) -> bool:
    """Whether a text is an error as the API documents it."""
    with suppress(ValueError, AttributeError):
        return bool(json.loads(text)["error"].keys() == _ERROR_KEYS)
    return False
