"""The pipeline as a whole: one reading of a question, and a count of every search that runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import product
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from serving_fixtures import DoubtingGenerator, OpenPipeline, PacedGenerator, TellingGenerator

from expertrag.answer.pipeline import Pipeline
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.errors import ServerError
from expertrag.api.folding import fold
from expertrag.api.turns import Turn
from expertrag.api.types import AnswerRequest, DocumentInput, GateMode, RetrieveRequest
from expertrag.config import GateConfig
from expertrag.runtime.meter import Meter
from expertrag_retriever.search import Searcher

QUESTIONS = {
    "documents": "When are roses pruned?",
    "general": "What is 7 plus 5?",
    "without capitals": "what is write-ahead logging?",
    "keywords": "paid leave northwind",
    "capitals": "WHEN ARE ROSES PRUNED",
    "polite": "Hi, could you tell me when roses are pruned? Thanks!",
    "unsure": "How often is the table wiped?",
    "follow-up": "Above what are they pruned?",
    "thanks": "Thanks!",
    "another language": "Wann werden Rosen geschnitten?",
}
HISTORY = (Turn.user("When are roses pruned?"), Turn.assistant("In March."))
IN_CONVERSATION = ("follow-up", "thanks", "without capitals")
ASKED = [(name, ()) for name in QUESTIONS] + [(name, HISTORY) for name in IN_CONVERSATION]


class Canonical(TellingGenerator):
    reading = ReadingPolicy(reader=True, canonical=True)


MODELS: dict[str, Callable[[], PacedGenerator]] = {
    "plain": PacedGenerator,
    "reader": lambda: TellingGenerator("A bud."),
    "doubting": lambda: DoubtingGenerator("A bud.", 0.9, 0.2),
    "canonical": lambda: Canonical("A bud."),
}


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries of all searches that ran."""
    queries: list[str] = []
    search = Searcher.search

    def recorded(self: Searcher, query: str, *args: Any, **options: Any) -> Any:
        queries.append(query)
        return search(self, query, *args, **options)

    monkeypatch.setattr(Searcher, "search", recorded)
    return queries


@pytest.mark.parametrize("model", MODELS)
def test_every_search_of_an_answer_is_counted(
    open_pipeline: OpenPipeline, searches: list[str], model: str
) -> None:
    plain = open_pipeline(MODELS[model]())
    strict = open_pipeline(MODELS[model](), policy=GateConfig(unsure="strict"))
    always = open_pipeline(MODELS[model](), policy=GateConfig(threshold=0.0))
    ways = [(plain, mode, 1) for mode in GateMode]
    ways += [(plain, GateMode.ALWAYS, 2), (strict, GateMode.AUTO, 1), (always, GateMode.AUTO, 1)]
    for (pipeline, mode, steps), (name, history) in product(ways, ASKED):
        searches.clear()
        request = AnswerRequest(QUESTIONS[name], mode, history=history, steps=steps)
        answer = fold(pipeline.answer(request))
        case = (mode, name, bool(history), steps)
        assert answer.usage.retrieval_calls == len(searches), case
        assert len(set(searches)) == len(searches), case  # none is repeated
        if mode is GateMode.NEVER:
            assert not searches, case
        if not answer.decision.retrieve and model != "doubting":
            assert not searches, case


@pytest.mark.parametrize("model", MODELS)
def test_every_search_of_a_decision_is_counted(
    open_pipeline: OpenPipeline, searches: list[str], model: str
) -> None:
    pipeline = open_pipeline(MODELS[model]())
    for mode, (name, history) in product(GateMode, ASKED):
        searches.clear()
        meter = Meter()
        pipeline.decide(QUESTIONS[name], mode, history=history, meter=meter)
        assert meter.usage().retrieval_calls == len(searches), (mode, name)
        doubts = mode is GateMode.AUTO and model == "doubting"
        may_be_a_set = name == "keywords" and mode is not GateMode.NEVER
        assert not searches or doubts or may_be_a_set, (mode, name)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mode", [GateMode.ALWAYS, GateMode.STRICT])
def test_an_answer_that_ended_holds_no_generation(
    open_pipeline: OpenPipeline, built_store: Path, tmp_path: Path, model: str, mode: GateMode
) -> None:
    store = Path(copytree(built_store, tmp_path / "store"))  # the test writes to it
    pipeline = open_pipeline(MODELS[model](), store=store)
    gc.disable()  # a cycle would keep the files of a generation open until the next collection
    try:
        fold(pipeline.answer(AnswerRequest(QUESTIONS["documents"], mode)))
        with pipeline._served.lease() as view:
            old = weakref.ref(view.index)
        del view
        pipeline.upsert([DocumentInput("new", "Tulips are planted in October.")])
        assert old() is None
    finally:
        gc.enable()


def _read_by_answer(pipeline: Pipeline, name: str, history: tuple[Turn, ...]) -> tuple[str, str]:
    question = QUESTIONS[name]
    answer = fold(pipeline.answer(AnswerRequest(question, GateMode.ALWAYS, history=history)))
    return answer.decision.rewritten_question, answer.passages[0].document_id


@pytest.mark.parametrize("model", MODELS)
def test_a_query_is_read_as_a_question(
    open_pipeline: OpenPipeline, searches: list[str], model: str
) -> None:
    pipeline = open_pipeline(MODELS[model]())
    for name, history in ASKED:
        searches.clear()
        result = pipeline.retrieve(RetrieveRequest(QUESTIONS[name], history=history))
        read = result.rewritten_query, result.passages[0].document_id
        (query,) = searches
        assert read == _read_by_answer(pipeline, name, history), name
        assert query == searches[-1] == (read[0] or QUESTIONS[name]), name


def test_a_question_is_read_as_it_was_written(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline()
    assert {_read_by_answer(pipeline, name, ())[0] for name in QUESTIONS} == {""}


def test_another_reading_is_shown(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline(Canonical("A bud."))
    assert _read_by_answer(pipeline, "polite", ())[0] == "Could you tell me when roses are pruned?"


def test_statistics_say_that_the_database_is_missing(
    open_pipeline: OpenPipeline, built_store: Path, tmp_path: Path
) -> None:
    store = Path(copytree(built_store, tmp_path / "store"))
    pipeline = open_pipeline(store=store)
    (store / "store.db").unlink()
    with pytest.raises(ServerError, match="is missing") as raised:
        pipeline.stats()
    assert raised.value.reason == "STORE_CORRUPT"
