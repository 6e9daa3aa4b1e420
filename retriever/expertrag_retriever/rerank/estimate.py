"""Estimates, when a store is built, whether a reranker helps on it: on questions of its own.

A question is made of a chunk. It is the heading above the chunk, or some words of one of its
sentences, as a user types them into a search box. The chunk's document answers it. No language
model is loaded, and the number of questions does not grow with the store. Users' questions are
harder than these, so that the gain here is smaller than the gain for users. But the estimate
reveals a reranker that does not know the subject or the language of the documents.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from expertrag_index.words.query_words import STOP_WORDS, query_terms
from expertrag_retriever.pseudo import pseudo_query
from expertrag_retriever.rerank.reranking import CANDIDATES, embedding_text_of, join_scores
from expertrag_retriever.search import Searcher

if TYPE_CHECKING:
    from expertrag_index.store.index import Index
    from expertrag_index.store.manifest import JSON
    from expertrag_retriever.base import Embedder
    from expertrag_retriever.fusion import Fusion
    from expertrag_retriever.rerank.base import Reranker
    from expertrag_retriever.types import Passage

_QUESTIONS = 40
_FEWEST = 16
_CUTOFF = 10
_KEPT = 0.5  # share of a sentence's words that are in the question
_FEWEST_WORDS = 3
_SEPARATOR = " > "  # between the headings of a title
_SEED = 0


@dataclass(frozen=True, slots=True)
class RerankEstimate:
    """The estimate in a manifest; ``search`` and ``reranked`` are mean nDCG@10 without and with it.

    ``reranker`` is its name, ``fingerprint`` the hash of its files. ``helps``: whether AUTO uses
    it, which needs a gain, and enough questions.
    """

    reranker: str
    fingerprint: str
    questions: int
    search: float
    reranked: float

    @property
    def gain(self) -> float:
        """What it adds to the mean nDCG@10."""
        return self.reranked - self.search

    @property
    def helps(self) -> bool:
        """Whether AUTO uses it."""
        return self.questions >= _FEWEST and self.gain > 0

    @classmethod
    def of(cls, calibration: Mapping[str, object]) -> RerankEstimate | None:
        """Read it from a manifest's calibration; None if there is none, or of another version."""
        stored = calibration.get("rerank")
        try:
            return cls(**stored) if isinstance(stored, Mapping) else None
        except TypeError:
            return None

    def to_manifest(self) -> dict[str, JSON]:
        """Return the fields for a manifest."""
        return asdict(self)


def estimate_gain(
    index: Index, embedder: Embedder, reranker: Reranker, fusion: Fusion | None = None
) -> RerankEstimate:
    """Search and rerank for questions made of sampled chunks.

    :param fusion: as for :class:`Searcher`.
    """
    searcher = Searcher(index, embedder, fusion)
    before, after = [], []
    for question, document in _questions(index):
        passages = searcher.search(question, k=CANDIDATES).passages
        scores = reranker.score(question, [embedding_text_of(passage) for passage in passages])
        joined = join_scores(passages, scores.tolist(), reranker.search_weight)
        order = sorted(range(len(passages)), key=lambda row: -joined[row])
        before.append(_ndcg(passages, document))
        after.append(_ndcg([passages[row] for row in order], document))
    count = len(before)
    return RerankEstimate(
        reranker.name,
        reranker.fingerprint,
        count,
        round(sum(before) / max(1, count), 4),
        round(sum(after) / max(1, count), 4),
    )


def _questions(index: Index) -> Iterator[tuple[str, str]]:
    """Yield questions and the ids of the documents that answer them."""
    questions: set[str] = set()
    for number, (_, chunk) in enumerate(index.sample_chunks(_QUESTIONS, _SEED)):
        heading = chunk.title.rpartition(_SEPARATOR)[2]
        from_heading = heading if number % 2 and len(heading.split()) >= _FEWEST_WORDS else ""
        question = from_heading or _some_words(pseudo_query(chunk.text, number), number)
        if question and question not in questions:
            questions.add(question)
            yield question, chunk.document_id


def _some_words(sentence: str, seed: int) -> str:
    """Draw some of the words of a sentence, in their order; empty for a sentence of few words."""
    words = [word for word in sentence.split() if not STOP_WORDS.issuperset(query_terms(word))]
    count = math.ceil(_KEPT * len(words))
    if count < _FEWEST_WORDS:
        return ""
    chosen = sorted(random.Random(seed).sample(range(len(words)), count))
    return " ".join(words[index] for index in chosen)


def _ndcg(passages: Sequence[Passage], document: str) -> float:
    """nDCG@10 of one relevant document, which is ranked by its best passage."""
    documents = list(dict.fromkeys(passage.document_id for passage in passages))[:_CUTOFF]
    return 1 / math.log2(documents.index(document) + 2) if document in documents else 0.0
