"""What of a document is shown to the model: the sentences that may hold an attribute.

Of the speed of a scan, nearly all is the length of these texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from expertrag.answer.scan.periods import Period
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.values import Kind, Quantity, WrittenValue, find_mentions
from expertrag_index.types import FloatArray
from expertrag_index.words import sentences
from expertrag_index.words.language import is_english
from expertrag_index.words.query_words import STOP_WORDS

MOST_CHARACTERS = 420
"""Of an excerpt with marked values, but for one sentence that is longer."""
_MOST_ASKED_CHARACTERS = 280
"""Of an excerpt in English that is asked a question of yes or no. Yes and no were as far apart with
220 characters as with 420, in half the time. But of 36 contracts, 280 lack the sentence about their
renewal in none, and 220 in three. Of a text in another language, which an English embedder
compares badly, as much is shown as of values."""
MOST_MENTIONS = 16
_MOST_ENCODED = 48
"""Sentences of one document that are compared by meaning; of longer ones, those with most common
words are."""
_LONGEST_SENTENCE = 500
_OVERLAP = 0.4  # weight of common words against a cosine
_BEGINNING = 6  # letters
_LEAST_MONTHS = 1
_WORD = re.compile(r"\w+")

Encode = Callable[[Sequence[str]], FloatArray]
"""Encodes texts as vectors [N, D] of length 1."""
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Sentences of a document in their order, and the values in them; places are the document's.

    ``best``: the sentence that is most like what is asked.
    """

    text: str
    spans: tuple[Span, ...]
    mentions: tuple[WrittenValue, ...] = ()
    best: Span = (0, 0)

    def quote(self, place: int) -> str:
        """Return the sentence that a place of the document is in; "" if it is in none."""
        return next((self.text[a:b] for a, b in self.spans if a <= place < b), "")

    def mark_values(self, label: Callable[[int], str]) -> str:
        """Return the sentences with a label before each value, from 0 on."""
        pieces, number = [], 0
        for start, end in self.spans:
            position = start
            for mention in self.mentions:
                if start <= mention.start < end:
                    pieces.append(self.text[position : mention.start] + label(number))
                    position, number = mention.start, number + 1
            pieces.append(self.text[position:end] + " ")
        return "".join(pieces).strip()

    @property
    def plain(self) -> str:
        """The sentences as they are."""
        return " ".join(self.text[start:end] for start, end in self.spans)


def find_options(text: str, kind: Kind) -> list[WrittenValue]:
    """Find the values of a kind that an attribute may have, and the dates that follow from them.

    "24 months from 1 March 2024" is an end date: a duration in the sentence of one date.
    """
    found = find_mentions(text, kind)
    if kind is not Kind.DATE:
        return found
    derived: list[WrittenValue] = []
    durations = find_mentions(text, Kind.DURATION)
    for start, end in _sentences(text) if durations else ():
        dates = [m for m in found if start <= m.start < end]
        if len(dates) == 1:
            within = [m for m in durations if start <= m.start < end]
            derived += [m for d in within if (m := _follow(d, dates[0]))]
    return sorted([*found, *derived], key=lambda mention: mention.start)


def excerpt_of(
    text: str,
    attribute: Attribute,
    options: Sequence[WrittenValue],
    focus: Sequence[Span],
    encode: Encode,
) -> Excerpt:
    """Choose the sentences of a document to show.

    :param options: values that the attribute may have; empty for a name, and for yes or no.
    :param focus: parts of a long document that a search has found.
    """
    spans = _sentences(text)
    if options:
        spans = [s for s in spans if any(s[0] <= m.start < s[1] for m in options)]
    elif focus and len(spans) > _MOST_ENCODED:
        near = [s for s in spans if any(a < s[1] and s[0] < b for a, b in focus)]
        spans = near or spans
    asked = attribute.kind is Kind.YESNO and is_english(text) is not False
    most = _MOST_ASKED_CHARACTERS if asked else MOST_CHARACTERS
    chosen, best = _best_sentences(text, spans, _query_of(attribute), encode, most)
    shown = [m for m in options if any(a <= m.start < b for a, b in chosen)][:MOST_MENTIONS]
    return Excerpt(text, tuple(chosen), tuple(shown), best)


def _query_of(attribute: Attribute) -> str:
    if attribute.kind is Kind.NAME and attribute.condition:
        return f"{attribute.name} {attribute.condition.words}"
    return attribute.name


def _sentences(text: str) -> list[Span]:
    result: list[Span] = []
    for start, end in sentences.spans(text):
        while end - start > _LONGEST_SENTENCE:  # a table, or a text without stops
            cut = text.rfind(" ", start + 1, start + _LONGEST_SENTENCE)
            cut = cut if cut > start else start + _LONGEST_SENTENCE
            result.append((start, cut))
            start = cut
        result.append((start, end))
    return result


def _best_sentences(
    text: str, spans: Sequence[Span], asked: str, encode: Encode, most: int
) -> tuple[list[Span], Span]:
    """Return the sentences that fit, in order, and the one that is most like what is asked."""
    if not spans:
        return [], (0, 0)
    if len(spans) == 1:
        return list(spans), spans[0]
    common = _overlaps(asked, [text[a:b] for a, b in spans])
    if len(spans) > _MOST_ENCODED:
        order = sorted(range(len(spans)), key=lambda n: -common[n])[:_MOST_ENCODED]
        spans, common = [spans[n] for n in order], [common[n] for n in order]
    vectors = encode([asked, *(text[a:b] for a, b in spans)])
    scores = vectors[1:] @ vectors[0] + _OVERLAP * np.array(common, np.float32)
    order = np.argsort(-scores, kind="stable").tolist()
    chosen: list[Span] = []
    left = most
    for number in order:
        start, end = spans[number]
        if chosen and end - start > left:
            continue
        chosen.append((start, end))
        left -= end - start
    return sorted(chosen), spans[order[0]]


def _overlaps(asked: str, parts: Sequence[str]) -> list[float]:
    """Return the shares of the words of what is asked that sentences have.

    A word counts less, the more of the sentences have it: all of a contract name the agreement.
    Words are compared by their beginnings, which many languages share.
    """
    wanted = _beginnings(asked)
    held = [_beginnings(part) for part in parts]
    weights = {
        word: math.log((len(parts) + 1) / (sum(word in some for some in held) + 0.5))
        for word in wanted
    }
    total = sum(weights.values())
    return [sum(weights[word] for word in wanted & some) / total if total else 0 for some in held]


def _beginnings(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {word[:_BEGINNING] for word in words if len(word) > 2 and word not in STOP_WORDS}


def _follow(duration: WrittenValue, start: WrittenValue) -> WrittenValue | None:
    """Return the date at which a duration ends that begins at another date."""
    amount, period = duration.normal, start.normal
    if not isinstance(amount, Quantity) or not isinstance(period, Period):
        return None
    if amount.unit != "mo" or amount.number < _LEAST_MONTHS or period.first != period.last:
        return None
    end = period.after_months(int(amount.number))
    return replace(duration, normal=end, derived=True) if end else None
