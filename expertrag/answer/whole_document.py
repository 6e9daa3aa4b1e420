"""Answer about a whole document: its main points, in its own words, each with its place.

The document is chosen by its title, then by the search. Its sentences are compared with each other
by the store's embedder: a point is a sentence that many others are about, or that states values. So
nothing is made up, and a document of 30 pages takes a second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    PassagesEvent,
    TableEvent,
)
from expertrag.api.tables import AnswerTable, Coverage
from expertrag.api.types import Citation, FinishReason, Passage, QuestionScope
from expertrag.queries.vocabulary import same_word, words_of
from expertrag_index.build.atoms import atoms
from expertrag_retriever.search import to_passage

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag_index.types import Chunk, FloatArray

MOST_SENTENCES = 400
"""Most sentences of a document that are compared; of a longer one, every second, third, …"""

FEWEST_POINTS, MOST_POINTS = 4, 16

_CANDIDATES = 30
_SHORTEST, _LONGEST = 25, 400
_VALUE = re.compile(r"\d[\d.,:]*")
_MOST_VALUES = 3
"""Values of a sentence that make it weigh more. Of 12 reports that others wrote, the points held
.67 of the key facts if only the first value counts, and .80 with this."""
_CENTRE_WEIGHT, _RARITY_WEIGHT, _VALUE_WEIGHT, _FIRST_WEIGHT, _DIVERSITY = 0.3, 1.5, 0.3, 0.05, 0.5
_RAREST = 5
"""Rarest words of a sentence that tell how rare it is."""
_TITLE_SHARE = 0.6
"""Share of the words of a title that a question must hold to name the document."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a document: character offsets, the heading above it, whether it comes first."""

    start: int
    end: int
    text: str
    heading: str
    is_first: bool


def find_document(context: AnswerContext) -> str | None:
    """Return the id of the document that a question is about; None for an empty store."""
    request = context.request
    result = context.view.searcher.search(
        request.question,
        k=_CANDIDATES,
        filter=request.filter or None,
        query_vector=context.asked.vectors,
    )
    context.meter.add(retrieval_calls=1, vectors_scanned=result.vectors_scanned)
    asked = [word.folded for word in words_of(request.question)]
    scores: dict[str, float] = {}
    for passage in result.passages:
        named = _share_named(passage, asked)
        score = passage.score + (10 * named if named >= _TITLE_SHARE else 0)
        scores[passage.document_id] = max(scores.get(passage.document_id, 0.0), score)
    return max(scores, key=scores.__getitem__, default=None)


def _share_named(passage: Passage, asked: Sequence[str]) -> float:
    """Return the share of the words of a document's title, or of its file's name, in a question."""
    stem = passage.document_id.rpartition("/")[2].rpartition(".")[0].replace("_", " ")
    shares = []
    for name in (passage.title, stem):
        words = [word.folded for word in words_of(name.replace("-", " ")) if not word.asks]
        if words:
            held = sum(any(same_word(word, other) for other in asked) for word in words)
            shares.append(held / len(words))
    return max(shares, default=0.0)


