"""OpenAI's own Python client, against a server with real models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from http_fixtures import Served, StartHttp
from openai.types.chat import ChatCompletionMessageParam

from expertrag.config import QuotaConfig

QUESTION = "When are roses pruned?"
MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Answer in English."},
    {"role": "user", "content": QUESTION},
]
SCHEMA = {
    "type": "object",
    "properties": {"month": {"type": "string", "maxLength": 12}},
    "required": ["month"],
    "additionalProperties": False,
}


@pytest.fixture
def client(served_with_models: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served_with_models.url}/v1", api_key="none") as client:
        yield client


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == [f"default{mode}" for mode in ("", ":auto", ":strict", ":always", ":never")]
    assert client.models.retrieve("default:strict").owned_by == "expertrag"


def test_a_completion_with_citations(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(model="default:always", messages=MESSAGES, max_tokens=40)
    (choice,) = found.choices
    assert "March" in (choice.message.content or "")
    assert choice.finish_reason in ("stop", "length")
    assert found.usage is not None and found.usage.completion_tokens > 0
    for annotation in choice.message.annotations or ():
        cited = annotation.url_citation
        marker = (choice.message.content or "")[cited.start_index : cited.end_index]
        assert marker.startswith("[")
        assert cited.title
    extra: Any = found.model_extra
    assert extra["expertrag"]["passages"][0]["document_id"] == "garden/roses"


def test_a_stream_with_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="default:always", messages=MESSAGES, max_tokens=20)
    with client.chat.completions.create(
        model="default:always",
        messages=MESSAGES,
        max_tokens=20,
        stream=True,
        stream_options={"include_usage": True},
    ) as chunks:
        found = list(chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)
    assert text == whole.choices[0].message.content
    assert found[-1].choices == []
    assert found[-1].usage == whole.usage or found[-1].usage is not None
    assert [c.choices[0].finish_reason for c in found[:-2]] == [None] * (len(found) - 2)


def test_the_stream_helper_gathers_the_answer(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="default:always", messages=MESSAGES, max_tokens=100
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content


def test_a_schema_is_kept(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model="default:always",
        messages=MESSAGES,
        max_tokens=60,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "when", "schema": SCHEMA, "strict": True},
        },
    )
    assert json.loads(found.choices[0].message.content or "").keys() == {"month"}
    with pytest.raises(openai.BadRequestError, match="response_format"):
        client.chat.completions.create(
            model="default",
            messages=MESSAGES,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "nothing"}},
            },
        )


def test_log_probabilities(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model="default:never", messages=MESSAGES, max_tokens=5, logprobs=True, top_logprobs=2
    )
    (choice,) = found.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    for token in tokens:
        assert token.logprob <= 0
        assert token.bytes == list(token.token.encode())
        assert len(token.top_logprobs) == 2


def test_sampling(client: openai.OpenAI) -> None:
    def said(**options: Any) -> str:
        found = client.chat.completions.create(
            model="default:never", messages=MESSAGES, max_tokens=12, **options
        )
        return str(found.choices[0].message.content)

    assert said() == said(temperature=0)
    assert said(temperature=1, seed=7) == said(temperature=1, seed=7)
    assert len({said(temperature=2) for _ in range(4)}) > 1
    stopped = said(stop=["e"])
    assert "e" not in stopped


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(client: openai.OpenAI, encoding: Any) -> None:
    options = {} if encoding is None else {"encoding_format": encoding}
    found = client.embeddings.create(model="default", input=["a rose", "a page"], **options)
    assert [item.index for item in found.data] == [0, 1]
    if encoding != "base64":
        assert [len(item.embedding) for item in found.data] == [384, 384]


def test_responses(client: openai.OpenAI) -> None:
    found = client.responses.create(
        model="default:always", input=QUESTION, instructions="Be brief.", max_output_tokens=30
    )
    assert "March" in found.output_text
    with client.responses.stream(
        model="default:always", input=QUESTION, instructions="Be brief.", max_output_tokens=30
    ) as stream:
        types = [event.type for event in stream]
        final = stream.get_final_response()
    assert types[0] == "response.created"
    assert final.output_text == found.output_text


def test_errors_have_their_classes(client: openai.OpenAI, start_http: StartHttp) -> None:
    with pytest.raises(openai.NotFoundError, match="unknown model 'gpt-4o'; use default"):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="only 1 is supported") as refused:
        client.chat.completions.create(model="default", messages=MESSAGES, n=2)
    assert refused.value.param == "n"
    served = start_http(quota=QuotaConfig(requests=1))
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as limited:
        limited.embeddings.create(model="default", input="a rose")
        with pytest.raises(openai.RateLimitError) as limit:
            limited.embeddings.create(model="default", input="a rose")
    assert limit.value.type == "rate_limit_error"


async def test_the_asynchronous_client(served_with_models: Served) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{served_with_models.url}/v1", api_key="none"
    ) as client:
        stream = await client.chat.completions.create(
            model="default:never", messages=MESSAGES, max_tokens=5, stream=True
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "length"
