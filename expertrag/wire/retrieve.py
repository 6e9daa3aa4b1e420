"""Messages of ``retrieve.proto``."""

from __future__ import annotations

from expertrag.api.rerank import RerankMode
from expertrag.api.types import Passage, RetrieveRequest, RetrieveResult, SearchMode
from expertrag.v1 import retrieve_pb2
from expertrag.wire.common import (
    EnumMap,
    fits_the_wire,
    message_of,
    metadata_from_proto,
    struct_from_proto,
    struct_to_proto,
    value_of,
)
from expertrag.wire.conversation import history_from_proto, history_to_proto

SEARCH_MODES = EnumMap(
    "mode",
    {
        SearchMode.HYBRID: retrieve_pb2.SEARCH_MODE_HYBRID,
        SearchMode.DENSE: retrieve_pb2.SEARCH_MODE_DENSE,
        SearchMode.BM25: retrieve_pb2.SEARCH_MODE_BM25,
    },
    unset=SearchMode.HYBRID,
)


RERANK_MODES = EnumMap(
    "rerank",
    {
        RerankMode.AUTO: retrieve_pb2.RERANK_MODE_AUTO,
        RerankMode.ON: retrieve_pb2.RERANK_MODE_ON,
        RerankMode.OFF: retrieve_pb2.RERANK_MODE_OFF,
    },
    unset=RerankMode.AUTO,
)


def request_to_proto(request: RetrieveRequest) -> retrieve_pb2.RetrieveRequest:
    """Return the message."""
    metadata_filter = struct_to_proto("filter", request.filter)
    mode = SEARCH_MODES.to_proto(request.mode)
    history = history_to_proto(request.history)
    rerank = RERANK_MODES.to_proto(request.rerank)
    with fits_the_wire():
        return message_of(
            retrieve_pb2.RetrieveRequest,
            request,
            filter=metadata_filter,
            mode=mode,
            history=history,
            rerank=rerank,
        )


def request_from_proto(request: retrieve_pb2.RetrieveRequest) -> RetrieveRequest:
    """Return the value."""
    metadata_filter, mode = struct_from_proto(request.filter), SEARCH_MODES.from_proto(request.mode)
    history = history_from_proto(request.history)
    rerank = RERANK_MODES.from_proto(request.rerank)
    return value_of(
        RetrieveRequest, request, filter=metadata_filter, mode=mode, history=history, rerank=rerank
    )


def result_to_proto(result: RetrieveResult) -> retrieve_pb2.RetrieveResponse:
    """Return the message."""
    passages = map(passage_to_proto, result.passages)
    return message_of(retrieve_pb2.RetrieveResponse, result, passages=passages)


def result_from_proto(response: retrieve_pb2.RetrieveResponse) -> RetrieveResult:
    """Return the value."""
    passages = tuple(map(passage_from_proto, response.passages))
    return value_of(RetrieveResult, response, passages=passages)


def passage_to_proto(passage: Passage) -> retrieve_pb2.Passage:
    """Return the message."""
    metadata = struct_to_proto("metadata", passage.metadata)
    return message_of(retrieve_pb2.Passage, passage, metadata=metadata)


def passage_from_proto(passage: retrieve_pb2.Passage) -> Passage:
    """Return the value."""
    metadata = metadata_from_proto("metadata", passage.metadata)
    return value_of(Passage, passage, metadata=metadata)
