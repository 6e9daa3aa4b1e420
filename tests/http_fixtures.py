"""A server with HTTP, on the loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from serving_fixtures import SECTIONS, Background, OpenPipeline, collections_of

from expertrag.config import Config, ServiceConfig

if TYPE_CHECKING:
    from expertrag.serving.http import HttpServer
    from expertrag.serving.server import Server


CHAT = "/v1/chat/completions"
QUESTION = {"role": "user", "content": "When are roses pruned?"}


@dataclass(frozen=True)
class Served:
    """A running server and its HTTP address."""

    grpc: Server
    http: HttpServer

    @property
    def url(self) -> str:
        return f"http://{self.http.address}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=60, **options)

    async def start(self) -> None:
        """Start both, as the process does."""
        await self.grpc.start()
        await self.http.start(self.grpc.core)

    async def stop(self) -> None:
        """Stop both, as the process does at a signal."""
        await self.grpc.retire()
        await asyncio.gather(self.grpc.drain(), self.http.stop())
        await self.grpc.close()

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=60, **options)


StartHttp = Callable[..., Served]


@pytest.fixture
def start_http(background: Background, open_pipeline: OpenPipeline) -> Iterator[StartHttp]:
    """Starts servers with HTTP; stops them after the test."""
    from expertrag.serving.server import Server
    from expertrag.serving.web import http_server

    running: list[Served] = []

    async def start(load: Callable[[], Any], settings: dict[str, Any]) -> Served:
        sections = {name: settings.pop(name) for name in SECTIONS if name in settings}
        free = {"address": "127.0.0.1:0", "http_address": "127.0.0.1:0"}
        config = Config(service=ServiceConfig(**{**free, **settings}), **sections)
        served = Served(Server(config, lambda: collections_of(load())), http_server(config))
        running.append(served)
        await served.start()
        return served

    def make(
        load: Callable[[], Any] = open_pipeline, *, wait: bool = True, **settings: Any
    ) -> Served:
        served = background.run(start(load, settings))
        if wait:
            background.run(served.grpc.wait_loaded())
        return served

    yield make
    for served in running:
        background.run(served.stop())


@pytest.fixture
def served(start_http: StartHttp) -> Served:
    """A server with its defaults, whose model counts."""
    return start_http()


@pytest.fixture(scope="module")
def served_with_models(
    background: Background, model_config: Config, reader_path: Path, built_store: Path
) -> Iterator[Served]:
    """A server whose embedder and language model are real."""
    from expertrag.answer.assemble import open_pipeline
    from expertrag.serving.server import Server
    from expertrag.serving.web import http_server

    # a client that gave up an answer may keep its connection until it is collected
    service = ServiceConfig(address="127.0.0.1:0", http_address="127.0.0.1:0", drain_s=5)
    model = replace(model_config.model, generator=str(reader_path))
    config = replace(model_config, index=str(built_store), model=model, service=service)
    served = Served(
        Server(config, lambda: collections_of(open_pipeline(config))), http_server(config)
    )
    background.run(served.start())
    background.run(served.grpc.wait_loaded())
    yield served
    background.run(served.stop())


def chat_body(**fields: Any) -> dict[str, Any]:
    return {"model": "default:never", "messages": [QUESTION], "max_tokens": 5, **fields}


def error_of(response: httpx.Response) -> dict[str, Any]:
    found = response.json()["error"]
    assert found.keys() == {"message", "type", "param", "code"}
    assert isinstance(found["message"], str) and found["message"]
    return dict(found)


def stalled(served: Served, path: str, headers: str = "", sent: int = 1) -> socket.socket:
    """Return a connection on which a part of a body was sent."""
    host, _, port = served.http.address.rpartition(":")
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\n{headers}content-length: 8000000\r\n\r\n"
    )
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(head.encode() + b" " * sent)
    return connection
