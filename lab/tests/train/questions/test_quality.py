"""Every reason to drop a generated question, on handmade texts."""

from __future__ import annotations

import pytest

from expertrag_lab.train.questions.quality import (
    ASKED,
    COPIES,
    LOST,
    NO_QUESTION,
    REASONS,
    REFERS,
    REPEATED,
    fault,
    question_of,
    sift,
)
from expertrag_retriever.encoder import SentenceTransformerEmbedder

PASSAGES = {
    "roses": "Roses are pruned in March, above a bud that faces outwards.",
    "tulips": "Tulip bulbs are planted in October, three times as deep as they are high.",
    "lawn": "A lawn is cut to four centimetres and left longer in dry summers.",
    "apples": "Apple trees bear best when water shoots are removed in August.",
    "vacuum": "Vacuum reclaims the space of dead rows so that a table does not grow.",
    "leave": "Employees of Northwind get 27 days of paid leave a year.",
}
MARCH = "In which month are roses pruned?"


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("When are roses pruned?", "When are roses pruned?"),
        ('  "When are roses pruned?', "When are roses pruned?"),
        ("Question: When are roses pruned?", "When are roses pruned?"),
        ("Q1: When are roses pruned?", "When are roses pruned?"),
        ("1. When are roses pruned?", "When are roses pruned?"),
        ("- **When are roses pruned?", "When are roses pruned?"),
        ("The question is:\n\nWhen are roses pruned?\n", "When are roses pruned?"),
        ("Roses are pruned\nin March.", "in March."),
        ("", ""),
        (" \n ", ""),
        ("?", "?"),
    ],
)
def test_question_is_extracted_from_a_reply(reply: str, question: str) -> None:
    assert question_of(reply) == question


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (MARCH, ""),
        ("When are roses pruned?", ""),  # 4 words
        ("Are roses pruned?", NO_QUESTION),  # 3
        ("Why " * 29 + "roses?", ""),  # 30
        ("Why " * 30 + "roses?", NO_QUESTION),  # 31
        ("Roses are pruned in March.", NO_QUESTION),
        ("When are roses\npruned in the year?", NO_QUESTION),
        ("When are \ud800 roses pruned?", NO_QUESTION),
        ("", NO_QUESTION),
        ("?", NO_QUESTION),
        ("What does the passage say about roses?", REFERS),
        ("When, by this text, are roses pruned?", REFERS),
        ("What is the author of roses called?", REFERS),
        ("What did these authors find about roses?", REFERS),
        ("What is the main question about roses?", REFERS),
        ("What does the following example print?", REFERS),
        ("Which of the roses mentioned above are red?", REFERS),
        ("Which texture do roses have in March?", ""),  # no word of "text"
        ("Are roses PRUNED in March, above a bud that faces north?", COPIES),  # 9 words
        ("Is it in March, above a bud that faces outwards?", COPIES),  # 8
        ("Is it in March above a bud that faces north?", ""),  # 7
    ],
)
def test_the_wording_of_a_question(question: str, reason: str) -> None:
    assert fault(question, PASSAGES["roses"]) == reason


def test_repeated_questions_and_failed_round_trips_are_dropped(
    embedder: SentenceTransformerEmbedder,
) -> None:
    questions = {
        "roses": MARCH,
        "tulips": "in which month are ROSES pruned?",
        "lawn": "How short should a lawn be cut?",
        "apples": "No question",
        "vacuum": "In which month are flowers and trees cut back?",
        "leave": "How many days off do people get?",
    }
    sifted = sift(questions, PASSAGES, embedder, ["How many days off do people get"])
    assert sifted.kept == {"roses": MARCH, "lawn": "How short should a lawn be cut?"}
    assert sifted.dropped == {
        NO_QUESTION: 1, REFERS: 0, COPIES: 0, REPEATED: 1, ASKED: 1, LOST: 1
    }  # fmt: skip
    assert tuple(sifted.dropped) == REASONS


def test_no_question_at_all(embedder: SentenceTransformerEmbedder) -> None:
    assert sift({}, PASSAGES, embedder).kept == {}
