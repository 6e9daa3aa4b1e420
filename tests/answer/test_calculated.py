"""Answers that are calculated from a table in the passages of a real store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from serving_fixtures import KnowingGenerator, OpenPipeline, TellingSession

from expertrag.answer.scope import OTHERS, SCOPES
from expertrag.answer.scope_probe import ScopeProbe
from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode, QuestionScope, Sampling
from expertrag.llm.base import Message, ShouldStop
from expertrag.llm.probe import Owner, Probe
from expertrag.llm.prompt import INSTRUCT
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders import load
from expertrag_retriever.encoder import SentenceTransformerEmbedder

QUESTION = "By how many percent did our tax fees change from 2023 to 2024?"
CHANGE = "([tax fees in 2024] - [tax fees in 2023]) / [tax fees in 2023] * 100"
FEES = """# Fees of the year

| Fee | 2024 | 2023 |
|---|---|---|
| Audit fees | 90 | 80 |
| Tax fees | 21 | 28 |
"""
CALCULATION = Probe(np.full(2, 4.0, np.float32), -4.0, Owner("telling", "", ""))


def probe_of(scope: QuestionScope) -> ScopeProbe:
    """Return a probe that reads one scope in all questions."""
    bias = np.array([9.0 * (each is scope) for each in SCOPES], np.float32)
    weights = np.zeros((len(SCOPES), 2), np.float32)
    return ScopeProbe(weights, bias, dict.fromkeys(OTHERS, 0.5), CALCULATION)


class CalculatingGenerator(KnowingGenerator):
    """A model that writes a calculation where "our" shows that one is asked for."""

    family = INSTRUCT.name
    reading = replace(KnowingGenerator.reading, scope=probe_of(QuestionScope.LOOKUP))

    def __init__(self, calculation: str) -> None:
        super().__init__("Audit fees.")
        self.calculation = calculation

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> TellingSession:
        session = super().session(messages, sampling, stop)
        if messages[-1].content == "Calculation:":
            session.reply = self.calculation
        return session


class CountingGenerator(CalculatingGenerator):
    """The same model, which takes all questions for sums over a set."""

    reading = replace(KnowingGenerator.reading, scope=probe_of(QuestionScope.AGGREGATE))


@pytest.fixture(scope="module")
def fees(tmp_path_factory: pytest.TempPathFactory, embedder: SentenceTransformerEmbedder) -> Path:
    """A store of one table."""
    folder = tmp_path_factory.mktemp("fees")
    (folder / "docs").mkdir()
    (folder / "docs" / "fees.md").write_text(FEES)
    with IndexWriter.open(folder / "store", embedder) as writer:
        writer.build(load([folder / "docs"], on_failure=print))
    return folder / "store"


def ask(
    open_pipeline: OpenPipeline,
    fees: Path,
    calculation: str,
    question: str = QUESTION,
    mode: GateMode = GateMode.ALWAYS,
) -> Answer:
    pipeline = open_pipeline(CalculatingGenerator(calculation), store=fees)
    return fold(pipeline.answer(AnswerRequest(question, mode=mode)))


def test_a_change_is_computed_and_its_cells_are_cited(
    open_pipeline: OpenPipeline, fees: Path
) -> None:
    answer = ask(open_pipeline, fees, CHANGE)
    assert answer.text.splitlines() == [
        "-25%",
        "= (21 - 28) / 28 * 100",
        "- tax fees in 2024: 21 (Tax fees, 2024)",
        "- tax fees in 2023: 28 (Tax fees, 2023)",
    ]
    lines = [answer.text[one.answer_start : one.answer_end] for one in answer.citations]
    assert lines == answer.text.splitlines()[2:]
    cited = []
    for one in answer.citations:
        passage = answer.passages[one.passage - 1]
        cited.append(passage.text[one.start - passage.start : one.end - passage.start])
    assert cited == ["21", "28"]


def test_an_average_of_a_row_names_each_number(open_pipeline: OpenPipeline, fees: Path) -> None:
    answer = ask(open_pipeline, fees, "average of [audit fees]")
    assert answer.text.splitlines()[:2] == ["85", "= average of 90, 80"]
    assert len(answer.citations) == 2


@pytest.mark.parametrize(
    ("calculation", "question", "mode"),
    [
        ("none", QUESTION, GateMode.ALWAYS),
        ("[rent in 2024] - [rent in 2023]", QUESTION, GateMode.ALWAYS),
        (CHANGE, QUESTION, GateMode.STRICT),
        (CHANGE, QUESTION.replace("our", "the"), GateMode.ALWAYS),
    ],
    ids=["nothing to calculate", "not in the table", "strict", "not asked for"],
)
def test_other_questions_are_answered_from_the_text(
    open_pipeline: OpenPipeline, fees: Path, calculation: str, question: str, mode: GateMode
) -> None:
    answer = ask(open_pipeline, fees, calculation, question, mode)
    assert not answer.text.startswith("-25")


def test_it_comes_before_one_of_several_readings_of_a_table(
    open_pipeline: OpenPipeline, fees: Path
) -> None:
    question = "What is the average of our tax fees over both years?"
    pipeline = open_pipeline(CountingGenerator("average of [tax fees]"), store=fees)
    answer = fold(pipeline.answer(AnswerRequest(question, mode=GateMode.ALWAYS)))
    assert answer.text.startswith("24.5")
    assert answer.decision.scope is QuestionScope.AGGREGATE
    assert answer.usage.retrieval_calls == 1
