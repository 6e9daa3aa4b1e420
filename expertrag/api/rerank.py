"""Requests and results of reranking. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Rank", "RerankMode", "RerankRequest", "RerankResult"]


class RerankMode(StrEnum):
    """Whether the reranker reads the candidates of a search again."""

    AUTO = "auto"
    """If there is a reranker, and it helps on this store by the store's own estimate."""
    ON = "on"
    """Also where the estimate is against it; an error without a reranker."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Texts to score for a query; the shape of text-embeddings-inference's Rerank.

    ``truncate``: cut a text that is longer than what the reranker reads; else it is an error.
    ``raw_scores``: scores as the reranker computes them, else mapped to [0, 1] by the logistic
    function. ``return_text``: repeat the texts in the result.
    """

    query: str
    texts: Sequence[str]
    truncate: bool = True
    raw_scores: bool = False
    return_text: bool = False


@dataclass(frozen=True, slots=True)
class Rank:
    """A reranked text: its place in the request, from 0, and its score; higher is better.

    ``text`` is empty unless it was asked for.
    """

    index: int
    score: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class RerankResult:
    """All texts of a request, the best first, and the name of the reranker."""

    ranks: tuple[Rank, ...]
    model: str
