"""Run a server until a signal ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from expertrag.config import Config
from expertrag.runtime.descriptors import raise_limit
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.grpc.server import Server

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Beside(Protocol):
    """A server of another protocol, which calls the gRPC server."""

    async def start(self, grpc_address: str, metrics: Metrics) -> None:
        """Listen; calls go to ``grpc_address``, a socket that only this user reaches."""

    async def stop(self) -> None:
        """Accept no more requests, and let running ones finish."""


async def serve(
    config: Config, load: Callable[[], Collections], beside: Beside | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the process at once.

    :param beside: started and stopped with the gRPC server.
    :raises ExpertRAGError: if the address is taken or the pipeline cannot be loaded.
    """
    raise_limit()
    server = Server(config, load)
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if signalled.is_set():
            os._exit(128 + number)  # the store survives this at any moment
        signalled.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        address = server.private_address if beside is not None else ""
        if beside is not None:  # first: whether its address is free is known before models load
            await beside.start(address, server.metrics)
        await server.start()
        loading = asyncio.create_task(server.wait_loaded())
        waiting = asyncio.create_task(signalled.wait())
        await asyncio.wait([loading, waiting], return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
        await waiting
    finally:
        await server.retire()
        stops = [server.stop(), *([beside.stop()] if beside is not None else [])]
        await asyncio.gather(*stops)
        for number in SIGNALS:
            loop.remove_signal_handler(number)
