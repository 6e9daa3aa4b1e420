"""Standard health checking (grpc.health.v1), Check and Watch, per service and overall ("").

The servicer of grpcio-health-checking 1.81 keeps one condition per service and drops it when any
watcher leaves, after which the other watchers get no updates; hence this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import grpc
import structlog
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN

CHECK_S = 1.0
"""Interval of the checks of the language model."""

_log = structlog.get_logger("expertrag.service")


class Health:
    """The servicer with the status of each service; use it on one event loop.

    ``asked``: whether any client has ever called Check or Watch.
    """

    def __init__(self, services: Iterable[str]) -> None:
        """Start with every service NOT_SERVING."""
        self._status = dict.fromkeys(["", *services], NOT_SERVING)
        self._changed = asyncio.Condition()
        self._closed = False
        self.asked = False

    async def set(self, serving: bool, services: Iterable[str] | None = None) -> None:
        """Set the status of some or all services and notify watchers; no effect after ``close``."""
        if self._closed:
            return
        names = self._status if services is None else services
        async with self._changed:
            self._status.update(dict.fromkeys(names, SERVING if serving else NOT_SERVING))
            self._changed.notify_all()

    async def close(self) -> None:
        """Set every service NOT_SERVING and end the watches, which would delay the drain."""
        await self.set(False)
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def Check(
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> HealthCheckResponse:
        """Return the status of one service."""
        self.asked = True
        if request.service not in self._status:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return HealthCheckResponse(status=self._status[request.service])

    async def Watch(
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Send the status now and at each change."""
        self.asked = True
        last = None
        closed = False
        while not closed:
            closed = self._closed  # read before the state: after closing, the state is final
            status = self._current(request.service)
            if status != last:
                await context.write(HealthCheckResponse(status=status))
                last = status
            async with self._changed:
                while not self._closed and self._current(request.service) == last:
                    await self._changed.wait()

    def _current(self, service: str) -> Any:
        return self._status.get(service, SERVICE_UNKNOWN)


async def watch_model(health: Health, healthy: Callable[[], bool], services: Iterable[str]) -> None:
    """Set services NOT_SERVING while the language model is stuck, until this task is cancelled.

    An orchestrator that probes the health then restarts the server.
    """
    names, serving, known = list(services), True, True
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            found = healthy()
        except Exception:  # the next check may tell again; without this task none would
            if known:
                _log.exception("the language model does not tell its health")
            known = False
            continue
        known = True
        if found == serving:
            continue
        serving = found
        await health.set(serving, names)
        if serving:
            _log.info("the language model goes on", health="SERVING")
        else:
            _log.error("the language model is stuck", health="NOT_SERVING")
