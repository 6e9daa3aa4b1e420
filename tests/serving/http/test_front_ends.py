"""Requests as front ends send them are answered, with a notice of what is ignored.

The class: every parameter of OpenAI's published schema is served, noticed, or refused with what to
do. A parameter that a new version of its client adds fails here until it is classified.
"""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from front_end_requests import CHAT, QUESTION, RESPONSES, SENT
from http_fixtures import Served
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from expertrag.serving.http.openai.chat_request import ChatRequest
from expertrag.serving.http.openai.embeddings import EmbeddingsRequest
from expertrag.serving.http.openai.responses_request import ResponsesRequest
from expertrag.serving.http.openai.unserved import EMBEDDINGS, MOST_NOTICES, Ignored

APIS: dict[str, Any] = {
    CHAT: (ChatRequest, ChatRequest.unserved, completion_create_params.CompletionCreateParamsBase),
    RESPONSES: (
        ResponsesRequest,
        ResponsesRequest.unserved,
        response_create_params.ResponseCreateParamsBase,
    ),
    "/v1/embeddings": (
        EmbeddingsRequest,
        EMBEDDINGS,
        embedding_create_params.EmbeddingCreateParams,
    ),
}
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 5},
    RESPONSES: {"input": QUESTION, "max_output_tokens": 5},
}
VALUES: dict[str, Any] = {
    "function_call": {"name": "f"},
    "logit_bias": {"50256": -100},
    "modalities": ["text", "audio"],
    "n": 2,
    "tool_choice": "required",
}
"""Values that ask for something; of other parameters it is a text."""


def notices_of(served: Served, path: str, body: dict[str, Any]) -> list[str]:
    """Return the notices of an answer, from the last event that has them if it is a stream."""
    response = served.post(path, {"model": "default", **body})
    assert response.status_code == 200, response.text
    if not body.get("stream"):
        return list(response.json()["expertrag"]["notices"])
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    found = [event.get("response", event).get("expertrag", {}).get("notices") for event in events]
    (notices,) = [notices for notices in found if notices is not None]
    return list(notices)


def test_requests_of_front_ends_are_answered(served: Served) -> None:
    noticed = {
        sent.source: {
            notice.partition(":")[0] for notice in notices_of(served, sent.path, sent.body)
        }
        for sent in SENT
    }
    assert noticed == {sent.source: sent.noticed for sent in SENT}


@pytest.mark.parametrize("path", APIS)
def test_every_published_parameter_is_classified(path: str) -> None:
    request, unserved, published = APIS[path]
    known = get_type_hints(published).keys()
    served = request.model_fields.keys()
    assert len(known) > 4
    assert not known - served - unserved.keys(), "serve, notice or refuse them"
    assert not served & unserved.keys()
    assert not unserved.keys() - known, "OpenAI's API has them no more"


@pytest.mark.parametrize("path", ASKED)
def test_a_parameter_is_noticed_or_refused(served: Served, path: str) -> None:
    for name, rule in APIS[path][1].items():
        body = {**ASKED[path], name: VALUES.get(name, "something")}
        if isinstance(rule, Ignored):
            assert notices_of(served, path, body) == [f"{name}: is ignored; {rule.notice}"]
        else:
            response = served.post(path, {"model": "default", **body})
            error = response.json()["error"]
            assert (response.status_code, error["param"]) == (400, name)
            assert error["message"] == f"{name}: {rule.why}"


@pytest.mark.parametrize("path", ASKED)
def test_values_that_ask_for_nothing(served: Served, path: str) -> None:
    for name, rule in APIS[path][1].items():
        for value in (None, *rule.neutral):
            assert notices_of(served, path, {**ASKED[path], name: value}) == [], (name, value)
    nothing = dict.fromkeys(APIS[path][1])
    for value in (False, "", [], {}):
        assert notices_of(served, path, {**ASKED[path], **dict.fromkeys(nothing, value)}) == []


def test_unknown_parameters_are_noticed_in_few_lines(served: Served) -> None:
    known = notices_of(served, CHAT, {**ASKED[CHAT], "top_k": 40, "x" * 5_000: 1})
    assert known == ["top_k: is unknown and ignored", "x" * 40 + ": is unknown and ignored"]
    many = notices_of(served, CHAT, {**ASKED[CHAT], **dict.fromkeys(map(str, range(5_000)), 1)})
    assert len(many) == MOST_NOTICES + 1
    assert many[-1] == "4,980 further parameters are unknown and ignored"


PARTS: dict[str, dict[str, Any]] = {
    "image_url": {"image_url": {"url": "data:image/png;base64,AAAA"}},
    "input_audio": {"input_audio": {"data": "AAAA", "format": "wav"}},
    "file": {"file": {"file_id": "f"}},
    "input_image": {"image_url": "https://example.org/a.png"},
    "input_file": {"file_id": "f"},
}


def test_parts_without_text(served: Served) -> None:
    text = {"type": "text", "text": QUESTION}

    def sent(*messages: Any) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": content} for content in messages]}

    for kind, value in PARTS.items():
        part = {"type": kind, **value}
        alone = served.post(CHAT, {"model": "default", **sent([part])})
        assert (alone.status_code, alone.json()["error"]["param"]) == (400, "messages")
        assert "add the question as text" in alone.json()["error"]["message"]
        earlier = notices_of(served, CHAT, sent([part, text], [part], QUESTION))
        assert earlier == [f"messages: only texts are read; ignored: {kind}"]
        beside = sent([part, text])
        if "image" in kind:
            assert notices_of(served, CHAT, beside) == earlier
        else:
            refused = served.post(CHAT, {"model": "default", **beside}).json()["error"]
            assert refused["message"].endswith("add files to the collection, and ask about them")


def test_a_conversation_ends_with_a_question(served: Served) -> None:
    for role in ("tool", "function", "assistant"):
        messages = [*ASKED[CHAT]["messages"], {"role": role, "content": "sun"}]
        response = served.post(CHAT, {"model": "default", "messages": messages})
        assert response.status_code == 400
        assert response.json()["error"]["message"].endswith("; end with a question")


def test_notices_of_embeddings(served: Served) -> None:
    sent = {"model": "default", "input": "a rose"}
    assert "expertrag" not in served.post("/v1/embeddings", sent).json()
    noticed = served.post("/v1/embeddings", {**sent, "user": "ada", "truncate": True}).json()
    assert [text.partition(":")[0] for text in noticed["expertrag"]["notices"]] == [
        "user",
        "truncate",
    ]
