"""How far one span of a passage supports one sentence of an answer, and what it lacks."""

from __future__ import annotations

import math
import re
from collections.abc import Set
from dataclasses import dataclass

from expertrag.grounding.evidence import Evidence
from expertrag.grounding.rows import Cell, SentenceSpan
from expertrag.grounding.wording import Content, Wording

_UNCOMPARED = 0.5  # at SUPPORTED: the passage is cited, and the answer is not sure
_MISSING_EXACT_CAP = 0.4  # below SUPPORTED: a wrong number or name is a wrong answer
_NEGATION_FACTOR = 0.4
_OTHER_NAME_FACTOR = 0.6  # the passage lacks a name of the question that another passage has
_QUESTION_SHARE = 0.7  # how much a one-word answer's score depends on the question's words
_WHOLE_CLAIM_WORDS = 6  # content words at which a sentence is complete without its question
_OWN_SHARE = 1 / 3  # maximum share of words not in the question for a bare "Yes, …"
_WHOLE_QUESTION = 0.999  # share of the question's words in a span that decides it

STANDS_UNDER = "stands under"
"""Part of the flaw of a value in another column than asked for."""

_REVERSED = "The answer may reverse what the passage says."
_OTHERWISE = "The passage says otherwise."
_NO_CLAIM = "It makes no claim that a passage could support."

