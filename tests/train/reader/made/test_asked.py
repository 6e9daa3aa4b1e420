"""Questions of a language model, answered by a sentence of their passage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from serving_fixtures import TellingGenerator

from expertrag.llm.base import Message
from expertrag.train.reader.made.asked import NO_SENTENCE, answering, asked
from expertrag.train.reader.made.types import Piece
from expertrag_retriever.encoder import SentenceTransformerEmbedder

ROSES = Piece(
    "g#0",
    "g",
    "Roses",
    "Roses are pruned in March above a bud that faces outwards. The cut slopes away from the bud, "
    "so that rain runs off and the wood stays dry.",
)
LEAVE = Piece(
    "h#0",
    "h",
    "Leave",
    "Employees of Northwind get 27 days of paid leave a year. What is left of them in December may "
    "be taken until the end of March of the next year.",
)
REPLIES = {
    "Roses": "When should roses be pruned above a bud facing outwards?",
    "Leave": "Why do people like holidays at Northwind?",
}


class AskingGenerator(TellingGenerator):
    def reply_to(self, messages: Sequence[Message]) -> str:
        [reply] = [text for title, text in REPLIES.items() if title in messages[-1].content]
        return reply


def silent(_stage: str, _done: int, _total: int | None) -> None: ...


def test_the_best_matching_sentence_is_the_answer(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    pieces = [ROSES, LEAVE, Piece("s#0", "s", "", "Too short.")]
    replies = tmp_path / "replies.jsonl"
    [made], dropped = asked(pieces, AskingGenerator(), embedder, replies, silent)
    assert (made.question, made.piece, made.sentence) == (REPLIES["Roses"], ROSES, True)
    assert made.answer == "Roses are pruned in March above a bud that faces outwards."
    assert dropped[NO_SENTENCE] == 1 and len(replies.read_text().splitlines()) == 2


def test_no_matching_sentence_or_a_tie() -> None:
    assert not answering("Who planted the tulips?", ROSES)
    twice = Piece("t#0", "t", "", "Roses of the garden are pruned in early March. " * 2)
    assert not answering("When are roses pruned?", twice)
    assert not answering("What is there?", Piece("e#0", "e", "", ""))
