"""Learns the words that explain a router's choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from expertrag_lab.router.words import telling_words
from expertrag_retriever.router.evidence import DomainEvidence

_PROTOTYPE_WORDS = 6


def gather(
    texts: Mapping[str, Sequence[str]], nearest: NDArray[np.int64], owner: Sequence[int]
) -> DomainEvidence:
    """Learn the words of domains and prototypes.

    :param texts: texts by domain, N in total.
    :param nearest: (N,) prototype of each text, one of its own domain.
    :param owner: (P,) domain of each prototype.
    """
    values = telling_words(list(texts.values()))
    words = dict(zip(texts, values, strict=True))
    flat = [text for group in texts.values() for text in group]
    prototypes: list[tuple[str, ...]] = [()] * len(owner)
    for label, domain in enumerate(texts):
        members = [prototype for prototype, other in enumerate(owner) if other == label]
        groups = [
            [flat[row] for row in np.flatnonzero(nearest == prototype)] for prototype in members
        ]
        distinctive = telling_words(groups, _PROTOTYPE_WORDS)
        for prototype, telling in zip(members, distinctive, strict=True):
            best = telling or words[domain]  # a domain with one prototype: use the domain's words
            prototypes[prototype] = tuple(best)[:_PROTOTYPE_WORDS]
    return DomainEvidence(words, tuple(prototypes))
