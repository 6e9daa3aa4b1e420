"""A pipeline that answers every question with one table, as a store that counts would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import PacedGenerator

from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.api.events import (
    AnswerEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    ProgressEvent,
    TableEvent,
    UsageEvent,
)
from expertrag.api.tables import AnswerTable, Coverage
from expertrag.api.types import (
    AnswerRequest,
    FinishReason,
    GateAction,
    GateDecision,
    GateMode,
    Passage,
    QuestionScope,
)
from expertrag.llm.base import ShouldStop
from expertrag.runtime.meter import Meter

QUERY = "SELECT title, days, paid FROM documents WHERE secret = 'canary' ORDER BY title"
TABLE = AnswerTable(
    ("title", "days", "paid"),
    (
        ("leave", 27, True),
        ("<script>alert(1)</script>", 2.5, None),
        ('=cmd|" /C calc"!A0', -3, False),
    ),
    (("office/leave",), ("office/travel",), ("office/remote", "office/laptop")),
    QUERY,
)
COVERAGE = Coverage(42, 3, 40, left_out=2, reason="2 documents could not be read")
PASSAGE = Passage("office/leave", 0, "Employees get 27 days of leave.", 0, 31, 0.5, title="leave")
TEXT = "There are three."

OpenCounting = Callable[..., "CountingPipeline"]


class CountingPipeline(Pipeline):
    """Answers with ``counted``; the days of its requests are kept in ``days``."""

    counted = TableEvent(TABLE, COVERAGE)
    text = TEXT

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.days: list[str] = []

    def _answer(self, request: AnswerRequest, should_stop: ShouldStop) -> Iterator[AnswerEvent]:
        self.days.append(request.as_of)
        meter = Meter()
        with self._lease() as view, self._entry(request.question, view, meter) as entry:
            scope = request.scope or QuestionScope.COUNT
            decision = GateDecision(GateAction.RETRIEVE, GateMode.AUTO, "it counts", scope=scope)
            yield GateEvent(entry.record_decision(decision))
            for done in (0, 20, 40):
                should_stop()
                yield ProgressEvent(done, 40, None if done == 0 else 4.0 - done / 10)
            yield PassagesEvent((PASSAGE,), view.index.generation)
            entry.record_table(self.counted)
            yield self.counted
            yield from (DeltaEvent(text) for text in self.text.partition(" "))
            yield UsageEvent(meter.usage())
            done_event = DoneEvent(FinishReason.STOP, model="paced", from_documents=True)
            entry.finish(done_event)
            yield done_event


@pytest.fixture
def open_counting(
    built_store: Path, embedder: Any, paced: PacedGenerator
) -> Iterator[OpenCounting]:
    """Opens the pipeline over ``built_store``; closes it after the test."""
    with ExitStack() as opened:

        def make(**options: Any) -> CountingPipeline:
            models = PipelineModels(embedder, paced, None)
            pipeline = CountingPipeline(built_store, models, **options)
            return opened.enter_context(closing(pipeline))

        yield make
