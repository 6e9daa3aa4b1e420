"""The audit log of a running server: ids, lines and feedback over a real connection."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from serving_fixtures import Background, PacedGenerator

from expertrag.answer.pipeline import Pipeline
from expertrag.api.errors import Conflict, DeadlineExceeded, InvalidArgument
from expertrag.api.folding import fold
from expertrag.api.types import Feedback, FinishReason, GateAction, GateEvent, GateMode
from expertrag.audit import Audit
from expertrag.audit.audit import FEEDBACK
from expertrag.audit.reading import Log, read_log
from expertrag.client import AsyncClient, Client
from expertrag.service import Server
from expertrag.v1 import gate_pb2, gate_pb2_grpc

QUESTION = "How often does a checkpoint run?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "audit.jsonl"


@pytest.fixture
def load(
    built_store: Path, embedder: Any, paced: PacedGenerator, path: Path
) -> Callable[[], Pipeline]:
    path.parent.mkdir()
    return lambda: Pipeline(built_store, embedder, paced, audit=Audit(path, texts=True))


@pytest.fixture
def server(start_server: Callable[..., Server], load: Callable[[], Pipeline]) -> Server:
    return start_server(load)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


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
    entries = {entry.id: entry for entry in _when(path, 3).entries}
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


def test_an_empty_message_is_rejected(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = gate_pb2_grpc.GateServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ReportFeedback(gate_pb2.ReportFeedbackRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_without_a_log(
    start_server: Callable[..., Server], paced_pipeline: Callable[[], Pipeline]
) -> None:
    server = start_server(paced_pipeline)
    with Client(server.address) as client:
        answer = client.answer(QUESTION, mode="never")
        assert len(answer.id) == 32
        with pytest.raises(Conflict, match="no audit log is kept here") as caught:
            client.feedback(answer.id, helpful=True)
        assert caught.value.reason == "AUDIT_OFF"
    with grpc.insecure_channel(server.address) as channel:
        stub = gate_pb2_grpc.GateServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.ReportFeedback(
                gate_pb2.ReportFeedbackRequest(answer_id=answer.id, helpful=True), timeout=10
            )
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_an_unwritable_log_does_not_fail_an_answer(client: Client, path: Path) -> None:
    (path.parent / "audit.jsonl").unlink(missing_ok=True)
    path.mkdir()
    assert client.answer(QUESTION, max_tokens=3).usage.completion_tokens == 3
    path.rmdir()
    name = client.answer(QUESTION, max_tokens=3).id
    assert [entry.id for entry in read_log(path).entries] == [name]


def test_two_servers_share_a_log_and_survive_sigkill(
    built_store: Path, minilm_path: Path, path: Path, tmp_path: Path
) -> None:
    path.parent.mkdir()
    script = Path(__file__).with_name("audit_child.py")
    addresses = [f"unix:{tmp_path}/{name}" for name in ("a", "b")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), address, str(built_store), str(minilm_path), str(path)],
            env=environ,
        )
        for address in addresses
    ]
    try:
        clients = [Client(address) for address in addresses]
        for client in clients:
            client.wait_ready(90)
        ids = [client.answer(QUESTION, max_tokens=2).id for _ in range(5) for client in clients]
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait(10)
        with path.open("ab") as file:
            file.write(b'{"id": "torn')
        ids += [clients[1].answer(QUESTION, max_tokens=2).id for _ in range(2)]
        clients[1].feedback(ids[0], helpful=True)
        for client in clients:
            client.close()
    finally:
        for process in processes:
            process.kill()
            process.wait(10)
    log = read_log(path)
    assert [entry.id for entry in log.entries] == ids
    assert log.torn == 1
    assert list(log.feedback) == ids[:1]
    assert json.loads((path.parent / FEEDBACK).read_bytes())["helpful"] is True


def _when(path: Path, lines: int) -> Log:
    """Read the log once it has ``lines`` lines: a cancelled call ends a moment later."""
    import time

    for _ in range(200):
        if path.exists() and len(path.read_bytes().splitlines()) >= lines:
            break
        time.sleep(0.05)
    return read_log(path)
