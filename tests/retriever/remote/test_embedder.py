"""An embedder on a server gives the vectors of the local one, and notices another model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from embedding_server import BATCH, MODEL, EmbeddingServer

from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.errors import RemoteModelError, RemoteUnavailableError
from expertrag_retriever.remote import embedder as remote_embedder
from expertrag_retriever.remote.embedder import RemoteEmbedder, connect_embedder

TEXTS = [f"Clause {number}: the rent is {number * 100} a month." for number in range(3 * BATCH)]


def name_of(api: str, remote: EmbeddingServer) -> str:
    path = "/v1" if api == "openai" else ""
    return f"{api}:{remote.url}{path}#{MODEL}"


@pytest.mark.parametrize("api", ["openai", "tei", "ollama"])
def test_vectors_are_those_of_the_model(
    api: str, remote: EmbeddingServer, embedder: SentenceTransformerEmbedder
) -> None:
    connected = connect_embedder(name_of(api, remote))
    assert (connected.dimension, connected.max_tokens) == (384, 256)
    local = embedder.encode_documents(TEXTS)
    assert np.allclose(connected.encode_documents(TEXTS), local, atol=1e-2)
    assert np.allclose(connected.encode_queries(TEXTS), local, atol=1e-2)
    assert np.allclose(connected.encode_query(TEXTS[3]), local[3], atol=1e-2)
    by_experts = connected.encode_queries_by_experts(TEXTS[:2], ["law", "general"])
    assert by_experts.shape == (2, 2, 384)
    assert connected.encode_documents([]).shape == (0, 384)
    assert connected.experts == () and connected.posteriors(TEXTS).shape == (len(TEXTS), 1)


def test_concurrent_queries_share_requests(remote: EmbeddingServer) -> None:
    connected = connect_embedder(name_of("openai", remote))
    before = len(remote.requests)
    with ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(connected.encode_query, TEXTS))
    assert len(remote.requests) - before <= len(TEXTS)
    assert np.allclose(rows, connected.encode_queries(TEXTS), atol=1e-2)


def test_the_family_gives_the_prompts(
    remote: EmbeddingServer, caplog: pytest.LogCaptureFixture
) -> None:
    def connect(model: str) -> RemoteEmbedder:
        remote.requests.clear()
        connected = connect_embedder(f"ollama:{remote.url}#{model}")
        connected.encode_documents(["a"])
        connected.encode_query("b")
        return connected

    connected = connect("nomic-embed-text:v1.5")
    assert remote.texts[1:] == ["search_document: a", "search_query: b"]
    assert connected.tokens_read(["b"], "query") > connected.count_tokens(["b"])
    assert not caplog.records
    other = connect("our-own")
    assert remote.texts[1:] == ["a", "b"]
    assert "no prompts are known for the embedder our-own" in caplog.text
    assert other.fingerprint != connected.fingerprint == connected.fingerprint_of_expert("law")


def test_another_model_is_noticed(
    remote: EmbeddingServer,
    embedder: SentenceTransformerEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected = connect_embedder(name_of("openai", remote))
    stored = connected.encode_documents(TEXTS)
    connected.check_same(TEXTS, stored)
    connected.check_same([], stored[:0])
    remote.encode = lambda texts: np.roll(embedder.encode_documents(texts), 1, axis=1)
    with pytest.raises(RemoteModelError, match="serves another model than before"):
        connected.check_same(TEXTS, stored)
    connected.encode_query("not yet")  # noticed within a minute
    monkeypatch.setattr(remote_embedder, "_PROBE_EVERY_S", -1.0)
    for _ in range(2):
        with pytest.raises(RemoteModelError, match="serve the former model, or migrate"):
            connected.encode_query("now")
    remote.encode = embedder.encode_documents
    connected.encode_query("the former model")
    remote.encode = lambda texts: embedder.encode_documents(texts)[:, :200]
    with pytest.raises(RemoteModelError, match="another model"):
        connected.encode_documents(TEXTS)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"{}", "no list of vectors"),
        (b'{"data": [{"index": 0, "embedding": [1, "x"]}]}', "no list of vectors"),
        (b'{"data": []}', "a vector for each of 1 texts"),
        (b'{"data": [{"index": 0, "embedding": []}]}', "a vector for each of 1 texts"),
        (b'{"data": [{"index": 0, "embedding": [NaN, 1]}]}', "not finite"),
    ],
)
def test_invalid_answers(answer: bytes, why: str, remote: EmbeddingServer) -> None:
    remote.answer = answer
    with pytest.raises(RemoteModelError, match=why):
        connect_embedder(f"openai:{remote.url}/v1#{MODEL}")


def test_a_build_outlives_a_restart_of_the_server(remote: EmbeddingServer) -> None:
    connected = connect_embedder(name_of("tei", remote))
    remote.failures = [503, 503, 503]
    assert connected.encode_documents(TEXTS[:2]).shape == (2, 384)
    remote.failures = [503, 503]
    with pytest.raises(RemoteUnavailableError):
        connected.encode_query("a query")
