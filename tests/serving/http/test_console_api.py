"""The console's API over a real server: every call, its events and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_fixtures import Served, StartHttp
from serving_fixtures import TOPICS, OpenPipeline, TellingGenerator

from expertrag.audit import Audit
from expertrag.audit.reading import read_log
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig
from expertrag_index.sources.ledger import Ledger
from expertrag_index.types import LoadFailure

QUESTION = "When are roses pruned?"
ROSES = TOPICS["garden"]["roses"]

Events = list[tuple[str, dict[str, Any]]]


def events_of(response: httpx.Response) -> Events:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.split("\n\n"):
        if block:
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture
def writing(start_http: StartHttp, open_pipeline: OpenPipeline, own_store: Path) -> Served:
    return start_http(lambda: open_pipeline(store=own_store), allow_writes=True)


def test_an_answer_is_streamed_as_events(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    served = start_http(lambda: open_pipeline(TellingGenerator(ROSES)))
    body = {"question": QUESTION, "mode": "always", "k": 3}
    events = events_of(served.post("/api/answer", body))
    names = [name for name, _ in events]
    assert names[:3] == ["gate", "passages", "delta"]
    assert names[-3:] == ["citation", "usage", "done"]
    data = dict(events)
    assert data["gate"]["action"] == "retrieve"
    assert len(data["gate"]["id"]) == 32
    assert len(data["passages"]["passages"]) == 3
    text = "".join(each["text"] for name, each in events if name == "delta")
    assert text.startswith(ROSES)
    citation = data["citation"]
    assert (citation["document_id"], citation["start"]) == ("garden/roses", 0)
    assert data["usage"]["stage_seconds"]["search"] > 0
    assert (data["done"]["finish_reason"], data["done"]["from_documents"]) == ("stop", True)


def test_the_conversation_and_limits_are_passed_on(served: Served) -> None:
    history = [
        {"role": "user", "text": "When are roses pruned?"},
        {"role": "assistant", "text": "Roses are pruned in March."},
    ]
    body = {"question": "And tulips?", "history": history, "max_tokens": 2}
    events = events_of(served.post("/api/answer", body))
    assert dict(events)["gate"]["rewritten_question"]
    assert dict(events)["done"]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "question"),
        ({"question": ""}, "question"),
        ({"question": QUESTION, "mode": "often"}, "mode"),
        ({"question": QUESTION, "k": 0}, "k"),
        ({"question": QUESTION, "mood": "good"}, "mood"),
        ({"question": QUESTION, "history": [{"role": "system", "text": "x"}]}, "history.0.role"),
    ],
)
def test_a_bad_question_has_a_status_of_its_own(
    served: Served, body: dict[str, Any], param: str
) -> None:
    response = served.post("/api/answer", body)
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith(param)


def test_gate_and_search_alone(served: Served) -> None:
    decision = served.post("/api/decide", {"question": QUESTION}).json()
    assert decision["action"] in ("retrieve", "closed_book")
    found = served.post("/api/retrieve", {"query": "roses", "k": 2, "mode": "bm25"}).json()
    assert found["passages"][0]["document_id"] == "garden/roses"
    assert found["passages"][0]["lexical_score"] == 1.0


def test_server_collections_and_store(served: Served) -> None:
    response = served.get("/api/info")
    assert response.headers["cache-control"] == "no-store"
    about = response.json()
    assert about["writes"] is False
    assert about["server"]["model"] == "paced"
    assert about["server"]["problems"] == []
    assert served.get("/api/collections").json()["collections"][0]["name"] == "default"
    stats = served.post("/api/stats", {}).json()
    assert (stats["documents"], stats["generation"]) == (18, 1)
    unknown = served.post("/api/stats", {"collection": "nowhere"})
    assert unknown.status_code == 404


def test_documents_are_listed_by_pages_and_opened_by_ranges(served: Served) -> None:
    first = served.post("/api/documents/list", {"page_size": 10, "order": "title"}).json()
    again = {"page_size": 10, "order": "title", "page_token": first["next_page_token"]}
    second = served.post("/api/documents/list", again).json()
    assert first["total"] == 18
    assert len({item["id"] for page in (first, second) for item in page["documents"]}) == 18
    assert second["next_page_token"] == ""
    garden = {"filter": {"domain": "garden"}}
    assert served.post("/api/documents/list", garden).json()["total"] == 6
    part = served.post("/api/documents/text", {"id": "garden/roses", "start": 6, "end": 16}).json()
    assert part["text"] == ROSES[6:16]
    assert part["document"]["characters"] == len(ROSES)
    (chunk,) = served.post("/api/documents/chunks", {"id": "garden/roses"}).json()["chunks"]
    assert chunk["text"] == ROSES
    assert served.post("/api/documents/text", {"id": "none"}).status_code == 404


def test_skipped_files_are_listed(writing: Served, own_store: Path) -> None:
    with Ledger(own_store) as ledger:
        ledger.keep_skipped([LoadFailure("a.pdf", "needs a password", "remove it")], lambda _: True)
    page = writing.post("/api/documents/skipped", {}).json()
    assert (page["total"], page["next_page_token"]) == (1, "")
    assert page["files"][0]["cure"] == "remove it"
    assert writing.post("/api/documents/skipped", {"page_token": "x"}).status_code == 400


def test_writes_are_refused_unless_the_server_allows_them(served: Served) -> None:
    document = {"id": "a", "text": "Asters bloom in autumn."}
    for path, body in (("upsert", {"documents": [document]}), ("delete", {"ids": ["a"]})):
        response = served.post(f"/api/documents/{path}", body)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "writes_disabled"


def test_documents_are_added_and_deleted(writing: Served) -> None:
    assert writing.get("/api/info").json()["writes"] is True
    document = {"id": "a", "text": "Asters bloom in autumn.", "metadata": {"tags": ["aster"]}}
    added = writing.post("/api/documents/upsert", {"documents": [document]}).json()
    assert (added["added"], added["generation"]) == (1, 2)
    assert writing.post("/api/documents/text", {"id": "a"}).json()["text"] == document["text"]
    assert writing.post("/api/documents/delete", {"ids": ["a"]}).json()["removed"] == 1
    assert writing.post("/api/documents/text", {"id": "a"}).status_code == 404
    assert writing.post("/api/documents/delete", {"ids": []}).status_code == 400


def test_feedback_reaches_the_audit_log(
    start_http: StartHttp, open_pipeline: OpenPipeline, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    served = start_http(lambda: open_pipeline(audit=Audit(log, texts=True)))
    events = events_of(served.post("/api/answer", {"question": QUESTION, "max_tokens": 2}))
    answer_id = events[0][1]["id"]
    assert served.post("/api/feedback", {"answer_id": answer_id, "helpful": True}).json()["stored"]
    assert read_log(log).feedback[answer_id].helpful is True


def test_the_audit_log_is_told(
    start_http: StartHttp, open_pipeline: OpenPipeline, tmp_path: Path
) -> None:
    served = start_http(lambda: open_pipeline(audit=Audit(tmp_path / "audit.jsonl", texts=True)))
    assert served.post("/api/decisions/questions", {}).status_code == 404
    served.post("/api/answer", {"question": QUESTION, "max_tokens": 2})
    replayed = served.post("/api/decisions/replay", {"threshold": 0}).json()
    assert replayed["replayed"]["retrievals"] == sum(replayed["histogram"]) == 1
    assert served.post("/api/decisions/replay", {"target_rate": 0}).json()["threshold"] > 0
    (found,) = served.post("/api/decisions/questions", {"limit": 5}).json()["questions"]
    assert found["question"] == QUESTION
    counts = served.post("/api/decisions/experts", {}).json()["counts"]
    assert counts[0]["decisions"] == 1
    assert served.post("/api/decisions/replay", {}).status_code == 400


def test_feedback_without_a_log(served: Served) -> None:
    response = served.post("/api/feedback", {"answer_id": "0" * 32, "helpful": True})
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "audit_off"


def test_every_call_needs_the_token(start_http: StartHttp, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.create("ada", frozenset({Scope.READ})).text
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)), allow_writes=True)
    posts: dict[str, dict[str, Any]] = {
        "answer": {"question": QUESTION, "max_tokens": 2},
        "decide": {"question": QUESTION},
        "retrieve": {"query": "roses"},
        "stats": {},
        "documents/list": {},
        "documents/skipped": {},
        "documents/text": {"id": "garden/roses"},
        "documents/chunks": {"id": "garden/roses"},
    }
    known = {"authorization": f"Bearer {token}"}
    for path, body in posts.items():
        assert served.post(f"/api/{path}", body).status_code == 401
        assert served.post(f"/api/{path}", body, headers=known).status_code == 200, path
    for path in ("info", "collections"):
        assert served.get(f"/api/{path}").status_code == 401
        assert served.get(f"/api/{path}", headers=known).status_code == 200
    for path in ("replay", "questions", "experts"):
        refused = served.post(f"/api/decisions/{path}", {}, headers=known)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
    refused = served.post("/api/documents/delete", {"ids": ["garden/roses"]}, headers=known)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")


def test_a_page_of_another_site_cannot_call(served: Served) -> None:
    form = {"content-type": "text/plain"}
    url = f"{served.url}/api/answer"
    assert httpx.post(url, content=b'{"question":"Hi"}', headers=form).status_code == 400
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    answer = httpx.options(url, headers=asked)
    assert answer.status_code >= 400
    assert not [name for name in answer.headers if name.startswith("access-control-")]
