"""Pseudo-queries: sentences of a store's own chunks that serve as queries about it."""

from __future__ import annotations

import random

from expertrag_index.words.sentences import spans

_MOST_WORDS = 20


def pseudo_query(text: str, seed: int) -> str:
    """Pick one sentence of a text, cut to a query's length; empty for a text without sentences."""
    sentences = [text[start:end].split() for start, end in spans(text)]
    if not sentences:
        return ""
    return " ".join(random.Random(seed).choice(sentences)[:_MOST_WORDS])
