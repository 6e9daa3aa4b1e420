"""The interface of rerankers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from expertrag_index.types import FloatArray


class Reranker(Protocol):
    """Scores texts for a query. Thread-safe.

    ``search_weight``: what a passage's score by the search, standardised among the candidates,
    counts next to its score by the reranker; 0 for a reranker whose score ranks alone.
    ``fingerprint`` changes with its files.
    """

    @property
    def name(self) -> str:
        """The name that the user gave."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of weights, configuration and vocabulary."""
        ...

    @property
    def search_weight(self) -> float:
        """Weight of the search's score in the sum that ranks."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a query and a text together that it reads; the rest of the text is cut."""
        ...

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of the query with each text, without truncation."""
        ...

    def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        """Return the scores [N] of texts, in their order; higher is better."""
        ...
