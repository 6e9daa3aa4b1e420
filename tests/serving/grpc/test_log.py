"""The log line of a call: method, result and cost, never texts."""

from __future__ import annotations

from typing import Any

import pytest
from logging_helper import logging_restored
from serving_fixtures import wait_until
from structlog.testing import capture_logs

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.client import Client
from expertrag.config import LogConfig
from expertrag.runtime import logs

SECRET = "xyzzy"


def test_one_line_a_call_without_texts(client: Client) -> None:
    with capture_logs() as lines:
        client.answer(f"When are roses pruned, {SECRET}?", mode="always", max_tokens=3)
        with pytest.raises(InvalidArgument) as caught:
            client.retrieve(SECRET * 10_000)
        wait_until(lambda: sum(line["event"] == "call" for line in lines) == 2)
    answered, refused = (line for line in lines if line["event"] == "call")
    assert answered["method"] == "AnswerService/Answer"
    assert (answered["code"], answered["gate"]) == ("OK", "retrieve")
    assert len(answered["answer_id"]) == 32
    assert answered["completion_tokens"] == 3
    assert answered["prompt_tokens"] > 0
    assert answered["ms"] > 0
    assert refused["code"] == "INVALID_ARGUMENT"
    assert refused["request_id"] == caught.value.request_id
    assert SECRET not in str(lines)
    assert "Roses are" not in str(lines)


STAGES = (
    "answer.read.route",
    "answer.gate.Decider.decide",
    "answer.search.gather",
    "answer.sessions.Sessions.pack",
    "answer.sessions.Sessions._begin",
    "answer.ground.ground",
)


@pytest.mark.parametrize("shape", ["json", "console"])
def test_a_stage_that_fails_logs_its_place_but_no_texts(
    client: Client, shape: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*given: Any, **_: Any) -> None:
        question = f"{SECRET} of {given}"
        raise RuntimeError(question)

    with logging_restored():
        logs.configure(LogConfig(level="debug", format=shape))
        for stage in STAGES:
            with monkeypatch.context() as patched, pytest.raises(ServerError) as caught:
                patched.setattr(f"expertrag.{stage}", fail)
                client.answer(f"When are roses pruned, {SECRET}?", mode="always", max_tokens=3)
            assert SECRET not in str(caught.value)
    out, err = capfd.readouterr()
    assert err.count("unexpected error") == err.count("in fail") == len(STAGES)
    assert SECRET not in out + err
