"""The step after a search: rerank its best candidates, unless there is no time for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from expertrag_index.types import FloatArray
from expertrag_retriever.errors import RemoteUnavailableError
from expertrag_retriever.types import Passage, SearchResult

if TYPE_CHECKING:
    from expertrag_retriever.rerank.base import Reranker

CANDIDATES = 20
DEADLINE_S = 1.0

_SAMPLE_QUERY = "How long is the notice period?"
_SAMPLE_TEXT = "Either party may end the agreement in writing, three months before a quarter ends. "
_SAMPLE = (_SAMPLE_TEXT * 8,) * 4
_RECENT = 0.2
"""Weight of the latest call in the mean time of a token."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """The result of a search in its final order, how many candidates were reranked, why not."""

    result: SearchResult
    candidates: int = 0
    skipped: str = ""


class Reranking:
    """Reranks candidates within a time limit. Thread-safe.

    The time is predicted before: from the number of tokens, and the mean time that a token took
    lately, with whatever else the machine does.
    """

    def __init__(
        self, reranker: Reranker, candidates: int = CANDIDATES, deadline_s: float = DEADLINE_S
    ) -> None:
        """Measure the reranker on a sample.

        :param candidates: most passages of a search to rerank.
        :param deadline_s: seconds that this may take.
        """
        self.reranker = reranker
        self.candidates = candidates
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._token_s = 0.0
        tokens = self._tokens(_SAMPLE_QUERY, _SAMPLE)
        for _ in range(2):  # the first call also loads code
            self._token_s = self._measure(_SAMPLE_QUERY, _SAMPLE)[1] / tokens

    def depth(self, k: int) -> int:
        """Return the number of passages to search for, if ``k`` are wanted."""
        return max(k, self.candidates)

    def apply(self, query: str, result: SearchResult, time_left_s: float | None = None) -> Reranked:
        """Rerank the candidates; passages beyond them follow in the order of the search.

        All stay in that order if there is no time, or if the reranker's server does not answer.

        :param time_left_s: seconds that the caller has; None without a limit.
        """
        candidates = result.passages[: self.candidates]
        texts = [embedding_text_of(passage) for passage in candidates]
        if not texts:
            return Reranked(result)
        room_s = self._deadline_s if time_left_s is None else min(self._deadline_s, time_left_s)
        tokens = self._tokens(query, texts)
        needed_s = self._token_s * tokens
        if needed_s > room_s:
            return Reranked(result, skipped=f"it would take {needed_s:.2f} s of {room_s:.2f} s")
        try:
            scores, seconds = self._measure(query, texts)
        except RemoteUnavailableError as error:
            return Reranked(result, skipped=str(error))
        with self._lock:
            self._token_s += _RECENT * (seconds / tokens - self._token_s)
        joined = join_scores(candidates, scores, self.reranker.search_weight)
        scored = [
            replace(passage, rerank_score=score)
            for passage, score in zip(candidates, joined, strict=True)
        ]
        scored.sort(key=_rerank_score, reverse=True)  # stable: equal scores keep the search's order
        passages = (*scored, *result.passages[self.candidates :])
        return Reranked(replace(result, passages=passages), len(scored))

    def _measure(self, query: str, texts: Sequence[str]) -> tuple[list[float], float]:
        """Return the scores of texts, and the seconds that they took."""
        started = time.perf_counter()
        scores: list[float] = self.reranker.score(query, texts).tolist()
        return scores, time.perf_counter() - started

    def _tokens(self, query: str, texts: Sequence[str]) -> int:
        longest = self.reranker.max_tokens
        return sum(min(longest, count) for count in self.reranker.count_tokens(query, texts))


def join_scores(
    passages: Sequence[Passage], scores: Sequence[float], search_weight: float
) -> list[float]:
    """Add the search's scores, standardised among the candidates, to the reranker's."""
    if not search_weight:
        return list(scores)
    searched = standardise([passage.score for passage in passages])
    joined: list[float] = (np.array(scores) + search_weight * searched).tolist()
    return joined


def standardise(scores: Sequence[float]) -> FloatArray:
    """Scale scores to mean 0 and standard deviation 1; equal ones to 0."""
    values = np.array(scores, np.float32)
    spread = float(values.std()) or 1.0
    scaled: FloatArray = (values - values.mean()) / spread
    return scaled


def embedding_text_of(passage: Passage) -> str:
    """Return the text of a passage as the embedder sees it: its title, then its text."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def _rerank_score(passage: Passage) -> float:
    assert passage.rerank_score is not None, "every candidate was scored"
    return passage.rerank_score
