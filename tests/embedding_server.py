"""A server of embeddings and reranking on loopback, with the vectors of a real embedder.

It speaks OpenAI's API, Text Embeddings Inference's, Ollama's and Cohere's, by their documentation.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from expertrag_index.types import FloatArray

Encode = Callable[[Sequence[str]], FloatArray]

MODEL = "all-minilm-l6-v2"
BATCH = 8


@dataclass
class EmbeddingServer:
    """What the server does, and what it was sent.

    ``encode``: returns the vectors [N, D] of texts. ``failures``: statuses of the next requests,
    before any is answered. ``answer``: replaces the answers, unless it is None. ``key``: what
    requests must show; empty for nothing. ``described``: whether it says what it serves.
    """

    encode: Encode
    url: str = ""
    failures: list[int] = field(default_factory=list)
    answer: bytes | None = None
    key: str = ""
    described: bool = True
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """All texts that were sent to be embedded."""
        sent = [body.get("input", body.get("inputs", [])) for _, body in self.requests]
        return [text for texts in sent for text in texts]

    def reply(self, path: str, body: dict[str, Any]) -> Any:
        """Return the answer to a request; None for an unknown path."""
        match path:
            case "/v1/models" if self.described:
                return {"data": [{"id": MODEL, "max_model_len": 256}]}
            case "/info" if self.described:
                about = {"model_id": MODEL, "max_input_length": 256}
                return {**about, "max_client_batch_size": BATCH}
            case "/api/show" if self.described:
                return {"model_info": {"bert.context_length": 256}}
            case "/v1/embeddings":
                rows = enumerate(self.encode(body["input"]).tolist())
                data = [{"index": index, "embedding": row} for index, row in rows]
                return {"data": data[::-1], "model": MODEL}
            case "/embed":
                assert len(body["inputs"]) <= BATCH
                return (self.encode(body["inputs"]) * 3).tolist()  # the caller scales
            case "/api/embed":
                return {"embeddings": self.encode(body["input"]).tolist()}
            case "/rerank":
                return [
                    {"index": index, "score": 10 * score - 4}
                    for index, score in self._ranked(body["query"], body["texts"])
                ]
            case "/v1/rerank":
                return {
                    "results": [
                        {"index": index, "relevance_score": (1 + score) / 2}
                        for index, score in self._ranked(body["query"], body["documents"])
                    ]
                }
        return None

    def _ranked(self, query: str, texts: Sequence[str]) -> list[tuple[int, float]]:
        scores = self.encode(texts) @ self.encode([query])[0]
        return sorted(enumerate(scores.tolist()), key=lambda entry: -entry[1])


@contextmanager
def serve_embeddings(encode: Encode) -> Iterator[EmbeddingServer]:
    """Serve until the block ends."""
    state = EmbeddingServer(encode)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            state.requests.append((self.path, body))
            if state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
                return self._send(401, b'{"error": "Unauthorized"}')
            if state.failures and (status := state.failures.pop(0)) != 200:
                return self._send(status, b'{"error": {"message": "try later"}}')
            reply = state.reply(self.path, body)
            if reply is None:
                return self._send(404, b'{"detail": "Not Found"}')
            return self._send(200, state.answer or json.dumps(reply).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
