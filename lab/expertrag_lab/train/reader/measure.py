"""Evaluate a reader on dev questions: answers, citations, abstention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expertrag_lab.metrics.calibration import auc
from expertrag_lab.metrics.squad import contains
from expertrag_lab.train.reader.examples import DevQuestions, ReaderExample
from expertrag_lab.train.reader.network import DevReply

Answer = Callable[[Sequence[ReaderExample]], Sequence[DevReply]]
"""Function that answers questions from their passages."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures on a data set's dev questions; None if there is nothing to measure.

    ``alone`` and ``among``: share of answers that contain an accepted one, with the gold passage
    alone and among distractors. ``cited``: share of the right answers among distractors that cite
    at least one gold passage and no other. ``auroc``: AUROC of the probability of abstention,
    unanswerable questions against those with the gold passage among distractors.
    """

    questions: int
    alone: float | None
    among: float | None
    cited: float | None
    auroc: float | None


NOT_ANSWERED = Scores(0, None, None, None, None)
"""Scores of a training that answers no dev questions."""


def measure(dev: DevQuestions, answer: Answer) -> Scores:
    """Answer the dev questions of a data set and score the answers."""
    alone, among = dev.alone, dev.among
    replies, abstained = answer(among), answer(dev.unanswerable)
    doubts = [item.doubt for item in (*abstained, *replies)]
    return Scores(
        questions=len(among),
        alone=_share(_right(alone, answer(alone))),
        among=_share(_right(among, replies)),
        cited=_share(
            [
                bool(item.reply.cited) and set(item.reply.cited) <= set(asked.reply.cited)
                for asked, item in zip(among, replies, strict=True)
                if contains(item.reply.answer, asked.accepted)
            ]
        ),
        auroc=auc(doubts, [place < len(abstained) for place in range(len(doubts))]),
    )


def _right(asked: Sequence[ReaderExample], replies: Sequence[DevReply]) -> list[bool]:
    return [
        contains(item.reply.answer, example.accepted)
        for example, item in zip(asked, replies, strict=True)
        if example.accepted
    ]


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
