"""Compute the figures of ``eval_reader.py`` from answers, with 95 % bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from reader_answers import ModelReply
from reader_questions import Asked

from expertrag.answer.ground import ground_reply
from expertrag.api.types import Passage
from expertrag_lab.metrics import squad, stats
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.metrics.types import Estimate
from expertrag_lab.train.reader.answers import holding

DRAWS = 1_000
EDGES = (0.025, 0.975)

Points = Callable[[Asked, Passage], bool]
"""Whether a citation of a passage is right."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure before and after, with its target; None if there is nothing to measure.

    ``change`` is after minus before on the same questions. ``bar`` is the target, and ``reached``
    whether it is met; both are empty without a target.
    """

    name: str
    after: Estimate | None
    before: Estimate | None = None
    change: Estimate | None = None
    bar: str = ""
    reached: bool | None = None

    @classmethod
    def parsed(cls, item: Mapping[str, Any]) -> Figure:
        """Read a figure from a file of results."""
        known = {
            name: Estimate(**item[name])
            for name in ("after", "before", "change")
            if item[name] is not None
        }
        return cls(**{**item, **known})

    def at_least(self, bar: float) -> Figure:
        """Set a minimum as target."""
        reached = self.after is not None and self.after.mean >= bar
        return self._asked(f">= {bar:.2f}", reached)

    def at_most(self, bar: float) -> Figure:
        """Set a maximum as target."""
        reached = self.after is not None and self.after.mean <= bar
        return self._asked(f"<= {bar:.2f}", reached)

    def losing_at_most(self, bar: float) -> Figure:
        """Set a maximum loss as target."""
        reached = self.change is not None and self.change.mean >= -bar
        return self._asked(f"loses <= {bar:g}", reached)

    def near_one(self, bar: float) -> Figure:
        """Set a ratio close to 1 as target."""
        reached = self.after is not None and abs(self.after.mean - 1) <= bar
        return self._asked(f"1 +- {bar:.2f}", reached)

    @property
    def row(self) -> str:
        """The figure as a row of a Markdown table."""
        n = self.after.n if self.after else 0
        verdict = "" if self.reached is None else ", reached" if self.reached else ", missed"
        before = "" if self.before is None else f"{self.before.mean:.3f}"
        cells = (self.name, f"{n}", before, _shown(self.after), _shown(self.change, "+"))
        return f"| {' | '.join(cells)} | {self.bar}{verdict} |"

    def _asked(self, bar: str, reached: bool) -> Figure:
        return Figure(self.name, self.after, self.before, self.change, bar, reached)


HEADER = """| figure | n | before | after [95 %] | change [95 %] | bar |
|---|---|---|---|---|---|"""


def means(name: str, before: Sequence[float], after: Sequence[float]) -> Figure:
    """Compare the means over the same questions."""
    if not after:
        return Figure(name, None)
    change = stats.difference(before, after)
    return Figure(name, stats.estimate(after), stats.estimate(before), change)


def compared(
    name: str,
    score: Callable[[Asked, ModelReply], bool],
    asked: Sequence[Asked],
    replies: tuple[Sequence[ModelReply], Sequence[ModelReply]],
) -> Figure:
    """Compare the mean scores of two answers to each question."""
    before, after = (
        [float(score(*pair)) for pair in zip(asked, some, strict=True)] for some in replies
    )
    return means(name, before, after)


def mean(name: str, values: Sequence[float]) -> Figure:
    """Estimate a mean without a value before."""
    return Figure(name, stats.estimate(values) if values else None)


def shares(
    name: str, before: Sequence[tuple[int, int]], after: Sequence[tuple[int, int]]
) -> Figure:
    """Compare shares of items, of which each question has a count: (right, all) per question."""
    return Figure(name, _share(after), _share(before))


def areas(
    name: str, before: Sequence[float], after: Sequence[float], labels: Sequence[bool]
) -> Figure:
    """Compare the areas under the ROC curves of scores of the same questions."""
    return Figure(name, area(after, labels), area(before, labels))


def area(scores: Sequence[float], labels: Sequence[bool]) -> Estimate | None:
    """Estimate the area under the ROC curve of scores of questions."""
    values, truth = np.array(scores), np.array(labels)
    return bootstrapped(
        lambda chosen: auc(values[chosen].tolist(), truth[chosen].tolist()), len(truth)
    )


def right(asked: Asked, reply: ModelReply) -> bool:
    """Whether an answer contains an accepted one; markers are ignored."""
    return squad.contains(reply.reply.answer, asked.answers)


def exact(asked: Asked, reply: ModelReply) -> bool:
    """Whether an answer equals an accepted one."""
    return squad.exact_match(reply.reply.answer, asked.answers)


def scored(asked: Asked, reply: ModelReply) -> bool:
    """Whether an answer is right; it must begin with the verdict, if the question has one."""
    if not set(map(squad.normalise, asked.answers)) <= squad.VERDICTS:
        return right(asked, reply)
    first, *_ = squad.normalise(reply.reply.answer).split() or [""]
    return exact(asked, ModelReply(first, reply.doubt))


def citations(asked: Asked, reply: ModelReply, points: Points) -> tuple[int, int]:
    """Count the right citations of an answer, as served, and all its citations."""
    if not reply.reply.cited:
        return 0, 0
    shown = asked.passages or ()
    found = ground_reply(reply.text, shown, asked.question).citations
    cited = {citation.passage for citation in found} or {*reply.reply.cited}
    right = [points(asked, shown[number - 1]) for number in cited if 1 <= number <= len(shown)]
    return sum(right), len(cited)


def holds_answer(asked: Asked, passage: Passage) -> bool:
    """Whether a passage contains an accepted answer as whole words."""
    return bool(holding(passage, asked.answers))


def is_gold(asked: Asked, passage: Passage) -> bool:
    """Whether a passage is from a judged document."""
    return passage.document_id in asked.gold


def recall(asked: Asked) -> float:
    """Share of a question's judged documents among the passages."""
    shown = {passage.document_id for passage in asked.passages or ()}
    return len(shown & set(asked.gold)) / len(asked.gold)


def _share(counts: Sequence[tuple[int, int]]) -> Estimate | None:
    pairs = np.array(counts).reshape(-1, 2)
    pairs = pairs[pairs[:, 1] > 0]
    if not len(pairs):
        return None
    return bootstrapped(
        lambda chosen: float(pairs[chosen, 0].sum() / pairs[chosen, 1].sum()), len(pairs)
    )


def bootstrapped(figure: Callable[[np.ndarray], float | None], count: int) -> Estimate | None:
    """Estimate a figure of ``count`` questions by bootstrap; draws without a value are dropped."""
    value = figure(np.arange(count))
    if value is None:
        return None
    draws = np.random.default_rng(0).integers(0, count, (DRAWS, count))
    found = [drawn for chosen in draws if (drawn := figure(chosen)) is not None]
    low, high = np.quantile(found, EDGES).tolist()
    return Estimate(value, low, high, count)


def _shown(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "none" if not sign else ""
    form = f"{sign}.3f"
    return f"{estimate.mean:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"
