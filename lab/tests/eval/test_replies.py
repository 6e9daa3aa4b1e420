"""Asking wordings through the pipeline as served: resumed, and stopped by a failing model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from eval.conftest import WithModel
from serving_fixtures import PacedGenerator, PacedSession

from expertrag.api.errors import Unavailable
from expertrag.api.folding import fold
from expertrag.api.types import GateMode, Sampling
from expertrag.llm.base import Message, ShouldStop
from expertrag_index.types import silent
from expertrag_lab.eval.questions import Asked
from expertrag_lab.eval.record import Recording
from expertrag_lab.eval.replies import Asking, ask_wordings

ASKING = Asking(Recording(k=1, max_tokens=6), most=3)  # the gate uses 6 tokens


class FailingGenerator(PacedGenerator):
    """A language model whose endpoint fails on some questions; ``begun`` counts the others."""

    def __init__(self, *broken: str) -> None:
        super().__init__()
        self.begun = 0
        self._broken = broken

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> PacedSession:
        if any(text in message.content for text in self._broken for message in messages):
            raise Unavailable("the endpoint is gone")
        self.begun += 1
        return super().session(messages, sampling, stop)


@pytest.fixture
def asked_of(with_model: WithModel, tmp_path: Path) -> WithModel:
    """Gives the same questions to another model; all models cache replies in one place."""
    return lambda model: dataclasses.replace(with_model(model), work=tmp_path)


def test_replies_contain_the_pipelines_answers(asked: Asked) -> None:
    two = dataclasses.replace(asked, queries=asked.queries[:2])
    replies, skipped = ask_wordings(two, ASKING, silent)
    assert skipped == ()
    assert [each.id for each in replies] == [query.id for query in two.queries]
    for question, query in zip(replies, two.queries, strict=True):
        names = [reply.rewrite for reply in question.replies]
        assert names == ["original", "lower_case", "no_question_mark"]
        assert (question.question, question.answers) == (query.text, query.answers)
    reply = replies[1].replies[2]
    answer = fold(asked.opened.pipeline.answer(ASKING.recording.request(reply.text, GateMode.AUTO)))
    assert (reply.answer, reply.retrieved) == (answer.text, answer.decision.retrieve)
    assert reply.p_benefit == pytest.approx(answer.decision.p_benefit)
    assert reply.expert == (answer.decision.expert or "")
    names = [f"{passage.document_id}#{passage.ordinal}" for passage in answer.passages]
    assert reply.passages == tuple(names)
    assert not reply.retrieved or reply.passages


def test_only_paraphrases_of_the_data_set_may_be_asked(asked: Asked) -> None:
    query = dataclasses.replace(asked.queries[0], metadata={"paraphrases": ["And who did?"]})
    one = dataclasses.replace(asked, queries=(query,), work=asked.work / "paraphrases")
    asking = dataclasses.replace(ASKING, answers=False, rewrites=False)
    ((found,), _) = ask_wordings(one, asking, silent)
    assert [reply.text for reply in found.replies] == [query.text, "And who did?"]


def test_the_gate_alone_makes_the_same_decisions(asked: Asked) -> None:
    two = dataclasses.replace(asked, queries=asked.queries[:2])
    with_answers, _ = ask_wordings(two, ASKING, silent)
    without, _ = ask_wordings(two, dataclasses.replace(ASKING, answers=False), silent)
    for alone, whole in zip(without, with_answers, strict=True):
        assert {reply.answer for reply in alone.replies} == {None}
        for a, b in zip(alone.replies, whole.replies, strict=True):
            assert (a.text, a.retrieved) == (b.text, b.retrieved)
            assert a.p_benefit == pytest.approx(b.p_benefit)


def test_a_second_run_asks_only_missing_questions(asked: Asked, asked_of: WithModel) -> None:
    first = FailingGenerator()
    run = asked_of(first)
    few = dataclasses.replace(run, queries=run.queries[:2])
    done, _ = ask_wordings(few, ASKING, silent)
    (path,) = (run.work / "wordings").iterdir()
    with path.open("a") as file:
        file.write('{"id": "torn')  # kill -9 in the middle of a line

    rest = FailingGenerator(*(query.text for query in few.queries))
    replies, skipped = ask_wordings(asked_of(rest), ASKING, silent)
    assert (replies[:2], skipped) == (done, ())
    assert len(replies) == 3
    assert 0 < rest.begun < first.begun


def test_a_question_that_fails_is_counted_and_asked_again(
    asked: Asked, asked_of: WithModel
) -> None:
    broken = asked.queries[1]
    replies, skipped = ask_wordings(asked_of(FailingGenerator(broken.text)), ASKING, silent)
    assert [each.id for each in replies] == [asked.queries[0].id, asked.queries[2].id]
    assert [(each.id, each.reason) for each in skipped] == [(broken.id, "the endpoint is gone")]
    replies, skipped = ask_wordings(asked_of(FailingGenerator()), ASKING, silent)
    assert (len(replies), skipped) == (3, ())


def test_a_failing_model_stops_the_run(asked_of: WithModel) -> None:
    with pytest.raises(Unavailable, match="failed 3 times in a row, last with: the endpoint is g"):
        ask_wordings(asked_of(FailingGenerator("")), ASKING, silent)


def test_replies_with_other_settings_are_not_reused(asked_of: WithModel) -> None:
    ask_wordings(asked_of(FailingGenerator()), ASKING, silent)
    model = FailingGenerator()
    replies, _ = ask_wordings(asked_of(model), dataclasses.replace(ASKING, most=2), silent)
    assert {len(each.replies) for each in replies} == {2}
    assert model.begun > 0
