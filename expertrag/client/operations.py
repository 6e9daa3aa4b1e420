"""The unary calls of a client: how each runs in process, and how it is sent to a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from expertrag.v1 import adapter_pb2, collection_pb2, index_pb2, info_pb2
from expertrag.wire import adapters, audit, document, embed, gate, index, rerank, retrieve
from expertrag.wire.common import value_of

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
    retrieve.request_to_proto,
    retrieve.result_from_proto,
)
DECIDE: Operation[DecideRequest, GateDecision] = Operation(
    _decide,
    lambda stubs: stubs.gate.Decide,
    gate.decide_to_proto,
    lambda response: gate.decision_from_proto(response.decision),
)
EMBED: Operation[EmbedRequest, Embeddings] = Operation(
    _embed, lambda stubs: stubs.embed.Embed, embed.embed_to_proto, embed.embeddings_from_proto
)
RERANK: Operation[RerankRequest, RerankResult] = Operation(
    lambda pipeline, request, stop: pipeline.rerank(request, stop),
    lambda stubs: stubs.rerank.Rerank,
    rerank.rerank_to_proto,
    rerank.ranks_from_proto,
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
    document.get_to_proto,
    document.text_from_proto,
)
LIST_DOCUMENTS: Operation[ListDocumentsRequest, DocumentPage] = Operation(
    lambda pipeline, request, stop: pipeline.list_documents(request),
    lambda stubs: stubs.document.ListDocuments,
    document.list_to_proto,
    document.documents_from_proto,
)
LIST_CHUNKS: Operation[ListChunksRequest, ChunkPage] = Operation(
    lambda pipeline, request, stop: pipeline.list_chunks(request),
    lambda stubs: stubs.document.ListChunks,
    document.chunks_to_proto,
    document.chunk_page_from_proto,
)
LIST_SKIPPED: Operation[ListSkippedRequest, SkippedPage] = Operation(
    lambda pipeline, request, stop: pipeline.list_skipped(request),
    lambda stubs: stubs.document.ListSkipped,
    document.list_skipped_to_proto,
    document.skips_from_proto,
)
REPLAY: Operation[ReplayRequest, Replay] = Operation(
    lambda pipeline, request, stop: pipeline.log.replay(request),
    lambda stubs: stubs.audit.Replay,
    audit.replay_to_proto,
    audit.replay_result_from_proto,
)
LIST_QUESTIONS: Operation[ListQuestionsRequest, LoggedQuestions] = Operation(
    lambda pipeline, request, stop: pipeline.log.questions(request),
    lambda stubs: stubs.audit.ListQuestions,
    audit.list_questions_to_proto,
    audit.questions_from_proto,
)
COUNT_EXPERTS: Operation[CountExpertsRequest, ExpertCounts] = Operation(
    lambda pipeline, request, stop: pipeline.log.experts(request),
    lambda stubs: stubs.audit.CountExperts,
    audit.experts_to_proto,
    audit.counts_from_proto,
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
    adapters.load_to_proto,
    lambda response: adapters.adapter_from_proto(response.adapter),
    repeatable=False,
)
UNLOAD_ADAPTER: Operation[str, None] = Operation(
    lambda pipeline, name, stop: pipeline.adapters.unload(name),
    lambda stubs: stubs.adapter.UnloadAdapter,
    adapters.name_to_proto,
    lambda _: None,
    repeatable=False,
)
LIST_ADAPTERS: Operation[None, list[AdapterInfo]] = Operation(
    lambda pipeline, _, stop: list(pipeline.adapters.all()),
    lambda stubs: stubs.adapter.ListAdapters,
    lambda _: adapter_pb2.ListAdaptersRequest(),
    adapters.adapters_from_proto,
)
STATS: Operation[None, IndexStats] = Operation(
    lambda pipeline, _, stop: pipeline.stats(),
    lambda stubs: stubs.index.Stats,
    lambda _: index_pb2.StatsRequest(),
    lambda response: index.stats_from_proto(response.stats),
)
INFO: Operation[None, ServerInfo] = Operation(
    lambda pipeline, _, stop: pipeline.info(),
    lambda stubs: stubs.info.Info,
    lambda _: info_pb2.InfoRequest(),
    index.info_from_proto,
)
