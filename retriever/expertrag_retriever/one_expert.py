"""An embedder with experts, held to one of them: a plain embedder, as a store sees it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expertrag_index.types import FloatArray
from expertrag_retriever.encoder import SentenceTransformerEmbedder


class OneExpert(SentenceTransformerEmbedder):
    """Encodes everything by one expert, or by the base model ("general"), whatever the domain.

    Its fingerprint is that of base and expert, so that "general" shares the base model's stores.
    """

    def __init__(self, embedder: SentenceTransformerEmbedder, expert: str) -> None:
        super().__init__(embedder.name, embedder._model, embedder.fingerprint_of_expert(expert))
        self._expert = expert

    @property
    def experts(self) -> tuple[str, ...]:
        """None that a store could choose."""
        return ()

    def posteriors(self, texts: Sequence[str]) -> FloatArray:
        """Give all texts to the one: [N, 1]."""
        return np.ones((len(texts), 1), dtype=np.float32)

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D]."""
        return super().encode_documents(texts, self._expert)

    def encode_queries(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D] in the order of the texts."""
        return super().encode_queries(texts, self._expert)

    def encode_queries_by_experts(self, texts: Sequence[str], experts: Sequence[str]) -> FloatArray:
        """Vectors of shape [N, P, D], all P the same."""
        return np.repeat(self.encode_queries(texts)[:, None], len(experts), axis=1)
