"""What a question asks, read from hidden states: the probe, its files, and its use in an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from serving_fixtures import KnowingGenerator, OpenPipeline

from expertrag import models
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.scope import OTHERS, SCOPES, ScopeProbabilities
from expertrag.answer.scope_probe import ScopeProbe, load_scope_probe
from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode, QuestionScope
from expertrag.llm import prompt
from expertrag.llm.probe import STATES, Owner, Probe

BOUNDS: dict[QuestionScope, float] = dict.fromkeys(OTHERS, 0.5)
WEIGHTS = np.zeros((len(SCOPES), 2), np.float32)
WEIGHTS[SCOPES.index(QuestionScope.COMPARE)] = 6.0
BIAS = np.zeros(len(SCOPES), np.float32)
BIAS[SCOPES.index(QuestionScope.LOOKUP)] = 5.0
CALCULATION = Probe(np.full(2, 4.0, np.float32), -2.0, Owner("telling", "", ""))
PROBE = ScopeProbe(WEIGHTS, BIAS, BOUNDS, CALCULATION)


EVEN = ScopeProbabilities(dict.fromkeys(SCOPES, 1 / len(SCOPES)), BOUNDS)


def test_words_count_where_the_states_leave_it_open() -> None:
    words = dict.fromkeys(SCOPES, 0.0) | {QuestionScope.LIST: 1.0}
    open_states = dict.fromkeys(STATES, np.array([0.4], np.float32))
    assert PROBE.recognise(open_states, EVEN).accepted is not QuestionScope.LIST
    result = PROBE.recognise(open_states, ScopeProbabilities(words, BOUNDS))
    assert result.likeliest is QuestionScope.LIST


@pytest.mark.parametrize(
    ("state", "scope"), [(0.0, QuestionScope.LOOKUP), (1.0, QuestionScope.COMPARE)]
)
def test_probabilities_sum_to_one_and_the_likeliest_is_accepted(
    state: float, scope: QuestionScope
) -> None:
    result = PROBE.recognise(dict.fromkeys(STATES, np.array([state], np.float32)), EVEN)
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert result.accepted is scope


def test_the_shipped_probe_belongs_to_the_default_model_and_its_prompts() -> None:
    folder = models.scope_probe_of("qwen2.5-coder-1.5b-instruct")
    assert folder is not None
    probe = load_scope_probe(folder)
    assert probe.weights.shape[0] == probe.bias.shape[0] == len(SCOPES)
    assert set(probe.bounds) == set(OTHERS)
    assert probe.owner.prompts == prompt.fingerprint_closed_book()


def test_other_models_have_no_probe() -> None:
    assert models.scope_probe_of("smollm2-135m-reader") is None


def test_a_folder_that_is_not_a_probe_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is not a probe"):
        load_scope_probe(tmp_path)
    (tmp_path / "probe.json").write_text("{}")
    with pytest.raises(ServerError, match="damaged"):
        load_scope_probe(tmp_path)


class ComparingGenerator(KnowingGenerator):
    """A model in whose hidden states "our" means that a question compares."""

    reading = ReadingPolicy(reader=True, scope=PROBE)


@pytest.mark.parametrize(
    ("question", "scope"),
    [
        ("Who chairs our choir of quokkas?", QuestionScope.COMPARE),
        ("Who chairs the choir of quokkas?", QuestionScope.LOOKUP),
    ],
)
def test_an_answer_uses_the_scope_that_the_model_shows(
    open_pipeline: OpenPipeline, question: str, scope: QuestionScope
) -> None:
    pipeline = open_pipeline(ComparingGenerator("The moon is made of cheese."))
    answer = fold(pipeline.answer(AnswerRequest(question, mode=GateMode.ALWAYS)))
    assert answer.decision.scope is scope


def test_the_caller_decides(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline(ComparingGenerator("The moon is made of cheese."))
    request = AnswerRequest(
        "Who chairs our choir of quokkas?", mode=GateMode.ALWAYS, scope=QuestionScope.LOOKUP
    )
    answer = fold(pipeline.answer(request))
    assert answer.decision.scope is QuestionScope.LOOKUP
