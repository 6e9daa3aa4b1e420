"""Grounding: citations, offsets and support."""

from __future__ import annotations

import pytest

from expertrag.grounding import SUPPORTED, Grounding, ground
from expertrag.types import Passage

NORMANS = Passage(
    document_id="normans",
    ordinal=3,
    text=(
        "The Normans gave their name to Normandy, a region in France. They came from Denmark, "
        "Iceland and Norway under their leader Rollo. In 911 they swore fealty to King Charles."
    ),
    start=1_000,
    end=1_170,
    score=1.0,
    title="Normans",
)
VACUUM = Passage(
    document_id="vacuum",
    ordinal=0,
    text=(
        "VACUUM reclaims storage occupied by dead tuples. Plain VACUUM does not return space to "
        "the operating system. The default of vacuum_cost_limit is 200."
    ),
    start=0,
    end=150,
    score=0.5,
    title="VACUUM",
)
PASSAGES = (NORMANS, VACUUM)


def supported(answer: str, question: str = "") -> Grounding:
    found = ground(answer, PASSAGES, question)
    assert found.support == 1.0, found
    return found


def unsupported(answer: str, question: str = "") -> None:
    assert ground(answer, PASSAGES, question) == Grounding((), 0.0)


def test_a_sentence_is_cited_with_offsets_into_answer_and_document() -> None:
    answer = "The leader of the Normans was Rollo, who came from Denmark and Norway."
    (citation,) = supported(answer, "Who was the leader of the Normans?").citations
    assert answer[citation.answer_start : citation.answer_end] == answer
    assert (citation.passage, citation.document_id) == (1, "normans")
    cited = NORMANS.text[citation.start - NORMANS.start : citation.end - NORMANS.start]
    assert cited == "They came from Denmark, Iceland and Norway under their leader Rollo."
    assert SUPPORTED <= citation.score <= 1.0


def test_each_sentence_has_its_own_citation() -> None:
    answer = "Rollo was the leader of the Normans. VACUUM reclaims the storage of dead tuples."
    found = supported(answer)
    assert [citation.passage for citation in found.citations] == [1, 2]
    starts = [citation.answer_start for citation in found.citations]
    assert starts == [0, answer.index("VACUUM")]


def test_support_is_the_share_of_content_words_in_supported_sentences() -> None:
    """Four content words are supported (vacuum, reclaim, dead, tuple), four are not."""
    found = ground("VACUUM reclaims dead tuples. Bananas grow near tropical coasts.", PASSAGES)
    assert found.support == pytest.approx(4 / 9)
    assert len(found.citations) == 1


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ("Rollo", "Who was the leader of the Normans?"),
        ("Rollo.", "Who was the leader of the Normans?"),
        ("200", "What is the default of vacuum_cost_limit?"),
        ("In 911.", "When did the Normans swear fealty to King Charles?"),
        ("France", "In which region of which country is Normandy?"),
    ],
)
def test_a_bare_answer_is_tied_to_what_the_question_asks(answer: str, question: str) -> None:
    supported(answer, question)


def test_a_bare_answer_from_the_wrong_place_is_not_supported() -> None:
    unsupported("200", "How many people live in the city of Springfield?")


@pytest.mark.parametrize(
    "answer",
    [
        "The Normans swore fealty to King Charles in 912.",  # another number
        "The Normans came from Denmark, Iceland and Norway under Harald.",  # another name
        "Plain VACUUM returns space to the operating system.",  # the negation is lost
        "VACUUM does not reclaim storage occupied by dead tuples.",  # a negation is added
        "Paris is the capital of Japan.",
        "Yes.",
        "I do not know.",
        "...",
    ],
)
def test_what_the_passages_do_not_say(answer: str) -> None:
    unsupported(answer)


def test_a_negation_that_both_have() -> None:
    supported("Plain VACUUM does not return space to the operating system.")


def test_numbers_are_compared_by_value() -> None:
    text = "The city has 12,500 inhabitants and seven bridges."
    passage = Passage("city", 0, text, 0, len(text), 1.0)
    assert ground("It has 12500 inhabitants and 7 bridges.", [passage]).support == 1.0


def test_citation_marks_and_list_numbers_claim_nothing() -> None:
    supported("1. VACUUM reclaims storage occupied by dead tuples [2].")


def test_a_second_passage_that_says_the_same_is_cited_too() -> None:
    found = ground("VACUUM reclaims storage occupied by dead tuples.", [VACUUM, VACUUM])
    assert [citation.passage for citation in found.citations] == [1, 2]


@pytest.mark.parametrize("passages", [(), (Passage("empty", 0, " ", 0, 1, 1.0),)])
def test_nothing_to_support(passages: tuple[Passage, ...]) -> None:
    assert ground("Paris.", passages) == Grounding((), 0.0)


def test_an_empty_answer() -> None:
    assert ground("", PASSAGES) == Grounding((), 0.0)
