"""Grounding: citations, offsets and support."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.ground import SUPPORTED, Grounding, ground
from expertrag.grounding.wording import wording

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
    found = ground(answer, PASSAGES, question)
    assert (found.citations, found.support) == ((), 0.0)
    assert found.reason


def test_a_sentence_is_cited_with_offsets_into_answer_and_document() -> None:
    answer = "The leader of the Normans was Rollo, who came from Denmark and Norway."
    (citation,) = supported(answer, "Who was the leader of the Normans?").citations
    assert answer[citation.answer_start : citation.answer_end] == answer
    assert (citation.passage, citation.document_id) == (1, "normans")
    cited = NORMANS.text[citation.start - NORMANS.start : citation.end - NORMANS.start]
    assert cited == "They came from Denmark, Iceland and Norway under their leader Rollo."
    assert SUPPORTED <= citation.score <= 1.0


def test_a_citation_names_the_page_of_its_span() -> None:
    place = NORMANS.start + NORMANS.text.index("In 911")
    paged = replace(NORMANS, page=7, page_starts=(place - 20, place - 20))
    answer = "The leader of the Normans was Rollo. In 911 they swore fealty to King Charles."
    pages = {
        citation.start >= place: citation.page for citation in ground(answer, (paged,)).citations
    }
    assert pages == {False: 7, True: 9}
    assert {citation.page for citation in ground(answer, PASSAGES).citations} == {None}


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
        ("Rollo", "Who was the leader of the Normans?"),  # tied to what the question asks
        ("Rollo.", "Who was the leader of the Normans?"),
        ("200", "What is the default of vacuum_cost_limit?"),
        ("In 911.", "When did the Normans swear fealty to King Charles?"),
        ("France", "In which region of which country is Normandy?"),
        ("Plain VACUUM does not return space to the operating system.", ""),  # both are negated
        ("1. VACUUM reclaims storage occupied by dead tuples [2].", ""),
    ],
)
def test_supported_answers(answer: str, question: str) -> None:
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
def test_unsupported_claims(answer: str) -> None:
    unsupported(answer)


def test_numbers_are_compared_by_value() -> None:
    text = "The city has 12,500 inhabitants and seven bridges."
    passage = Passage("city", 0, text, 0, len(text), 1.0)
    assert ground("It has 12500 inhabitants and 7 bridges.", [passage]).support == 1.0


def test_a_second_passage_that_says_the_same_is_cited_too() -> None:
    found = ground("VACUUM reclaims storage occupied by dead tuples.", [VACUUM, VACUUM])
    assert [citation.passage for citation in found.citations] == [1, 2]


@pytest.mark.parametrize("passages", [(), (Passage("empty", 0, " ", 0, 1, 1.0),)])
def test_without_words_or_passages_nothing_is_supported(passages: tuple[Passage, ...]) -> None:
    found = ground("Paris.", passages)
    assert (found.citations, found.support) == ((), 0.0)
    assert found.reason == "There is no passage to support it."


def test_an_empty_answer() -> None:
    assert ground("", PASSAGES) == Grounding((), 0.0)


MANUAL = Passage(
    "manual",
    0,
    "To reset the Aquila, hold both keys for 9 seconds. Use `--keep-data` with reset_device to "
    "keep the readings. The probe may not be used in salt water.",
    0,
    150,
    1.0,
    title="Aquila",
)
OTHER = Passage(
    "other", 0, "To reset the Corvid, pull the battery for 30 seconds.", 0, 60, 0.9, title="Corvid"
)


@pytest.mark.parametrize(
    ("answer", "question", "reason"),
    [
        (
            "Hold both keys for 12 seconds.",
            "How do I reset it?",
            "'12 seconds' is not in the passage.",
        ),
        (
            "reset_device --force keeps the readings.",
            "How do I keep the readings?",
            "'--force' is not in the passage.",
        ),
        (
            "erase_device with --keep-data.",
            "How do I keep the readings?",
            "'erase_device' is not in the passage.",
        ),
        (
            "Yes.",
            "May the probe be used in salt water?",
            "The passage says otherwise.",
        ),
        (
            "The probe may be used in salt water.",
            "",
            "The answer may reverse what the passage says.",
        ),
        ("Bananas.", "Which fruit does the canteen serve?", "'Bananas' is not in the passage."),
    ],
)
def test_the_reason_says_what_is_missing(answer: str, question: str, reason: str) -> None:
    found = ground(answer, [MANUAL, OTHER], question)
    assert (found.support, found.reason) == (0.0, reason)


def test_a_passage_about_another_name_supports_less() -> None:
    question = "How do I reset the Corvid?"
    own = ground("Pull the battery for 30 seconds.", [MANUAL, OTHER], question)
    assert own.support == 1.0
    assert own.reason == ""
    other = ground("Hold both keys for 9 seconds.", [MANUAL, OTHER], question)
    assert other.support == 0.0
    assert other.reason == "'Corvid', named in the question, is not in the passage."


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ("No.", "May the probe be used in salt water?"),
        ("Yes", "Can the readings be kept with --keep-data?"),
    ],
)
def test_a_verdict_is_supported_by_the_sentence_that_decides(answer: str, question: str) -> None:
    found = ground(answer, [MANUAL, OTHER], question)
    assert found.support == 1.0
    assert [citation.passage for citation in found.citations] == [1]


def test_a_verdict_about_something_else_is_not_supported() -> None:
    found = ground("Yes.", [MANUAL, OTHER], "Is the canteen open on public holidays?")
    assert found.support == 0.0
    assert "is not" in found.reason or "are not" in found.reason


def test_an_uncited_first_sentence_has_what_comes_nearest_as_its_source() -> None:
    first, second = "One may well reclaim dead tuples so.", "They came from Denmark."
    found = ground(f"{first} {second}", [NORMANS, VACUUM])
    assert [citation.passage for citation in found.citations] == [1]
    assert [citation.passage for citation in found.sources] == [2, 1]
    cited = ground(f"{second} {first}", [NORMANS, VACUUM])
    assert cited.sources == cited.citations
    assert [citation.passage for citation in ground(first, [NORMANS, VACUUM]).sources] == [2]


@pytest.mark.parametrize(
    ("question", "answer", "support", "reason"),
    [
        ("Wie viele Tage Urlaub habe ich im Jahr?", "28 Tage.", 1.0, ""),
        ("Wie viele Tage Urlaub habe ich im Jahr?", "27 Tage.", 0.0, "'27' is not in the passage"),
        ("Combien de jours de congé ai-je par an ?", "28 jours.", 1.0, ""),
        ("Wer genehmigt den Urlaub?", "Ada Lund genehmigt ihn.", 1.0, ""),
        ("Wird der Urlaub übertragen?", "Nein.", 1.0, ""),
    ],
)
def test_a_question_in_another_language_is_compared_by_numbers_and_names(
    question: str, answer: str, support: float, reason: str
) -> None:
    text = "Every employee has 28 days of leave a year, and it is approved by Ada Lund."
    found = ground(answer, [replace(NORMANS, text=text, title="")], question)
    assert found.support == support
    assert reason in found.reason and bool(reason) == bool(found.reason)


@pytest.mark.parametrize(
    ("answer", "verdict"), [("Ja.", "yes"), ("Nein, nie.", "no"), ("Oui", "yes")]
)
def test_verdicts_of_other_languages(answer: str, verdict: str) -> None:
    assert wording(answer).verdict == verdict
    assert wording("Jahr").verdict == wording("Nonne").verdict == ""


def test_a_chinese_answer_is_supported_by_a_part_of_a_sentence() -> None:
    passage = Passage("a", 0, "他出生于1998年。公司总部设在北京市海淀区。", 0, 22, 1.0)
    grounding = ground("总部在北京。", [passage], "公司的总部在哪里?")
    assert grounding.support == 1.0 and not grounding.reason
    [citation] = grounding.citations
    assert passage.text[citation.start : citation.end] == "公司总部设在北京市海淀区。"
    assert ground("上海市浦东。", [passage], "公司的总部在哪里?").support == 0.0
