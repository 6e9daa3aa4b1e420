"""The log line of a call: method, result and cost, never texts."""

from __future__ import annotations

import pytest
from serving_fixtures import wait_until
from structlog.testing import capture_logs

from expertrag.api.errors import InvalidArgument
from expertrag.client import Client

SECRET = "xyzzy"


def test_one_line_a_call_without_texts(client: Client) -> None:
    with capture_logs() as logs:
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
