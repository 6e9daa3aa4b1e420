"""An embedder with experts that is pinned to one of them; to a store it looks like a plain one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expertrag_index.types import FloatArray
from expertrag_retriever.encoder import SentenceTransformerEmbedder


class OneExpert(SentenceTransformerEmbedder):
    """Encodes everything with one expert, or the base model ("general"), whatever the domain.

    Its fingerprint covers the base model and the expert, so that "general" can use the stores of
    the base model.
    """

    def __init__(self, embedder: SentenceTransformerEmbedder, expert: str) -> None:
        fingerprint = embedder.fingerprint_of_expert(expert)
        # its own forward pass: a compiled encoder no longer has the modules to make another of
        super().__init__(
            embedder.name, embedder._model, fingerprint, None, embedder._whole, embedder._pass
        )
        self._expert = expert

    @property
    def experts(self) -> tuple[str, ...]:
        """Empty: there is no expert to choose from."""
        return ()

    def posteriors(self, texts: Sequence[str]) -> FloatArray:
        """Probability 1 for every text: [N, 1]."""
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
