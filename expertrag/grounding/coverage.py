"""How far the passages cover a question and its answer, as numbers for the answer's probability."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from expertrag.grounding.evidence import Evidence
from expertrag.grounding.rows import SentenceSpan
from expertrag.grounding.wording import Content, Wording, is_value
from expertrag.llm.prompt import asks_to_explain

_NO_RIVAL = -0.3
"""Lead of other values over the answer's, if the answer has none: the mean of right answers."""

_DATE = re.compile(r"(?:\d{4}|-)-\d\d")
_CODE = re.compile(r"--?[a-z]|[~.]*/|[a-z]\w*_", re.IGNORECASE)
_TIME = re.compile(r"\d\d:\d\d")


def coverage(answer: Wording, passage: int | None, evidence: Evidence) -> Mapping[str, float]:
    """Measure how well passages cover a question and its answer.

    ``covered``: share of the question's words, by rarity, in the passage that supports the answer;
    ``rival``: how much better the words around another value of the same kind match the question
    than those around the answer's value, -1 to 1; ``value``: 1 if the answer has a value that the
    question lacks; ``verdict``: 1 for a yes or no; ``explanation``: 1 if the question asks for one;
    ``foreign``: number of options, paths and code identifiers that neither a passage nor the
    question has.

    :param passage: index of the passage that supports the answer best; None without passages.
    """
    leads = [_lead(answer, value, evidence) for value in _values(answer, evidence.question)]
    whole = Content() if passage is None else evidence.content_of(passage)
    return {
        "covered": evidence.recall(evidence.question, whole),
        "rival": max(leads, default=_NO_RIVAL),
        "value": float(bool(leads)),
        "verdict": float(bool(answer.verdict)),
        "explanation": float(asks_to_explain(evidence.question_text)),
        "foreign": float(sum(_is_code(word) for word in _unknown(answer, evidence))),
    }


def _unknown(answer: Wording, evidence: Evidence) -> Iterator[str]:
    """Yield the exact words of an answer that neither a passage nor the question has."""
    passages = [evidence.content_of(number) for number in range(len(evidence.spans))]
    for word in answer.exact - evidence.question.holds:
        if not any(answer.has_value(word, passage) for passage in passages):
            yield word


def _is_code(word: str) -> bool:
    """Return whether a word is an option, a path or an identifier: --force, /etc/x, max_size."""
    return _CODE.match(word) is not None


def _values(text: Wording, asked: Content) -> list[str]:
    """Return the values of a text that a question lacks, in a fixed order."""
    return sorted(text.values - asked.holds)


def _lead(answer: Wording, value: str, evidence: Evidence) -> float:
    """Return how much better another value of this kind matches the question."""
    own = rival = 0.0
    for span in _spans(evidence):
        recall = evidence.recall(evidence.question, span.content)
        if answer.has_value(value, span.content):
            own = max(own, recall)
        elif recall > rival and any(
            is_value(word) and kind_of(word) == kind_of(value)
            for word in span.content.holds - evidence.question.holds
        ):
            rival = recall
    return rival - own


def _spans(evidence: Evidence) -> Iterator[SentenceSpan]:
    for spans in evidence.spans:
        yield from spans


def kind_of(value: str) -> str:
    """Return what values of one kind share: their unit, or being a date or a time."""
    if _DATE.match(value):
        return "date"
    return "time" if _TIME.match(value) else value.partition(" ")[2]
