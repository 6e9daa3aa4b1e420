"""Requests to a model server: retries, keys, and what is said of failures."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path

import pytest
from embedding_server import EmbeddingServer

from expertrag_retriever.errors import RemoteModelError, RemoteUnavailableError
from expertrag_retriever.remote.address import RemoteModel
from expertrag_retriever.remote.server import BUILD, QUERY, ModelServer, Patience

KEY = "EXPERTRAG_EMBEDDER_API_KEY"
TEXTS = {"inputs": ["a rose"]}


def server_of(url: str) -> ModelServer:
    return ModelServer(RemoteModel("tei", url, ""), KEY)


def test_a_failure_that_passes_is_not_seen(remote: EmbeddingServer) -> None:
    remote.failures = [503]
    assert len(server_of(remote.url).post("/embed", TEXTS, QUERY)) == 1
    remote.failures = [500, 502, 429, 503, 504, 408]
    assert len(server_of(remote.url).post("/embed", TEXTS, BUILD)) == 1


def test_a_query_does_not_wait_long(remote: EmbeddingServer) -> None:
    remote.failures = [503] * 3
    with pytest.raises(RemoteUnavailableError, match="answered 503: try later"):
        server_of(remote.url).post("/embed", TEXTS, QUERY)
    assert len(remote.requests) == QUERY.attempts


def test_a_request_that_is_wrong_is_not_repeated(remote: EmbeddingServer) -> None:
    remote.failures = [422]
    with pytest.raises(RemoteModelError, match="answered 422: try later"):
        server_of(remote.url).post("/embed", TEXTS, BUILD)
    assert len(remote.requests) == 1
    with pytest.raises(
        RemoteModelError, match=r"404: Not Found; check the URL \(the URL of OpenAI's"
    ):
        server_of(remote.url).post("/embeddings", TEXTS, BUILD)


def test_what_a_server_does_not_describe_is_none(remote: EmbeddingServer) -> None:
    assert server_of(remote.url).get("/info")["max_input_length"] == 256
    remote.described = False
    assert server_of(remote.url).get("/info") is None


@pytest.mark.parametrize("source", ["variable", "file"])
def test_the_key(
    source: str,
    remote: EmbeddingServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    remote.key = "sk-right"
    caplog.set_level(logging.DEBUG)
    for key in ("sk-wrong", "sk-right"):
        if source == "variable":
            monkeypatch.setenv(KEY, key)
        else:
            (tmp_path / "key").write_text(f"{key}\n")
            monkeypatch.setenv(f"{KEY}_FILE", str(tmp_path / "key"))
        if key == remote.key:
            assert server_of(remote.url).post("/embed", TEXTS, QUERY)
            continue
        with pytest.raises(
            RemoteModelError, match=rf"rejects the key \(401\): set {KEY}"
        ) as caught:
            server_of(remote.url).post("/embed", TEXTS, QUERY)
        assert key not in str(caught.value)
    assert "sk-" not in caplog.text


def test_a_missing_file_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{KEY}_FILE", "/nowhere/key")
    with pytest.raises(RemoteModelError, match=rf"cannot read the file of {KEY}_FILE"):
        server_of("http://127.0.0.1:1")


def test_no_server_and_a_silent_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(RemoteUnavailableError, match="did not answer in time"):
            server_of(url).post("/embed", TEXTS, Patience(read_s=0.2, attempts=1))
        assert time.monotonic() - started < 2
    with pytest.raises(RemoteUnavailableError, match=r"no model server at .*: start it"):
        server_of(url).post("/embed", TEXTS, QUERY)


@pytest.mark.parametrize("answer", [b"<html>", b"\xff\xfe"])
def test_an_answer_that_is_not_json(answer: bytes, remote: EmbeddingServer) -> None:
    remote.answer = answer
    with pytest.raises(RemoteModelError, match="sent an invalid answer: its answer is not JSON"):
        server_of(remote.url).post("/embed", TEXTS, QUERY)
