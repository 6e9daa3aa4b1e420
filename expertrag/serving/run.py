"""Run a server until a signal ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from expertrag.config import Config
from expertrag.runtime.descriptors import raise_limit
from expertrag.serving.core.core import Core
from expertrag.serving.server import Server

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Door(Protocol):
    """A door next to gRPC."""

    async def start(self, core: Core) -> None:
        """Listen; calls are operations of ``core``."""

    async def stop(self) -> None:
        """Accept no more requests, and let running ones finish."""


async def serve(config: Config, load: Callable[[], Collections], door: Door | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the process at once.

    :param door: started and stopped with the gRPC server.
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
        if door is not None:  # first: whether its address is free is known before models load
            await door.start(server.core)
        await server.start()
        loading = asyncio.create_task(server.wait_loaded())
        waiting = asyncio.create_task(signalled.wait())
        await asyncio.wait([loading, waiting], return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
        await waiting
    finally:
        await server.retire()
        drains = [server.drain(), *([door.stop()] if door is not None else [])]
        await asyncio.gather(*drains)
        await server.close()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
