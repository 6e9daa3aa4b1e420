"""The reranker of a process: on which stores it is used, and the step after a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag import models
from expertrag.api.errors import Conflict
from expertrag.api.rerank import Rank, RerankMode, RerankRequest, RerankResult
from expertrag.api.validation import MAX_K, check_rerank, invalid
from expertrag.config import AUTO_RERANKER, NO_RERANKER, ON_RERANKER, ModelConfig, RerankConfig
from expertrag.runtime.error_mapping import translate_errors
from expertrag.runtime.stop import Stop
from expertrag_retriever.gate.odds import logistic
from expertrag_retriever.rerank.estimate import RerankEstimate
from expertrag_retriever.rerank.loading import load_reranker
from expertrag_retriever.rerank.reranking import Reranked, Reranking
from expertrag_retriever.types import SearchResult

if TYPE_CHECKING:
    from expertrag.llm.base import ShouldStop
    from expertrag_index.store.manifest import JSON
    from expertrag_retriever.rerank.base import Reranker

_PORTION = 32  # texts between two checks of the deadline


@dataclass(frozen=True, slots=True)
class ServedReranker:
    """A loaded reranker, and whether it is used on a store.

    ``always``: whatever the store's estimate. ``unmeasured``: on a store without an estimate of it.
    """

    reranking: Reranking
    always: bool = False
    unmeasured: bool = True

    @property
    def name(self) -> str:
        """The name that the user gave."""
        return self.reranking.reranker.name

    def is_used_on(self, calibration: Mapping[str, JSON]) -> bool:
        """Whether AUTO uses it on the store with this calibration."""
        known = RerankEstimate.of(calibration)
        if known is None or known.fingerprint != self.reranking.reranker.fingerprint:
            return self.always or self.unmeasured
        return self.always or known.helps


def open_reranker(model: ModelConfig) -> Reranker | None:
    """Load the configured reranker; None if it is off.

    :raises ExpertRAGError: if it cannot be used; the message has the fix.
    """
    if model.reranker == NO_RERANKER:
        return None
    shipped = model.reranker in (AUTO_RERANKER, ON_RERANKER)
    name = models.SHIPPED_RERANKERS[0] if shipped else model.reranker
    with translate_errors():
        return load_reranker(
            models.reranker_source(name), name=name, device=model.device, resolve=models.resolve
        )


def open_served_reranker(model: ModelConfig, config: RerankConfig) -> ServedReranker | None:
    """Load the configured reranker for searches; None if it is off.

    :raises ExpertRAGError: if it cannot be used; the message has the fix.
    """
    reranker = open_reranker(model)
    if reranker is None:
        return None
    reranking = Reranking(reranker, config.candidates, config.deadline_s)
    return ServedReranker(
        reranking,
        always=model.reranker == ON_RERANKER,
        unmeasured=model.reranker != AUTO_RERANKER,
    )


def search_candidates(
    search: Callable[[int], SearchResult],
    query: str,
    k: int,
    active: ServedReranker | None,
    stage: Callable[[str], AbstractContextManager[object]],
    should_stop: ShouldStop,
) -> Reranked:
    """Search, and rerank the candidates; the result may hold more than ``k`` passages.

    :param search: finds a number of passages.
    :param active: see :func:`active_on`.
    :param stage: measures a stage by its name.
    """
    with stage("search"):
        result = search(depth_of(k, active))
    if active is None:
        return Reranked(result)
    should_stop()
    left_s = should_stop.remaining() if isinstance(should_stop, Stop) else None
    with stage("rerank"):
        return active.reranking.apply(query, result, left_s)


def depth_of(k: int, active: ServedReranker | None) -> int:
    """Return how many passages to search for, of which the best ``k`` are wanted."""
    return k if active is None else min(MAX_K, active.reranking.depth(k))


def active_on(
    calibration: Mapping[str, JSON], served: ServedReranker | None, mode: RerankMode
) -> ServedReranker | None:
    """Return the reranker if a request uses it on a store.

    :raises Conflict: if the request asks for one, and there is none.
    """
    if mode is RerankMode.ON:
        return require_reranker(served)
    if served is None or mode is RerankMode.OFF or not served.is_used_on(calibration):
        return None
    return served


def require_reranker(served: ServedReranker | None) -> ServedReranker:
    """Return the reranker.

    :raises Conflict: if there is none.
    """
    if served is None:
        raise Conflict(
            "rerank: no reranker is set; start with --reranker NAME", reason="RERANKER_OFF"
        )
    return served


def rank_texts(
    request: RerankRequest, served: ServedReranker | None, should_stop: ShouldStop
) -> RerankResult:
    """Rank texts by the reranker's scores.

    :raises InvalidArgument: if a text is too long and may not be cut.
    """
    check_rerank(request)
    reranker = require_reranker(served).reranking.reranker
    if not request.truncate:
        longest = max(reranker.count_tokens(request.query, request.texts))
        if longest > reranker.max_tokens:
            raise invalid(
                "texts",
                f"has one of {longest:,} tokens with the query, and the reranker reads "
                f"{reranker.max_tokens:,}; shorten it or set truncate",
            )
    scores: list[float] = []
    for start in range(0, len(request.texts), _PORTION):
        should_stop()
        scores += reranker.score(request.query, request.texts[start : start + _PORTION]).tolist()
    if not request.raw_scores:
        scores = logistic(scores).tolist()
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    texts = request.texts if request.return_text else [""] * len(scores)
    return RerankResult(
        tuple(Rank(place, scores[place], texts[place]) for place in order), reranker.name
    )
