"""Fits of how likely an answer is right, by hand."""

from __future__ import annotations

import random

import pytest
from fit_support import Kept, figures, fitted, probability, strict_from

from expertrag.eval.calibration import auc
from expertrag.generation.probe import Support

SOURCES = ("office", "squad2", "popqa")


def kept(source: str, *, answerable: bool, right: bool, rng: random.Random) -> Kept:
    """An answer: right ones have likelier tokens, and each source a level of its own."""
    least = min(max(rng.gauss(0.7 if right else 0.4, 0.15), 0.01), 0.99)
    held = rng.gauss(2.0 if right else 1.5, 0.5) + SOURCES.index(source)
    return Kept(source, answerable, right, (held, least, float(rng.random() < 0.3)))


@pytest.fixture(scope="module")
def answers() -> list[Kept]:
    rng = random.Random(0)
    given = [
        kept(source, answerable=True, right=rng.random() < 0.3 * (place + 1), rng=rng)
        for place, source in enumerate(SOURCES)
        for _ in range(60)
    ]
    lacking = [kept("squad2", answerable=False, right=False, rng=rng) for _ in range(40)]
    return [*given, *lacking, Kept("squad2", False, False, None)]


def test_a_fit_tells_right_answers_of_sources_that_it_has_not_seen(answers: list[Kept]) -> None:
    told = [item for item in answers if item.features]
    support, unseen = fitted(told)
    assert support.weights[1] > 0
    assert (auc(unseen.tolist(), [item.right for item in told]) or 0.0) > 0.8
    assert fitted(told)[0] == support


def test_strict_withholds_enough_of_what_the_store_does_not_answer(answers: list[Kept]) -> None:
    support, unseen = fitted([item for item in answers if item.features])
    least = strict_from(answers, support)
    lacking = [item for item in answers if not item.answerable]
    withheld = [probability(item, support) < least for item in lacking]
    assert sum(withheld) / len(lacking) >= 0.85
    fit = Support(support.bias, support.weights, least)
    told = figures(answers, fit, unseen)
    assert told["questions"] == {"answerable": 180, "unanswerable": 41, "answered": 220}
    strict = told["strict"]
    assert isinstance(strict, dict)
    assert strict["abstains, unanswerable"] == pytest.approx(sum(withheld) / len(lacking))
