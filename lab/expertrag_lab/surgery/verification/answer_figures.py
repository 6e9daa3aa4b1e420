"""Figures of two models' replies to the same held-out prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from expertrag_lab.metrics import squad, stats
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.metrics.types import Estimate
from expertrag_lab.surgery.retrieved_prompts import RetrievedPrompt
from expertrag_lab.surgery.verification.held_answers import HeldAnswer
from expertrag_lab.surgery.verification.loss_change import LossChange, loss_change

Pairs = Sequence[tuple[RetrievedPrompt, HeldAnswer]]


@dataclass(frozen=True, slots=True)
class FigureChange:
    """A figure of both models; None where the prompts or the model allow none.

    :param change: after minus before on the same prompts, with its 95 % bootstrap interval; None
        for a figure that is not a mean over all of these.
    """

    name: str
    before: float | None
    after: float | None
    change: Estimate | None = None


def losses(
    prompts: Sequence[RetrievedPrompt],
    before: Sequence[HeldAnswer],
    after: Sequence[HeldAnswer],
    seed: int = 0,
) -> tuple[LossChange | None, dict[str, LossChange]]:
    """Compare the losses on right replies, over all prompts and by domain.

    :returns: None and nothing if no prompt has a right reply.
    """
    scored = [
        (prompt.domain, old.loss, new.loss, old.tokens)
        for prompt, old, new in zip(prompts, before, after, strict=True)
        if old.loss is not None and new.loss is not None
    ]
    if not scored:
        return None, {}

    def of(domain: str | None) -> LossChange:
        some = [row[1:] for row in scored if domain in (None, row[0])]
        old, new, tokens = zip(*some, strict=True)
        return loss_change(old, new, tokens, seed=seed)

    return of(None), {domain: of(domain) for domain in dict.fromkeys(row[0] for row in scored)}


def answer_figures(
    prompts: Sequence[RetrievedPrompt],
    before: Sequence[HeldAnswer],
    after: Sequence[HeldAnswer],
    seed: int = 0,
) -> tuple[FigureChange, ...]:
    """Compare accuracy, citations and abstention, each as ``expertrag eval answer`` has it.

    - ``accuracy``: share of answers that contain an accepted one; ``exact match`` and ``F1`` as
      SQuAD's script (Rajpurkar et al. 2016); over prompts whose passages hold the answer
    - ``citations``: share of the passages that an answer cites which say so, mean over the answers
      that cite any
    - ``abstention AUROC``: of the doubt, prompts without an answer against the others
    """
    sides = [list(zip(prompts, side, strict=True)) for side in (before, after)]
    paired = {
        "accuracy": lambda p, a: float(squad.contains(a.reply.answer, p.accepted)),
        "exact match": lambda p, a: float(squad.exact_match(a.reply.answer, p.accepted)),
        "F1": lambda p, a: squad.token_f1(a.reply.answer, p.accepted),
    }
    return (
        *(_pair(name, sides, score, seed) for name, score in paired.items()),
        FigureChange("citations", _citations(sides[0]), _citations(sides[1])),
        FigureChange("abstention AUROC", _auroc(sides[0]), _auroc(sides[1])),
    )


def same_replies(
    before: Sequence[HeldAnswer], after: Sequence[HeldAnswer], seed: int = 0
) -> Estimate:
    """Return the share of prompts with the same greedy reply, markers included."""
    same = [float(old.reply == new.reply) for old, new in zip(before, after, strict=True)]
    return stats.estimate(same, seed=seed)


def _pair(
    name: str,
    sides: Sequence[Pairs],
    score: Callable[[RetrievedPrompt, HeldAnswer], float],
    seed: int,
) -> FigureChange:
    old, new = ([score(*pair) for pair in side if pair[0].accepted] for side in sides)
    if not old:
        return FigureChange(name, None, None)
    return FigureChange(name, fmean(old), fmean(new), stats.difference(old, new, seed=seed))


def _citations(side: Pairs) -> float | None:
    shares = [
        len({*answer.reply.cited} & {*prompt.cited}) / len({*answer.reply.cited})
        for prompt, answer in side
        if answer.reply.cited and prompt.cited
    ]
    return fmean(shares) if shares else None


def _auroc(side: Pairs) -> float | None:
    known = [(answer.doubt, prompt.answer is None) for prompt, answer in side]
    doubts = [doubt for doubt, _ in known if doubt is not None]
    return auc(doubts, [without for _, without in known]) if len(doubts) == len(known) else None
