"""Convert errors of the lower packages to errors of the public API, by one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from expertrag.api.errors import (
    Conflict,
    ExpertRAGError,
    InvalidArgument,
    NotFound,
    ServerError,
    Unavailable,
)
from expertrag_index import errors as index_errors
from expertrag_retriever import errors as retriever_errors

TRANSLATIONS: dict[type[Exception], tuple[type[ExpertRAGError], str]] = {
    index_errors.StoreNotFoundError: (NotFound, "STORE_NOT_FOUND"),
    index_errors.StoreCorruptError: (ServerError, "STORE_CORRUPT"),
    index_errors.StoreFormatError: (Conflict, "STORE_FORMAT"),
    index_errors.StoreLockedError: (Conflict, "STORE_LOCKED"),
    index_errors.EmbedderMismatchError: (Conflict, "EMBEDDER_MISMATCH"),
    index_errors.ChunkSizeMismatchError: (Conflict, "CHUNK_SIZE_MISMATCH"),
    index_errors.FilterError: (InvalidArgument, "INVALID_FILTER"),
    index_errors.SearchError: (InvalidArgument, "INVALID_SEARCH"),
    index_errors.PatternError: (InvalidArgument, "INVALID_PATTERN"),
    index_errors.DocumentError: (InvalidArgument, "INVALID_DOCUMENT"),
    index_errors.WorkerError: (Unavailable, "WORKER_FAILED"),
    index_errors.ReadOnlyReplicaError: (Conflict, "READ_ONLY_REPLICA"),
    index_errors.RemoteUnreachableError: (Unavailable, "REMOTE_UNREACHABLE"),
    index_errors.RemoteDamagedError: (ServerError, "STORE_CORRUPT"),
    index_errors.RemoteConflictError: (Conflict, "REMOTE_CONFLICT"),
    index_errors.StorageFullError: (Unavailable, "STORAGE_FULL"),
    index_errors.EngineError: (Unavailable, "VECTOR_ENGINE"),
    retriever_errors.DeviceError: (InvalidArgument, "DEVICE_UNUSABLE"),
    retriever_errors.GateError: (InvalidArgument, "GATE_UNUSABLE"),
    retriever_errors.OutputTakenError: (Conflict, "OUTPUT_TAKEN"),
    retriever_errors.RouterError: (InvalidArgument, "ROUTER_DATA"),
    retriever_errors.TrainingError: (InvalidArgument, "TRAINING_DATA"),
    retriever_errors.EmbedderError: (NotFound, "EMBEDDER_UNUSABLE"),
    retriever_errors.RemoteModelError: (ServerError, "MODEL_SERVER_INVALID"),
    retriever_errors.RemoteUnavailableError: (Unavailable, "MODEL_SERVER_UNAVAILABLE"),
    retriever_errors.RerankerError: (NotFound, "RERANKER_UNUSABLE"),
}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Run a block; convert errors of a lower package to errors of ``expertrag.api.errors``."""
    try:
        yield
    except tuple(TRANSLATIONS) as error:
        target, reason = TRANSLATIONS[type(error)]
        raise target(str(error), reason=reason) from error
