"""Questions on the office share, and when an answer to one is right.

A question is ``answerable``; or ``us_missing`` (about the company) or ``unanswerable`` (about a
document's subject), which the share does not answer; or ``general``, which needs no documents.

Answers are compared as sequences of words: lower case, numbers without separators, leading or
trailing zeros, number words as digits, units as words (``€`` is ``eur``, ``%`` is ``percent``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from office_share import MATERIAL

from expertrag.api.turns import Turn, turns_of
from expertrag_lab.json_lines import read_lines

GENERAL, UNANSWERABLE, US_MISSING, VERSION = "general", "unanswerable", "us_missing", "version"
VERDICTS = ("yes", "no")
WITHOUT_ANSWER = (UNANSWERABLE, US_MISSING)
ANSWERABLE = ("fact", "table", VERSION, "several", "yesno", "howto", "followup")
KINDS = (*ANSWERABLE, *WITHOUT_ANSWER, GENERAL)

_WORD = re.compile(r"(?:(?<![\w)])-)?\d+(?:,\d{3}(?!\d))*(?:[.:]\d+)*|[^\W\d_]+|[%€£$]")
_ORDINAL = re.compile(r"\b(\d+)(st|nd|rd|th)\b")
_UNITS = {"€": "eur", "euro": "eur", "euros": "eur", "%": "percent", "£": "gbp", "$": "usd"}
_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
)
_DIGITS = {name: str(number) for number, name in enumerate(_NUMBERS)}
_OLDER = re.compile(
    r"\b(19|20)\d\d\b|\b(before|previous(ly)?|former(ly)?|earlier|old(er)?|until|was|were|draft|"
    r"superseded|replaced|replaces|instead|proposal|no longer|originally|up from|down from)\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\b(from .* to|replaced by|moved|changed|raised|lowered|extended|now|no longer)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class OfficeQuestion:
    """A question: ``wrong`` are forms of values that prove an answer wrong.

    ``answers`` is None for a request whose every answer is right, and empty where the documents do
    not answer. ``format`` is the file type of a table.
    """

    id: str
    question: str
    kind: str
    half: str
    answers: tuple[str, ...] | None
    wrong: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    format: str = ""
    history: tuple[Turn, ...] = ()

    @classmethod
    def parsed(cls, item: Mapping[str, Any]) -> OfficeQuestion:
        """Read a line of the file."""
        lists = {name: tuple(item.get(name, ())) for name in ("wrong", "documents")}
        answers = item.get("answers")
        return cls(
            id=item["id"],
            question=item["question"],
            kind=item["kind"],
            half=item["half"],
            answers=None if answers is None else tuple(answers),
            format=item.get("format", ""),
            history=turns_of(item.get("history")),
            **lists,
        )

    @property
    def text(self) -> str:
        """The question with what was said before, to identify it."""
        return "\n".join([*(turn.text for turn in self.history), self.question])


def questions() -> list[OfficeQuestion]:
    """Return all questions."""
    return [OfficeQuestion.parsed(item) for _, item in read_lines(MATERIAL / "questions.jsonl")[0]]


def is_right(question: OfficeQuestion, answer: str, *, abstained: bool) -> bool:
    """Whether an answer is right.

    Where the share has no answer, only an abstention is right. Elsewhere the answer contains an
    accepted form, and before it no wrong one; a yes or no at its beginning decides. Beside
    the right value a superseded one may be named if words such as "until" or "replaced by" say so.
    """
    if question.kind in WITHOUT_ANSWER:
        return abstained
    if abstained or not answer.strip():
        return False
    if question.answers is None:
        return True
    verdict = [word for word in words(answer)[:1] if word in VERDICTS]
    if verdict and question.answers[0] in VERDICTS:
        return verdict[0] == question.answers[0]
    right = first(answer, question.answers)
    wrong = first(answer, question.wrong)
    if right is None:
        return False
    if wrong is None:
        return True
    if question.kind == VERSION:
        return bool((_OLDER if right < wrong else _CHANGE).search(answer))
    return right < wrong


def gives_wrong(question: OfficeQuestion, answer: str) -> bool:
    """Whether an answer gives a value that is known to be wrong, such as a superseded one."""
    wrong = first(answer, question.wrong)
    return wrong is not None and not is_right(question, answer, abstained=False)


def first(answer: str, forms: Sequence[str]) -> int | None:
    """Return the first word of an answer at which one of the forms begins; None if none does."""
    said = words(answer)
    starts = []
    for form in map(words, forms):
        places = range(len(said) - len(form) + 1)
        starts += [place for place in places if form and said[place : place + len(form)] == form]
    return min(starts, default=None)


def words(text: str) -> list[str]:
    """Split a text into comparable words."""
    plain = _ORDINAL.sub(r"\1", text.lower().replace("\N{NO-BREAK SPACE}", " "))
    return [_comparable(word) for word in _WORD.findall(plain)]


def _comparable(word: str) -> str:
    word = word.replace(",", "")
    if word[0].isdigit():
        word = re.sub(r"^0+(?=\d)", "", word)
        word = re.sub(r"(\.\d*?)0+$", r"\1", word).rstrip(".") if word.count(".") == 1 else word
    return _UNITS.get(word) or _DIGITS.get(word, word)
