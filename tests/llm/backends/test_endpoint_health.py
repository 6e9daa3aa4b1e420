"""When one model server is left out, and how it returns."""

from __future__ import annotations

import time

import openai
import pytest

from expertrag.llm.backends.endpoints import Endpoint, EndpointState


@pytest.fixture
def endpoint() -> Endpoint:
    client = openai.AsyncOpenAI(base_url="http://h:1/v1", api_key="none")
    return Endpoint("http://user:secret@h:1/one/v1/", client)


def test_an_endpoint_is_named_without_password(endpoint: Endpoint) -> None:
    assert endpoint.where == "h:1/one"


def test_failures_in_a_row_eject(endpoint: Endpoint) -> None:
    for _ in range(2):
        endpoint.record_failure("status 500")
    endpoint.record_success()
    for _ in range(2):
        endpoint.record_failure("status 500")
    endpoint.record_probe()  # a list of models says nothing about answers
    assert endpoint.available
    endpoint.record_failure("status 500")
    assert endpoint.state is EndpointState.EJECTED and not endpoint.available
    assert endpoint.status.failures == 5


def test_probes_eject(endpoint: Endpoint) -> None:
    for failed in (1, 1, 0, 1, 1):
        endpoint.record_probe("no answer" if failed else "")
    assert endpoint.available
    endpoint.record_probe("no answer")
    assert endpoint.state is EndpointState.EJECTED
    assert endpoint.status.failures == 0  # of requests


def test_trials(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    endpoint.eject("no answer")
    for wait_s in (1, 2, 4, 8, 16, 32, *[60] * 1100):  # most of a day
        now += wait_s - 0.1
        endpoint.record_probe()
        assert not endpoint.available
        now += 0.2
        endpoint.record_probe()
        assert str(endpoint.state) == "half open" and endpoint.available
        with endpoint.request():
            assert not endpoint.available  # one request at a time
        endpoint.record_failure("status 500")
        assert not endpoint.available
    now += 61
    endpoint.record_probe()
    endpoint.record_success()
    assert str(endpoint.state) == "healthy"
    endpoint.eject("no answer")
    now += 1.1
    endpoint.record_probe()
    assert str(endpoint.state) == "half open"  # the time out starts anew
