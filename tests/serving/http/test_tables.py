"""Answers with a table over OpenAI's API and the console's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from http_fixtures import Served, StartHttp
from table_fixtures import COVERAGE, TABLE, TEXT, CountingPipeline, OpenCounting

from expertrag.api.events import TableEvent
from expertrag.api.jsonable import to_json
from expertrag.api.tables import AnswerTable

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
QUESTION = "How many?"
MARKDOWN = r"""

| title | days | paid |
| --- | --- | --- |
| leave | 27 | true |
| \<script\>alert(1)\</script\> | 2.5 |  |
| =cmd\|" /C calc"!A0 | -3 | false |"""
WAYS: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": [{"role": "user", "content": QUESTION}]}),
    (RESPONSES, {"input": QUESTION}),
]


@pytest.fixture
def counting(open_counting: OpenCounting) -> CountingPipeline:
    return open_counting()


@pytest.fixture
def served(start_http: StartHttp, counting: CountingPipeline) -> Served:
    return start_http(lambda: counting)


def ask(served: Served, path: str, asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = served.post(path, {"model": "default", **asked, **more})
    assert response.status_code == 200, response.text
    return dict(response.json())


def events(served: Served, path: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the data of the events of a stream."""
    text = served.post(path, {"model": "default", **asked, "stream": True}).text
    lines = [line for line in text.splitlines() if line.startswith("data: ")]
    data = [line.removeprefix("data: ") for line in lines]
    return [json.loads(item) for item in data if item != "[DONE]"]


def content(answer: dict[str, Any]) -> str:
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"])
    return str(answer["output"][0]["content"][0]["text"])


@pytest.mark.parametrize(("path", "asked"), WAYS)
def test_the_table_is_in_markdown_and_as_a_structure(
    served: Served, path: str, asked: dict[str, Any]
) -> None:
    answer = ask(served, path, asked)
    assert content(answer) == TEXT + MARKDOWN
    extension = answer["expertrag"]
    assert (extension["table"], extension["coverage"]) == (to_json(TABLE), to_json(COVERAGE))


def test_a_streamed_chat_has_the_same_text_and_progress(served: Served) -> None:
    chunks = events(served, *WAYS[0])
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == TEXT + MARKDOWN
    progress = [found for chunk in chunks if (found := chunk.get("expertrag", {}).get("progress"))]
    assert progress[1] == {"done": 20, "total": 40, "seconds_left": 2.0}
    assert chunks[-1]["expertrag"]["table"] == to_json(TABLE)


def test_a_streamed_response_has_the_same_text(served: Served) -> None:
    streamed = events(served, *WAYS[1])
    deltas = [each["delta"] for each in streamed if each["type"] == "response.output_text.delta"]
    assert "".join(deltas) == TEXT + MARKDOWN
    assert content(streamed[-1]["response"]) == TEXT + MARKDOWN
    assert streamed[-1]["response"]["expertrag"]["coverage"] == to_json(COVERAGE)


def test_a_long_table_is_cut_in_the_text_alone(served: Served, counting: CountingPipeline) -> None:
    rows = tuple((f"row {number}",) for number in range(1_060))
    counting.counted = TableEvent(AnswerTable(("name",), rows), COVERAGE)
    answer = ask(served, *WAYS[0])
    assert content(answer).endswith("| row 49 |\n\n… 1,010 more")
    assert len(answer["expertrag"]["table"]["rows"]) == 1_060


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (AnswerTable(("count",), ((3,),)), "There are three."),
        (AnswerTable(("name",), (("leave",), ("travel",))), "They are leave and travel."),
    ],
)
def test_a_table_that_the_text_says_is_not_repeated(
    served: Served, counting: CountingPipeline, table: AnswerTable, text: str
) -> None:
    counting.counted, counting.text = TableEvent(table, COVERAGE), text
    assert content(ask(served, *WAYS[0])) == text


def test_json_has_no_table_behind_it(served: Served, counting: CountingPipeline) -> None:
    counting.text = '{"count": 3}'
    answer = ask(served, *WAYS[0], response_format={"type": "json_object"})
    assert content(answer) == '{"count": 3}'
    assert answer["expertrag"]["table"] == to_json(TABLE)


@pytest.mark.parametrize(("path", "asked"), WAYS)
def test_scope_and_day_arrive(
    served: Served, counting: CountingPipeline, path: str, asked: dict[str, Any]
) -> None:
    answer = ask(served, path, asked, expertrag={"scope": "list", "as_of": "2026-01-31"})
    assert answer["expertrag"]["decision"]["scope"] == "list"
    assert counting.days == ["2026-01-31"]


@pytest.mark.parametrize(
    ("field", "value", "param", "message"),
    [
        ("scope", "all", "expertrag.scope", "'lookup', 'list', 'count'"),
        ("as_of", "today", "as_of", "write a day such as 2026-01-31"),
    ],
)
def test_what_is_unknown_is_refused(
    served: Served, field: str, value: str, param: str, message: str
) -> None:
    asked = {"model": "default", **WAYS[0][1], "expertrag": {field: value}}
    response = served.post(CHAT, asked)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert message in error["message"]


def test_the_console_gets_the_events(served: Served, counting: CountingPipeline) -> None:
    asked = {"question": QUESTION, "scope": "exists", "as_of": "2026-01-31"}
    text = served.post("/api/answer", asked).text
    named = dict(block.split("\ndata: ", 1) for block in text.split("\n\n") if block)
    assert json.loads(named["event: table"]) == to_json(TableEvent(TABLE, COVERAGE))
    assert json.loads(named["event: progress"]) == {"done": 40, "total": 40, "seconds_left": 0.0}
    assert json.loads(named["event: gate"])["scope"] == "exists"
    assert counting.days == ["2026-01-31"]