_OPEN_QUESTION = re.compile(
    r"\W*(?:(?:and|but|so|in|at|on|by|for|from|to|with|of|after|before|until|since)\s+)*"
    r"(?:what|who|whom|whose|when|where|which|why|how|wer|wen|wem|wann|wo|wie|was\s+ist|welche\w*)\b",
    re.IGNORECASE,
)
_ASKS_YES_OR_NO = re.compile(
    r"(?:\A|[.,:;]\s)\W*(?:is|are|was|were|am|do|does|did|can|could|may|might|must|should|shall|will"
    r"|would|has|have|had|need|ist|sind|hat|haben|darf|dürfen|kann|können|muss|müssen|gibt|wird)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Lacking:
    """Words that a span lacks, and the text that has them."""

    words: Set[str]
    text: Wording


@dataclass(frozen=True, slots=True)
class SpanJudgement:
    """The support of a span for a claim, in [0, 1], and the flaw that lowers it."""

    score: float
    flaw: str | Lacking


def may_ask_yes_or_no(question: str) -> bool:
    """Return whether "Yes" may answer a question; not so for keywords and "What …?"."""
    if _OPEN_QUESTION.match(question):
        return False
    return question.rstrip().endswith("?") or _ASKS_YES_OR_NO.search(question) is not None


def is_verdict(claim: Wording, evidence: Evidence) -> bool:
    """Return whether a claim is a yes or no, with hardly any word beyond the question."""
    asked = evidence.question
    own = claim.words - asked.words
    return (
        bool(claim.verdict and asked.words)
        and len(own) <= _OWN_SHARE * len(claim.words)
        and may_ask_yes_or_no(evidence.question_text)
    )


def judge(claim: Wording, number: int, span: SentenceSpan, evidence: Evidence) -> SpanJudgement:
    """Judge one span.

    :param number: index of its passage.
    """
    asked, missing = evidence.question, claim.lacking_in(span.content)
    verdict = is_verdict(claim, evidence)
    if not (verdict or claim.words):
        # in another language, words do not tell
        return SpanJudgement(_UNCOMPARED if evidence.crosses else 0.0, _NO_CLAIM)
    result = (_verdict if verdict else _statement)(claim, number, span, evidence)
    if elsewhere := evidence.list_named_elsewhere(number):
        name = f"'{asked.written.get(elsewhere[0], elsewhere[0])}'"
        flaw = f"{name}, named in the question, is not in the passage."
        result = SpanJudgement(result.score * _OTHER_NAME_FACTOR, flaw)
    wrong = (claim.exact & missing) - asked.holds
    own = claim.words - asked.holds
    if own and own <= missing and not verdict:  # it says nothing that the passage does
        wrong = own
    flaw_of_values = Lacking(wrong, claim) if wrong else _wrong_column(claim, span, evidence)
    if flaw_of_values:
        return SpanJudgement(min(result.score, _MISSING_EXACT_CAP), flaw_of_values)
    return result


def _statement(
    claim: Wording, number: int, span: SentenceSpan, evidence: Evidence
) -> SpanJudgement:
    """Judge a statement by the share of its words, and of the question's if it has few."""
    asked, content = evidence.question, span.content
    bareness = max(0.0, 1.0 - len(claim.words) / _WHOLE_CLAIM_WORDS)
    about_question = evidence.recall(asked, content)
    score = evidence.recall(claim, content)
    score *= 1.0 - _QUESTION_SHARE * bareness * (1.0 - about_question)
    if _contradict(claim, content):
        return SpanJudgement(score * _NEGATION_FACTOR, _REVERSED)
    missing = claim.lacking_in(content)
    lacking = Lacking(missing, claim) if missing else Lacking(asked.lacking_in(content), asked)
    return SpanJudgement(score, lacking)


def _verdict(claim: Wording, number: int, span: SentenceSpan, evidence: Evidence) -> SpanJudgement:
    """Judge a yes or no by reading the question, or the claim, as a statement."""
    asked, content, whole = evidence.question, span.content, evidence.content_of(number)
    # it is inferred, seldom quoted: a quarter of the question's words suffices for a citation
    score = math.sqrt(evidence.recall(asked, whole))
    said = claim if claim.words else asked
    if claim.verdict == "yes" or claim.words:
        opposite = _contradict(said, content)
    else:
        decides = evidence.recall(asked, content) >= _WHOLE_QUESTION
        opposite = decides and not _contradict(asked, content)
    if opposite:
        return SpanJudgement(score * _NEGATION_FACTOR, _OTHERWISE)
    values = {word for word in asked.exact & asked.lacking_in(whole) if not word.isalpha()}
    if claim.verdict == "yes" and values:
        return SpanJudgement(min(score, _MISSING_EXACT_CAP), Lacking(values, asked))
    return SpanJudgement(score, Lacking(asked.lacking_in(whole), asked))


def _contradict(claim: Wording, content: Content) -> bool:
    """Return whether one text negates what the other says without a negation."""
    if (content.denied & claim.words) - claim.negated:
        return True
    return bool(claim.negated & content.holds) and claim.negated.isdisjoint(content.negated)


def _wrong_column(claim: Wording, span: SentenceSpan, evidence: Evidence) -> str:
    """Return the flaw of a value that stands in a row, but in another column than asked for."""
    wanted = claim.holds | evidence.question.holds
    for value in claim.exact - evidence.question.holds:
        if value.isalpha():
            continue
        for row in span.rows:
            own = [cell for cell in row if claim.has_value(value, cell.value)]
            others = [cell for cell in row if cell not in own and _may_be_asked(cell, evidence)]
            if not own or not others:
                continue
            best = max(others, key=lambda cell: _share_of_named(cell, wanted))
            stands = max(own, key=lambda cell: _share_of_named(cell, wanted))
            if _unit(value) in stands.units - best.units:
                continue
            if _share_of_named(best, wanted) > _share_of_named(stands, wanted):
                written = claim.written.get(value, value)
                return f"'{written}' {STANDS_UNDER} '{stands.name}', not '{best.name}'."
    return ""


def _may_be_asked(cell: Cell, evidence: Evidence) -> bool:
    """Return whether a cell has a value that the question does not give: it selects no row."""
    return bool(cell.value.exact) and cell.value.holds.isdisjoint(evidence.question.holds)


def _unit(value: str) -> str:
    """Return the base unit of a value, such as "eur" of "74000 eur"."""
    return value.partition(" ")[2]


def _share_of_named(cell: Cell, wanted: Set[str]) -> float:
    """Return the share of the words of a column's name among those wanted."""
    named = cell.named.words
    return len(named & wanted) / len(named) if named else 0.0
