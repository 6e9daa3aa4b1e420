"""Embeddings as OpenAI's clients ask for them."""

from __future__ import annotations

import base64
from array import array
from typing import Any

import pytest
from http_fixtures import Served

from expertrag.client import Client

TEXTS = ["Roses are pruned in March.", "A checkpoint writes dirty pages."]


def vectors(served: Served, **fields: Any) -> list[Any]:
    response = served.post("/v1/embeddings", {"model": "default", "input": TEXTS, **fields})
    assert response.status_code == 200, response.text
    found = response.json()
    assert [item["index"] for item in found["data"]] == list(range(len(found["data"])))
    return [item["embedding"] for item in found["data"]]


def test_vectors_are_those_of_the_client(served: Served) -> None:
    with Client(served.grpc.address) as client:
        assert vectors(served) == client.embed(TEXTS)
        assert vectors(served, input_type="query") == client.embed(TEXTS, role="query")


def test_base64_holds_the_same_numbers(served: Served) -> None:
    for encoded, plain in zip(
        vectors(served, encoding_format="base64"), vectors(served), strict=True
    ):
        assert array("f", base64.b64decode(encoded)).tolist() == pytest.approx(plain, abs=1e-7)


def usage(served: Served, texts: Any) -> dict[str, int]:
    response = served.post("/v1/embeddings", {"model": "default", "input": texts})
    return dict(response.json()["usage"])


def test_usage_is_what_the_encoder_reads(served: Served) -> None:
    assert usage(served, "Hello world") == {"prompt_tokens": 4, "total_tokens": 4}
    assert usage(served, ["Hello world", "word " * 1_000])["prompt_tokens"] == 4 + 256  # truncated
    assert usage(served, ["word"] * 300)["prompt_tokens"] == 3 * 300  # two calls of ours


def test_one_text_and_many(served: Served) -> None:
    assert vectors(served, input=TEXTS[0]) == vectors(served)[:1]
    assert len(vectors(served, input=["word"] * 300)) == 300  # more than a call of ours takes


def test_the_dimension_can_be_named_if_it_is_the_models_own(served: Served) -> None:
    assert len(vectors(served, dimensions=384)[0]) == 384


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", " "]}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"dimensions": 64}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_bad_requests(served: Served, fields: dict[str, Any], param: str) -> None:
    response = served.post("/v1/embeddings", {"model": "default", "input": TEXTS, **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param, response.text
