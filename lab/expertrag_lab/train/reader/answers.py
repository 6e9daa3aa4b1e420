"""Derive the target reply of a question and its evidence; drop questions without one.

| the question has | the reply | its evidence |
|---|---|---|
| short answers | the first that a judged document holds, as whole words | a passage that holds it |
| yes, no or maybe | the verdict | the judged documents |
| ``metadata.ideal_answer`` alone | that, if most of its words are in the evidence | a passage |
| ``answers: []`` | abstention | none |
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from expertrag_index.words.patterns import WORD
from expertrag_lab.data.datasets import Dataset, Query
from expertrag_lab.metrics.squad import VERDICTS, normalise
from expertrag_lab.train.reader.passages import Passages
from expertrag_retriever.types import Passage

MOST_WORDS = 40
"""Longest reply to train on; serving cuts off longer ones."""

NOT_HELD = "answer in none of its documents"
TOO_LONG = f"answer of more than {MOST_WORDS} words"
NO_ANSWER = "no answer that could be learned"
ASKED = "asked in another split, too"

_MOST_VERDICT_PASSAGES = 3
_HOPS = 2  # with more judged documents, each one answers and none leads to another
_SUPPORTED = 0.7  # share of a sentence's words that must be in its passage


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its target reply.

    ``supporting``: judged passages that do not hold the answer, but lead to it. ``held_by``: texts
    that a distractor must not contain.
    """

    query: Query
    text: str
    evidence: tuple[Passage, ...]
    supporting: tuple[Passage, ...] = ()
    held_by: tuple[str, ...] = ()

    @property
    def cited(self) -> tuple[Passage, ...]:
        """The passages that the reply cites."""
        return (*self.evidence, *self.supporting)


def find_answer(
    query: Query, dataset: Dataset, passages: Passages, rng: random.Random
) -> Answered | str:
    """Return a question with its reply and evidence, or the reason why it has none."""
    documents = [list(passages.of(name)) for name in dataset.relevant(query.id)]
    judged = [item for some in documents for item in some]
    if query.answers and {normalise(answer) for answer in query.answers} <= VERDICTS:
        verdict = normalise(query.answers[0])
        return Answered(query, verdict, tuple(judged[:_MOST_VERDICT_PASSAGES]))
    if query.answers:
        return _span(query, judged, [some[0] for some in documents if some], rng)
    return _sentence(query, judged)


def _span(
    query: Query, judged: Sequence[Passage], firsts: Sequence[Passage], rng: random.Random
) -> Answered | str:
    accepted = tuple(query.answers or ())
    holders = [item for item in judged if holding(item, accepted)]
    if not holders:
        return NOT_HELD
    gold = rng.choice(holders)
    text = holding(gold, accepted).strip()
    if len(text.split()) > MOST_WORDS:
        return TOO_LONG
    supporting: list[Passage] = []
    if len(firsts) == _HOPS:
        supporting = [
            item for item in firsts if item not in holders and item.document_id != gold.document_id
        ]
    title = gold.title.strip()
    if supporting and title and not _words(title) & _words(text):
        text = f"{title}: {text}"  # state the intermediate hop, then the answer
    return Answered(query, text, (gold,), tuple(supporting), accepted)


def _sentence(query: Query, judged: Sequence[Passage]) -> Answered | str:
    ideal = query.metadata.get("ideal_answer")
    if not isinstance(ideal, str) or not judged:
        return NO_ANSWER
    if len(ideal.split()) > MOST_WORDS:
        return TOO_LONG
    best = max(judged, key=lambda item: _share(ideal, item))
    if _share(ideal, best) < _SUPPORTED:
        return NOT_HELD
    return Answered(query, " ".join(ideal.split()), (best,))


def holding(passage: Passage, accepted: Sequence[str]) -> str:
    """Return the first accepted answer that a passage contains as whole words; empty if none."""
    text = f" {normalise(passage.text)} "
    matches = (item for item in accepted if (words := normalise(item)) and f" {words} " in text)
    return next(matches, "")


def _share(sentence: str, passage: Passage) -> float:
    words = _words(sentence)
    return len(words & _words(passage.text)) / max(1, len(words))


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))
