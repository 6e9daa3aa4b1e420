"""A server of embeddings with the vectors of MiniLM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from embedding_server import EmbeddingServer, serve_embeddings

from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.remote import server as requests


@pytest.fixture
def remote(
    embedder: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddingServer]:
    """A server with the vectors of MiniLM, whose failures are not waited for."""
    monkeypatch.setattr(requests, "_FIRST_WAIT_S", 0.001)
    with serve_embeddings(embedder.encode_documents) as serving:
        yield serving
