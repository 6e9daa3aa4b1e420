"""Splits documents into chunks that fit the embedder, at natural breaks.

A chunk is part of one section, so that it has one subject. Its title includes the name of its file
and the headings above it. A section over the budget is split into units, and neighbouring units are
packed up to the budget. A unit is a sentence, a row of a table or a block of code. One that alone
is too long is split: code into lines, a row into cells, then sentences, lines, words and pieces of
words. A chunk ends at the strongest break in the second half of its budget. It is before a heading,
else between paragraphs, else between sentences, rows or lines of code.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import NamedTuple

from expertrag_index.build.atoms import (
    Span,
    atoms,
    cells_of,
    lines_of,
    lines_of_code,
    sentences_of,
    trim,
)
from expertrag_index.build.naming import make_title
from expertrag_index.build.sections import sections
from expertrag_index.types import Chunk, Document, add_title

_ALGORITHM = "structure-4"  # increase it whenever the same input would give other chunks
SMALLEST_BUDGET = 16
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

CountTokens = Callable[[Sequence[str]], list[int]]
Split = Callable[[str, int, int], list[Span]]


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


class _TitledSpan(NamedTuple):
    title: str
    start: int
    end: int


class _Title(NamedTuple):
    text: str
    size: int  # tokens with the line break that follows it, special tokens included


class Chunker:
    """Splits documents into chunks of at most ``max_tokens``, title and special tokens included.

    :param max_tokens: budget of ``Chunk.embedding_text``, at least 16.
    :param count_tokens: counts the tokens of each text, special tokens included.
    :raises ValueError: the budget is too small.
    """

    def __init__(self, max_tokens: int, count_tokens: CountTokens) -> None:
        if max_tokens < SMALLEST_BUDGET:
            raise ValueError(f"max_tokens is {max_tokens}; use at least {SMALLEST_BUDGET}")
        self.max_tokens = max_tokens
        self._count_tokens = count_tokens
        self._special_tokens = count_tokens([""])[0]

    @property
    def fingerprint(self) -> str:
        """Everything that determines where chunks end, except the tokenizer (``structure-4:256``).

        ``Manifest.chunk_tokens`` reads the budget from it.
        """
        return f"{_ALGORITHM}:{self.max_tokens}"

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
            for ordinal, (title, start, end) in enumerate(self._find_spans(document))
        ]

    def _find_spans(self, document: Document) -> Iterator[_TitledSpan]:
        """Yield the spans of all chunks, each with its title."""
        name = make_title(document)
        for section in sections(document.text):
            text = document.text[section.start : section.end]
            title = below = self._title(name, document.title, section.above)
            if section.heading:  # all but the first are below the heading
                below = self._title(name, document.title, (*section.above, section.heading))
            for chunk_title, start, end in self._spans(text, (title, below)):
                yield _TitledSpan(chunk_title, section.start + start, section.start + end)

    def _title(self, name: str, title: str, headings: Sequence[str]) -> str:
        """Append the headings above a chunk, without the title, to the name of its document."""
        below = [heading for heading in headings if heading != title]
        return self._short_title(" > ".join(filter(None, (name, *below))))

    def _spans(self, text: str, titles: tuple[str, str]) -> list[_TitledSpan]:
        """Split a section, given the title of its first chunk and the title of the others."""
        start, end = trim(text, 0, len(text))
        if start == end:
            return []
        texts = [add_title(title, "") for title in titles]
        if end - start <= self.max_tokens * _CHARS_PER_TOKEN:  # it may fit as a whole
            texts.append(add_title(titles[0], text[start:end]))
        first, rest, *whole = self._count_tokens(texts)
        if whole and whole[0] <= self.max_tokens:
            return [_TitledSpan(titles[0], start, end)] if whole[0] > first else []
        budget = max(1, self.max_tokens - max(first, rest))
        packed = self._pack(self._units(text, budget), budget)
        return self._verify(text, packed, _Title(titles[0], first), _Title(titles[1], rest))

    def _short_title(self, title: str) -> str:
        title = " ".join(title.split())
        budget = self.max_tokens // _TITLE_SHARE
        if len(title.encode(errors="replace")) <= budget or self._size_all([title])[0] <= budget:
            return title  # no token is shorter than a byte, so most titles need no count
        return title[: self._pack(self._units(title, budget), budget)[0][-1].end]

    def _units(self, text: str, budget: int) -> list[_Unit]:
        """Split into sentences, rows and blocks of code, and finer where one exceeds the budget."""
        spans = atoms(text)
        breaks = [_Break.PARAGRAPH] * bool(spans)
        breaks += [_break_before(text, end, start) for (_, end), (start, _) in pairwise(spans)]
        units = self._measure(text, spans, breaks)
        for split, inner in _FINER:
            units = self._refine(text, units, budget, split, inner)
        while any(unit.size > budget and unit.end - unit.start > 1 for unit in units):
            units = self._refine(text, units, budget, _halves, _Break.PIECE)
        return units

    def _refine(
        self, text: str, units: list[_Unit], budget: int, split: Split, inner: _Break | None
    ) -> list[_Unit]:
        """Replace the units that exceed the budget by their parts.

        :param inner: the break between parts; None for what the gap between them says.
        """
        if all(unit.size <= budget for unit in units):
            return units
        parts = {unit: split(text, unit.start, unit.end) for unit in units if unit.size > budget}
        spans = [span for unit_spans in parts.values() for span in unit_spans]
        breaks: list[_Break] = []
        for unit, unit_spans in parts.items():
            breaks.append(unit.before)
            for (_, end), (start, _) in pairwise(unit_spans):
                breaks.append(_gap(text[end:start]) if inner is None else inner)
        fine = iter(self._measure(text, spans, breaks))
        refined: list[_Unit] = []
        for unit in units:
            if unit in parts:
                refined += [next(fine) for _ in parts[unit]]
            else:
                refined.append(unit)
        return refined

    def _measure(self, text: str, spans: Sequence[Span], breaks: Sequence[_Break]) -> list[_Unit]:
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

    def _count(self, texts: Iterable[str]) -> list[int]:
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

    def _pack(self, units: Sequence[_Unit], budget: int) -> list[Sequence[_Unit]]:
        """Pack units greedily; token counts of neighbours add up, or nearly so (see _verified)."""
        total = [0, *accumulate(unit.size for unit in units)]
        ends = [unit.end for unit in units]
        packed: list[Sequence[_Unit]] = []
        first = 0
        while first < len(units):
            start = units[first].start
            stop = bisect_right(total, total[first] + budget) - 1
            stop = min(stop, bisect_right(ends, start + budget * _CHARS_PER_TOKEN))
            stop = max(stop, first + 1)
            if stop < len(units):
                stop = _best_stop(units, total, first, stop, budget)
            packed.append(units[first:stop])
            first = stop
        return packed

    def _verify(
        self, text: str, packed: list[Sequence[_Unit]], first: _Title, rest: _Title
    ) -> list[_TitledSpan]:
        """Count the chunks as they will be embedded, and split those over the budget.

        With word-piece tokenizers none is over it: their counts add up. Byte-pair and unigram
        tokenizers also count the white space between units.
        """
        start = packed[0][0].start
        done: list[_TitledSpan] = []
        while packed:
            titles = [first if units[0].start == start else rest for units in packed]
            spans = [(units[0].start, units[-1].end) for units in packed]
            texts = (
                add_title(title.text, text[slice(*span)])
                for title, span in zip(titles, spans, strict=True)
            )
            too_long: list[Sequence[_Unit]] = []
            counts = self._count(texts)
            for title, units, span, count in zip(titles, packed, spans, counts, strict=True):
                if count > self.max_tokens and span[1] - span[0] > 1:
                    too_long += self._smaller(text, units, count - self.max_tokens)
                elif count > title.size:
                    done.append(_TitledSpan(title.text, *span))
            packed = too_long
        return sorted(done, key=lambda span: span.start)

    def _smaller(self, text: str, units: Sequence[_Unit], excess: int) -> list[Sequence[_Unit]]:
        """Split a chunk that is over the budget by ``excess`` tokens."""
        if len(units) > 1:
            return self._pack(units, max(1, sum(unit.size for unit in units) - excess))
        (unit,) = units
        halves = _halves(text, unit.start, unit.end)
        return [[_Unit(start, end, unit.size, _Break.PIECE)] for start, end in halves]


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
    """Classify the break between a unit that ends at ``end`` and the next, at ``start``."""
    gap = text[end:start]
    if "\n" in gap and _HEADING.match(text, start):
        return _Break.HEADING
    return _gap(gap)


def _gap(gap: str) -> _Break:
    return _Break.PARAGRAPH if gap.count("\n") > 1 or "\f" in gap else _Break.SENTENCE


def _words(text: str, start: int, end: int) -> list[Span]:
    return [match.span() for match in _WORD.finditer(text, start, end)]


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
        span = trim(text, left, right)
        if span[0] < span[1]:
            spans.append(span)
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


_FINER: tuple[tuple[Split, _Break | None], ...] = (
    (lines_of_code, None),
    (cells_of, _Break.LINE),
    (sentences_of, _Break.LINE),
    (lines_of, _Break.LINE),
    (_words, _Break.WORD),
    (_pieces, _Break.PIECE),
)
"""How units that are too long are split, one after the other, and the break between their parts."""
