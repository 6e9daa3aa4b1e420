"""Standard health checking (grpc.health.v1), Check and Watch, per service and overall ("").

The servicer of grpcio-health-checking 1.81 keeps one condition per service and drops it when any
watcher leaves. The other watchers then get no updates, hence this one.
"""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from expertrag.serving.core.health import Health
from expertrag.serving.grpc.servicer import Context

_STATUSES = {
    True: HealthCheckResponse.SERVING,
    False: HealthCheckResponse.NOT_SERVING,
    None: HealthCheckResponse.SERVICE_UNKNOWN,
}


class HealthServicer:
    """Reports the health of a server."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def Check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        """Return the status of one service."""
        self._health.asked = True
        serving = self._health.serving(request.service)
        if serving is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return _response(serving)

    async def Watch(self, request: HealthCheckRequest, context: Context) -> None:
        """Send the status now and at each change."""
        self._health.asked = True
        last: Any = ...  # unlike any state
        closed = False
        while not closed:
            closed = self._health.closed  # read before the state: after closing, it is final
            serving = self._health.serving(request.service)
            if serving is not last:
                await context.write(_response(serving))
                last = serving
            await self._health.wait_change(request.service, last)


def _response(serving: bool | None) -> HealthCheckResponse:
    return HealthCheckResponse(status=_STATUSES[serving])
