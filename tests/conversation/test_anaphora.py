"""References to something outside of a question."""

from __future__ import annotations

import pytest

from expertrag.conversation.anaphora import Reference, first_anaphor


@pytest.mark.parametrize(
    ("question", "word", "reference"),
    [
        ("When was it founded?", "it", Reference.THING),
        ("What are its benefits?", "its", Reference.THING),
        ("Are they profitable?", "they", Reference.THINGS),
        ("Where did he live?", "he", Reference.PERSON),
        ("How many people live there?", "there", Reference.PLACE),
        ("What are the requirements to become one?", "one", Reference.KIND),
        ("How does this work?", "this", Reference.THING),
        ("What causes this disease?", "this disease", Reference.THING),
        ("How are these two planets alike?", "these two planets", Reference.THINGS),
        ("What is the best exercise for it?", "it", Reference.THING),
        ("Are angora goats good for it?", "it", Reference.THING),
        ("Describe the period that follows it.", "it", Reference.THING),
        ("When was it brought to the British Isles?", "it", Reference.THING),
        ("Once it's done, what should I do?", "it", Reference.THING),
    ],
)
def test_references(question: str, word: str, reference: Reference) -> None:
    found = first_anaphor(question)
    assert found is not None
    assert (question[found.start : found.end], found.reference) == (word, reference)


@pytest.mark.parametrize(
    "question",
    [
        "Should I brine a turkey before smoking it?",
        "Who was Panini and what were his contributions?",
        "If the index is full, does it grow?",
        "Is it possible to restore one table?",
        "How long does it take to build an index?",
        "Which companies that sold oil grew?",
        "Are there any limits?",
        "What happened this year?",
        "Is there a default?",
        "What is write-ahead logging?",
    ],
)
def test_questions_that_refer_to_nothing_else(question: str) -> None:
    assert first_anaphor(question) is None
