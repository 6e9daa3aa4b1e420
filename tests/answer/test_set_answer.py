"""The events of an answer about a set."""

from __future__ import annotations

from pathlib import Path

from serving_fixtures import OpenPipeline, PacedGenerator

from expertrag.answer.set_answer import MOST_PASSAGES
from expertrag.api.events import DeltaEvent, DoneEvent, GateEvent, PassagesEvent, TableEvent
from expertrag.api.types import AnswerRequest, FinishReason, GateMode


def test_the_table_comes_before_the_text(open_pipeline: OpenPipeline, company_store: Path) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    question = "How many incidents happened in May 2026?"
    kinds = [type(event) for event in pipeline.answer(AnswerRequest(question))]
    assert kinds[:4] == [GateEvent, PassagesEvent, TableEvent, DeltaEvent]
    assert kinds[-1] is DoneEvent


def test_the_passages_are_few(open_pipeline: OpenPipeline, company_store: Path) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    events = list(pipeline.answer(AnswerRequest("How many expenses were there?")))
    (passages,) = [event for event in events if isinstance(event, PassagesEvent)]
    assert 0 < len(passages.passages) <= MOST_PASSAGES


def test_without_rows_there_are_no_passages(
    open_pipeline: OpenPipeline, company_store: Path
) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    question = "How many incidents happened in August 2026?"
    events = list(pipeline.answer(AnswerRequest(question)))
    assert not [event for event in events if isinstance(event, PassagesEvent)]


def test_strict_withholds_a_count_that_may_not_be_complete(
    open_pipeline: OpenPipeline, company_store: Path
) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    request = AnswerRequest("How many expenses were there in June?", mode=GateMode.STRICT)
    events = list(pipeline.answer(request))
    assert [event for event in events if isinstance(event, TableEvent)]
    (done,) = [event for event in events if isinstance(event, DoneEvent)]
    assert done.finish_reason is FinishReason.ABSTAINED
