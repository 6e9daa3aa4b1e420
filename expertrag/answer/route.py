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
    there is none.
    """

    domains: Mapping[str, float] = field(default_factory=dict)
    expert: str | None = None


def route(
    embedder: SentenceTransformerEmbedder,
    request: AnswerRequest,
    experts: Collection[str],
    meter: Meter,
) -> Route:
    """Route a question.

    Closed book is not routed, unless language-model experts also answer closed book.

    :param experts: names of the language-model experts.
    """
    domains: Mapping[str, float] = {}
    looks = request.mode is not GateMode.NEVER or (experts and BASE not in experts)
    if embedder.experts and looks:
        with meter.stage("route"):
            (domains,) = domain_probabilities(embedder, [request.question])
    if not experts:
        return Route(domains)
    likeliest = max(domains, key=domains.__getitem__) if domains else SHARED
    wanted = request.domain or likeliest
    return Route(domains, wanted if wanted in experts else SHARED)
