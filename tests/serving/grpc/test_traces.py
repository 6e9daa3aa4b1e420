"""OpenTelemetry: one trace from the client's span to the stages of an answer, without texts."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from serving_fixtures import wait_until

from expertrag.api.errors import InvalidArgument
from expertrag.client import Client

CANARY = "zirconcanary"


def test_one_trace_for_client_call_and_stages(client: Client, spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("test").start_as_current_span("asking") as asking:
        client.answer(f"What is {CANARY}?", mode="always", max_tokens=3)
    method = "AnswerService/Answer"
    wait_until(lambda: method in {span.name for span in spans.get_finished_spans()})
    found = {span.name: span for span in spans.get_finished_spans()}
    assert {"embed", "search", "generate", "ground", method, "asking"} <= found.keys()
    call = found[method]
    assert call.context is not None and call.parent is not None
    assert call.parent.span_id == asking.get_span_context().span_id
    for name in ("embed", "search", "generate"):
        parent = found[name].parent
        assert parent is not None and parent.span_id == call.context.span_id
    names = [span.name for span in spans.get_finished_spans()]
    assert names.count("generate") == 1  # not one per token
    assert call.attributes is not None
    assert call.attributes["expertrag.code"] == "OK"
    assert CANARY not in "".join(span.to_json() for span in found.values())


def test_a_failed_call_is_marked_without_its_text(
    client: Client, spans: InMemorySpanExporter
) -> None:
    with pytest.raises(InvalidArgument):
        client.retrieve("roses", filter={CANARY: 1})
    method = "RetrieveService/Retrieve"
    wait_until(lambda: method in {span.name for span in spans.get_finished_spans()})
    (span,) = (span for span in spans.get_finished_spans() if span.name == method)
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "INVALID_ARGUMENT"
    assert not any(CANARY in each.to_json() for each in spans.get_finished_spans())
