"""The unary calls of a client: how each runs in process, and how it is sent to a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from expertrag.api.adapters import AdapterInfo, LoadAdapterRequest
from expertrag.api.decisions import (
    CountExpertsRequest,
    ExpertCounts,
    ListQuestionsRequest,
    LoggedQuestions,
    Replay,
    ReplayRequest,
)
from expertrag.api.documents import (
    ChunkPage,
    DocumentPage,
    DocumentText,
    GetDocumentRequest,
    ListChunksRequest,
    ListDocumentsRequest,
    ListSkippedRequest,
    SkippedPage,
)
from expertrag.api.embed import Embeddings, EmbedRequest
from expertrag.api.errors import Unimplemented
from expertrag.api.info import CollectionInfo, IndexStats, ServerInfo
from expertrag.api.rerank import RerankRequest, RerankResult
from expertrag.api.types import (
    DecideRequest,
    GateDecision,
    RetrieveRequest,
    RetrieveResult,
    UpdateReport,
)
from expertrag.api.validation import invalid
from expertrag.v1 import (
    adapter_pb2,
    audit_pb2,
    collection_pb2,
    document_pb2,
    index_pb2,
    info_pb2,
    rerank_pb2,
    retrieve_pb2,
)
from expertrag.wire import embed, gate, index
from expertrag.wire.common import fits_the_wire, request_of, value_of

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline
    from expertrag.client.channel import Stubs
    from expertrag.runtime.stop import Stop

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


@dataclass(frozen=True, slots=True)
class Operation(Generic[RequestT, ResponseT]):
    """A unary call. ``run`` makes it in process.

    For a server, ``message`` converts the request, ``method`` returns the stub that sends it, and
    ``value`` converts the response. ``repeatable``: it may run twice.
    """

    run: Callable[[Pipeline, RequestT, Stop], ResponseT]
    method: Callable[[Stubs], Any]
    message: Callable[[RequestT], Any]
    value: Callable[[Any], ResponseT]
    repeatable: bool = True


def no_collection(name: object) -> None:
    """Reject a call about collections in process.

    :raises Unimplemented: if a collection is named.
    """
    if name != "":
        raise Unimplemented(
            "collections belong to a server; in process, open the folder of a store",
            reason="COLLECTIONS_OF_A_SERVER",
        )


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise invalid("name", f"is a {type(name).__name__}; give the name of a collection")
    return name


def _unload_to_proto(name: str) -> adapter_pb2.UnloadAdapterRequest:
    with fits_the_wire():
        return adapter_pb2.UnloadAdapterRequest(name=name)


def _refuse(pipeline: Pipeline, request: object, stop: Stop) -> Any:
    no_collection(request)


def _decide(pipeline: Pipeline, request: DecideRequest, stop: Stop) -> GateDecision:
    return pipeline.decide(
        request.question,
        request.mode,
        threshold=request.threshold,
        domain=request.domain,
        history=request.history,
        should_stop=stop,
    )


def _embed(pipeline: Pipeline, request: EmbedRequest, stop: Stop) -> Embeddings:
    return pipeline.embed(request.texts, role=request.role, domain=request.domain, should_stop=stop)


RETRIEVE: Operation[RetrieveRequest, RetrieveResult] = Operation(
    lambda pipeline, request, stop: pipeline.retrieve(request, stop),
    lambda stubs: stubs.retrieve.Retrieve,
    partial(request_of, retrieve_pb2.RetrieveRequest),
    partial(value_of, RetrieveResult),
)
DECIDE: Operation[DecideRequest, GateDecision] = Operation(
    _decide,
    lambda stubs: stubs.gate.Decide,
    gate.decide_to_proto,
    lambda response: value_of(GateDecision, response.decision),
)
EMBED: Operation[EmbedRequest, Embeddings] = Operation(
    _embed, lambda stubs: stubs.embed.Embed, embed.embed_to_proto, embed.embeddings_from_proto
)
RERANK: Operation[RerankRequest, RerankResult] = Operation(
    lambda pipeline, request, stop: pipeline.rerank(request, stop),
    lambda stubs: stubs.rerank.Rerank,
    partial(request_of, rerank_pb2.RerankRequest),
    partial(value_of, RerankResult),
)
DELETE: Operation[Sequence[str], UpdateReport] = Operation(
    lambda pipeline, ids, stop: pipeline.delete(ids),
    lambda stubs: stubs.index.Delete,
    index.ids_to_proto,
    index.delete_from_proto,
)
GET_DOCUMENT: Operation[GetDocumentRequest, DocumentText] = Operation(
    lambda pipeline, request, stop: pipeline.get_document(request),
    lambda stubs: stubs.document.GetDocument,
    partial(request_of, document_pb2.GetDocumentRequest),
    partial(value_of, DocumentText),
)
LIST_DOCUMENTS: Operation[ListDocumentsRequest, DocumentPage] = Operation(
    lambda pipeline, request, stop: pipeline.list_documents(request),
    lambda stubs: stubs.document.ListDocuments,
    partial(request_of, document_pb2.ListDocumentsRequest),
    partial(value_of, DocumentPage),
)
LIST_CHUNKS: Operation[ListChunksRequest, ChunkPage] = Operation(
    lambda pipeline, request, stop: pipeline.list_chunks(request),
    lambda stubs: stubs.document.ListChunks,
    partial(request_of, document_pb2.ListChunksRequest),
    partial(value_of, ChunkPage),
)
LIST_SKIPPED: Operation[ListSkippedRequest, SkippedPage] = Operation(
    lambda pipeline, request, stop: pipeline.list_skipped(request),
    lambda stubs: stubs.document.ListSkipped,
    partial(request_of, document_pb2.ListSkippedRequest),
    partial(value_of, SkippedPage),
)
REPLAY: Operation[ReplayRequest, Replay] = Operation(
    lambda pipeline, request, stop: pipeline.log.replay(request),
    lambda stubs: stubs.audit.Replay,
    partial(request_of, audit_pb2.ReplayRequest),
    partial(value_of, Replay),
)
LIST_QUESTIONS: Operation[ListQuestionsRequest, LoggedQuestions] = Operation(
    lambda pipeline, request, stop: pipeline.log.questions(request),
    lambda stubs: stubs.audit.ListQuestions,
    partial(request_of, audit_pb2.ListQuestionsRequest),
    partial(value_of, LoggedQuestions),
)
COUNT_EXPERTS: Operation[CountExpertsRequest, ExpertCounts] = Operation(
    lambda pipeline, request, stop: pipeline.log.experts(request),
    lambda stubs: stubs.audit.CountExperts,
    partial(request_of, audit_pb2.CountExpertsRequest),
    partial(value_of, ExpertCounts),
)
LIST_COLLECTIONS: Operation[None, list[CollectionInfo]] = Operation(
    _refuse,
    lambda stubs: stubs.collection.ListCollections,
    lambda _: collection_pb2.ListCollectionsRequest(),
    lambda response: [value_of(CollectionInfo, item) for item in response.collections],
)
CREATE_COLLECTION: Operation[str, None] = Operation(
    _refuse,
    lambda stubs: stubs.collection.CreateCollection,
    lambda name: collection_pb2.CreateCollectionRequest(name=_name(name)),
    lambda _: None,
    repeatable=False,
)
DROP_COLLECTION: Operation[str, None] = Operation(
    _refuse,
    lambda stubs: stubs.collection.DropCollection,
    lambda name: collection_pb2.DropCollectionRequest(name=_name(name)),
    lambda _: None,
    repeatable=False,
)
LOAD_ADAPTER: Operation[LoadAdapterRequest, AdapterInfo] = Operation(
    lambda pipeline, asked, stop: pipeline.adapters.load(asked.name, Path(asked.folder)),
    lambda stubs: stubs.adapter.LoadAdapter,
    partial(request_of, adapter_pb2.LoadAdapterRequest),
    lambda response: value_of(AdapterInfo, response.adapter),
    repeatable=False,
)
UNLOAD_ADAPTER: Operation[str, None] = Operation(
    lambda pipeline, name, stop: pipeline.adapters.unload(name),
    lambda stubs: stubs.adapter.UnloadAdapter,
    _unload_to_proto,
    lambda _: None,
    repeatable=False,
)
LIST_ADAPTERS: Operation[None, list[AdapterInfo]] = Operation(
    lambda pipeline, _, stop: list(pipeline.adapters.all()),
    lambda stubs: stubs.adapter.ListAdapters,
    lambda _: adapter_pb2.ListAdaptersRequest(),
    lambda response: [value_of(AdapterInfo, item) for item in response.adapters],
)
STATS: Operation[None, IndexStats] = Operation(
    lambda pipeline, _, stop: pipeline.stats(),
    lambda stubs: stubs.index.Stats,
    lambda _: index_pb2.StatsRequest(),
    lambda response: value_of(IndexStats, response.stats),
)
INFO: Operation[None, ServerInfo] = Operation(
    lambda pipeline, _, stop: pipeline.info(),
    lambda stubs: stubs.info.Info,
    lambda _: info_pb2.InfoRequest(),
    partial(value_of, ServerInfo),
)
