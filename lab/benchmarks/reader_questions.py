"""Questions of ``eval_reader.py``: from test splits, with the passages to show.

| form | passages |
|---|---|
| ``alone`` | gold: whole documents; of a document of more than 250 words, parts with an answer |
| ``found`` | the system's best five |
| ``among`` | the gold ones and four of the system's best without an accepted answer |
| ``tempting`` | the document that an unanswerable question is near to, or its first part |
| ``closed`` | none |
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from expertrag.api.types import Passage
from expertrag.llm import prompt
from expertrag.llm.base import Message
from expertrag_lab.data.datasets import Query, load_dataset, sample
from expertrag_lab.metrics.squad import VERDICTS, normalise
from expertrag_lab.train.reader.answers import MOST_WORDS, holding
from expertrag_lab.train.reader.examples import number_passages
from expertrag_lab.train.reader.passages import Passages

SETS = {"squad2": 1, "hotpotqa": 2, "popqa": 1, "pubmedqa": 1, "bioasq": 3, "tatqa": 3}
"""The data sets, and the maximum number of gold documents shown per question."""

WHOLE_WORDS = 250
FOUND, OTHERS = 5, 4
_MOST_PARTS = 4  # per document

Search = Callable[[str, int], Sequence[Passage]]
"""Function that returns the system's best passages for a question."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its passages.

    ``passages``: None if it is asked closed book. ``gold``: ids of the judged documents.
    ``reply``: the target reply, as made in training; "" if no passage holds an answer.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    passages: tuple[Passage, ...] | None
    gold: tuple[str, ...] = ()
    reply: str = ""

    @property
    def messages(self) -> list[Message]:
        """The prompt, as served."""
        if self.passages is None:
            return prompt.write_closed_book(self.question)
        return prompt.open_book(self.question, self.passages)


class _Parts(NamedTuple):
    """Parts of a judged document to show, and whether they hold an answer."""

    parts: list[Passage]
    holds: bool


class QuestionSet:
    """Questions of a data set's split; a larger ``count`` contains the draw of a smaller one."""

    def __init__(self, folder: Path, count: int, split: str = "test") -> None:
        self.dataset = load_dataset(folder, split)
        self._count = count

    @property
    def majority(self) -> float:
        """Share of the most common answer in the whole split."""
        first = [normalise(query.answers[0]) for query in self._answerable if query.answers]
        return max(map(first.count, set(first))) / len(first)

    def alone(self) -> list[Asked]:
        """Answerable questions with their gold passages."""
        return [self._asked(query, self._gold(query)) for query in self._drawn]

    def found(self, search: Search) -> list[Asked]:
        """Answerable questions with the system's passages."""
        return [self._asked(query, search(query.text, FOUND)) for query in self._drawn]

    def among(self, search: Search) -> list[Asked]:
        """Answerable questions with their gold passages among distractors, in random order."""
        return [self._asked(query, self._mixed(query, search)) for query in self._drawn]

    def tempting(self) -> list[Asked]:
        """Unanswerable questions with the document that they are near to."""
        queries = [query for query in self.dataset.queries if query.answers == ()]
        drawn = sample(queries, self._count, 0)
        near = [self._passages.of(str(query.metadata.get("near_doc"))) for query in drawn]
        return [
            self._asked(query, some[:1]) for query, some in zip(drawn, near, strict=True) if some
        ]

    def closed(self) -> list[Asked]:
        """Answerable questions without passages."""
        return [replace(self._asked(query, ()), passages=None) for query in self._drawn]

    @cached_property
    def _answerable(self) -> list[Query]:
        judged = self.dataset.queries if self.dataset.questions_only else self.dataset.judged
        return [query for query in judged if query.answers]

    @cached_property
    def _drawn(self) -> tuple[Query, ...]:
        return sample(self._answerable, self._count, 0)

    @cached_property
    def _passages(self) -> Passages:
        # unreadable documents are neither here nor in the store
        return Passages(self.dataset.documents(), WHOLE_WORDS)

    def _gold(self, query: Query) -> list[Passage]:
        """Passages of the judged documents; documents that hold an answer are preferred."""
        shown = [self._parts(query, name) for name in self.dataset.relevant(query.id)]
        places = range(len(shown))
        best = sorted(places, key=lambda place: not shown[place].holds)[: SETS[self.dataset.name]]
        return [part for place in sorted(best) for part in shown[place].parts]

    def _parts(self, query: Query, document_id: str) -> _Parts:
        parts = list(self._passages.of(document_id))[:_MOST_PARTS]
        if _verdict(query):  # it is in no part, and follows from all of them
            return _Parts(parts, holds=True)
        holders = [part for part in parts if holding(part, query.answers or ())]
        return _Parts(holders or parts[:1], holds=bool(holders))

    def _mixed(self, query: Query, search: Search) -> list[Passage]:
        gold, judged = self._gold(query), self.dataset.relevant(query.id)
        others = [
            passage
            for passage in search(query.text, 3 * OTHERS)
            if passage.document_id not in judged and not holding(passage, query.answers or ())
        ]
        shown = [*gold, *others[:OTHERS]]
        random.Random(query.id).shuffle(shown)
        return shown

    def _asked(self, query: Query, shown: Sequence[Passage]) -> Asked:
        return Asked(
            f"{self.dataset.name}/{query.id}",
            query.text,
            query.answers or (),
            tuple(shown),
            self.dataset.relevant(query.id),
            _reply(query, shown),
        )


def _verdict(query: Query) -> str:
    """Return the verdict that answers a question; empty if its answer is not a verdict."""
    accepted = list(map(normalise, query.answers or ()))
    return accepted[0] if accepted and set(accepted) <= VERDICTS else ""


def _reply(query: Query, shown: Sequence[Passage]) -> str:
    """Return the reply that training would make: an answer in the passages, with its citation."""
    if verdict := _verdict(query):
        return prompt.Reply(verdict, number_passages(shown, shown)).text
    for passage in shown:
        text = holding(passage, query.answers or ()).strip()
        if text and len(text.split()) <= MOST_WORDS:
            return prompt.Reply(text, number_passages(shown, [passage])).text
    return ""
