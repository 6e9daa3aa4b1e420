"""Run a server until a signal ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from expertrag.config import Config
from expertrag.service.server import Server

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(config: Config, load: Callable[[], Collections]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the process at once.

    :raises ExpertRAGError: if the address is taken or the pipeline cannot be loaded.
    """
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
        await server.start()
        loading = asyncio.create_task(server.wait_loaded())
        waiting = asyncio.create_task(signalled.wait())
        await asyncio.wait([loading, waiting], return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
        await waiting
    finally:
        await server.stop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
