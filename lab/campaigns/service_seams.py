"""The seams of a server: each member of what its doors, its pipeline and its threads call.

The members are found by introspection. One that is new is therefore part of the campaign, or has to
be named in ``NOT_CALLED``; the campaign fails if a member of ``NOT_CALLED`` is called, or if
another one never is.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import types
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from fault_campaign import Seam, replaced
from prometheus_client import Counter, Gauge, Histogram
from service_doors import WordEmbedder, WordReranker
from serving_fixtures import PacedGenerator, PacedSession

from expertrag.answer.collections import Collections
from expertrag.answer.gate import Decider
from expertrag.answer.generate import Answering
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.rerank import ServedReranker
from expertrag.audit import Audit, Entry
from expertrag.audit.answer_ids import AnswerIds
from expertrag.audit.append import Appender
from expertrag.audit.served import ServedLog
from expertrag.auth import Authenticator
from expertrag.auth.token_file import ServedTokens
from expertrag.client.aclient import AsyncClient
from expertrag.runtime.bridge import EventBridge
from expertrag.runtime.hot_swap import HotSwap
from expertrag.runtime.meter import Meter
from expertrag.runtime.stop import Stop
from expertrag.runtime.tracing import Span
from expertrag.serving.core.admission import Admission, Slot
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.cost import Cost
from expertrag.serving.core.health import Health
from expertrag.serving.core.idempotency import Responses
from expertrag.serving.core.inflight import InFlight
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.core.quotas import Quotas
from expertrag.serving.core.replication import Replication
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.upload import Upload
from expertrag.serving.core.workers import Workers
from expertrag.serving.grpc.health import HealthServicer
from expertrag.serving.grpc.services import SERVICES
from expertrag.serving.http.backend import CoreBackend
from expertrag.serving.http.state import HttpState
from expertrag.stores.served_index import ServedIndex, View
from expertrag_index.build.writer import IndexWriter
from expertrag_index.replicas.follow import Follower
from expertrag_index.replicas.keep_pushed import Pusher
from expertrag_index.store.catalog import Catalog
from expertrag_index.store.index import Index
from expertrag_retriever.gate import Gate
from expertrag_retriever.rerank.reranking import Reranking
from expertrag_retriever.search import Searcher

Intercept = Callable[[Seam, bool, Callable[[], Any]], Any]
"""Gets a seam, whether its call is awaited, and the real call."""
_END = object()


OUTER: tuple[type, ...] = (
    WordEmbedder, WordReranker, PacedGenerator, PacedSession, Searcher, Index, Catalog, Gate,
    IndexWriter,
)  # fmt: skip
"""Classes whose members may return nonsense: models, the search, the store."""
INNER: tuple[type, ...] = (
    Pipeline, ServedIndex, View, HotSwap, Collections, Decider, Answering, ServedReranker,
    Reranking, Meter, Audit, Entry, ServedLog, Appender, AnswerIds, Authenticator, ServedTokens,
    Workers, Admission, Slot, EventBridge, Stop, Runtime, InFlight, Quotas, Responses, Upload,
    Health, HealthServicer, Metrics, CallContext, Cost, Span, CoreBackend, HttpState, AsyncClient,
    Replication, Follower, Pusher, Counter, Gauge, Histogram, *cast("Iterable[type]", SERVICES),
)  # fmt: skip
"""Classes of the server itself, and of metrics; their members raise and block."""
MODULES = (
    "expertrag.answer.gate",
    "expertrag.stores.documents",
    "expertrag.answer.gate_signals",
    "expertrag.answer.generate",
    "expertrag.answer.ground",
    "expertrag.answer.pipeline",
    "expertrag.answer.read",
    "expertrag.answer.rerank",
    "expertrag.answer.search",
    "expertrag.answer.sessions",
    "expertrag.stores.served_index",
    "expertrag.stores.access",
    "expertrag.audit.audit",
    "expertrag.serving.http.app",
    "expertrag.serving.http.body",
    "expertrag.serving.http.backend",
    "expertrag.serving.http.console.answering",
    "expertrag.serving.http.console.stored",
    "expertrag.serving.http.openai.answering",
    "expertrag.serving.http.openai.chat",
    "expertrag.serving.core.calls",
    "expertrag.serving.core.operations.answering",
    "expertrag.serving.core.operations.info",
    "expertrag.serving.core.operations.store",
    "expertrag.serving.grpc.answer",
    "expertrag.serving.grpc.embed",
    "expertrag.serving.grpc.gate",
    "expertrag.serving.grpc.index",
    "expertrag.serving.grpc.info",
    "expertrag.serving.grpc.interceptor",
    "expertrag.serving.grpc.rerank",
    "expertrag.serving.grpc.retrieve",
    "expertrag.serving.core.upkeep",
    "expertrag_index.replicas.follow",
    "expertrag_index.replicas.keep_pushed",
)
"""Modules whose functions from other modules are seams."""
GIVING_BACK = frozenset(["cancel", "close", "dec", "leave", "release"])
"""Members that give back what was taken: they do so before they fail."""
TRUSTED = frozenset(
    ["Admission.leave", "EventBridge.pump", "Follower.run", "Pusher.run", "Slot.release"]
)
"""What ends a call, or is a thread: nothing could go on if they themselves failed."""
_TELLING = frozenset(
    ["body_of", "for_clients", "message_of", "request_id_of", "response_of", "status_of"]
)
"""Functions that put an error into the words of a door."""
_SCRAPE = frozenset(["collect", "describe"])  # by Prometheus's own server
_UNUSED = frozenset(["clear", "remove", "remove_by_labels", "time"])  # its interface has more
NOT_CALLED: Mapping[str, frozenset[str]] = {
    "WordEmbedder": frozenset(["assign", "encode_queries", "encode_query"]),  # of experts
    "WordReranker": frozenset(["fingerprint"]),  # of a store that was measured with it
    # of models in this process, and of readers
    "PacedGenerator": frozenset(["counters", "endpoints", "reset_prefix_cache"])
    | {"weights", "white_box"},
    "PacedSession": frozenset(["look"]),
    # of access labels, of experts, of a store that is measured, and of an embedder on a server
    "Index": frozenset(["groups", "labels", "newest_key", "restrict", "sample_chunks"])
    | {"read_vectors"},
    "Gate": frozenset(["evidence", "signals"]),  # of a fitted gate
    "IndexWriter": frozenset(["build", "migrate", "refresh"]),  # of the command line
    "Pipeline": frozenset(["close", "evidence", "feedback"])
    | {"generation_counters", "generation_endpoints"},
    "ServedIndex": frozenset(["close"]),
    # of the start, of the end, and of a server with a folder of collections
    "Collections": frozenset(["close", "create", "drop", "has_default", "open_count", "single"]),
    "ServedReranker": frozenset(["name"]),
    "Audit": frozenset(["close", "of"]),
    "Appender": frozenset(["check", "close"]),
    "AnswerIds": frozenset(["check"]),
    "Workers": frozenset(["close", "running", "waiting"]),
    "Stop": frozenset(["deadline_error"]),  # only a call that blocks is late
    "InFlight": frozenset(["bytes"]),  # of a scrape
    "Responses": frozenset(["forget"]),
    "Health": frozenset(["close", "set"]),
    "HealthServicer": frozenset(["Watch"]),  # the campaign itself watches
    "Metrics": frozenset(["start", "stop", "watch_collections", "watch_endpoints"])
    | {"watch_engine", "watch_generation", "watch_load", "watch_replica"},
    # of a client in Python, beyond what the HTTP server asks it
    "AsyncClient": frozenset(["answer", "close", "create_collection", "drop_collection"])
    | {"decisions", "embed", "load_adapter", "rerank", "unload_adapter", "wait_ready"},
    "Replication": frozenset(["fetch", "start", "stop"]),
    "Counter": _SCRAPE | _UNUSED - {"time"} | {"count_exceptions", "reset"},
    "Gauge": _SCRAPE
    | _UNUSED
    | {"labels", "set_function", "set_to_current_time"}
    | {"track_inprogress"},
    "Histogram": _SCRAPE | _UNUSED,
    "CollectionService": frozenset(["CreateCollection", "DropCollection"]),
    # of a model on the engine; the HTTP server asks for the adapters of any
    "AdapterService": frozenset(["ListAdapters", "LoadAdapter", "UnloadAdapter"]),
    # of a fitted gate, of readers, of probes, and of a start
    "expertrag.answer.gate": frozenset(["base_encoder", "draft_signals", "evidence_signals"])
    | {
        "is_fitted_for",
        "p_internal",
        "guarantee_threshold",
        "is_english_only",
        "logistic",
        "question_domains",
    }
    | {"retrieve_if_internal"},
    "expertrag.answer.gate_signals": frozenset(
        ["domain_signals", "draft_features", "join_deltas", "truncate_draft"]
    ),
    # also of a store with tables, of a model that reads documents, splits and calculates, and of
    # abstentions
    "expertrag.answer.generate": frozenset(["abstention_of", "search_for_gate", "answer_by_scan"])
    | {"answer_by_calculation", "answer_from_table", "asks_to_calculate"}
    | {"find_unrecognised_set", "is_complete", "keep_in_force"},
    "expertrag.answer.ground": frozenset(["log_odds", "read_again"]),
    "expertrag.answer.pipeline": frozenset(["base_encoder", "evidence_signals"])
    | {"is_internal", "never_stop"},
    "expertrag.answer.read": frozenset(["canonical", "domain_probabilities"])
    | {"read_follow_up", "read_states", "recognise_scope", "writer"},
    "expertrag.answer.search": frozenset(["depth_of", "never_stop"]),
    "expertrag.answer.sessions": frozenset(["correct_former_value", "draft_of"])
    | {"least_doubt", "open_session"},
    "expertrag.answer.rerank": frozenset(["invalid", "load_reranker", "translate_errors"]),
    "expertrag.stores.served_index": frozenset(["never_stop"]),
    "expertrag.stores.access": frozenset(["never_stop"]),
    # of requests that are refused
    "expertrag.serving.http.app": frozenset(["console_routes", "log_unexpected"]),
    "expertrag.serving.http.body": frozenset(["invalid_body"]),
    "expertrag_index.replicas.follow": frozenset(["check_replaceable", "open_remote"]),
    "expertrag_index.replicas.keep_pushed": frozenset(["open_remote"]),
}
"""Members that no scenario calls: what starts and ends a server, and other models' members."""


