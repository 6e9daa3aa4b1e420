"""Which services of a server take calls: its health, per service and overall ("")."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from expertrag.serving.core.scopes import SCOPES

OVERALL = ""
"""Name under which the health of the whole server is known."""
SERVICES = tuple(dict.fromkeys(f"expertrag.v1.{method.partition('/')[0]}" for method in SCOPES))
GENERATING = (OVERALL, "expertrag.v1.AnswerService", "expertrag.v1.GateService")
"""Services that need the language model."""
INFO = "expertrag.v1.InfoService"
"""The service that responds before the models are loaded."""

CHECK_S = 1.0
"""Interval of the checks of the language model."""

_log = structlog.get_logger("expertrag.service")


class Health:
    """Whether each service takes calls; use it on one event loop.

    ``asked``: whether any client has ever asked. ``closed``: the state is final.
    """

    def __init__(self, services: Iterable[str] = SERVICES) -> None:
        """Start with no service taking calls."""
        self._serving = dict.fromkeys([OVERALL, *services], False)
        self._changed = asyncio.Condition()
        self.closed = False
        self.asked = False

    def serving(self, service: str = OVERALL) -> bool | None:
        """Return whether a service takes calls; None for one that is unknown."""
        return self._serving.get(service)

    async def set(self, serving: bool, services: Iterable[str] | None = None) -> None:
        """Set the state of some or all services and notify who waits; no effect once closed."""
        if self.closed:
            return
        names = self._serving if services is None else services
        async with self._changed:
            self._serving.update(dict.fromkeys(names, serving))
            self._changed.notify_all()

    async def close(self) -> None:
        """Let no service take calls, for good, and end the waiting, which would delay the drain."""
        await self.set(False)
        async with self._changed:
            self.closed = True
            self._changed.notify_all()

    async def wait_change(self, service: str, known: bool | None) -> None:
        """Wait until the state of a service is not ``known``, or is final."""
        async with self._changed:
            while not self.closed and self.serving(service) == known:
                await self._changed.wait()


async def watch_model(health: Health, healthy: Callable[[], bool], services: Iterable[str]) -> None:
    """Let services take no calls while the language model is stuck, until this task is cancelled.

    An orchestrator that probes the health then restarts the server.
    """
    names, serving, known = list(services), True, True
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            status = healthy()
        except Exception:  # the next check may tell again; without this task none would
            if known:
                _log.exception("the language model does not tell its health")
            known = False
            continue
        known = True
        if status == serving:
            continue
        serving = status
        await health.set(serving, names)
        if serving:
            _log.info("the language model goes on", health="SERVING")
        else:
            _log.error("the language model is stuck", health="NOT_SERVING")
