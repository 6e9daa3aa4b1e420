"""Route a question to experts: the posterior of the embedder's router, computed once.

It is a signal for the gate, selects the language-model expert, and is recorded in the decision and
in the audit log. Search does not use it: every partition is searched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expertrag.api.types import AnswerRequest, GateMode
from expertrag.llm.base import BASE, SHARED
from expertrag.runtime.meter import Meter
from expertrag_retriever.gate.domains import domain_probabilities

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder


@dataclass(frozen=True, slots=True)
class Route:
    """The route of a question.

    ``domains``: probability of each domain, with "general" for none; empty if the embedder has no
    experts. ``expert``: name of the language-model expert that answers from the documents; None if
    there is none. ``pattern``: domain of the expert pattern that answers; None for all experts.
    """

    domains: Mapping[str, float] = field(default_factory=dict)
    expert: str | None = None
    pattern: str | None = None

    @property
    def answers(self) -> str | None:
        """Name of the expert or pattern that answers; a model has one of both kinds, or none."""
        return self.expert or self.pattern


def route(
    embedder: SentenceTransformerEmbedder,
    request: AnswerRequest,
    experts: Collection[str],
    meter: Meter,
    patterns: Collection[str] = (),
) -> Route:
    """Route a question.

    Closed book is not routed, unless language-model experts or patterns also answer closed book.

    :param experts: names of the language-model experts.
    :param patterns: domains that have an expert pattern.
    """
    domains: Mapping[str, float] = {}
    closed_book = patterns or (experts and BASE not in experts)
    looks = request.mode is not GateMode.NEVER or closed_book
    if embedder.experts and looks:
        with meter.stage("route"):
            (domains,) = domain_probabilities(embedder, [request.question])
    likeliest = max(domains, key=domains.__getitem__) if domains else ""
    wanted = request.domain or likeliest
    expert = wanted if wanted in experts else SHARED
    pattern = wanted if wanted in patterns else None
    return Route(domains, expert if experts else None, pattern)
