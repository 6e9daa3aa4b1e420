"""A server with HTTP, on the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from serving_fixtures import SECTIONS, Background, OpenPipeline, collections_of

from expertrag.config import Config, ServiceConfig

if TYPE_CHECKING:
    from expertrag.http import HttpServer
    from expertrag.service import Server


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

    async def stop(self) -> None:
        """Stop both, as the process does at a signal."""
        await asyncio.gather(self.grpc.stop(), self.http.stop())

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=60, **options)


StartHttp = Callable[..., Served]


@pytest.fixture
def start_http(background: Background, open_pipeline: OpenPipeline) -> Iterator[StartHttp]:
    """Starts servers with HTTP; stops them after the test."""
    from expertrag.http import HttpServer
    from expertrag.service import Server

    running: list[Served] = []

    async def start(load: Callable[[], Any], settings: dict[str, Any]) -> Served:
        sections = {name: settings.pop(name) for name in SECTIONS if name in settings}
        free = {"address": "127.0.0.1:0", "http_address": "127.0.0.1:0"}
        config = Config(service=ServiceConfig(**{**free, **settings}), **sections)
        served = Served(Server(config, lambda: collections_of(load())), HttpServer(config))
        address = served.grpc.private_address
        await served.grpc.start()
        running.append(served)
        await served.http.start(address)
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
