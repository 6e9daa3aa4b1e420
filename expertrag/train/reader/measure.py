"""What a reader is worth on dev questions: answers, citations, abstention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expertrag.metrics.calibration import auc
from expertrag.metrics.squad import contains
from expertrag.train.reader.examples import DevQuestions, Example
from expertrag.train.reader.network import Told

Answer = Callable[[Sequence[Example]], Sequence[Told]]
"""Answers questions from their passages."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of a data set's dev questions; None where it has nothing to measure them by.

    ``alone`` and ``among``: share of answers that hold an accepted one, from the gold passage alone
    and among distractors. ``cited``: of those that hold one among distractors, how many cite no
    passage but the gold ones, and at least one. ``auroc``: whether the probability of abstention
    tells unanswerable questions from those with a gold passage among distractors.
    """

    questions: int
    alone: float | None
    among: float | None
    cited: float | None
    auroc: float | None


NOT_ANSWERED = Scores(0, None, None, None, None)
"""Of a training that answers no dev questions."""


def measure(dev: DevQuestions, answer: Answer) -> Scores:
    """Answer the dev questions of a data set."""
    alone, among = dev.alone, dev.among
    told, abstained = answer(among), answer(dev.unanswerable)
    doubts = [item.doubt for item in (*abstained, *told)]
    return Scores(
        questions=len(among),
        alone=_share(_right(alone, answer(alone))),
        among=_share(_right(among, told)),
        cited=_share(
            [
                bool(item.reply.cited) and set(item.reply.cited) <= set(asked.reply.cited)
                for asked, item in zip(among, told, strict=True)
                if contains(item.reply.answer, asked.accepted)
            ]
        ),
        auroc=auc(doubts, [place < len(abstained) for place in range(len(doubts))]),
    )


def _right(asked: Sequence[Example], told: Sequence[Told]) -> list[bool]:
    return [
        contains(item.reply.answer, example.accepted)
        for example, item in zip(asked, told, strict=True)
        if example.accepted
    ]


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
