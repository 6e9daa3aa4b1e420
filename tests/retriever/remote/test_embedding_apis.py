"""What servers say of their models, and what they leave out."""

from __future__ import annotations

import pytest
from embedding_server import BATCH, MODEL, EmbeddingServer

from expertrag_retriever.remote.address import EMBEDDING_APIS, RemoteModel
from expertrag_retriever.remote.embedding_apis import APIS, UNKNOWN_LENGTH, ServedEmbedder
from expertrag_retriever.remote.server import ModelServer

PATHS = {"openai": "/v1", "tei": "", "ollama": ""}


def described(api: str, model: str, remote: EmbeddingServer) -> ServedEmbedder:
    at = RemoteModel(api, remote.url + PATHS[api], model)
    return APIS[api].describe(ModelServer(at, "KEY"), model)


def test_every_api_is_served() -> None:
    assert tuple(APIS) == EMBEDDING_APIS


def test_what_servers_say(remote: EmbeddingServer) -> None:
    assert described("openai", MODEL, remote) == ServedEmbedder(MODEL, 256)
    assert described("ollama", MODEL, remote) == ServedEmbedder(MODEL, 256)
    assert described("tei", "", remote) == ServedEmbedder(MODEL, 256, BATCH)
    assert described("tei", "alias", remote).model == "alias"
    assert described("openai", "not listed", remote) == ServedEmbedder("not listed", UNKNOWN_LENGTH)


@pytest.mark.parametrize("api", ["openai", "tei"])
def test_a_server_that_says_nothing(api: str, remote: EmbeddingServer) -> None:
    remote.described = False
    assert described(api, MODEL, remote) == ServedEmbedder(MODEL, UNKNOWN_LENGTH)
