"""How far one span of a passage supports a sentence, and the flaw that is named."""

from __future__ import annotations

import pytest

from expertrag.grounding.evidence import Evidence
from expertrag.grounding.ground import SUPPORTED
from expertrag.grounding.judge import (
    STANDS_UNDER,
    Lacking,
    SpanJudgement,
    is_verdict,
    judge,
    may_ask_yes_or_no,
)
from expertrag.grounding.wording import wording
from expertrag_retriever.types import Passage

LEAVE = "Employees get 27 days of paid leave. Taxis are not reimbursed."
TABLE = "Country | Fee in EUR | Days\nSpain | 40 | 9\nItaly | 60 | 7"


def judged(claim: str, text: str, question: str = "") -> SpanJudgement:
    """Return the best judgement of a passage's spans."""
    evidence = Evidence([Passage("doc", 0, text, 0, len(text), 1.0)], question)
    spans = [judge(wording(claim), 0, span, evidence) for span in evidence.spans[0]]
    return max(spans, key=lambda each: each.score)


@pytest.mark.parametrize(
    ("question", "may"),
    [
        ("Is leave paid?", True),
        ("Leave is paid?", True),
        ("leave, is it paid", True),
        ("What is paid leave?", False),
        ("And how many days?", False),
        ("paid leave", False),
        ("Gibt es bezahlten Urlaub?", True),
        ("Wie viele Tage?", False),
    ],
)
def test_questions_that_a_yes_may_answer(question: str, *, may: bool) -> None:
    assert may_ask_yes_or_no(question) is may


def test_a_verdict_adds_hardly_a_word_to_its_question() -> None:
    evidence = Evidence([], "Are taxis reimbursed?")
    assert is_verdict(wording("No."), evidence)
    assert is_verdict(wording("No, taxis are not reimbursed."), evidence)
    assert not is_verdict(wording("No, the office books trains weeks ahead."), evidence)
    assert not is_verdict(wording("Taxis."), evidence)


def test_a_statement_in_the_passage_is_supported() -> None:
    assert judged("Employees get 27 days of paid leave.", LEAVE).score >= SUPPORTED
    assert judged("27 days", LEAVE, "How many days of paid leave?").score >= SUPPORTED


def test_another_value_is_the_flaw() -> None:
    found = judged("Employees get 28 days of paid leave.", LEAVE)
    assert found.score < SUPPORTED
    assert isinstance(found.flaw, Lacking)
    assert [found.flaw.text.written[word] for word in found.flaw.words] == ["28 days"]


def test_a_reversed_statement_is_not_supported() -> None:
    found = judged("Taxis are reimbursed.", LEAVE)
    assert found.score < SUPPORTED
    assert found.flaw == "The answer may reverse what the passage says."


def test_a_wrong_verdict_is_not_supported() -> None:
    text, question = "Taxis are not reimbursed.", "Are taxis reimbursed?"
    assert judged("No.", text, question).score >= SUPPORTED
    found = judged("Yes.", text, question)
    assert (found.score < SUPPORTED, found.flaw) == (True, "The passage says otherwise.")


def test_a_sentence_without_words_makes_no_claim() -> None:
    assert judged("It is.", LEAVE).score == 0.0


def test_a_value_of_another_column_is_the_flaw() -> None:
    question = "What is the fee in Spain?"
    assert judged("40", TABLE, question).score >= SUPPORTED
    found = judged("9", TABLE, question)
    assert found.score < SUPPORTED
    assert found.flaw == f"'9' {STANDS_UNDER} 'Days', not 'Fee in EUR'."


def test_a_name_of_the_question_in_another_passage_lowers_the_score() -> None:
    texts = ["The battery of the drill has 40 volts.", "The battery of the Zorp has 12 volts."]
    passages = [Passage(str(n), n, text, 0, len(text), 1.0) for n, text in enumerate(texts)]
    evidence = Evidence(passages, "Which battery has the Zorp?")
    claim = wording("The battery has 40 volts.")
    (span,) = evidence.spans[0]
    found = judge(claim, 0, span, evidence)
    assert found.flaw == "'Zorp', named in the question, is not in the passage."
