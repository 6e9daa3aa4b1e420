"""Every call is counted once, with its code, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from structlog.testing import capture_logs

from expertrag.api.errors import (
    Conflict,
    ExpertRAGError,
    Overloaded,
    PermissionDenied,
    ServerError,
    Unauthenticated,
)
from expertrag.auth import LOCAL, Caller, Quota, Scope
from expertrag.serving.core.calls import Calls
from expertrag.serving.core.context import CallContext, request_id_of
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.core.quotas import Quotas

METHOD = "RetrieveService/Retrieve"
READER = Caller("ada", frozenset([Scope.READ]), quota=Quota(bytes=100, concurrent=1))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def calls(metrics: Metrics) -> Calls:
    return Calls(metrics, Quotas())


def codes(metrics: Metrics, method: str = METHOD) -> dict[str, int]:
    """The calls of a method by their codes."""
    (family,) = metrics.calls.collect()
    counted = [sample for sample in family.samples if sample.name.endswith("_total")]
    return {
        sample.labels["code"]: int(sample.value)
        for sample in counted
        if sample.labels["method"] == method
    }


def refused() -> Caller:
    raise Unauthenticated("who are you?")


def test_a_call_has_its_caller_and_a_line_in_the_log(calls: Calls, metrics: Metrics) -> None:
    context = CallContext(METHOD, "7")
    with capture_logs() as lines, calls.serving(context, lambda: READER):
        assert context.caller is READER
        assert metrics.in_flight._value.get() == 1
    assert metrics.in_flight._value.get() == 0
    assert codes(metrics) == {"OK": 1}
    (line,) = lines
    assert (line["event"], line["request_id"], line["caller"]) == ("call", "7", "ada")
    assert (line["method"], line["code"]) == (METHOD, "OK")


@pytest.mark.parametrize(
    ("method", "identify", "error"),
    [
        (METHOD, refused, Unauthenticated),
        ("IndexService/Delete", lambda: READER, PermissionDenied),
    ],
)
def test_a_call_that_is_not_allowed_does_not_run(
    calls: Calls,
    metrics: Metrics,
    method: str,
    identify: Callable[[], Caller],
    error: type[ExpertRAGError],
) -> None:
    context = CallContext(method, "")
    with pytest.raises(error), calls.serving(context, identify):
        pytest.fail("it runs")
    assert codes(metrics, method) == {error.code: 1}
    assert context.caller is LOCAL


def test_the_request_is_charged_after_the_quota_is_checked(calls: Calls) -> None:
    with calls.serving(CallContext(METHOD, "", size=150), lambda: READER):
        pass
    with pytest.raises(Overloaded, match="100 bytes per minute"):
        calls.serving(CallContext(METHOD, ""), lambda: READER).__enter__()


def test_calls_at_a_time_are_bounded(calls: Calls, metrics: Metrics) -> None:
    second = calls.serving(CallContext(METHOD, ""), lambda: READER)
    with calls.serving(CallContext(METHOD, ""), lambda: READER), pytest.raises(Overloaded):
        second.__enter__()
    assert codes(metrics) == {"OK": 1, "RESOURCE_EXHAUSTED": 1}
    assert metrics.shed.labels(METHOD, "QUOTA_EXCEEDED")._value.get() == 1


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (Conflict("see /var/lib/store/x"), Conflict, "see (a path of the server)"),
        (ValueError("a secret"), ServerError, "under request id 7"),
    ],
)
def test_an_error_is_fit_for_clients(
    calls: Calls, metrics: Metrics, raised: Exception, error: type[ExpertRAGError], message: str
) -> None:
    with pytest.raises(error) as caught, calls.serving(CallContext(METHOD, "7"), lambda: READER):
        raise raised
    assert message in caught.value.message
    assert "secret" not in caught.value.message
    assert codes(metrics) == {error.code: 1}


@pytest.mark.parametrize(("remaining", "code"), [(1.0, "CANCELLED"), (0.0, "DEADLINE_EXCEEDED")])
async def test_a_call_that_is_left_is_counted(
    calls: Calls, metrics: Metrics, remaining: float, code: str
) -> None:
    async def stream() -> AsyncGenerator[int]:
        context = CallContext(METHOD, "", remaining=lambda: remaining)
        with calls.serving(context, lambda: READER):
            yield 1
            await asyncio.sleep(60)

    closed = stream()
    await anext(closed)
    await closed.aclose()
    cancelled = stream()
    await anext(cancelled)
    task = asyncio.ensure_future(anext(cancelled))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert codes(metrics) == {code: 2}


def test_ids_of_requests() -> None:
    assert request_id_of("a-1") == "a-1"
    for sent in (None, "", "two words", "x" * 65, b"a"):
        assert len(request_id_of(sent)) == 32
