"""The retrieval rate of a running pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import TOPICS, PacedGenerator

from expertrag.config import GateConfig
from expertrag.errors import InvalidArgument
from expertrag.pipeline import Pipeline
from expertrag.types import GateMode

ABOUT = [text for texts in TOPICS.values() for text in texts.values()]


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_a_target_rate_holds_when_every_question_needs_the_documents(
    built_store: Path, embedder: Any, paced: PacedGenerator, target: float
) -> None:
    pipeline = Pipeline(built_store, embedder, paced, policy=GateConfig(target_rate=target))
    decisions = [pipeline.decide(ABOUT[turn % len(ABOUT)]) for turn in range(400)]
    for _ in range(50):  # a caller's own wish is none of the gate's decisions
        pipeline.decide(ABOUT[0], GateMode.ALWAYS)
    pipeline.close()
    late = decisions[100:]  # the threshold starts at the gate's own, which retrieves for all
    rate = sum(decision.retrieve for decision in late) / len(late)
    assert rate == pytest.approx(target, abs=0.05)
    for decision in decisions:
        assert decision.p_benefit is not None
        assert decision.threshold is not None
        assert decision.retrieve == (decision.p_benefit >= decision.threshold)
        assert f"keeps retrieval at {target:.0%} of the questions" in decision.reason


def test_a_threshold_of_the_request_wins_and_counts(
    built_store: Path, embedder: Any, paced: PacedGenerator
) -> None:
    pipeline = Pipeline(built_store, embedder, paced, policy=GateConfig(target_rate=0.5))
    before = pipeline.decide("Say hello in French.").threshold
    for _ in range(20):
        decision = pipeline.decide(ABOUT[0], threshold=0.0)
        assert decision.retrieve
        assert "keeps retrieval" not in decision.reason
    after = pipeline.decide("Say hello in French.").threshold
    pipeline.close()
    assert before is not None
    assert after is not None
    assert after > before


def test_without_a_target_rate_the_gate_has_its_own_threshold(
    built_store: Path, embedder: Any, paced: PacedGenerator
) -> None:
    pipeline = Pipeline(built_store, embedder, paced)
    thresholds = {pipeline.decide(text).threshold for text in ABOUT}
    pipeline.close()
    assert thresholds == {0.5}


def test_threshold_and_target_rate_together() -> None:
    with pytest.raises(InvalidArgument, match=r"target_rate: is set beside gate\.threshold"):
        GateConfig(threshold=0.5, target_rate=0.5)
