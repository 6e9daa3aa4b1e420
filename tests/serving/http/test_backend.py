"""HTTP requests are operations of the core: the limits of gRPC hold, without gRPC."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_fixtures import CHAT, Served, StartHttp, chat_body, error_of
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from serving_fixtures import OpenPipeline, PacedGenerator, wait_until

from expertrag.answer.pipeline import Pipeline
from expertrag.auth import Quota, Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig
from expertrag.serving.core.scopes import SCOPES
from expertrag.serving.http.operations import OPERATIONS

STREAMED = "AnswerService/StreamAnswer"
Write = Callable[[str, Any], httpx.Response]


def code_of(served: Served, method: str) -> dict[str, float]:
    """The calls of a method by their codes."""
    (family,) = served.grpc.metrics.calls.collect()
    return {
        sample.labels["code"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["method"] == method
    }


def test_operations_have_scopes() -> None:
    methods = [method for method, _ in OPERATIONS.values()]
    assert SCOPES.keys() > set(methods)
    assert len(set(methods)) == len(methods)


def test_a_request_waits_for_the_models(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    opened = threading.Event()

    def load() -> Pipeline:
        assert opened.wait(30)
        return open_pipeline()

    served = start_http(load, wait=False)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(served.post, CHAT, chat_body())
        wait_until(lambda: "UNAVAILABLE" in code_of(served, STREAMED))
        assert not asked.done()
        opened.set()
        assert asked.result().status_code == 200
    assert code_of(served, STREAMED) == {"UNAVAILABLE": 1, "OK": 1}


def test_a_stream_that_is_cut_ends_its_call(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    served = start_http(lambda: open_pipeline(PacedGenerator(step_s=0.05, words=200)))
    asked = chat_body(stream=True, max_tokens=200)
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        next(running.iter_lines())
        assert served.grpc.running == 1
    wait_until(lambda: code_of(served, STREAMED) == {"CANCELLED": 1})
    wait_until(lambda: served.grpc.running == 0)


@pytest.fixture
def write(
    start_http: StartHttp, open_pipeline: OpenPipeline, own_store: Path, tmp_path: Path
) -> Write:
    """Sends documents to a server that accepts 2,000 bytes a minute of a caller."""
    tokens = tmp_path / "tokens.json"
    quota = Quota(bytes=2_000)
    made = TokenFile(tokens).create("ada", frozenset([Scope.READ, Scope.WRITE]), quota=quota)
    served = start_http(
        lambda: open_pipeline(store=own_store), allow_writes=True, auth=AuthConfig(str(tokens))
    )

    def send(path: str, body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {made.text}"}
        return served.post(f"/api/{path}", body, headers=headers)

    return send


def test_the_bytes_of_an_upload_are_charged_by_document(write: Write) -> None:
    documents = [{"id": str(number), "text": f"About {number}. " * 40} for number in range(9)]
    assert write("documents/upsert", {"documents": documents[:1]}).json()["added"] == 1
    response = write("documents/upsert", {"documents": documents[1:]})
    assert response.status_code == 429
    assert error_of(response)["code"] == "quota_exceeded"


def test_the_bytes_of_a_body_are_charged_once(write: Write) -> None:
    assert write("retrieve", {"query": "roses " * 500}).status_code == 200
    assert write("stats", {}).status_code == 429


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("documents/upsert", {"n": [None]}, "metadata: 'n' holds null; omit it"),
        (
            "documents/upsert",
            {"n": 2**60},
            f"metadata: holds {2**60}, beyond 2**53; send it as a string",
        ),
        (
            "documents/list",
            {"n": 2**60},
            f"filter: holds {2**60}, beyond 2**53; send it as a string",
        ),
        ("documents/list", {"n": {"$in": [2**70]}}, f"filter: holds {2**70}, beyond 2**53"),
    ],
)
def test_values_that_no_client_can_read_are_refused(
    write: Write, path: str, body: dict[str, Any], message: str
) -> None:
    document = {"id": "a", "text": "About planting.", "metadata": body}
    response = write(path, {"documents": [document]} if "upsert" in path else {"filter": body})
    assert response.status_code == 400
    assert error_of(response)["message"].startswith(message)


def test_a_stream_has_a_span_with_its_stages(
    served: Served, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    asked = chat_body(stream=True, model="default:always")
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        assert [line for line in running.iter_lines() if line][-1] == "data: [DONE]"
    wait_until(lambda: STREAMED in {span.name for span in spans.get_finished_spans()})
    by_name = {span.name: span for span in spans.get_finished_spans()}
    call = by_name[STREAMED].context
    for stage in ("embed", "search", "generate"):
        parent = by_name[stage].parent
        assert call is not None and parent is not None and parent.span_id == call.span_id
    assert "Failed to detach context" not in caplog.text
