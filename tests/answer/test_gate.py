"""The retrieval rate of a running pipeline."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import (
    TOPICS,
    DoubtingGenerator,
    OpenPipeline,
    PacedGenerator,
    StartServer,
    TellingGenerator,
)
from store_helper import build

from expertrag.answer.gate import QUOTES, Decider
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.verdict import Verdict
from expertrag.api.errors import InvalidArgument
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateAction, GateDecision, GateMode
from expertrag.client import Client
from expertrag.config import GateConfig
from expertrag_index.types import Document
from expertrag_retriever.gate.constants import CONSTANTS

ABOUT = [text for texts in TOPICS.values() for text in texts.values()]


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_a_pipeline_holds_the_target_rate_over_100_questions(
    open_pipeline: OpenPipeline, target: float
) -> None:
    pipeline = open_pipeline(policy=GateConfig(target_rate=target))
    decisions = []
    for turn in range(100):
        decisions.append(pipeline.decide(ABOUT[turn % len(ABOUT)]))
        # a mode set by the caller is not a decision of the gate
        pipeline.decide(ABOUT[0], GateMode.ALWAYS)
    rate = sum(decision.retrieve for decision in decisions) / len(decisions)
    assert rate == pytest.approx(target, abs=0.08 if 0 < target < 1 else 0.0)
    for decision in decisions:
        assert decision.p_benefit is not None
        assert decision.threshold is not None
        assert decision.retrieve == (decision.p_benefit >= decision.threshold)
        assert f"keeps retrieval at {target * 100:g} % of the questions" in decision.reason
        otherwise = decision.retrieve != (decision.p_benefit >= CONSTANTS.threshold)
        assert ("by its own, 0.40, the gate would have" in decision.reason) is otherwise
        assert decision.reason.endswith(".")


def test_a_server_holds_the_target_rate_over_100_questions(
    start_server: StartServer, open_pipeline: OpenPipeline
) -> None:
    server = start_server(
        lambda: open_pipeline(policy=GateConfig(target_rate=0.125)), default_deadline_s=60.0
    )
    with Client(server.address) as client, ThreadPoolExecutor(4) as pool:
        questions = [ABOUT[turn % len(ABOUT)] for turn in range(100)]
        answers = list(pool.map(lambda text: client.answer(text, max_tokens=1), questions))
    decisions = [answer.decision for answer in answers]
    rate = sum(decision.retrieve for decision in decisions) / len(decisions)
    assert rate == pytest.approx(0.125, abs=0.08)
    assert all("at 12.5 % of the questions" in decision.reason for decision in decisions)


def test_a_threshold_of_the_request_wins_and_counts(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline(policy=GateConfig(target_rate=0.5))
    before = pipeline.decide("Say hello in French.").threshold
    for _ in range(20):
        decision = pipeline.decide(ABOUT[0], threshold=0.0)
        assert decision.retrieve
        assert "keeps retrieval" not in decision.reason
    after = pipeline.decide("Say hello in French.").threshold
    assert before is not None
    assert after is not None
    assert after > before


def test_without_a_target_rate_the_gate_has_its_own_threshold(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline()
    thresholds = {pipeline.decide(text).threshold for text in ABOUT}
    assert thresholds - {None} == {CONSTANTS.threshold}  # none for a question about a set


def test_settings_that_exclude_each_other_are_rejected() -> None:
    with pytest.raises(InvalidArgument, match=r"target_rate: cannot be .* gate\.threshold"):
        GateConfig(threshold=0.5, target_rate=0.5)
    with pytest.raises(InvalidArgument, match=r"answer_value_s: cannot be .* gate\.target_rate"):
        GateConfig(bundle="mine", target_rate=0.5, answer_value_s=9.0)
    with pytest.raises(InvalidArgument, match=r"answer_value_s: needs a calibrated probability"):
        GateConfig(bundle="training-free", answer_value_s=9.0)
    with pytest.raises(InvalidArgument, match="keep one of them"):
        GateConfig(target_rate=0.5, unsure="strict")


def test_unsure_strict_answers_from_the_documents_only(open_pipeline: OpenPipeline) -> None:
    question = "Who is answerable for the leave of employees?"
    p_benefit = open_pipeline().decide(question).p_benefit
    assert p_benefit is not None
    pipeline = open_pipeline(policy=GateConfig(threshold=(1 + p_benefit) / 2, unsure="strict"))
    answer = fold(pipeline.answer(AnswerRequest(question)))
    decision = pipeline.decide(question)
    assert decision.retrieve and answer.decision.retrieve
    assert "it is answered strictly from them" in decision.reason
    assert "alone" not in decision.reason, "which would be the opposite"
    assert answer.decision.mode is GateMode.AUTO
    assert answer.abstained  # no passage holds the text of this model


@pytest.mark.parametrize(
    "message",
    [
        "Hi, how are you?",
        "Thank you!",
        "Say hello in French.",
        "What is 7 plus 5?",
        "Who wrote Emma?",
    ],
)
def test_unsure_strict_leaves_small_talk_and_general_questions(
    open_pipeline: OpenPipeline, message: str
) -> None:
    """Their benefit is low, but so is the threshold."""
    p_benefit = open_pipeline().decide(message).p_benefit or 0.0
    pipeline = open_pipeline(policy=GateConfig(threshold=min(1.0, 2 * p_benefit), unsure="strict"))
    answer = fold(pipeline.answer(AnswerRequest(message)))
    assert not answer.decision.retrieve and not answer.abstained
    assert "strictly" not in answer.decision.reason


@pytest.mark.parametrize(
    ("benefit", "signals", "strict"),
    [
        (0.2, {"p_documents": 0.2}, True),
        (0.2, {"p_documents": 0.19}, False),
        (0.09, {"p_documents": 0.9}, False),  # under a quarter of the threshold
        (0.2, {"documents_log_odds": -1.3}, True),
        (0.2, {"documents_log_odds": -1.5}, False),
        (0.2, {}, True),  # a gate that does not look at the store
    ],
)
def test_unsure_strict_is_for_questions_that_may_be_about_the_documents(
    paced: PacedGenerator, benefit: float, signals: dict[str, float], strict: bool
) -> None:
    decider = Decider(paced, ReadingPolicy(), None, GateConfig(unsure="strict"))
    decision = GateDecision(
        GateAction.CLOSED_BOOK, GateMode.AUTO, "", p_benefit=benefit, threshold=0.4, signals=signals
    )
    assert decider._retrieve_if_unsure(Verdict.of(decision)).decision.retrieve is strict


def test_instructions_to_a_model_that_quotes_are_answered_with_a_warning(
    open_pipeline: OpenPipeline, paced: PacedGenerator
) -> None:
    french = "Always answer in French."

    def warnings(model: PacedGenerator, mode: GateMode, instructions: str) -> tuple[str, ...]:
        request = AnswerRequest("When are roses pruned?", mode, instructions=instructions)
        return fold(open_pipeline(model).answer(request)).decision.warnings

    assert warnings(TellingGenerator("In March."), GateMode.ALWAYS, french) == (QUOTES,)
    assert warnings(TellingGenerator("In March."), GateMode.ALWAYS, "") == ()
    assert warnings(TellingGenerator("En mars."), GateMode.NEVER, french) == ()
    assert warnings(paced, GateMode.ALWAYS, french) == ()


def test_a_question_in_another_language_is_decided_by_its_words(
    tmp_path: Path, embedder: Any, open_pipeline: OpenPipeline
) -> None:
    texts = [
        "Die Kündigungsfrist beträgt für alle Mitarbeiter vier Wochen zum Monatsende.",
        "Der Notfallplan liegt im Büro der Werkstatt und wird jedes Jahr geprüft.",
        "Wie viele Urlaubstage es gibt, steht im Vertrag: es sind dreißig im Jahr.",
    ]
    build(tmp_path / "store", embedder, [Document(str(at), text) for at, text in enumerate(texts)])
    pipeline = open_pipeline(store=tmp_path / "store", policy=GateConfig(threshold=1.0))
    about = pipeline.decide("Wie viele Urlaubstage sind es im Jahr?")
    other = pipeline.decide("Wer hat den Eiffelturm gebaut und wozu?")
    english = pipeline.decide("How many days of leave do I get?")
    asked = pipeline.decide("Wie viele Urlaubstage sind es im Jahr?", threshold=1.0)
    never = open_pipeline(store=tmp_path / "store", policy=GateConfig(target_rate=0.0))
    assert not never.decide("Wie viele Urlaubstage sind es im Jahr?").retrieve
    assert not asked.retrieve
    assert about.retrieve
    assert "The question is not English, and the embedder" in about.reason
    assert "the documents hold its words" in about.reason
    assert not other.retrieve
    assert "is English-only" in other.reason
    assert "English" not in english.reason


UNCLEAR = "Can I stay at home on Friday?"


@pytest.mark.parametrize(("doubts", "retrieves", "read"), [((0.05,), True, 1), ((0.95,), False, 2)])
def test_the_best_passages_decide_if_the_signals_are_inconclusive(
    open_pipeline: OpenPipeline, doubts: tuple[float, ...], *, retrieves: bool, read: int
) -> None:
    model = DoubtingGenerator("Yes.", *doubts)
    found = fold(open_pipeline(model).answer(AnswerRequest(UNCLEAR)))
    decision = found.decision
    assert decision.retrieve is retrieves
    assert decision.p_benefit is not None and decision.threshold is not None
    assert retrieves is (decision.p_benefit >= decision.threshold)
    assert decision.signals["p_sufficient"] == pytest.approx(1 - doubts[0])
    assert f"one holds the answer with probability {1 - doubts[0]:.2f}." in decision.reason
    assert "check" in found.usage.stage_seconds
    checked = model.prompts[:read]
    assert not any("\n\n[2]" in shown for shown in checked)
    assert len(set(checked)) == read
    assert len(model.prompts) == (read if not retrieves else read + 1)
    assert model.open_sessions == 0


def test_passages_are_read_only_if_they_may_change_the_decision(
    open_pipeline: OpenPipeline,
) -> None:
    model = DoubtingGenerator("Yes.", 0.05)
    pipeline = open_pipeline(model)
    for question in (ABOUT[0], "Say hello in French."):
        assert "p_sufficient" not in pipeline.decide(question).signals
    assert "p_sufficient" not in pipeline.decide(UNCLEAR, threshold=0.4).signals
    assert not model.prompts
    assert pipeline.decide(UNCLEAR).retrieve
    held = open_pipeline(model, policy=GateConfig(target_rate=0.5))
    assert "p_sufficient" not in held.decide(UNCLEAR).signals
    assert len(model.prompts) == 1


def test_a_model_that_cannot_tell_leaves_the_decision_to_the_signals(
    open_pipeline: OpenPipeline, paced: PacedGenerator
) -> None:
    models = (paced, DoubtingGenerator("Yes.", None))
    decisions = [open_pipeline(model).decide(UNCLEAR) for model in models]
    assert all("p_sufficient" not in decision.signals for decision in decisions)
    assert decisions[0].p_benefit == decisions[1].p_benefit
