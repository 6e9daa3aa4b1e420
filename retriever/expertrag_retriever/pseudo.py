"""Pseudo-queries: sentences of a store's own chunks, which stand for queries about it."""

from __future__ import annotations

import random

from expertrag_index.sentences import spans

_MOST_WORDS = 20


def pseudo_query(text: str, seed: int) -> str:
    """One sentence of a text, cut to the length of a query; empty for a text without any."""
    sentences = [text[start:end].split() for start, end in spans(text)]
    if not sentences:
        return ""
    return " ".join(random.Random(seed).choice(sentences)[:_MOST_WORDS])
