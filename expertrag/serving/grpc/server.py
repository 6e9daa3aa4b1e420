"""The gRPC door of a server."""

from __future__ import annotations

from dataclasses import replace

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc

from expertrag.api.errors import Conflict
from expertrag.config import Config
from expertrag.runtime.descriptors import connections_of_a_port
from expertrag.serving.core.address import Address
from expertrag.serving.core.core import Core
from expertrag.serving.core.tls import check_exposure, is_local
from expertrag.serving.grpc.credentials import server_credentials
from expertrag.serving.grpc.grpc_server import grpc_server
from expertrag.serving.grpc.health import HealthServicer
from expertrag.serving.grpc.interceptor import CallInterceptor
from expertrag.serving.grpc.services import SERVICES, add_reflection

MAX_MESSAGE_BYTES = 8 * 1024 * 1024

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 120_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # With the default of 5 min, a client that pings every minute gets GOAWAY.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 60_000),
    # connections that say nothing, and those without a call
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 5 * 60_000),
    ("grpc.so_reuseport", 0),
)

_log = structlog.get_logger("expertrag.service")


class GrpcServer:
    """Serves the operations of a core over gRPC; use it on one event loop."""

    def __init__(self, config: Config) -> None:
        """Prepare the server.

        :raises InvalidArgument: if the address is beyond loopback without TLS, or a file of TLS
            cannot be used.
        """
        self._config = config.service
        self._address = Address.parse(self._config.address)
        check_exposure(self._address, config.auth, config.tls)
        self._credentials = server_credentials(config.tls)
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        """Address the server listens at, with the port the system chose for port 0."""
        return str(self._address)

    def check_free(self) -> None:
        """Check the address.

        :raises Conflict: if it is in use.
        :raises InvalidArgument: if it does not belong to this machine.
        """
        self._address.check_free()

    async def start(self, core: Core) -> None:
        """Listen.

        :raises Conflict: if the address is in use.
        """
        most = ("grpc.max_allowed_incoming_connections", connections_of_a_port())
        server = grpc_server([CallInterceptor(core)], (*OPTIONS, most))
        for servicer, add in SERVICES.items():
            add(servicer(core.runtime), server)
        health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(core.health), server)
        reflection = self._config.reflection
        if is_local(self._address) if reflection is None else reflection:
            add_reflection(server)
        try:
            port = self._add_port(server)
        except RuntimeError as error:
            raise Conflict(
                f"cannot listen at {self._address}; choose another --address",
                reason="ADDRESS_IN_USE",
            ) from error
        if not self._address.path:
            self._address = replace(self._address, port=port)
        await server.start()
        self._server = server
        _log.info(
            "listening",
            address=self.address,
            tls=self._credentials is not None,
            tokens=not core.authenticator.open,
        )

    async def stop(self) -> None:
        """Accept no more calls, and let running ones finish."""
        if self._server is not None:
            await self._server.stop(self._config.drain_s)

    def _add_port(self, server: grpc.aio.Server) -> int:
        if self._credentials is None:
            return server.add_insecure_port(str(self._address))
        return server.add_secure_port(str(self._address), self._credentials)
