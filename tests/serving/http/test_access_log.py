"""HTTP requests in the metrics, and the log line of one that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from http_fixtures import CHAT, Served, StartHttp, chat_body, stalled
from prometheus_client import Counter
from serving_fixtures import OpenPipeline, PacedGenerator, wait_until
from structlog.testing import capture_logs

from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig
from expertrag.serving.http import protocol
from expertrag.serving.http.body import MAX_BODY_BYTES
from expertrag.serving.http.state import HttpState

SECRET = "xyzzy"
JSON = {"content-type": "application/json"}
TOO_LONG = b" " * (MAX_BODY_BYTES + 1)


def counted(served: Served) -> dict[tuple[str, str], float]:
    """Return the number of requests by route and status."""
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in served.grpc.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "expertrag_http_requests_total"
    }


def refused(lines: list[Any]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "refused"]


@pytest.mark.parametrize(
    ("method", "path", "options", "route", "status", "reason"),
    [
        ("POST", CHAT, {"content": SECRET, "headers": JSON}, CHAT, 400, "INVALID_FIELD"),
        ("POST", CHAT, {"content": SECRET}, CHAT, 400, "INVALID_CONTENT_TYPE"),
        ("POST", CHAT, {"content": TOO_LONG, "headers": JSON}, CHAT, 413, "MESSAGE_TOO_LARGE"),
        ("POST", CHAT, {"json": chat_body(model=SECRET)}, CHAT, 404, "MODEL_NOT_FOUND"),
        ("GET", f"/v1/models/{SECRET}", {}, "/v1/models/{name:path}", 404, "MODEL_NOT_FOUND"),
        ("GET", f"/{SECRET}?{SECRET}", {}, "other", 404, "NO_ROUTE"),
        (SECRET.upper(), CHAT, {}, CHAT, 405, "NO_METHOD"),
        ("GET", "/v1/models", {"headers": {"host": SECRET}}, "/v1/models", 403, "HOST_REFUSED"),
        ("POST", "/mcp", {"content": SECRET, "headers": JSON}, "/mcp", 400, None),
    ],
)
def test_a_refused_request_is_counted_and_has_a_line(
    served: Served,
    method: str,
    path: str,
    options: dict[str, Any],
    route: str,
    status: int,
    reason: str | None,
) -> None:
    with capture_logs() as lines:
        response = httpx.request(method, f"{served.url}{path}", timeout=60, **options)
        wait_until(lambda: bool(refused(lines)))
    (line,) = refused(lines)
    assert response.status_code == line["status"] == status
    assert (line["route"], line.get("reason")) == (route, reason)
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["method"] == (method if method in ("GET", "POST") else "other")
    assert line["ms"] > 0
    assert SECRET not in str(lines).lower()
    assert counted(served) == {(route, str(status)): 1}


def test_an_answered_request_is_counted_and_has_the_line_of_its_call(served: Served) -> None:
    with capture_logs() as lines:
        assert served.post(CHAT, chat_body()).status_code == 200
        wait_until(lambda: (CHAT, "200") in counted(served))
        wait_until(lambda: any(line["event"] == "call" for line in lines))
    assert not refused(lines)


def test_who_sent_it_is_known_by_its_token(start_http: StartHttp, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.create("reader", frozenset({Scope.READ}))
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))
    own, wrong = f"Bearer {token.text}", f"Bearer {SECRET}"
    with capture_logs() as lines:
        served.post(CHAT, {}, headers={"authorization": own})
        served.post(CHAT, {}, headers={"authorization": wrong})
        served.post(CHAT, {})
        wait_until(lambda: len(refused(lines)) == 3)
    known, unknown, without = refused(lines)
    assert known["caller"] == f"token:{token.token.id}"
    assert (unknown["status"], unknown["reason"]) == (401, "TOKEN_REFUSED")
    assert (without["status"], without["reason"]) == (401, "TOKEN_MISSING")
    assert "caller" not in unknown and "caller" not in without
    assert SECRET not in str(lines) and token.text not in str(lines)


def test_who_hangs_up_is_told_from_what_fails(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    served = start_http(lambda: open_pipeline(PacedGenerator(step_s=0.05, words=2_000)))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.url}{CHAT}", json=chat_body(max_tokens=2_000), timeout=0.5)
    with stalled(served, "/v1/embeddings"):
        pass
    wait_until(lambda: len(counted(served)) == 2)
    assert counted(served) == {(CHAT, "499"): 1, ("/v1/embeddings", "499"): 1}


def test_connections_beyond_the_limit_are_counted(
    monkeypatch: pytest.MonkeyPatch, start_http: StartHttp
) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)
    served = start_http()
    with httpx.Client() as first:
        assert first.get(f"{served.url}/v1/models").status_code == 200
        with capture_logs() as lines:
            assert served.get("/v1/models").status_code == 503
            wait_until(lambda: bool(refused(lines)))
    assert refused(lines)[0]["reason"] == "TOO_MANY_CONNECTIONS"
    assert counted(served)[("/v1/models", "503")] == 1


def test_an_error_that_nobody_foresaw(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(HttpState, "client", fail)
    with capture_logs() as lines:
        assert served.get("/v1/models").status_code == 500
        wait_until(lambda: bool(refused(lines)))
    assert refused(lines)[0]["status"] == 500
    assert counted(served) == {("/v1/models", "500"): 1}


def test_probes_of_health_are_only_counted(served: Served) -> None:
    with capture_logs() as lines:
        assert httpx.post(f"{served.url}/health").status_code == 405
        wait_until(lambda: ("/health", "405") in counted(served))
    assert not refused(lines)


def test_a_metric_that_fails_ends_no_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(Counter, "labels", failing)
    with httpx.Client(base_url=served.url, timeout=60) as client, capture_logs() as lines:
        for _ in range(2):
            assert client.get("/health").json()["status"] == "ok"
    assert SECRET not in str([line["event"] for line in lines])
