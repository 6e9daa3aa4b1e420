"""Texts of three made-up domains, and hidden states that separate them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from expertrag_index.types import FloatArray

HIDDEN = 24
WORDS = {
    "legal": ["tenant", "lease", "clause", "court", "notice", "contract", "liability", "statute"],
    "finance": ["stock", "bond", "dividend", "revenue", "broker", "margin", "interest", "equity"],
    "medicine": ["patient", "dose", "symptom", "therapy", "tumour", "nurse", "infection", "fever"],
}
COMMON = ["please", "tell", "about", "every", "other", "thing", "that", "people", "often", "want"]
UNKNOWN = ["galaxy", "comet", "telescope", "orbit", "nebula", "planet", "eclipse", "meteor"]


def make_texts(words: Sequence[str], count: int, seed: int) -> list[str]:
    """Distinct texts of three characteristic and three common words each, and a number."""
    rng = random.Random(seed)
    return [
        " ".join([*rng.sample(words, 3), *rng.sample(COMMON, 3), str(place)])
        for place in range(count)
    ]


def pool(texts: Sequence[str]) -> FloatArray:
    """Sum a fixed random direction per word, so that states encode what a text is about."""
    rng = np.random.default_rng(7)
    vocabulary = [*COMMON, *UNKNOWN, *(word for some in WORDS.values() for word in some)]
    topics = {word: rng.normal(size=HIDDEN) * 0.4 for word in vocabulary}
    for some in (UNKNOWN, *WORDS.values()):
        topic = rng.normal(size=HIDDEN)
        for word in some:
            topics[word] = topics[word] + topic
    rows = [
        sum((topics[word] for word in text.split() if word in topics), np.zeros(HIDDEN))
        for text in texts
    ]
    return np.asarray(rows, dtype=np.float32).reshape(len(texts), HIDDEN)


TEXTS = {name: make_texts(words, 120, 1) for name, words in WORDS.items()}
FRESH = {name: make_texts(words, 60, 2) for name, words in WORDS.items()}
OF_NO_DOMAIN = make_texts(UNKNOWN, 60, 3)
