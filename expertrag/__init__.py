"""ExpertRAG: answer from your own documents, and retrieve only when it helps.

Importing this package loads only the standard library. ``Client`` imports gRPC on first access; an
in-process store loads the models at its first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag._version import __version__
from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.decisions import ExpertCounts, LoggedQuestions, Replay
from expertrag.api.documents import (
    ChunkPage,
    DocumentChunk,
    DocumentInfo,
    DocumentOrder,
    DocumentPage,
    DocumentText,
    SkippedFile,
    SkippedPage,
)
from expertrag.api.embed import Embeddings, EmbedRequest
from expertrag.api.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    ExpertRAGError,
    InvalidArgument,
    MissingExtra,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    ProgressEvent,
    TableEvent,
    UsageEvent,
)
from expertrag.api.folding import fold
from expertrag.api.info import CollectionInfo, IndexStats, ServerInfo
from expertrag.api.logprobs import TokenLogprob, TopLogprob
from expertrag.api.rerank import Rank, RerankMode, RerankRequest, RerankResult
from expertrag.api.tls import Tls
from expertrag.api.turns import Turn, TurnRole
from expertrag.api.types import (
    Answer,
    AnswerRequest,
    AnswerTable,
    Citation,
    Constraint,
    Coverage,
    DecideRequest,
    DocumentInput,
    Feedback,
    FinishReason,
    GateAction,
    GateDecision,
    GateMode,
    ItemStatus,
    Passage,
    QuestionScope,
    RetrieveRequest,
    RetrieveResult,
    Sampling,
    SearchMode,
    UpdateReport,
    Usage,
)

if TYPE_CHECKING:
    from expertrag.client import AnswerOptions, AsyncClient, Client

__all__ = [
    "Answer",
    "AnswerEvent",
    "AnswerOptions",
    "AnswerRequest",
    "AnswerTable",
    "AsyncClient",
    "Cancelled",
    "ChunkPage",
    "Citation",
    "CitationEvent",
    "Client",
    "CollectionInfo",
    "Conflict",
    "Constraint",
    "Contrast",
    "Coverage",
    "DeadlineExceeded",
    "DecideRequest",
    "DeltaEvent",
    "DocumentChunk",
    "DocumentInfo",
    "DocumentInput",
    "DocumentOrder",
    "DocumentPage",
    "DocumentText",
    "DoneEvent",
    "EmbedRequest",
    "Embeddings",
    "ExpertCounts",
    "ExpertRAGError",
    "Feedback",
    "FinishReason",
    "GateAction",
    "GateDecision",
    "GateEvent",
    "GateMode",
    "IndexStats",
    "InvalidArgument",
    "ItemStatus",
    "LoggedQuestions",
    "MissingExtra",
    "NotFound",
    "Overloaded",
    "Passage",
    "PassagesEvent",
    "PermissionDenied",
    "ProgressEvent",
    "QuestionScope",
    "Rank",
    "Replay",
    "RerankMode",
    "RerankRequest",
    "RerankResult",
    "RetrieveRequest",
    "RetrieveResult",
    "Sampling",
    "SearchMode",
    "ServerError",
    "ServerInfo",
    "SkippedFile",
    "SkippedPage",
    "TableEvent",
    "Tls",
    "TokenLogprob",
    "TopLogprob",
    "Turn",
    "TurnRole",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UpdateReport",
    "Usage",
    "UsageEvent",
    "WeakSide",
    "__version__",
    "fold",
]


_OF_CLIENT = ("AnswerOptions", "AsyncClient", "Client")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name in _OF_CLIENT:
        from expertrag import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
