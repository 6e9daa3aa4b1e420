"""The checks that withhold an answer, at their bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expertrag.answer.abstain import VERDICT_STRICT_FROM, AbstentionPolicy, believes_refusal
from expertrag.answer.ground import Judgement
from expertrag.grounding.ground import SUPPORTED
from expertrag.llm.confidence import Confidence, ConfidenceOwner
from expertrag.llm.probe import Owner, Probe

PROBE = Probe(np.zeros(1, np.float32), 0.0, Owner("model", "", ""))
OWNER = ConfidenceOwner("model", "", "", "model")
FITTED = Confidence({"sufficient": 1.0}, 0.0, 0.6, 0.9, 0.3, OWNER, PROBE)
WORDS = AbstentionPolicy(0.125)
WEIGHTS = AbstentionPolicy(0.125, FITTED)


@pytest.mark.parametrize(("p", "believed"), [(None, True), (0.0, True), (0.49, True), (0.5, False)])
def test_a_refusal_is_believed_unless_the_passages_suffice(
    p: float | None, *, believed: bool
) -> None:
    assert believes_refusal(p) is believed


@pytest.mark.parametrize(("p", "rejected"), [(None, False), (0.49, True), (0.5, False)])
def test_the_judge_of_passages_rejects_below_a_half(p: float | None, *, rejected: bool) -> None:
    assert WORDS.rejects(p) is rejected


def test_a_yes_or_no_may_be_more_doubtful() -> None:
    assert WORDS.withholds_doubtful(0.87, verdict=False, fitted=False)
    assert not WORDS.withholds_doubtful(0.875, verdict=False, fitted=False)
    assert not WORDS.withholds_doubtful(0.87, verdict=True, fitted=False)
    assert WORDS.withholds_doubtful(0.74, verdict=True, fitted=False)
    assert WORDS.verdict_from == VERDICT_STRICT_FROM
    assert replace(WORDS, strict_from=0.4).verdict_from == 0.4  # the larger bound


@pytest.mark.parametrize("verdict", [True, False])
def test_without_a_doubt_or_with_weights_nothing_is_withheld_for_doubt(*, verdict: bool) -> None:
    assert not WORDS.withholds_doubtful(None, verdict=verdict, fitted=False)
    assert not WORDS.withholds_doubtful(0.0, verdict=verdict, fitted=True)


def test_without_weights_the_support_of_the_passages_decides() -> None:
    judgement = Judgement(0.99, "")
    for policy in (WORDS, WEIGHTS):  # a judgement that the weights did not make
        assert policy.withholds_unsupported(judgement, SUPPORTED - 0.01, internal=False)
        assert not policy.withholds_unsupported(judgement, SUPPORTED, internal=False)


@pytest.mark.parametrize(
    ("probability", "internal", "withheld"),
    [(0.89, False, True), (0.9, False, False), (0.29, True, True), (0.3, True, False)],
)
def test_fitted_weights_decide_by_the_bound_of_the_question(
    probability: float, *, internal: bool, withheld: bool
) -> None:
    judgement = Judgement(probability, "", fitted=True)
    assert WEIGHTS.withholds_unsupported(judgement, 1.0, internal=internal) is withheld
    unsupported = WEIGHTS.withholds_unsupported(judgement, 0.0, internal=internal)
    assert unsupported is withheld  # the words of the passages are a signal of the weights
