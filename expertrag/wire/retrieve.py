"""Messages of ``retrieve.proto``."""

from __future__ import annotations

from expertrag.api.types import Passage, RetrieveRequest, RetrieveResult, SearchMode
from expertrag.v1 import retrieve_pb2
from expertrag.wire.common import (
    EnumMap,
    fits_the_wire,
    metadata_from_proto,
    struct_from_proto,
    struct_to_proto,
)

SEARCH_MODES = EnumMap(
    "mode",
    {
        SearchMode.HYBRID: retrieve_pb2.SEARCH_MODE_HYBRID,
        SearchMode.DENSE: retrieve_pb2.SEARCH_MODE_DENSE,
        SearchMode.BM25: retrieve_pb2.SEARCH_MODE_BM25,
    },
    unset=SearchMode.HYBRID,
)
DEFAULT_K = RetrieveRequest(query="").k


def request_to_proto(request: RetrieveRequest) -> retrieve_pb2.RetrieveRequest:
    """Return the message."""
    with fits_the_wire():
        return retrieve_pb2.RetrieveRequest(
            query=request.query,
            k=request.k,
            filter=struct_to_proto("filter", request.filter),
            mode=SEARCH_MODES.to_proto(request.mode),
        )


def request_from_proto(request: retrieve_pb2.RetrieveRequest) -> RetrieveRequest:
    """Return the value."""
    return RetrieveRequest(
        query=request.query,
        k=request.k if request.HasField("k") else DEFAULT_K,
        filter=struct_from_proto(request.filter),
        mode=SEARCH_MODES.from_proto(request.mode),
    )


def result_to_proto(result: RetrieveResult) -> retrieve_pb2.RetrieveResponse:
    """Return the message."""
    return retrieve_pb2.RetrieveResponse(
        passages=map(passage_to_proto, result.passages),
        generation=result.generation,
        vectors_scanned=result.vectors_scanned,
        seconds=result.seconds,
    )


def result_from_proto(response: retrieve_pb2.RetrieveResponse) -> RetrieveResult:
    """Return the value."""
    return RetrieveResult(
        passages=tuple(map(passage_from_proto, response.passages)),
        generation=response.generation,
        vectors_scanned=response.vectors_scanned,
        seconds=response.seconds,
    )


def passage_to_proto(passage: Passage) -> retrieve_pb2.Passage:
    """Return the message."""
    return retrieve_pb2.Passage(
        document_id=passage.document_id,
        ordinal=passage.ordinal,
        text=passage.text,
        start=passage.start,
        end=passage.end,
        score=passage.score,
        dense_score=passage.dense_score,
        lexical_score=passage.lexical_score,
        title=passage.title,
        domain=passage.domain,
        source=passage.source,
        metadata=struct_to_proto("metadata", passage.metadata),
    )


def passage_from_proto(passage: retrieve_pb2.Passage) -> Passage:
    """Return the value."""
    return Passage(
        document_id=passage.document_id,
        ordinal=passage.ordinal,
        text=passage.text,
        start=passage.start,
        end=passage.end,
        score=passage.score,
        dense_score=passage.dense_score,
        lexical_score=passage.lexical_score,
        title=passage.title,
        domain=passage.domain if passage.HasField("domain") else None,
        source=passage.source,
        metadata=metadata_from_proto("metadata", passage.metadata),
    )
