"""Filter generated questions, and count why questions were dropped.

A question is kept if a user could have typed it without seeing the passage. An embedder that was
not trained on it must also retrieve the passage for it (round-trip consistency, which Promptagator,
Dai et al. 2022, found to matter most with small generators).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag_index.words.patterns import JOINED_WORD
from expertrag_lab.json_lines import is_encodable
from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag_retriever.base import Embedder

FEWEST_WORDS, MOST_WORDS = 4, 30
COPIED_WORDS = 8
"""A question with this many consecutive words of its passage is dropped: it is too easy."""

DEPTH = 3
"""The passage must be among the first ``DEPTH`` results."""

NO_QUESTION = f"no question of {FEWEST_WORDS} to {MOST_WORDS} words"
REFERS = "referring to the text"
COPIES = f"copying {COPIED_WORDS} words of the passage"
REPEATED = "repeated"
ASKED = "asked by the data set already"
LOST = f"without their passage among the first {DEPTH}"
REASONS = (NO_QUESTION, REFERS, COPIES, REPEATED, ASKED, LOST)

_LABEL = re.compile(r"^(?:[-*•]|#+|\d+[.)]|(?:question|q)\s*\d*:)\s*", re.IGNORECASE)
_QUOTES = "\"'`*“”‘’ "  # noqa: RUF001 (typeset quotes)
_TEXT = (
    "passage|text|document|article|paragraph|excerpt|snippet|abstract|author|authors|study|paper|"
    "question"
)
_REFERS = re.compile(
    rf"\b(?:the|this|that|these|those|above)\s+(?:\w+\s+)?(?:{_TEXT})\b"
    r"|\b(?:this|the following|the above)\s+(?:section|chapter|page|example|code|table|sentence)\b"
    r"|\b(?:mentioned|described|discussed|given|listed|shown)\s+(?:above|below|here)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sifted:
    """The kept questions, by passage, and how many were dropped, by reason."""

    kept: Mapping[str, str]
    dropped: Mapping[str, int]


def question_of(reply: str) -> str:
    """Extract the question from a reply: its last line, without quotes, bullet or label."""
    lines = reply.strip().splitlines()
    return _LABEL.sub("", lines[-1].strip(_QUOTES)).strip(_QUOTES) if lines else ""


def fault(question: str, passage: str) -> str:
    """Return the reason to drop a question because of its wording; empty if there is none."""
    words = JOINED_WORD.findall(question.lower())
    if not (
        question.endswith("?")
        and len(question.splitlines()) == 1
        and is_encodable(question)
        and FEWEST_WORDS <= len(words) <= MOST_WORDS
    ):
        return NO_QUESTION
    if _REFERS.search(question):
        return REFERS
    text = f" {' '.join(JOINED_WORD.findall(passage.lower()))} "
    runs = range(len(words) - COPIED_WORDS + 1)
    if any(f" {' '.join(words[start : start + COPIED_WORDS])} " in text for start in runs):
        return COPIES
    return ""


def sift(
    questions: Mapping[str, str],
    passages: Mapping[str, str],
    embedder: Embedder,
    asked: Collection[str] = (),
) -> Sifted:
    """Keep the questions that are fit to train on.

    :param questions: by name of the passage.
    :param passages: texts by name; a question must retrieve its own passage among all of them.
    :param asked: queries of all splits of the data set; a question that repeats one is dropped.
    """
    dropped = Counter(dict.fromkeys(REASONS, 0))
    known = {_same(query): ASKED for query in asked}
    candidates: dict[str, str] = {}
    for name, question in questions.items():
        reason = fault(question, passages[name]) or known.get(_same(question), "")
        if reason:
            dropped[reason] += 1
        else:
            known[_same(question)] = REPEATED
            candidates[name] = question
    kept = _filter_retrieved(candidates, passages, embedder)
    dropped[LOST] = len(candidates) - len(kept)
    return Sifted(kept, dict(dropped))


def _filter_retrieved(
    questions: Mapping[str, str], passages: Mapping[str, str], embedder: Embedder
) -> dict[str, str]:
    """Keep the questions that retrieve their passage; Q questions, N passages, D dimensions."""
    rows = {name: row for row, name in enumerate(passages)}
    # Use the base model: vectors of different experts are not comparable.
    vectors = embedder.encode_documents(list(passages.values()), GENERAL)  # [N, D]
    asked = embedder.encode_queries(list(questions.values()), GENERAL)  # [Q, D]
    kept = {}
    for (name, question), vector in zip(questions.items(), asked, strict=True):
        scores = vectors @ vector  # [N]
        if (scores > scores[rows[name]]).sum() < DEPTH:
            kept[name] = question
    return kept


def _same(text: str) -> str:
    return " ".join(JOINED_WORD.findall(text.lower()))