def members(owner: type) -> dict[str, Any]:
    """Return the public methods and properties of a class, of its own bases as well."""
    result: dict[str, Any] = {}
    for base in reversed(owner.__mro__[:-1]):
        own = ("expertrag", "service_doors", "serving_fixtures", "store_helper", "prometheus")
        if not base.__module__.startswith(own) or base.__module__.startswith("expertrag.v1"):
            continue
        for name, member in vars(base).items():
            kinds = (types.FunctionType, property, staticmethod, classmethod)
            private = name.startswith("_") and not (owner is Stop and name == "__call__")
            if isinstance(member, kinds) and not private:
                result[name] = member
    return result


def seams() -> dict[Seam, tuple[Any, Any]]:
    """Return every seam, with the class or module that has it, and what it is there."""
    result: dict[Seam, tuple[Any, Any]] = {}
    for owner in (*OUTER, *INNER):
        for name, member in members(owner).items():
            if f"{owner.__name__}.{name}" in TRUSTED:
                continue
            result[Seam(owner.__name__, name, owner in OUTER)] = owner, member
    for path in MODULES:
        module = importlib.import_module(path)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", "")
            ours = own.startswith("expertrag") and own != path
            if isinstance(value, types.FunctionType) and ours and name not in _TELLING:
                below = own.startswith(("expertrag_index", "expertrag_retriever"))
                result[Seam(path, name, below)] = module, value
    return result


