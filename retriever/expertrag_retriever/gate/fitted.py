"""Decisions of a fitted gate, with the contribution of each group of signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expertrag_retriever.errors import GateError
from expertrag_retriever.gate import explain
from expertrag_retriever.gate.bundle import GateBundle
from expertrag_retriever.gate.design import Design
from expertrag_retriever.gate.odds import log_odds
from expertrag_retriever.gate.predictor import Predictor
from expertrag_retriever.gate.signals import Signals
from expertrag_retriever.types import GateAction, GateDecision, GateMode


@dataclass(frozen=True, slots=True)
class GateJudgement:
    """Probabilities for one query, and what contributed to them.

    ``contributions``: by group of signals, in nats, how much higher the log odds of the benefit are
    than with the group at its mean over the fitted rows. ``lacking``: groups of which no signal was
    measured; their means are used.
    """

    p_benefit: float
    p_correct_closed_book: float
    p_correct_retrieval: float
    contributions: Mapping[str, float]
    lacking: tuple[str, ...]


def judge(predictor: Predictor, signals: Signals) -> GateJudgement:
    """Judge a query.

    :raises GateError: a signal is not finite, so the query cannot be judged.
    """
    design = predictor.design
    _check_finite(signals, design)
    x = design.matrix([signals])  # [1, F]
    groups = list(dict.fromkeys(block.group for block in design.blocks))
    without = np.repeat(x, len(groups), axis=0)  # [G, F]
    for row, group in enumerate(groups):
        for block in design.blocks:
            if block.group is group:
                without[row, design.slices[block.name]] = 0.0
    predictions = predictor.predict_columns(np.concatenate([x, without]))
    odds = log_odds(predictions.benefit)
    measured = {block.group for block in design.blocks if block.within(signals)}
    return GateJudgement(
        p_benefit=float(predictions.benefit[0]),
        p_correct_closed_book=float(predictions.closed[0]),
        p_correct_retrieval=float(predictions.retrieval[0]),
        contributions={
            str(group): float(odds[0] - odds[row]) for row, group in enumerate(groups, start=1)
        },
        lacking=tuple(str(group) for group in groups if group not in measured),
    )


def decide(bundle: GateBundle, signals: Signals, *, threshold: float | None = None) -> GateDecision:
    """Decide in mode AUTO. A query that cannot be judged retrieves.

    :param threshold: smallest p(benefit) that retrieves; None for the gate's own.
    """
    try:
        judgement = judge(bundle.predictor, signals)
    except GateError as error:
        return decide_unjudged(str(error), bundle.version)
    threshold = bundle.threshold if threshold is None else threshold
    retrieve = judgement.p_benefit >= threshold
    return GateDecision(
        action=GateAction.RETRIEVE if retrieve else GateAction.CLOSED_BOOK,
        mode=GateMode.AUTO,
        reason=explain.explain_fitted(judgement.p_benefit, threshold, judgement.contributions),
        threshold=threshold,
        p_benefit=judgement.p_benefit,
        p_correct_closed_book=judgement.p_correct_closed_book,
        p_correct_retrieval=judgement.p_correct_retrieval,
        signals=dict(signals.numbers),
        contributions=judgement.contributions,
        warnings=tuple(
            f"no signals of the group '{group}' were measured; their means are used instead"
            for group in judgement.lacking
        ),
        calibrator=bundle.version,
    )


def decide_unjudged(why: str, calibrator: str) -> GateDecision:
    """Decide on a query that cannot be judged: retrieve, with a warning."""
    return GateDecision(
        action=GateAction.RETRIEVE,
        mode=GateMode.AUTO,
        reason=(
            f"The gate could not judge the question ({why}), "
            "so the documents are consulted to be safe."
        ),
        warnings=(why,),
        calibrator=calibrator,
    )


def _check_finite(signals: Signals, design: Design) -> None:
    """Raise if a signal that the gate uses is not finite."""
    numbers = [name for block in design.blocks for name in block.names]
    vectors = [block.name for block in design.blocks if not block.names]
    broken = [n for n in numbers if not math.isfinite(signals.numbers.get(n, 0.0))]
    broken += [n for n in vectors if not np.isfinite(signals.vectors.get(n, 0.0)).all()]
    if broken:
        raise GateError(f"signals that are not finite: {', '.join(sorted(broken))}")
