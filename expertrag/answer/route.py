"""Which experts a question is for: the posterior of the embedder's router, taken once a question.

The gate looks at it, the language model's expert is chosen by it, and it stands in the decision and
in the audit log. Search takes nothing from it: every partition is searched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expertrag.api.types import AnswerRequest, GateMode
from expertrag.llm.base import BASE
from expertrag.runtime.meter import Meter
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.domains import domain_probabilities

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder


@dataclass(frozen=True, slots=True)
class Route:
    """Where a question goes.

    ``domains``: probability of each domain, of none as "general"; empty of an embedder without
    experts. ``expert``: name of the language model's expert that answers from the documents; None
    where it has none.
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

    Closed book takes no route, unless the language model's domains answer there, too.

    :param experts: names of the language model's experts.
    """
    domains: Mapping[str, float] = {}
    looks = request.mode is not GateMode.NEVER or (experts and BASE not in experts)
    if embedder.experts and looks:
        with meter.stage("route"):
            (domains,) = domain_probabilities(embedder, [request.question])
    if request.domain or not experts:
        return Route(domains, request.domain)
    return Route(domains, max(domains, key=domains.__getitem__) if domains else GENERAL)
