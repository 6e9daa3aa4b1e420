"""Questions of a language model, with the sentence of the passage that answers them.

The model asks as for pairs of domains (``expertrag.train.questions.questions``), and its questions
are sifted as there. A small model's own answer is not to be learned from: the answer is the
sentence of the passage that holds most of the question, if it holds much of it and can stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.answer.evidence import Evidence
from expertrag.data.resume import appending
from expertrag.train.questions.questions import FEWEST_PASSAGE_WORDS, ask_about
from expertrag.train.reader.made.sentences import stands_alone
from expertrag.train.reader.made.types import Made, Piece
from expertrag_index.sentences import spans
from expertrag_retriever.types import Passage

if TYPE_CHECKING:
    from expertrag.llm.base import Generator
    from expertrag_index.types import Progress
    from expertrag_retriever.encoder import SentenceTransformerEmbedder

MAKER = "model"
NO_SENTENCE = "without a sentence that answers"

_SUPPORTS = 0.75  # of the question's words, by rarity


def asked(
    pieces: Sequence[Piece],
    generator: Generator,
    embedder: SentenceTransformerEmbedder,
    replies: Path,
    progress: Progress,
) -> tuple[list[Made], Mapping[str, int]]:
    """Ask one question about each piece, and look up its answer.

    :param replies: file that keeps what the model said; a killed run goes on there.
    :return: questions with answers, and counts of the others by reason.
    :raises Unavailable: the model failed; the same command goes on there.
    """
    by_text = {
        _text(piece): piece for piece in pieces if len(piece.text.split()) >= FEWEST_PASSAGE_WORDS
    }
    with appending(replies) as file:
        found = ask_about(list(by_text), generator, embedder, file, progress)
    made = []
    for text, question in found.kept.items():
        piece = by_text[text]
        if answer := answering(question, piece):
            made.append(Made(question, answer, piece, MAKER, sentence=True))
    return made, {**found.dropped, NO_SENTENCE: len(found.kept) - len(made)}


def answering(question: str, piece: Piece) -> str:
    """Return the sentence that holds most of a question; empty if none holds enough, or two do."""
    held = spans(piece.text)
    evidence = Evidence(
        [Passage(piece.id, 0, piece.text, 0, len(piece.text), score=0.0, title=piece.title)],
        question,
    )
    scores = {
        (stretch.start, stretch.end): evidence.recall(
            evidence.question.words, stretch.wording.words
        )
        for stretch in evidence.stretches[0]
        if (stretch.start, stretch.end) in held
    }
    best = max(scores.values(), default=0.0)
    holders = [place for place, score in scores.items() if score == best]
    if best < _SUPPORTS or len(holders) > 1:
        return ""
    start, end = holders[0]
    sentence = " ".join(piece.text[start:end].split())
    return sentence if stands_alone(sentence) else ""


def _text(piece: Piece) -> str:
    return f"{piece.title}\n{piece.text}" if piece.title else piece.text