@contextmanager
def intercepted(intercept: Intercept) -> Iterator[None]:
    """Call ``intercept`` instead of each seam, with its real call.

    An iterator counts as a call for each of its items.
    """
    with replaced(SEAMS, lambda seam, member: _replacement(seam, member, intercept)):
        yield


def _replacement(seam: Seam, member: Any, intercept: Intercept) -> Any:
    if isinstance(member, property):
        assert member.fget is not None, "properties can be read"
        return property(_function(seam, member.fget, intercept), member.fset)
    if isinstance(member, classmethod | staticmethod):
        return type(member)(_function(seam, member.__func__, intercept))
    return _function(seam, member, intercept)


def _function(seam: Seam, function: Callable[..., Any], intercept: Intercept) -> Any:
    """Return what stands in for a function of any kind."""
    if inspect.isgeneratorfunction(function):

        def items(*given: Any, **options: Any) -> Iterator[Any]:
            inner = function(*given, **options)
            try:
                advance = functools.partial(next, inner, _END)
                while (item := intercept(seam, False, advance)) is not _END:
                    yield item
            finally:
                inner.close()

        return functools.wraps(function)(items)
    if inspect.isasyncgenfunction(function):

        async def aitems(*given: Any, **options: Any) -> AsyncIterator[Any]:
            inner = function(*given, **options)
            try:
                while (item := await intercept(seam, True, _advance(inner))) is not _END:
                    yield item
            finally:
                await inner.aclose()

        return functools.wraps(function)(aitems)
    if inspect.iscoroutinefunction(function):

        async def awaited(*given: Any, **options: Any) -> Any:
            return await intercept(seam, True, functools.partial(function, *given, **options))

        return functools.wraps(function)(awaited)

    def plain(*given: Any, **options: Any) -> Any:
        return intercept(seam, False, functools.partial(function, *given, **options))

    return functools.wraps(function)(plain)


def _advance(inner: Any) -> Callable[[], Any]:
    async def advance() -> Any:
        return await anext(inner, _END)

    return advance


SEAMS = seams()  # before any is replaced