def answer_about_document(context: AnswerContext, document: str) -> Iterator[AnswerEvent]:
    """Answer with the main points of a document; the last event is a ``DoneEvent``."""
    index = context.view.index
    with context.meter.stage("search"):
        chunks = index.catalog.chunks(document)
        text = index.document_text(document)
        sentences = read_sentences(text)
        step = -(-len(sentences) // MOST_SENTENCES) or 1
        read = sentences[::step]
        context.should_stop()
        vectors = _embed(context, read)
        rarity = [measure_rarity(context, sentence.text) for sentence in read]
        points = [read[at] for at in choose_points(read, vectors, rarity)]
    passages, ranks = _passages_of(chunks, points)
    yield PassagesEvent(passages, index.generation)
    left_out = len(sentences) - len(read)
    reason = f"one of {step} sentences was compared" if left_out else ""
    coverage = Coverage(len(sentences), len(points), len(read), left_out, not left_out, reason)
    title = chunks[0].title if chunks and chunks[0].title else document
    rows = tuple((point.heading, point.text) for point in points)
    query = f"the main points of {document}, chosen by the similarity of its sentences"
    table = AnswerTable(("section", "point"), rows, ((document,),) * len(rows), query)
    yield TableEvent(table, coverage)
    yield from _write(title, points, passages, ranks)
    yield DoneEvent(FinishReason.STOP, 1.0, from_documents=True)


def _embed(context: AnswerContext, sentences: Sequence[Sentence]) -> FloatArray:
    embedder = context.view.embedder
    return embedder.encode_documents([sentence.text for sentence in sentences])


def read_sentences(text: str) -> list[Sentence]:
    """Split a document into its sentences and rows, each below its heading."""
    sentences: list[Sentence] = []
    heading, is_first = "", True
    for start, end in atoms(text):
        part = text[start:end]
        if part.startswith("#"):
            heading, is_first = part.lstrip("# ").strip(), True
            continue
        if _SHORTEST <= len(part) <= _LONGEST:
            sentences.append(Sentence(start, end, part, heading, is_first))
            is_first = False
    return sentences


def measure_rarity(context: AnswerContext, sentence: str) -> float:
    """Return how rare the words of a sentence are in the store, 0 to 1.

    What every report says, such as who discussed what at some length, is made of common words.
    """
    terms = context.view.index.term_statistics(sentence)
    rarest = sorted((term.idf for term in terms), reverse=True)[:_RAREST]
    most = math.log(1 + context.view.index.size) or 1.0
    return sum(rarest) / len(rarest) / most if rarest else 0.0


def choose_points(
    sentences: Sequence[Sentence], vectors: FloatArray, rarity: Sequence[float]
) -> list[int]:
    """Choose the main points, in the order of the document.

    A sentence weighs more if it resembles the document, states a value or opens its section. It
    weighs less if it repeats a chosen one (maximal marginal relevance, Carbonell and Goldstein
    1998), or if its section has points already.

    :param vectors: of the sentences, shape [N, D], normalised.
    :param rarity: of the words of each sentence, 0 to 1.
    """
    if not sentences:
        return []
    centre = vectors.mean(axis=0)
    weights = _CENTRE_WEIGHT * (vectors @ (centre / max(float(np.linalg.norm(centre)), 1e-9)))
    weights = weights + _RARITY_WEIGHT * np.asarray(rarity, np.float32)
    weights = weights + np.array(
        [
            _VALUE_WEIGHT * _count_values(one.text) + _FIRST_WEIGHT * one.is_first
            for one in sentences
        ]
    )
    wanted = min(max(FEWEST_POINTS, round(len(sentences) / 3)), MOST_POINTS, len(sentences))
    chosen: list[int] = []
    held: dict[str, int] = {}
    similar = np.zeros(len(sentences), np.float32)
    while len(chosen) < wanted:
        values = weights - _DIVERSITY * similar
        values = values - np.array([0.15 * held.get(one.heading, 0) for one in sentences])
        values[chosen] = -np.inf
        best = int(np.argmax(values))
        chosen.append(best)
        held[sentences[best].heading] = held.get(sentences[best].heading, 0) + 1
        similar = np.maximum(similar, vectors @ vectors[best])
    return sorted(chosen)


def _count_values(text: str) -> int:
    """Return how much the values of a sentence weigh: one for any, and one for each long one."""
    values = _VALUE.findall(text)
    return bool(values) + min(sum(len(value) > 1 for value in values), _MOST_VALUES)


def _passages_of(
    chunks: Sequence[Chunk], points: Sequence[Sentence]
) -> tuple[tuple[Passage, ...], list[int]]:
    """Return the chunks that hold points as passages, and the rank of each point's passage."""
    wanted = [
        next((at for at, one in enumerate(chunks) if one.start <= point.start < one.end), 0)
        for point in points
    ]
    order = sorted(set(wanted))
    return tuple(to_passage(chunks[at]) for at in order), [order.index(at) + 1 for at in wanted]


def _write(
    title: str, points: Sequence[Sentence], passages: Sequence[Passage], ranks: Sequence[int]
) -> Iterator[AnswerEvent]:
    """Write the points as a list, and cite the place of each."""
    text = f"Main points of “{title}”:"
    citations = []
    for point, rank in zip(points, ranks, strict=True):
        passage = passages[rank - 1]
        line = f"\n- {' '.join(point.text.lstrip('-*• ').split())} [{rank}]"
        span = (len(text) + 1, len(text) + len(line))
        text += line
        page = passage.page_at(point.start)
        citations.append(
            Citation(*span, rank, passage.document_id, point.start, point.end, 1.0, page)
        )
    yield DeltaEvent(text)
    yield from map(CitationEvent, citations)


def is_about_document(context: AnswerContext) -> bool:
    """Return whether a question is about a whole document, and its answer may be any text."""
    wanted = context.scope is QuestionScope.DOCUMENT
    return wanted and context.request.sampling.constraint is None
