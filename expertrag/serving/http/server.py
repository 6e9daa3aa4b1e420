"""The HTTP server, which runs next to the gRPC server on its event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import structlog
import uvicorn

from expertrag.config import Config
from expertrag.serving.core.address import Address
from expertrag.serving.core.core import Core
from expertrag.serving.core.inflight import InFlight
from expertrag.serving.core.tls import check_exposure, is_local, server_context
from expertrag.serving.http.app import MountOf, http_app
from expertrag.serving.http.protocol import PunctualProtocol, most_waiting
from expertrag.serving.http.state import HttpState

KEEP_ALIVE_S = 30

_log = structlog.get_logger("expertrag.http")


class _Uvicorn(uvicorn.Server):
    """Leaves the signals to the process, which stops both servers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """One HTTP server; use it on one event loop."""

    def __init__(self, config: Config, *mounts: MountOf) -> None:
        """Prepare the server.

        :param mounts: make what is served next to OpenAI's API and the console.
        :raises InvalidArgument: if the address is beyond loopback without TLS.
        """
        self._config = config.service
        self._mounts = mounts
        self._address = Address.parse(config.service.http_address, "--http-address")
        check_exposure(self._address, config.auth, config.tls)
        self._tls = server_context(config.tls)
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Address the server listens at, with the port the system chose for port 0."""
        return str(self._address)

    async def start(self, core: Core) -> None:
        """Listen; requests become operations of ``core``.

        :raises Conflict: if the address is in use.
        """
        self._address.check_free()
        service, shared = self._config, HttpState(core, InFlight(sibling=core.in_flight))
        hosts = [host.strip().lower() for host in service.http_host.split(",") if host.strip()]
        local = is_local(self._address)
        settings = uvicorn.Config(
            http_app(shared, hosts if local else None, self._mounts),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            http=PunctualProtocol,
            ws="none",
            backlog=most_waiting(),
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=round(service.drain_s),
            ssl_context_factory=self._context if self._tls is not None else None,
        )
        self._server = _Uvicorn(settings)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listening()]))
        await self._server.listening.wait()
        _log.info("listening", address=self.address, tls=self._tls is not None)

    async def stop(self) -> None:
        """Accept no more requests, and let running ones finish."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        self._server = None
        self._remove_socket()

    def _context(self, *_: object) -> ssl.SSLContext:
        assert self._tls is not None
        return self._tls

    def _remove_socket(self) -> None:
        if self._address.path:
            Path(self._address.path).unlink(missing_ok=True)

    def _listening(self) -> socket.socket:
        if self._address.path:
            listener = socket.socket(socket.AF_UNIX)
            self._remove_socket()  # of a server that was killed
            listener.bind(self._address.path)
        else:
            host = self._address.host.strip("[]")
            listener = socket.create_server(
                (host, self._address.port),
                family=socket.AF_INET6 if ":" in host else socket.AF_INET,
                backlog=most_waiting(),
            )
            self._address = replace(self._address, port=listener.getsockname()[1])
        listener.setblocking(False)
        return listener
