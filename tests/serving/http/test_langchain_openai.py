"""LangChain's ChatOpenAI and OpenAIEmbeddings, against a server with real models."""

from __future__ import annotations

import pytest
from http_fixtures import Served
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field, SecretStr

KEY = SecretStr("none")


class When(BaseModel):
    """When something is done."""

    month: str = Field(max_length=12)


@pytest.fixture
def model(served_with_models: Served) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{served_with_models.url}/v1",
        api_key=KEY,
        model="default:always",
        max_completion_tokens=60,
    )


def test_a_conversation(model: ChatOpenAI) -> None:
    found = model.invoke(
        [
            SystemMessage("Be brief."),
            HumanMessage("When are roses pruned?"),
            AIMessage("In March."),
            HumanMessage("Above what are they pruned?"),
        ]
    )
    assert "bud" in str(found.content)
    assert found.usage_metadata is not None
    assert found.usage_metadata["output_tokens"] > 0


def test_a_stream(model: ChatOpenAI) -> None:
    chunks = list(model.stream("When are roses pruned?"))
    assert len(chunks) > 2
    assert "March" in "".join(str(chunk.text) for chunk in chunks)


def test_structured_output(model: ChatOpenAI) -> None:
    found = model.with_structured_output(When, method="json_schema").invoke(
        "When are roses pruned?"
    )
    assert isinstance(found, When)


def test_embeddings(served_with_models: Served) -> None:
    embeddings = OpenAIEmbeddings(
        base_url=f"{served_with_models.url}/v1",
        api_key=KEY,
        model="default",
        check_embedding_ctx_length=False,  # else it sends the numbers of OpenAI's tokens
    )
    vectors = embeddings.embed_documents(["a rose", "a page"])
    assert [len(vector) for vector in vectors] == [384, 384]
    assert len(embeddings.embed_query("a rose")) == 384
