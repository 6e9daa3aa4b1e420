"""The audit log of a running server: ids, lines and feedback over a real connection."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from serving_fixtures import Background, OpenPipeline, PacedGenerator, StartServer, wait_until

from expertrag.api.errors import Conflict, DeadlineExceeded, InvalidArgument, NotFound
from expertrag.api.events import GateEvent
from expertrag.api.folding import fold
from expertrag.api.types import Feedback, FinishReason, GateAction, GateMode
from expertrag.audit import Audit
from expertrag.audit.reading import read_log
from expertrag.client import AsyncClient, Client
from expertrag.serving.server import Server

QUESTION = "How often does a checkpoint run?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "audit.jsonl"


@pytest.fixture
def server(start_server: StartServer, open_pipeline: OpenPipeline, path: Path) -> Server:
    path.parent.mkdir()
    return start_server(lambda: open_pipeline(audit=Audit(path, texts=True)))


def test_every_decision_is_logged(client: Client, path: Path) -> None:
    automatic = client.answer(QUESTION, max_tokens=4)
    streamed = fold(client.stream(QUESTION, mode="strict"))
    never = client.answer(QUESTION, mode="never", max_tokens=3)
    decided = client.decide(QUESTION)
    entries = read_log(path).entries
    ids = [automatic.id, streamed.id, never.id, decided.id]
    assert [entry.id for entry in entries] == ids
    assert len(set(ids)) == 4
    assert all(len(name) == 32 for name in ids)
    first, second, third, last = entries
    assert (first.mode, first.generation, first.gate) == (GateMode.AUTO, 1, "training-free-3")
    assert first.p_benefit == automatic.decision.p_benefit
    assert first.signals == automatic.decision.signals
    assert first.question == QUESTION
    assert first.cost == automatic.usage
    assert first.finish_reason is automatic.finish_reason
    assert (second.mode, second.p_benefit) == (GateMode.STRICT, None)
    assert (second.finish_reason, second.support) == (FinishReason.ABSTAINED, streamed.support)
    assert second.cost is not None
    assert second.cost.retrieval_calls == 1
    assert (third.action, third.finish_reason) == (GateAction.CLOSED_BOOK, FinishReason.LENGTH)
    assert (last.cost, last.finish_reason) == (None, None)
    assert [entry.from_documents for entry in entries] == [
        automatic.decision.retrieve, False, False, None,
    ]  # fmt: skip


def test_cancelled_and_late_answers_are_logged(
    client: Client, path: Path, paced: PacedGenerator
) -> None:
    paced.step_s, paced.words = 0.05, 200
    with closing(client.stream(QUESTION, mode="never")) as events:
        event = next(events)
        assert isinstance(event, GateEvent)
    with pytest.raises(DeadlineExceeded):
        client.answer(QUESTION, mode="always", timeout=0.5)
    paced.words = 0
    client.answer(QUESTION, mode="never")
    # a cancelled call ends a moment later
    wait_until(lambda: path.exists() and len(path.read_bytes().splitlines()) >= 3, 10)
    entries = {entry.id: entry for entry in read_log(path).entries}
    assert entries[event.decision.id].finish_reason is None
    assert sorted(str(entry.finish_reason) for entry in entries.values()) == [
        "None", "None", "stop",
    ]  # fmt: skip
    assert paced.open_sessions == 0


def test_feedback_over_the_network(
    client: Client, server: Server, path: Path, background: Background
) -> None:
    name = client.answer(QUESTION, max_tokens=2).id
    client.feedback(name, helpful=False)

    async def correct() -> None:
        async with AsyncClient(server.address) as twin:
            await twin.feedback(name, correct_answer="every 5 minutes", query=QUESTION)

    background.run(correct())
    expected = Feedback(name, False, "every 5 minutes", QUESTION)
    assert read_log(path).feedback == {name: expected}
    with pytest.raises(InvalidArgument, match="answer_id"):
        client.feedback("?", helpful=True)
    with pytest.raises(InvalidArgument, match="set at least one of them"):
        client.feedback(name)


def test_without_a_log(start_server: StartServer) -> None:
    server = start_server()
    with Client(server.address) as client:
        answer = client.answer(QUESTION, mode="never")
        assert len(answer.id) == 32
        with pytest.raises(Conflict, match="no audit log is kept here") as caught:
            client.feedback(answer.id, helpful=True)
        assert caught.value.reason == "AUDIT_OFF"


def test_the_log_is_read_over_the_wire(client: Client, path: Path) -> None:
    with pytest.raises(NotFound, match="no decision has been logged"):
        client.decisions.questions()
    for question in (QUESTION, "When are roses pruned?", "Who won the election of 1932?"):
        client.answer(question, max_tokens=2)
    client.answer(QUESTION, mode="always", max_tokens=2)
    replayed = client.decisions.replay(threshold=0.0)
    assert (replayed.logged.decisions, replayed.replayed.retrievals, replayed.forced) == (3, 3, 1)
    assert sum(replayed.histogram) == 3
    assert client.decisions.replay(target_rate=0.0).replayed.retrievals == 0
    found = client.decisions.questions()
    assert {item.question for item in found.questions} >= {QUESTION, "When are roses pruned?"}
    client.feedback(found.questions[0].id, correct_answer="In March.")
    after = client.decisions.questions()
    assert (after.total, after.corrected) == (found.total - 1, 1)
    assert sum(count.decisions for count in client.decisions.experts().counts) == 4
