"""Names of models on servers."""

from __future__ import annotations

import pytest

from expertrag_retriever.errors import RemoteModelError
from expertrag_retriever.remote.address import (
    EMBEDDING_APIS,
    RERANKING_APIS,
    RemoteModel,
    is_remote,
    parse_remote,
)


def test_names() -> None:
    parsed = parse_remote("openai:http://gpu-1:8000/v1/#bge-m3", EMBEDDING_APIS)
    assert parsed == RemoteModel("openai", "http://gpu-1:8000/v1", "bge-m3")
    assert parsed.host == "gpu-1:8000"
    assert parse_remote("tei:https://tei", EMBEDDING_APIS) == RemoteModel("tei", "https://tei", "")
    assert parse_remote("cohere:https://a/v2#r", RERANKING_APIS).api == "cohere"


@pytest.mark.parametrize(
    ("name", "remote"),
    [
        ("openai:http://a#m", True),
        ("tei:https://a", True),
        ("cohere:http://", True),
        ("openai:a#m", True),
        ("BAAI/bge-m3", False),
        ("./openai", False),
        ("minilm-domains", False),
        ("http://a/v1#m", False),
    ],
)
def test_what_is_on_a_server(name: str, remote: bool) -> None:
    assert is_remote(name) is remote


@pytest.mark.parametrize("name", ["openai:http://a/v1", "openai:http://#m", "cohere:http://a#m"])
def test_a_wrong_name_is_told_the_forms(name: str) -> None:
    with pytest.raises(RemoteModelError, match=r"write openai:URL#MODEL, tei:URL, ollama:URL#M"):
        parse_remote(name, EMBEDDING_APIS)


def test_a_password_is_refused_and_not_shown() -> None:
    for name in ("tei:http://ada:hunter2@host:80", "openai:http://ada:hunter2@host/v1"):
        with pytest.raises(RemoteModelError) as caught:
            parse_remote(name, EMBEDDING_APIS)
        assert "hunter2" not in str(caught.value) and "host" in str(caught.value)
