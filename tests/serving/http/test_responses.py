"""OpenAI's responses: the requests of Open Responses, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from http_fixtures import Served, StartHttp
from serving_fixtures import OpenPipeline, TellingGenerator

QUESTION = "When are roses pruned?"


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "default", "input": QUESTION, "max_output_tokens": 20, **fields}


def events(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a stream; each has its type as its name."""
    response = served.post("/v1/responses", body(stream=True, **fields))
    assert response.status_code == 200, response.text
    found = []
    for text in filter(None, response.text.split("\n\n")):
        name, data = text.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


@pytest.fixture
def telling(start_http: StartHttp, open_pipeline: OpenPipeline) -> Served:
    model = TellingGenerator("Roses are pruned in March, above a bud that faces outwards.")
    return start_http(lambda: open_pipeline(model))


def test_a_whole_response(served: Served) -> None:
    found = served.post("/v1/responses", body()).json()
    (item,) = found["output"]
    (part,) = item["content"]
    assert (found["object"], found["status"], item["type"]) == ("response", "completed", "message")
    assert (item["role"], item["status"], part["type"]) == (
        "assistant",
        "completed",
        "output_text",
    )
    assert part["text"].startswith("0 1 2")
    assert found["usage"]["output_tokens"] == 20
    assert found["store"] is False
    assert found["error"] is None
    assert found["expertrag"]["decision"]["action"]


def test_a_response_that_is_cut_is_incomplete(served: Served) -> None:
    found = served.post("/v1/responses", body(max_output_tokens=3)).json()
    assert found["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}
    assert events(served, max_output_tokens=3)[-1]["type"] == "response.incomplete"


def test_a_stream_has_the_parts_of_the_whole_response(telling: Served) -> None:
    whole = telling.post("/v1/responses", body(model="default:always")).json()
    found = events(telling, model="default:always")
    types = [event["type"] for event in found]
    assert types[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert types[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(event["delta"] for event in found if event["type"].endswith("text.delta"))
    part = whole["output"][0]["content"][0]
    assert text == part["text"] == found[-4]["text"]
    added = [event["annotation"] for event in found if event["type"].endswith("annotation.added")]
    assert added == part["annotations"]
    assert part["text"][added[0]["start_index"] : added[0]["end_index"]] == "[1]"
    assert found[-1]["response"]["output"][0]["content"] == [part]


def test_items_and_instructions(served: Served) -> None:
    items = [
        {"role": "system", "content": "Be brief."},
        {"type": "message", "role": "user", "content": QUESTION},
        {"role": "assistant", "content": [{"type": "output_text", "text": "In March."}]},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Above what are they pruned?"}],
        },
    ]
    found = served.post("/v1/responses", body(input=items, instructions="Be polite.")).json()
    decision = found["expertrag"]["decision"]
    assert decision["rewritten_question"] == "Above what are roses pruned?"
    assert found["instructions"] == "Be polite."
    words = "Above what are roses pruned?"
    bare = served.post("/v1/responses", body(input=words)).json()["usage"]["input_tokens"]
    assert found["usage"]["input_tokens"] >= bare + 4


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"type": "function_call_output", "call_id": "1"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
        ({"input": []}, "input"),
        ({"input": " "}, "input"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ],
)
def test_what_is_not_supported(served: Served, fields: dict[str, Any], param: str) -> None:
    response = served.post("/v1/responses", body(**fields))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
