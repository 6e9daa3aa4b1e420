"""A server: its core and its gRPC door, which listens at once, loads meanwhile, drains on stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from expertrag.config import Config
from expertrag.serving.core.core import Core
from expertrag.serving.core.health import INFO
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.grpc.server import GrpcServer

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections

_log = structlog.get_logger("expertrag.service")


class Server:
    """One server with its gRPC door; use it on one event loop. Others may open on its ``core``."""

    def __init__(self, config: Config, load: Callable[[], Collections]) -> None:
        """Prepare the server; it runs ``load`` in a thread and closes what it returns.

        :raises InvalidArgument: if the address is beyond loopback without TLS, or a token or key
            file cannot be used.
        """
        self._config = config.service
        self._grpc = GrpcServer(config)
        self.core = Core(config, load)
        self._started = self._retired = self._drained = False
        self._loading: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Address of the gRPC door, with the port the system chose for port 0."""
        return self._grpc.address

    @property
    def metrics(self) -> Metrics:
        """The metrics of the server."""
        return self.core.metrics

    @property
    def running(self) -> int:
        """Number of calls that hold a slot."""
        return self.core.running

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a slot."""
        return self.core.waiting

    async def start(self) -> None:
        """Listen and start loading; until it is done, only Info and health respond.

        :raises Conflict: if the address or the metrics port is in use.
        :raises InvalidArgument: if the address does not belong to this machine.
        """
        self._grpc.check_free()
        self.metrics.start(self._config.metrics_host, self._config.metrics_port)
        try:
            await self._grpc.start(self.core)
        except BaseException:
            self.metrics.stop()
            raise
        self._started = True
        await self.core.health.set(True, [INFO])
        self._loading = asyncio.create_task(self._load())

    async def wait_loaded(self) -> None:
        """Wait until every service responds; raise any error from loading."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def retire(self) -> None:
        """Notify health watchers, and let load balancers switch away; calls are served still."""
        if not self._started or self._retired:
            return
        self._retired = True
        _log.info("draining", address=self.address, running=self.running)
        await self.core.health.close()
        if self.core.health.asked:
            await asyncio.sleep(self._config.lame_duck_s)

    async def drain(self) -> None:
        """Retire, reject new calls over gRPC, let running ones finish."""
        await self.retire()
        if not self._started or self._drained:
            return
        self._drained = True
        await self.core.end_tasks()
        await self._grpc.stop()

    async def close(self) -> None:
        """Close the core, once every door is drained."""
        if not self._started:
            return
        self._started = False
        await self.core.close(self._loading)
        _log.info("stopped", address=self.address)

    async def stop(self) -> None:
        """Drain and close; stop other doors before."""
        await self.drain()
        await self.close()

    async def _load(self) -> None:
        await self.core.load()
        _log.info("ready", address=self.address)
