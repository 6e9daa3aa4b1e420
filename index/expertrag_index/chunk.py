"""Splits documents into chunks that fit the embedder, at natural breaks.

A chunk is part of one section, so that it has one subject, and its title includes the headings
above it. A section over the budget is split into units (sentences; lines, words and pieces of words
if a sentence alone is too long), and neighbouring units are packed up to the budget. A chunk ends
at the strongest break in the second half of its budget: before a heading, else between paragraphs,
else between sentences.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

from expertrag_index import sentences
from expertrag_index.sections import sections
from expertrag_index.types import Chunk, Document

_ALGORITHM = "structure-2"  # increase it whenever the same input would give other chunks
_SMALLEST_BUDGET = 16
_CHARS_PER_TOKEN = 16
"""Cap on characters per token, because a tokenizer may encode a megabyte without spaces as one
unknown token. English has about 4.5 characters per token, so the cap never affects readable text.
"""
_PIECE_CHARS = 64
_TITLE_SHARE = 4  # a title may take a quarter of the budget; it is cut to that
_TAIL_SHARE = 4  # a last chunk under a quarter of the budget is balanced with the one before
_BATCH_CHARS = 1 << 18  # characters tokenized in one call: bounds the tokenizer's memory

_HEADING = re.compile(r"#{1,6}[^\S\n]")
_WORD = re.compile(r"\S+")
_LINE = re.compile(r"\S(?:.*\S)?")

CountTokens = Callable[[Sequence[str]], list[int]]
Span = tuple[int, int]


class _Break(IntEnum):
    """How natural it is to cut before a unit."""

    PIECE = 0
    WORD = 1
    LINE = 2
    SENTENCE = 3
    PARAGRAPH = 4
    HEADING = 5


class _Unit(NamedTuple):
    start: int
    end: int
    size: int  # tokens, special tokens not included
    before: _Break


class Chunker:
    """Splits documents into chunks of at most ``max_tokens``, title and special tokens included.

    :param max_tokens: budget of ``Chunk.embedding_text``, at least 16.
    :param count_tokens: counts the tokens of each text, special tokens included.
    :param overlap_sentences: units that a chunk repeats from the end of the one before.
    :raises ValueError: the budget is too small.
    """

    def __init__(
        self, max_tokens: int, count_tokens: CountTokens, *, overlap_sentences: int = 0
    ) -> None:
        if max_tokens < _SMALLEST_BUDGET:
            raise ValueError(f"max_tokens is {max_tokens}; use at least {_SMALLEST_BUDGET}")
        if overlap_sentences < 0:
            raise ValueError(f"overlap_sentences is {overlap_sentences}; use 0 or more")
        self.max_tokens = max_tokens
        self._count_tokens = count_tokens
        self._overlap = overlap_sentences
        self._special_tokens = count_tokens([""])[0]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that determines where chunks end, except the tokenizer."""
        settings = f"{_ALGORITHM}:{self.max_tokens}:{self._overlap}"
        return hashlib.sha256(settings.encode()).hexdigest()[:16]

    def split(self, document: Document) -> list[Chunk]:
        """Split a document.

        :return: chunks in order, with ``chunk.text == document.text[chunk.start:chunk.end]``; none
            for a document of only white space or characters that the tokenizer drops.
        """
        return [
            Chunk(
                document_id=document.id,
                ordinal=ordinal,
                text=document.text[start:end],
                start=start,
                end=end,
                title=title,
                domain=document.domain,
                source=document.source,
                metadata=document.metadata,
            )
            for ordinal, (title, start, end) in enumerate(self._titled_spans(document))
        ]

    def _titled_spans(self, document: Document) -> Iterator[tuple[str, int, int]]:
        """Yield the spans of all chunks, each with its title."""
        for section in sections(document.text):
            text = document.text[section.start : section.end]
            title = self._title(document, section.above)
            spans = self._spans(title, text)
            below = title
            if len(spans) > 1 and section.heading:  # all but the first are below the heading
                below = self._title(document, (*section.above, section.heading))
                spans = self._spans(below, text)
            for number, (start, end) in enumerate(spans):
                yield below if number else title, section.start + start, section.start + end

    def _title(self, document: Document, headings: Sequence[str]) -> str:
        """Append the headings above a chunk to the title of its document."""
        below = [heading for heading in headings if heading != document.title]
        return self._short_title(" > ".join(filter(None, (document.title, *below))))

    def _spans(self, title: str, text: str) -> list[Span]:
        prefix = f"{title}\n" if title else ""
        start, end = _trimmed(text)
        if start == end:
            return []
        texts = [prefix]
        if end - start <= self.max_tokens * _CHARS_PER_TOKEN:  # it may fit as a whole
            texts.append(prefix + text[start:end])
        empty, *whole = self._count_tokens(texts)
        if whole and whole[0] <= self.max_tokens:
            return [(start, end)] if whole[0] > empty else []
        budget = max(1, self.max_tokens - empty)
        packed = self._pack(self._units(text, budget), budget)
        return self._verified(prefix, text, packed, empty)

    def _short_title(self, title: str) -> str:
        title = " ".join(title.split())
        budget = self.max_tokens // _TITLE_SHARE
        if len(title.encode(errors="replace")) <= budget or self._size_all([title])[0] <= budget:
            return title  # no token is shorter than a byte, so most titles need no count
        return title[: self._pack(self._units(title, budget), budget)[0][1]]

    def _units(self, text: str, budget: int) -> list[_Unit]:
        """Split into sentences, and into finer units where one alone exceeds the budget."""
        spans = sentences.spans(text)
        breaks = [_Break.PARAGRAPH] * bool(spans)
        breaks += [_break_before(text, end, start) for (_, end), (start, _) in pairwise(spans)]
        units = self._measured(text, spans, breaks)
        units = self._refined(text, units, budget, _lines, _Break.LINE)
        units = self._refined(text, units, budget, _words, _Break.WORD)
        units = self._refined(text, units, budget, _pieces, _Break.PIECE)
        while any(unit.size > budget and unit.end - unit.start > 1 for unit in units):
            units = self._refined(text, units, budget, _halves, _Break.PIECE)
        return units

    def _refined(
        self,
        text: str,
        units: list[_Unit],
        budget: int,
        split: Callable[[str, int, int], list[Span]],
        inner: _Break,
    ) -> list[_Unit]:
        """Replace the units that exceed the budget by their parts."""
        if all(unit.size <= budget for unit in units):
            return units
        parts = {unit: split(text, unit.start, unit.end) for unit in units if unit.size > budget}
        spans = [span for unit_spans in parts.values() for span in unit_spans]
        breaks: list[_Break] = []
        for unit, unit_spans in parts.items():
            breaks += [unit.before] + [inner] * (len(unit_spans) - 1)
        fine = iter(self._measured(text, spans, breaks))
        refined: list[_Unit] = []
        for unit in units:
            if unit in parts:
                refined += [next(fine) for _ in parts[unit]]
            else:
                refined.append(unit)
        return refined

    def _measured(self, text: str, spans: Sequence[Span], breaks: Sequence[_Break]) -> list[_Unit]:
        sizes = self._size_all([text[start:end] for start, end in spans])
        return [
            _Unit(start, end, size, before)
            for (start, end), size, before in zip(spans, sizes, breaks, strict=True)
        ]

    def _size_all(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones, at least the length over ``_CHARS_PER_TOKEN``."""
        longest = self.max_tokens * _CHARS_PER_TOKEN
        wanted = list(dict.fromkeys(text for text in texts if len(text) <= longest))
        counts = dict(zip(wanted, self._count(wanted), strict=True))
        return [
            max(1, -(-len(text) // _CHARS_PER_TOKEN), counts.get(text, 0) - self._special_tokens)
            for text in texts
        ]

    def _count(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        batch: list[str] = []
        chars = 0
        for text in texts:
            batch.append(text)
            chars += len(text)
            if chars >= _BATCH_CHARS:
                counts += self._count_tokens(batch)
                batch, chars = [], 0
        return counts + self._count_tokens(batch) if batch else counts

    def _pack(self, units: Sequence[_Unit], budget: int) -> list[Span]:
        """Pack units greedily; token counts of neighbours add up, or nearly so (see _verified)."""
        total = [0, *accumulate(unit.size for unit in units)]
        ends = [unit.end for unit in units]
        packed: list[Span] = []
        first = 0
        while first < len(units):
            start = units[first].start
            stop = bisect_right(total, total[first] + budget) - 1
            stop = min(stop, bisect_right(ends, start + budget * _CHARS_PER_TOKEN))
            stop = max(stop, first + 1)
            if stop < len(units):
                stop = _best_stop(units, total, first, stop, budget)
            packed.append((start, units[stop - 1].end))
            if stop == len(units):
                break
            first = max(first + 1, stop - self._overlap)
        return packed

    def _verified(self, prefix: str, text: str, candidates: list[Span], empty: int) -> list[Span]:
        """Count the chunks as they will be embedded, and halve those over the budget.

        With word-piece tokenizers none is over it: their counts add up. Byte-pair and unigram
        tokenizers also count the white space between units.
        """
        done: list[Span] = []
        while candidates:
            counts = self._count([prefix + text[start:end] for start, end in candidates])
            too_long: list[Span] = []
            for (start, end), count in zip(candidates, counts, strict=True):
                if count > self.max_tokens and end - start > 1:
                    too_long += _halves(text, start, end)
                elif count > empty:
                    done.append((start, end))
            candidates = too_long
        return sorted(done)


def _best_stop(
    units: Sequence[_Unit], total: Sequence[int], first: int, stop: int, budget: int
) -> int:
    """Choose the end of a chunk: the strongest break in its second half, the last among equals."""
    half = max(first + 1, bisect_left(total, total[first] + budget // 2))
    before_tail = bisect_right(total, total[-1] - budget // _TAIL_SHARE) - 1
    if half <= before_tail:
        stop = min(stop, before_tail)
    return max(range(min(half, stop), stop + 1), key=lambda at: (units[at].before, at))


def _break_before(text: str, end: int, start: int) -> _Break:
    """Classify the break between a sentence that ends at ``end`` and the next, at ``start``."""
    gap = text[end:start]
    if gap == " ":
        return _Break.SENTENCE
    if "\n" in gap and _HEADING.match(text, start):
        return _Break.HEADING
    return _Break.PARAGRAPH if gap.count("\n") > 1 or "\f" in gap else _Break.SENTENCE


def _trimmed(text: str) -> Span:
    start = len(text) - len(text.lstrip())
    return start, start + len(text.strip())


def _lines(text: str, start: int, end: int) -> list[Span]:
    return _matches(_LINE, text, start, end)


def _words(text: str, start: int, end: int) -> list[Span]:
    return _matches(_WORD, text, start, end)


def _matches(pattern: re.Pattern[str], text: str, start: int, end: int) -> list[Span]:
    return [match.span() for match in pattern.finditer(text, start, end)]


def _pieces(text: str, start: int, end: int) -> list[Span]:
    return _cut(text, start, end, range(start + _PIECE_CHARS, end, _PIECE_CHARS))


def _halves(text: str, start: int, end: int) -> list[Span]:
    """Cut before the word that contains the middle, else inside it."""
    middle = (start + end + 1) // 2
    head = text[start:middle]
    words = head.rsplit(maxsplit=1)
    if len(words) == 2 and not head[-1].isspace():
        before_word = middle - len(words[1])
        if before_word - start >= (end - start) // 4:
            return _cut(text, start, end, [before_word])
    return _cut(text, start, end, [middle])


def _cut(text: str, start: int, end: int, positions: Iterable[int]) -> list[Span]:
    edges = [start]
    for position in positions:
        edge = _character_edge(text, edges[-1], position)
        if edge > edges[-1]:
            edges.append(edge)
    spans: list[Span] = []
    for left, right in zip(edges, [*edges[1:], end], strict=True):
        low, high = _trimmed(text[left:right])
        if low < high:
            spans.append((left + low, left + high))
    return spans


def _character_edge(text: str, low: int, position: int) -> int:
    """Move a cut back so that it separates no letter from its marks and no emoji sequence."""
    edge = position
    while edge > low + 1 and (_joins(text[edge]) or text[edge - 1] == "\u200d"):
        edge -= 1
    return edge if edge > low + 1 else position


def _joins(character: str) -> bool:
    return (
        character == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or unicodedata.category(character).startswith("M")
    )
