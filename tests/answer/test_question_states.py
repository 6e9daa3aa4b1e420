"""The hidden states after a question are read once, and only if a probe needs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from serving_fixtures import KnowingGenerator, OpenPipeline

from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.scope import OTHERS, SCOPES
from expertrag.answer.scope_probe import ScopeProbe
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.llm.probe import Owner, Probe

PROBE = ScopeProbe(
    np.zeros((len(SCOPES), 2), np.float32),
    np.zeros(len(SCOPES), np.float32),
    dict.fromkeys(OTHERS, 0.5),
    Probe(np.zeros(2, np.float32), -1.0, Owner("telling", "", "")),
)
QUESTION = "Who chairs our choir of quokkas?"


class BothGenerator(KnowingGenerator):
    """A model with a probe of internal questions and one of scopes."""

    reading = replace(KnowingGenerator.reading, scope=PROBE)


class PlainGenerator(KnowingGenerator):
    """The same model without probes."""

    reading = ReadingPolicy(reader=True)


def count_calls(open_pipeline: OpenPipeline, generator: KnowingGenerator, mode: GateMode) -> int:
    answer = fold(open_pipeline(generator).answer(AnswerRequest(QUESTION, mode=mode)))
    return answer.usage.lm_calls


@pytest.mark.parametrize(("mode", "more"), [(GateMode.ALWAYS, 1), (GateMode.AUTO, 0)])
def test_two_probes_read_the_states_once(
    open_pipeline: OpenPipeline, mode: GateMode, more: int
) -> None:
    """AUTO reads them for internal questions anyhow."""
    both = count_calls(open_pipeline, BothGenerator("Nobody."), mode)
    assert both - count_calls(open_pipeline, KnowingGenerator("Nobody."), mode) == more


def test_without_documents_nothing_is_read(open_pipeline: OpenPipeline) -> None:
    both = count_calls(open_pipeline, BothGenerator("Nobody."), GateMode.NEVER)
    assert both == count_calls(open_pipeline, PlainGenerator("Nobody."), GateMode.NEVER)


def test_the_states_are_of_the_model(open_pipeline: OpenPipeline) -> None:
    answer = fold(open_pipeline(BothGenerator("Nobody.")).answer(AnswerRequest(QUESTION)))
    state = np.array([1.0, 1.0], np.float32)
    assert np.allclose(state @ np.array([4.0, 4.0]) - 4.0, 4.0)
    assert answer.decision.signals["p_internal"] == pytest.approx(1 / (1 + np.exp(-4.0)))
