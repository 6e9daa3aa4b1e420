"""The interface that search and calibration require of every embedder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from expertrag_index.types import DocumentEmbedder, FloatArray


class Embedder(DocumentEmbedder, Protocol):
    """A document embedder that also embeds queries. Vectors are float32 and L2-normalised."""

    def tokens_read(self, texts: Sequence[str], role: str) -> list[int]:
        """Tokens of each text that encoding reads, with the prompt of its role."""
        ...

    def posteriors(self, texts: Sequence[str]) -> FloatArray:
        """Domain posteriors [N, E + 1]: a column for each expert, the last for no domain."""
        ...

    def encode_query(self, text: str, domain: str | None = None) -> FloatArray:
        """Vector of shape [D]."""
        ...

    def encode_queries(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D] in the order of the texts."""
        ...

    def encode_queries_by_experts(self, texts: Sequence[str], experts: Sequence[str]) -> FloatArray:
        """Vectors of shape [N, P, D]: every text by each of P experts; "general" is the base."""
        ...
