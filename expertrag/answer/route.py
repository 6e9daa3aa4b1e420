"""Which experts a question is for: the posterior of the embedder's router, taken once a question.

The gate looks at it, the language model's expert is chosen by it, and it stands in the decision and
in the audit log. Search takes nothing from it: every partition is searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    embedder: SentenceTransformerEmbedder, question: str, *, domain: str | None, experts: bool
) -> Route:
    """Route a question.

    :param domain: the caller's choice of the language model's expert, if any.
    :param experts: whether the language model has experts by domain.
    """
    (domains,) = domain_probabilities(embedder, [question])
    if domain or not experts:
        return Route(domains, domain)
    return Route(domains, max(domains, key=domains.__getitem__) if domains else GENERAL)
