"""Chat completions on the wire: what OpenAI's format says, and what breaks its clients."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from http_fixtures import Served, StartHttp
from serving_fixtures import OpenPipeline, PacedGenerator, TellingGenerator

QUESTION = "When are roses pruned?"


def body(content: Any = QUESTION, **fields: Any) -> dict[str, Any]:
    asked = {"role": "user", "content": content}
    return {"model": "default", "messages": [asked], "max_tokens": 5, **fields}


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the chunks of a stream, which ends with [DONE]."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    texts = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert texts[-1] == "[DONE]"
    return [json.loads(text) for text in texts[:-1]]


def streamed(served: Served, **fields: Any) -> list[dict[str, Any]]:
    return chunks(served.post("/v1/chat/completions", body(stream=True, **fields)))


def test_a_whole_answer(served: Served) -> None:
    found = served.post("/v1/chat/completions", body()).json()
    (choice,) = found["choices"]
    assert found["object"] == "chat.completion"
    assert found["model"] == "default"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].startswith("0 1 2 3 4")
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"] is None
    usage = found["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5
    assert found["id"] == f"chatcmpl-{found['expertrag']['id']}"
    assert found["expertrag"]["decision"]["reason"]


def test_a_stream_has_the_text_of_the_whole_answer(served: Served) -> None:
    whole = served.post("/v1/chat/completions", body()).json()["choices"][0]
    found = streamed(served)
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == whole["message"]["content"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in found[:-1]] == [None] * (
        len(found) - 1
    )
    assert found[-1]["choices"][0]["finish_reason"] == "length"
    assert len({chunk["id"] for chunk in found}) == 1
    assert found[0]["expertrag"]["decision"]["id"] == found[-1]["expertrag"]["id"]
    assert all("usage" not in chunk for chunk in found)


def test_usage_is_the_last_chunk_if_wanted(served: Served) -> None:
    *others, last = streamed(served, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5
    assert all(chunk["usage"] is None for chunk in others)


def test_citations_cover_their_markers(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    model = TellingGenerator("Roses are pruned in March, above a bud that faces outwards.")
    served = start_http(lambda: open_pipeline(model))
    asked = body(model="default:always", max_tokens=50)
    message = served.post("/v1/chat/completions", asked).json()["choices"][0]["message"]
    (annotation, *_) = message["annotations"]
    cited = annotation["url_citation"]
    assert annotation["type"] == "url_citation"
    assert message["content"][cited["start_index"] : cited["end_index"]] == "[1]"
    assert cited["title"]
    assert cited["url"].startswith(f"{served.url}/#/document?id=garden%2Froses&")
    found = chunks(served.post("/v1/chat/completions", {**asked, "stream": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    assert "".join(delta.get("content", "") for delta in deltas) == message["content"]
    assert [delta["annotations"] for delta in deltas if "annotations" in delta] == [
        message["annotations"]
    ]
    assert "annotations" in deltas[-2]  # the last with content


def test_citations_count_code_points(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    model = TellingGenerator("\U0001f339 Roses are pruned in March \u2014 above a bud.")
    served = start_http(lambda: open_pipeline(model))
    asked = body(model="default:always", max_tokens=50)
    message = served.post("/v1/chat/completions", asked).json()["choices"][0]["message"]
    cited = message["annotations"][0]["url_citation"]
    assert message["content"].startswith("\U0001f339")
    assert message["content"][cited["start_index"] : cited["end_index"]] == "[1]"


def test_messages_are_the_conversation(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    served = start_http(lambda: open_pipeline(PacedGenerator()))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": "In March."},
        {"role": "user", "content": [{"type": "text", "text": "Above what are they pruned?"}]},
    ]
    found = served.post("/v1/chat/completions", body(messages=messages)).json()
    decision = found["expertrag"]["decision"]
    assert decision["rewritten_question"] == "Above what are roses pruned?"
    bare = served.post("/v1/chat/completions", body("Above what are roses pruned?")).json()
    instructed = found["usage"]["prompt_tokens"] - bare["usage"]["prompt_tokens"]
    assert instructed >= 2  # the words of the system message


@pytest.mark.parametrize(
    ("model", "mode", "action"),
    [
        ("default", "auto", None),
        ("default:auto", "auto", None),
        ("default:always", "always", "retrieve"),
        ("default:never", "never", "closed_book"),
        ("default:strict", "strict", "retrieve"),
    ],
)
def test_models_fix_the_mode(served: Served, model: str, mode: str, action: str | None) -> None:
    known = [each["id"] for each in served.get("/v1/models").json()["data"]]
    assert model in known
    assert served.get(f"/v1/models/{model}").json()["id"] == model
    decision = served.post("/v1/chat/completions", body(model=model)).json()["expertrag"][
        "decision"
    ]
    assert decision["mode"] == mode
    assert action in (None, decision["action"])


def test_options_of_our_own(served: Served) -> None:
    options = {"mode": "always", "k": 2, "filter": {"domain": "garden"}}
    found = served.post("/v1/chat/completions", body(expertrag=options)).json()["expertrag"]
    assert [passage["domain"] for passage in found["passages"]] == ["garden", "garden"]
    refused = served.post("/v1/chat/completions", body(expertrag={"kk": 2}))
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "expertrag.kk"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"logprobs": 5}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"temperature": "hot"}, "temperature"),
        ({"expertrag": {"k": 0}}, "k"),
        ({"expertrag": {"filter": {"year": [0] * 50_000}}}, "expertrag.filter"),
        ({"model": 5}, "model"),
    ],
)
def test_wrong_values(served: Served, fields: dict[str, Any], param: str) -> None:
    response = served.post("/v1/chat/completions", body(**fields))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"].startswith(param), error
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("name", ["gpt-4o", "default:often", "other:strict", "a/b"])
def test_an_unknown_model(served: Served, name: str) -> None:
    for response in (
        served.post("/v1/chat/completions", body(model=name)),
        served.post("/v1/chat/completions", body(model=name, stream=True)),
        served.post("/v1/embeddings", {"model": name, "input": "Hi"}),
        served.get(f"/v1/models/{name}"),
    ):
        assert response.status_code == 404, response.text
        error = response.json()["error"]
        assert error["code"] == "model_not_found"
        assert error["message"].startswith(f"model: unknown model {name!r}; use default")


def test_an_abstention_is_an_answer(served: Served) -> None:
    found = served.post("/v1/chat/completions", body("Who won?", model="default:strict")).json()
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["choices"][0]["message"]["annotations"] == []
    assert found["expertrag"]["finish_reason"] == "abstained"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_line_separator_ends_no_event(
    start_http: StartHttp, open_pipeline: OpenPipeline, path: str
) -> None:
    separators = "\u2028\u2029\x85"
    model = TellingGenerator(f"in{separators}March")
    served = start_http(lambda: open_pipeline(model))
    asked = {**body(model="default:never", max_tokens=50, stream=True), "input": QUESTION}
    response = served.post(path, asked)
    # clients of httpx split lines as Python does, at more than line feeds
    texts = [line.removeprefix("data: ") for line in response.iter_lines() if "data:" in line]
    found = "".join(json.loads(text)["text"] for text in texts if '"output_text.done"' in text)
    for text in texts[:-1]:
        if "choices" in json.loads(text):
            found += json.loads(text)["choices"][0]["delta"].get("content", "")
    assert path == "/v1/responses" or separators in found
