"""Chunks of made-up words with frequencies as in real texts, and queries; the same for a seed.

    frequency of the word of rank r: 1 / (r + 2.7)^1.07 (Zipf's law in Mandelbrot's form)

The most frequent word is in nearly all chunks, one word in three in a single one. A word of a query
is as likely to be of rank 30 to 300 as of rank 300 to 3,000: stop words are left out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

WORDS = 400_000
SHORTEST, LONGEST = 60, 180  # words of a chunk
BATCH = 2_000
QUERIES = 500
_EXPONENT, _SHIFT = 1.07, 2.7
_FIRST_RANK = 30
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aiou"]


def word(rank: int) -> str:
    """Spell the word of a rank, from 0: two syllables or more."""
    spelled = ""
    while rank or len(spelled) < 4:
        rank, syllable = divmod(rank, len(_SYLLABLES))
        spelled += _SYLLABLES[syllable]
    return spelled


def batches(chunks: int, seed: int = 0) -> Iterator[list[str]]:
    """Yield the texts of so many chunks, 2,000 at a time."""
    spelled = np.array([word(rank) for rank in range(WORDS)], object)
    shares = np.cumsum((np.arange(WORDS) + 1 + _SHIFT) ** -_EXPONENT)
    for start in range(0, chunks, BATCH):
        draw = np.random.default_rng([seed, start])
        lengths = draw.integers(SHORTEST, LONGEST + 1, min(BATCH, chunks - start))
        ends = np.cumsum(lengths)
        ranks = np.searchsorted(shares, draw.random(int(ends[-1])) * shares[-1])
        words = spelled[ranks].tolist()
        yield [
            " ".join(words[end - length : end])
            for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        ]


def queries(count: int = QUERIES, seed: int = 1) -> list[str]:
    """Return queries of 3 to 8 different words."""
    draw = random.Random(seed)
    spread = WORDS / _FIRST_RANK
    return [
        " ".join(
            dict.fromkeys(
                word(int(_FIRST_RANK * spread ** draw.random())) for _ in range(draw.randint(3, 8))
            )
        )
        for _ in range(count)
    ]
