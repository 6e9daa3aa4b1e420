"""The models of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag.answer.reading_policy import ReadingPolicy
    from expertrag.answer.rerank import ServedReranker
    from expertrag.answer.served_gate import ServedGate
    from expertrag.llm.base import Generator
    from expertrag.stores.served_index import LoadEmbedder
    from expertrag_retriever.base import Embedder


@dataclass(frozen=True, slots=True)
class PipelineModels:
    """The models that answer from a store; they are loaded, and several stores may share them.

    ``reading``: how questions and replies are read; None for the policy of ``generator`` alone.
    ``gate``: a fitted gate; None for the training-free gate. ``reranker``: reranks the results of a
    search; None keeps their order. ``load_embedder``: loads the embedder that the store names, for
    a store that is migrated to another embedder while it is served.
    """

    embedder: Embedder
    generator: Generator
    reading: ReadingPolicy | None = None
    gate: ServedGate | None = None
    reranker: ServedReranker | None = None
    load_embedder: LoadEmbedder | None = None
