"""Words that speak for a domain, from how many of its texts hold them.

The idea is that of SS3 (Burdisso et al. 2019): each word has a value for each domain, learnt from
counts alone, which a person can read. The value is the log odds of a word in the domain against the
others, in standard deviations (Monroe et al. 2008), which also works for two domains, where the
median that SS3 compares with says nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, float]
"""Value of words, largest first."""

MOST_WORDS = 1500
"""Of a domain: six domains take 170 kB as JSON at most."""

_FEWEST_TEXTS = 3  # that hold a word; one text's quirk speaks for nothing
_COMMON = 0.1  # of the other groups' texts; what more of them hold speaks for nothing
_PRIOR = 1.0  # occurrences of an average word, as in all texts, that each side has beforehand
_CLEAR = 2.0  # standard deviations
_LONGEST = 24
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019-](?=[^\W\d_]))+")


def words_of(text: str) -> list[str]:
    """Different words of a text, of two letters to 24, in lower case, in their order."""
    found = dict.fromkeys(word.lower() for word in _WORD.findall(text))
    return [word for word in found if len(word) <= _LONGEST]


def telling_words(groups: Sequence[Iterable[str]], most: int = MOST_WORDS) -> list[Weights]:
    """Words that speak for each group of texts against all others, most telling first.

    Values are standard deviations of the log odds: from 2 on. A single group has none.
    """
    counted = [_count(texts) for texts in groups]
    total: Counter[str] = Counter()
    for group in counted:
        total.update(group.holding)
    vocabulary = sorted(word for word, count in total.items() if count >= _FEWEST_TEXTS)
    everywhere = np.array([total[word] for word in vocabulary], dtype=np.float64)
    texts = sum(group.texts for group in counted)
    return [_weights(vocabulary, group, everywhere, texts, most) for group in counted]


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of a group: by word, how many texts hold it, and how many texts there are."""

    holding: Counter[str]
    texts: int


def _count(texts: Iterable[str]) -> _Counts:
    holding: Counter[str] = Counter()
    number = 0
    for text in texts:
        holding.update(words_of(text))
        number += 1
    return _Counts(holding, number)


def _weights(
    vocabulary: Sequence[str],
    group: _Counts,
    everywhere: NDArray[np.float64],
    texts: int,
    most: int,
) -> Weights:
    """Compare a group with the rest, by the share that a word has of all words.

    The share of texts would make "of" and "the" speak for the domain of the longest texts.
    """
    if not 0 < group.texts < texts or not vocabulary:
        return {}
    here = np.array([group.holding[word] for word in vocabulary], dtype=np.float64)
    there = everywhere - here
    prior = everywhere / everywhere.sum() * len(vocabulary) * _PRIOR
    words_here, words_there = here.sum() + prior.sum(), there.sum() + prior.sum()
    odds_here = (here + prior) / (words_here - here - prior)
    odds_there = (there + prior) / (words_there - there - prior)
    deviation = np.sqrt(1 / (here + prior) + 1 / (there + prior))
    values = np.log(odds_here / odds_there) / deviation
    values[there > _COMMON * (texts - group.texts)] = 0.0
    order = np.argsort(-values, kind="stable")[:most]
    return {vocabulary[i]: round(float(values[i]), 1) for i in order if values[i] >= _CLEAR}
