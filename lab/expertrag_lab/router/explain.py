"""Explains a routing in one sentence, with the evidence for it.

The router decides on hidden states, not on words. The words are separate evidence: those words of
the text that occur more often in the domain's training texts than in the other domains'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from expertrag_index.types import FloatArray
from expertrag_lab.router.words import words_of
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.router.router import DomainRouter, choose, of_experts

_SHOWN_WORDS = 5


@dataclass(frozen=True, slots=True)
class WordEvidence:
    """A word that indicates a domain, and by how many standard deviations."""

    word: str
    value: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The nearest prototype: its domain, its most characteristic words, and its distance."""

    domain: str
    words: tuple[str, ...]
    distance: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A routing and the evidence for it.

    ``domain``: the most likely one, "general" for none. ``posterior``: by domain, "general" last.
    ``experts``: weights of the one or two experts used, "general" for the base model. ``words``:
    words of the text that indicate ``domain``, or the domain of ``nearest`` if ``domain`` is
    "general". ``reach``: the distance up to which texts count as known.
    """

    domain: str
    posterior: Mapping[str, float]
    experts: Mapping[str, float]
    words: tuple[WordEvidence, ...]
    nearest: Neighbour
    reach: float
    sentence: str


def explain(
    router: DomainRouter,
    text: str,
    pooled: FloatArray,
    allowed: Collection[str] | None = None,
    experts: int | None = None,
) -> Explanation:
    """Route one text by its mean hidden states (H,), and explain the result.

    :param allowed: as for :meth:`DomainRouter.posterior`.
    :param experts: the first ``experts`` domains of the router have an expert; None: all have one.
    """
    served = router.domains[:experts]
    states = torch.from_numpy(np.asarray(pooled, dtype=np.float32)).unsqueeze(0)
    rows = router.posterior(states, allowed)  # [1, D + 1]
    names = (*router.domains, GENERAL)
    choice = choose(of_experts(rows, len(served)))
    weights = {
        (*served, GENERAL)[i]: weight
        for i, weight in zip(choice.index[0].tolist(), choice.weights[0].tolist(), strict=True)
        if weight > 0
    }
    domain = names[int(rows[0].argmax())]
    nearest = _nearest(router, states, domain, allowed)
    words = _words(router, text, nearest.domain)
    posterior = dict(zip(names, rows[0].tolist(), strict=True))
    return Explanation(
        domain=domain,
        posterior=posterior,
        experts=weights,
        words=words,
        nearest=nearest,
        reach=router.reach,
        sentence=_sentence(domain, posterior, weights, words, nearest, router.reach, served),
    )


def _nearest(
    router: DomainRouter, states: torch.Tensor, domain: str, allowed: Collection[str] | None
) -> Neighbour:
    """Nearest prototype of the chosen domain; if none is chosen, of the allowed domains.

    If no domain is allowed, of all domains: it still shows what the text is like.
    """
    candidates = [name for name in router.domains if allowed is None or name in allowed]
    wanted = {domain} if domain != GENERAL else set(candidates or router.domains)
    distance = router.distances(states)[0]
    foreign = torch.tensor([router.domains[i] not in wanted for i in router.owner.tolist()])
    place = int(distance.masked_fill(foreign.to(distance.device), float("inf")).argmin())
    listed = router.evidence.prototypes
    return Neighbour(
        domain=router.domains[int(router.owner[place])],
        words=listed[place] if place < len(listed) else (),
        distance=float(distance[place]),
    )


def _words(router: DomainRouter, text: str, domain: str) -> tuple[WordEvidence, ...]:
    values = router.evidence.words.get(domain, {})
    evidence = [WordEvidence(word, values[word]) for word in words_of(text) if word in values]
    return tuple(sorted(evidence, key=lambda item: -item.value)[:_SHOWN_WORDS])


def _sentence(
    domain: str,
    posterior: Mapping[str, float],
    experts: Mapping[str, float],
    words: Sequence[WordEvidence],
    nearest: Neighbour,
    reach: float,
    served: Collection[str],
) -> str:
    if domain == GENERAL:
        return _unknown(posterior[GENERAL], nearest, reach)
    listed = _list([f'"{item.word}"' for item in words])
    evidence = f"{listed} {'indicates' if len(words) == 1 else 'indicate'} it"
    near = _list([f'"{word}"' for word in nearest.words[:3]])
    sentence = f"The text is classified as {domain} (probability {posterior[domain]:.2f}): "
    sentence += evidence if words else "no single word indicates it"
    sentence += f", and the nearest texts belong to {domain}"
    sentence += f" with {near}" if near else ""
    second = [name for name in experts if name != domain]
    if domain not in served:
        sentence += "; this domain has no expert, so the base model serves it"
    elif domain not in experts:
        sentence += "; the base model serves it: the domains without an expert are more likely"
    elif second:
        helper = "the base model" if second[0] == GENERAL else f"the expert of {second[0]}"
        sentence += f"; because this is uncertain, {helper} has a share of {experts[second[0]]:.2f}"
    return f"{sentence}."


def _unknown(probability: float, nearest: Neighbour, reach: float) -> str:
    start = f"The text belongs to none of the domains (probability {probability:.2f}): "
    where = f"{nearest.distance:.2f} from the nearest texts, which belong to {nearest.domain}"
    if nearest.distance <= reach:
        return f"{start}no other domain may be chosen, although it is only {where}."
    return f"{start}it is {where}, and the limit is {reach:.2f}; the base model serves it."


def _list(items: Sequence[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
