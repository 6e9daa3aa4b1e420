"""The log line of a call: method, result and cost, never texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from serving_fixtures import wait_until
from structlog.testing import capture_logs

from expertrag.answer.pipeline import Pipeline
from expertrag.api.errors import InvalidArgument
from expertrag.client import Client
from expertrag.service import Server

SECRET = "xyzzy"


def test_one_line_a_call_without_texts(
    start_server: Callable[..., Server], paced_pipeline: Callable[[], Pipeline]
) -> None:
    server = start_server(paced_pipeline)
    with capture_logs() as logs, Client(server.address) as client:
        client.answer(f"When are roses pruned, {SECRET}?", mode="always", max_tokens=3)
        with pytest.raises(InvalidArgument) as caught:
            client.retrieve(SECRET * 10_000)
        wait_until(lambda: sum(line["event"] == "call" for line in logs) == 2)
    answered, refused = (line for line in logs if line["event"] == "call")
    assert answered["method"] == "AnswerService/Answer"
    assert (answered["code"], answered["gate"]) == ("OK", "retrieve")
    assert len(answered["answer_id"]) == 32
    assert answered["completion_tokens"] == 3
    assert answered["prompt_tokens"] > 0
    assert answered["ms"] > 0
    assert refused["code"] == "INVALID_ARGUMENT"
    assert refused["request_id"] == caught.value.request_id
    assert SECRET not in str(logs)
    assert "Roses are" not in str(logs)
