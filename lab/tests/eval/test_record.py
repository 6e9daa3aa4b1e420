"""Recording: resumed, never mixed between systems, and stopped by a failing model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from eval.conftest import SQUAD, WithModel
from serving_fixtures import PacedGenerator, PacedSession

from expertrag.api.errors import Conflict, InvalidArgument, Unavailable
from expertrag.api.folding import fold
from expertrag.api.types import GateMode, Sampling
from expertrag.config import load
from expertrag.llm.base import Message, ShouldStop
from expertrag_index.types import silent
from expertrag_lab.data.datasets import Query
from expertrag_lab.data.resume import appending
from expertrag_lab.data.rows import read_rows
from expertrag_lab.eval.questions import Asked, questions
from expertrag_lab.eval.record import Recording, record, rows_path
from expertrag_lab.metrics.squad import contains

RECORDING = Recording(k=2, max_tokens=6)
PROMPTS_A_QUESTION = 4  # gate, closed book, and open book, which starts a closed-book session first


class MortalGenerator(PacedGenerator):
    """A language model that answers a number of prompts and then fails."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> PacedSession:
        if self.lives == 0:
            raise Unavailable("the endpoint is gone")
        self.lives -= 1
        return super().session(messages, sampling, stop)


def test_rows_contain_the_pipelines_answers(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    recorded = record(asked, RECORDING, path, silent)
    assert [row.id for row in recorded.rows] == [query.id for query in asked.queries]
    assert read_rows(path).rows == recorded.rows
    for row in recorded.rows:
        assert row.recorded is not None
        for text, mode, branch in (
            (row.never, GateMode.NEVER, row.recorded.never),
            (row.one_step, GateMode.ALWAYS, row.recorded.one_step),
        ):
            answer = fold(asked.opened.pipeline.answer(RECORDING.request(row.question, mode)))
            assert text == answer.text
            assert branch.prompt_tokens == answer.usage.prompt_tokens
        decision = asked.opened.pipeline.decide(row.question)
        assert row.recorded.gate.p_benefit == pytest.approx(decision.p_benefit)
        assert row.recorded.gate.lm_calls == 1
        assert set(row.recorded.gate.stage_seconds) == {"route", "embed", "gate", "prefill"}
        assert row.recorded.never.retrieval_calls == 0
        assert row.recorded.one_step.retrieval_calls == 1
        assert 1 <= len(row.recorded.one_step.documents) <= 2
        assert row.recorded.never.sufficient is None
        evidence = asked.opened.pipeline.evidence(row.question, answer.passages)
        assert row.recorded.one_step.evidence == pytest.approx(evidence)
        held = any(contains(passage.text, row.answers or ()) for passage in answer.passages)
        assert row.recorded.one_step.sufficient is held


def test_an_auto_answer_closed_book_is_the_recorded_one(asked: Asked, tmp_path: Path) -> None:
    row = record(asked, RECORDING, tmp_path / "rows.jsonl", silent).rows[0]
    request = dataclasses.replace(RECORDING.request(row.question, GateMode.AUTO), threshold=1.0)
    answer = fold(asked.opened.pipeline.answer(request))
    assert not answer.decision.retrieve
    assert answer.text == row.never


def test_a_second_run_reuses_all_rows(asked: Asked, tmp_path: Path, with_model: WithModel) -> None:
    path = tmp_path / "rows.jsonl"
    two = with_model(MortalGenerator(2 * PROMPTS_A_QUESTION))
    few = dataclasses.replace(two, queries=two.queries[:2])
    first = record(few, RECORDING, path, silent)
    assert record(few, RECORDING, path, silent) == first
    with path.open("a") as file:
        file.write('{"_id": "torn')  # kill -9 in the middle of a line
    rest = with_model(MortalGenerator(PROMPTS_A_QUESTION))
    whole = record(rest, RECORDING, path, silent)
    assert whole.rows[:2] == first.rows
    assert len(whole.rows) == len(path.read_text().splitlines()) == 3


def test_a_model_that_fails_half_way(asked: Asked, tmp_path: Path, with_model: WithModel) -> None:
    path = tmp_path / "rows.jsonl"
    more = dataclasses.replace(asked, queries=asked.dataset.queries[:8])
    dying = with_model(MortalGenerator(2 * PROMPTS_A_QUESTION + 1), more)
    with pytest.raises(Unavailable, match="3 times in a row, last with: the endpoint is gone") as e:
        record(dying, RECORDING, path, silent)
    assert str(path) in str(e.value)
    assert len(read_rows(path).rows) == 2
    alive = with_model(MortalGenerator(6 * PROMPTS_A_QUESTION), more)
    assert len(record(alive, RECORDING, path, silent).rows) == 8


def test_a_model_that_never_answers(asked: Asked, tmp_path: Path, with_model: WithModel) -> None:
    two = dataclasses.replace(asked, queries=asked.queries[:2])
    dead = with_model(MortalGenerator(0), two)
    with pytest.raises(Unavailable, match="failed every time, last with: the endpoint is gone"):
        record(dead, RECORDING, tmp_path / "rows.jsonl", silent)


def test_a_model_that_fails_at_the_end_leaves_counted_skips(
    asked: Asked, tmp_path: Path, with_model: WithModel
) -> None:
    dying = with_model(MortalGenerator(2 * PROMPTS_A_QUESTION))
    recorded = record(dying, RECORDING, tmp_path / "rows.jsonl", silent)
    assert len(recorded.rows) == 2
    assert [(item.id, item.retry) for item in recorded.skipped] == [(asked.queries[2].id, True)]


def test_a_new_threshold_reuses_the_answers(
    asked: Asked, tmp_path: Path, with_model: WithModel
) -> None:
    path, strict = tmp_path / "rows.jsonl", dataclasses.replace(RECORDING, threshold=0.99)
    alive = with_model(MortalGenerator(3 * PROMPTS_A_QUESTION))
    own = record(alive, RECORDING, path, silent)
    changed = record(alive, strict, path, silent)
    assert record(alive, RECORDING, path, silent) == own
    assert {row.recorded.gate.threshold for row in changed.rows if row.recorded} == {0.99}
    assert {row.recorded.gate.threshold for row in own.rows if row.recorded} == {0.4}


def test_concurrent_writer_and_damaged_manifest_are_rejected(
    asked: Asked, tmp_path: Path, with_model: WithModel
) -> None:
    path = tmp_path / "rows.jsonl"
    alive = with_model(MortalGenerator(99))
    with appending(path), pytest.raises(Conflict, match="another run is writing"):
        record(alive, RECORDING, path, silent)
    record(alive, RECORDING, path, silent)
    (tmp_path / "rows.jsonl.manifest.json").write_text("{")
    with pytest.raises(Conflict, match=r"is damaged; delete it and rows\.jsonl"):
        record(alive, RECORDING, path, silent)


def test_a_store_of_other_documents_is_rejected(
    work: Path, asked: Asked, minilm_path: Path, reader_path: Path
) -> None:
    beir = SQUAD.parent / "beir_small"
    store = next((asked.work / "stores").glob("squad_small-*"))
    config = load(environ={}, flags={"index": str(store)}).config
    with pytest.raises(
        InvalidArgument, match="contains none of the documents that beir_small judges"
    ):
        next(questions((beir,), "test", 1, 0, config, work, silent))


def test_a_question_that_cannot_be_asked_is_a_counted_skip(
    asked: Asked, tmp_path: Path, with_model: WithModel
) -> None:
    long = [Query(f"long{i}", "why? " * 4000, ("x",)) for i in range(4)]
    alive = with_model(MortalGenerator(99))
    odd = dataclasses.replace(alive, queries=(*long, asked.queries[0]))
    recorded = record(odd, RECORDING, tmp_path / "rows.jsonl", silent)
    assert len(recorded.rows) == 1
    assert [item.id for item in recorded.skipped] == [query.id for query in long]
    assert all("question" in item.reason for item in recorded.skipped)


@pytest.mark.parametrize("change", ["k", "generator"])
def test_rows_of_two_systems_never_mix(
    asked: Asked, tmp_path: Path, with_model: WithModel, change: str
) -> None:
    path = tmp_path / "rows.jsonl"
    alive = with_model(MortalGenerator(99))
    record(alive, RECORDING, path, silent)
    other, recording = alive, RECORDING
    if change == "k":
        recording = Recording(k=3, max_tokens=6)
    else:
        other = asked
    assert rows_path(other, recording) != rows_path(alive, RECORDING)
    with pytest.raises(Conflict, match=f"made with another {change}"):
        record(other, recording, path, silent)


def test_a_file_of_other_origin_is_not_modified(asked: Asked, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"mine": 1}\n')
    with pytest.raises(Conflict, match="was not recorded by this command"):
        record(asked, RECORDING, path, silent)
    assert json.loads(path.read_text()) == {"mine": 1}
