"""A reranker on a model server, with the interface of a local one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from expertrag_common.token_estimate import estimate_tokens
from expertrag_index.types import FloatArray
from expertrag_retriever.gate.odds import log_odds
from expertrag_retriever.remote.address import RERANKING_APIS, RemoteModel, parse_remote
from expertrag_retriever.remote.embedding_apis import MOST_TEXTS
from expertrag_retriever.remote.server import QUERY, ModelServer

API_KEY = "EXPERTRAG_RERANKER_API_KEY"

_LENGTH = 512
_SAMPLE = ("When does the lease end?", ("The lease ends on 31 March.", "Roses bloom in June."))


@dataclass(frozen=True, slots=True)
class RerankingApi:
    """One API: the path, the request, and the names of entries and scores in its answer."""

    body: Callable[[str, str, Sequence[str]], Mapping[str, object]]
    entries: Callable[[Any], Sequence[Any]]
    score: str
    path: str = "/rerank"


APIS: Mapping[str, RerankingApi] = {
    "cohere": RerankingApi(
        lambda model, query, texts: {
            "model": model,
            "query": query,
            "documents": list(texts),
            "top_n": len(texts),
        },
        lambda answer: answer["results"],
        "relevance_score",
    ),
    "tei": RerankingApi(
        lambda _, query, texts: {
            "query": query,
            "texts": list(texts),
            "raw_scores": True,
            "truncate": True,
        },
        lambda answer: answer,
        "score",
    ),
}
"""Cohere's (Jina, vLLM, llama-server and others have it), and Text Embeddings Inference."""


class RemoteReranker:
    """Scores texts for a query on a server. Thread-safe.

    Scores that are probabilities become logits, which are what a local reranker returns.
    """

    search_weight = 0.0
    max_tokens = _LENGTH

    def __init__(self, name: str, remote: RemoteModel, server: ModelServer) -> None:
        """Score a sample; use :func:`connect_reranker`."""
        self.name = name
        self._model = remote.model
        self._api = APIS[remote.api]
        self._server = server
        sample = self._request(*_SAMPLE)
        self._probabilities = bool(((sample >= 0) & (sample <= 1)).all())

    @property
    def fingerprint(self) -> str:
        """Hash of the name: the files are unknown."""
        return hashlib.sha256(f"remote {self.name}".encode()).hexdigest()[:32]

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        """Estimate the tokens of the query with each text."""
        own = estimate_tokens(query)
        return [own + estimate_tokens(text) for text in texts]

    def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        """Return the scores [N] of texts, in their order; higher is better.

        :raises RemoteUnavailableError: the server does not answer.
        :raises RemoteModelError: it rejects the request.
        """
        parts = [
            self._request(query, texts[start : start + MOST_TEXTS])
            for start in range(0, len(texts), MOST_TEXTS)
        ]
        scores = np.concatenate([np.empty(0, np.float32), *parts])
        if not self._probabilities:
            return scores
        return log_odds(scores).astype(np.float32)

    def _request(self, query: str, texts: Sequence[str]) -> FloatArray:
        body = self._api.body(self._model, query, texts)
        answer = self._server.post(self._api.path, body, QUERY)
        scores = np.full(len(texts), np.nan, np.float32)
        try:
            for entry in self._api.entries(answer):
                scores[entry["index"]] = entry[self._api.score]
        except (KeyError, TypeError, ValueError, IndexError):
            raise self._server.invalid("it has no list of scores") from None
        if not np.isfinite(scores).all():
            raise self._server.invalid(f"it does not have a score for each of {len(texts)} texts")
        return scores


def connect_reranker(name: str) -> RemoteReranker:
    """Connect to the reranker of a name such as ``cohere:http://gpu-1:8000/v1#bge-reranker``.

    The key comes from ``EXPERTRAG_RERANKER_API_KEY``, or from the file that
    ``EXPERTRAG_RERANKER_API_KEY_FILE`` names.

    :raises RemoteUnavailableError: no server answers.
    :raises RemoteModelError: the name is wrong, or the server rejects the key or the request.
    """
    remote = parse_remote(name, RERANKING_APIS)
    return RemoteReranker(name, remote, ModelServer(remote, API_KEY))
