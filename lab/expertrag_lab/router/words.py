"""Words that indicate a domain, from the number of its texts that contain them.

The idea is from SS3 (Burdisso et al. 2019): each word has a human-readable value for each
domain, learned from counts alone. The value is the log odds of the word in the domain against the
others, in standard deviations (Monroe et al. 2008). Unlike the median that SS3 compares with, it
also works for two domains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expertrag_index.words.patterns import VOCABULARY_WORD

Weights = Mapping[str, float]
"""Values by word, largest first."""

MOST_WORDS = 1500
"""Most words per domain; six domains take at most 170 kB as JSON."""

_FEWEST_TEXTS = 3  # a word in fewer texts is ignored: one text's quirk is not evidence
_COMMON = 0.1  # a word in a larger share of the other groups' texts is ignored
_PRIOR = 1.0  # prior pseudo-count of an average word on each side, distributed as in all texts
_CLEAR = 2.0  # least value that counts, in standard deviations
_LONGEST = 24


def words_of(text: str) -> list[str]:
    """Distinct words of a text, of 2 to 24 letters, in lower case, in order of appearance."""
    words = dict.fromkeys(word.lower() for word in VOCABULARY_WORD.findall(text))
    return [word for word in words if len(word) <= _LONGEST]


def telling_words(groups: Sequence[Iterable[str]], most: int = MOST_WORDS) -> list[Weights]:
    """Words that distinguish each group of texts from all others, most distinctive first.

    Values are standard deviations of the log odds, at least 2. A single group has none.
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
    """Counts of a group: the number of texts that contain each word, and of all texts."""

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
    """Compare a group with the rest, by each word's share of all words.

    By its share of all texts, "of" and "the" would indicate the domain with the longest texts.
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
