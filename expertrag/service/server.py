"""The server: listens at once, loads the pipeline in the background, drains on stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc

from expertrag.answer.collections import DEFAULT
from expertrag.api.errors import Conflict
from expertrag.auth import Authenticator, Quota
from expertrag.config import Config
from expertrag.runtime.descriptors import connections_of_a_port
from expertrag.service.address import Address
from expertrag.service.grpc_server import grpc_server
from expertrag.service.health import Health, watch_model
from expertrag.service.inflight import InFlight
from expertrag.service.interceptor import CallInterceptor
from expertrag.service.metrics import Metrics
from expertrag.service.private_socket import PrivateSocket
from expertrag.service.quotas import Quotas
from expertrag.service.replication import Replication
from expertrag.service.runtime import Runtime
from expertrag.service.services import GENERATING, INFO, NAMES, SERVICES, add_reflection
from expertrag.service.transport import check_exposure, is_local, server_credentials
from expertrag.service.upkeep import keep_compact
from expertrag.service.workers import Workers

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections

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


class Server:
    """One gRPC server; use it on one event loop."""

    def __init__(self, config: Config, load: Callable[[], Collections]) -> None:
        """Prepare the server; it runs ``load`` in a thread and closes what it returns.

        :raises InvalidArgument: if the address is beyond loopback without TLS, or a token or key
            file cannot be used.
        """
        self._config = config.service
        self._load = load
        self._address = Address.parse(self._config.address)
        check_exposure(self._address, config.auth, config.tls)
        self._credentials = server_credentials(config.tls)
        self._authenticator = authenticator_of(config)
        self._metrics = Metrics()
        quotas, in_flight = Quotas(), InFlight()
        self._runtime = Runtime(self._config, self._metrics, Workers(self._config), quotas)
        self._interceptor = CallInterceptor(self._metrics, self._authenticator, quotas, in_flight)
        self._metrics.watch_load(self._runtime.workers.waiting, lambda: in_flight.bytes)
        self._replication = Replication(config, self._metrics)
        self._runtime.replication = self._replication
        self._health = Health(NAMES)
        self._grpc: grpc.aio.Server | None = None
        self._retired = False
        self._loading: asyncio.Task[None] | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._private: PrivateSocket | None = None

    @property
    def private_address(self) -> str:
        """Address of a socket that only this user reaches; made at its first use.

        Ask before the start.
        """
        if self._private is None:
            self._private = PrivateSocket()
        return self._private.address

    @property
    def address(self) -> str:
        """Address the server listens at, with the port the system chose for port 0."""
        return str(self._address)

    @property
    def metrics(self) -> Metrics:
        """The metrics of the process, which a server beside this one updates, too."""
        return self._metrics

    @property
    def running(self) -> int:
        """Number of calls that hold a slot."""
        return self._runtime.workers.running()

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a slot."""
        return self._runtime.workers.waiting()

    async def start(self) -> None:
        """Listen and start loading; until it is done, only Info and health respond.

        :raises Conflict: if the address or the metrics port is in use.
        :raises InvalidArgument: if the address does not belong to this machine.
        """
        self._address.check_free()
        self._metrics.start(self._config.metrics_host, self._config.metrics_port)
        most = ("grpc.max_allowed_incoming_connections", connections_of_a_port())
        server = grpc_server([self._interceptor], (*OPTIONS, most))
        for servicer, add in SERVICES.items():
            add(servicer(self._runtime), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection = self._config.reflection
        if is_local(self._address) if reflection is None else reflection:
            add_reflection(server)
        if self._private is not None:
            server.add_insecure_port(self.private_address)
        try:
            port = self._add_port(server)
        except RuntimeError as error:
            self._metrics.stop()
            raise Conflict(
                f"cannot listen at {self._address}; choose another --address",
                reason="ADDRESS_IN_USE",
            ) from error
        if not self._address.path:
            self._address = replace(self._address, port=port)
        await server.start()
        self._grpc = server
        await self._health.set(True, [INFO])
        _log.info(
            "listening",
            address=self.address,
            tls=self._credentials is not None,
            tokens=not self._authenticator.open,
        )
        self._loading = asyncio.create_task(self._load_pipeline())

    async def wait_loaded(self) -> None:
        """Wait until every service responds; raise any error from loading."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def retire(self) -> None:
        """Notify health watchers, and let load balancers switch away; calls are served still."""
        if self._grpc is None or self._retired:
            return
        self._retired = True
        _log.info("draining", address=self.address, running=self.running)
        await self._health.close()
        if self._health.asked:
            await asyncio.sleep(self._config.lame_duck_s)

    async def stop(self) -> None:
        """Retire, reject new calls, let running calls finish, close."""
        await self.retire()
        if self._grpc is None:
            self._remove_private()
            return
        server, self._grpc = self._grpc, None
        for task in (self._upkeep, self._watch):
            if task is not None:
                task.cancel()
        await asyncio.to_thread(self._replication.stop)
        await server.stop(self._config.drain_s)
        await self._runtime.workers.close()
        if self._loading is not None:
            await asyncio.wait([self._loading])
        if self._runtime.loaded is not None:
            self._runtime.loaded.close()
        self._metrics.stop()
        self._remove_private()
        _log.info("stopped", address=self.address)

    def _remove_private(self) -> None:
        if self._private is not None:
            self._private.remove()

    async def _load_pipeline(self) -> None:
        await asyncio.to_thread(self._replication.fetch)
        collections = await asyncio.to_thread(self._load)
        self._runtime.loaded = collections
        self._metrics.watch_collections(lambda: collections.open_count)
        if collections.has_default:
            with collections.use(DEFAULT) as pipeline:
                self._metrics.observe_index(pipeline.stats())
                self._metrics.watch_generation(lambda: pipeline.generation)
                self._metrics.watch_engine(pipeline.generation_counters)
                self._metrics.watch_endpoints(pipeline.generation_endpoints)
        if self._config.allow_writes and self._config.compact_after_s:
            self._upkeep = asyncio.create_task(keep_compact(self._runtime))
        self._replication.start(collections)
        await self._health.set(True)
        watch = watch_model(self._health, lambda: collections.healthy, GENERATING)
        self._watch = asyncio.create_task(watch)
        _log.info("ready", address=self.address)

    def _add_port(self, server: grpc.aio.Server) -> int:
        if self._credentials is None:
            return server.add_insecure_port(str(self._address))
        return server.add_secure_port(str(self._address), self._credentials)


def authenticator_of(config: Config) -> Authenticator:
    """Return what checks the tokens that a configuration accepts.

    :raises NotFound: the token file does not exist.
    :raises InvalidArgument: the key file holds no public key.
    """
    auth = config.auth
    verifier = None
    if auth.jwt_keys:
        from expertrag.auth.jwt import JwtVerifier

        verifier = JwtVerifier(
            Path(auth.jwt_keys), issuer=auth.jwt_issuer, audience=auth.jwt_audience
        )
    tokens = Path(auth.tokens) if auth.tokens else None
    return Authenticator(tokens, verifier, Quota(**asdict(config.quota)))
