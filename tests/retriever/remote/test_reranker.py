"""A reranker on a server."""

from __future__ import annotations

import numpy as np
import pytest
from embedding_server import MODEL, EmbeddingServer

from expertrag_retriever.errors import RemoteModelError, RemoteUnavailableError
from expertrag_retriever.remote.reranker import connect_reranker

QUERY = "When are roses pruned?"
TEXTS = ["Tulips need sun.", "Roses are pruned in March.", *["The rent is due."] * 40]


@pytest.mark.parametrize(("api", "path"), [("tei", ""), ("cohere", "/v1")])
def test_scores_are_in_the_order_of_the_texts(api: str, path: str, remote: EmbeddingServer) -> None:
    reranker = connect_reranker(f"{api}:{remote.url}{path}#{MODEL}")
    scores = reranker.score(QUERY, TEXTS)
    assert scores.shape == (len(TEXTS),) and scores.argmax() == 1
    if api == "cohere":  # probabilities become logits
        cosine = remote.encode([TEXTS[1]])[0] @ remote.encode([QUERY])[0]
        assert 1 / (1 + np.exp(-scores[1])) == pytest.approx((1 + cosine) / 2, abs=1e-2)
    assert reranker.score(QUERY, []).shape == (0,)
    assert reranker.count_tokens(QUERY, ["a"])[0] > reranker.count_tokens("", ["a"])[0]
    assert reranker.fingerprint != connect_reranker(f"{api}:{remote.url}{path}#b").fingerprint


@pytest.mark.parametrize(
    "answer",
    [b"{}", b"[]", b'[{"index": 5, "score": 1}]', b'[{"index": 0, "score": 1}]', b'[{"index": 0}]'],
)
def test_invalid_answers(answer: bytes, remote: EmbeddingServer) -> None:
    remote.answer = answer
    with pytest.raises(RemoteModelError, match="sent an invalid answer"):
        connect_reranker(f"tei:{remote.url}")


def test_no_server() -> None:
    with pytest.raises(RemoteUnavailableError, match=r"no model server at 127\.0\.0\.1:1"):
        connect_reranker("tei:http://127.0.0.1:1")
