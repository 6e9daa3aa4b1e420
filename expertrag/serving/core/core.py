"""The core of a server: what its doors share, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from expertrag.answer.collections import DEFAULT
from expertrag.config import Config
from expertrag.serving.core.authentication import authenticator_of
from expertrag.serving.core.calls import Calls
from expertrag.serving.core.health import GENERATING, Health, watch_model
from expertrag.serving.core.inflight import InFlight
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.core.quotas import Quotas
from expertrag.serving.core.replication import Replication
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.upkeep import keep_compact
from expertrag.serving.core.workers import Workers

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections


class Core:
    """The state of one server, without any door; use it on one event loop.

    ``loaded`` is set once the models are loaded. ``in_flight`` holds the requests of all doors.
    """

    def __init__(self, config: Config, load: Callable[[], Collections]) -> None:
        """Prepare it; ``load`` runs in a thread, and what it returns is closed at the end.

        :raises InvalidArgument: if a token or key file cannot be used.
        """
        self.config = config.service
        self.authenticator = authenticator_of(config)
        self.metrics = Metrics()
        self.in_flight = InFlight()
        self.health = Health()
        self.loaded = asyncio.Event()
        quotas = Quotas()
        self.calls = Calls(self.metrics, quotas)
        self.runtime = Runtime(self.config, self.metrics, Workers(self.config), quotas)
        self.metrics.watch_load(self.runtime.workers.waiting, lambda: self.in_flight.bytes)
        self._replication = Replication(config, self.metrics)
        self.runtime.replication = self._replication
        self._load = load
        self._upkeep: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Number of calls that hold a slot."""
        return self.runtime.workers.running()

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a slot."""
        return self.runtime.workers.waiting()

    async def load(self) -> None:
        """Load the models, and serve them from then on."""
        await asyncio.to_thread(self._replication.fetch)
        collections = await asyncio.to_thread(self._load)
        self.runtime.loaded = collections
        self.metrics.watch_collections(lambda: collections.open_count)
        if collections.has_default:
            with collections.use(DEFAULT) as pipeline:
                self.metrics.observe_index(pipeline.stats())
                self.metrics.watch_generation(lambda: pipeline.generation)
                self.metrics.watch_engine(pipeline.generation_counters)
                self.metrics.watch_endpoints(pipeline.generation_endpoints)
        if self.config.allow_writes and self.config.compact_after_s:
            self._upkeep = asyncio.create_task(keep_compact(self.runtime))
        self._replication.start(collections)
        self.loaded.set()
        await self.health.set(True)
        watch = watch_model(self.health, lambda: collections.healthy, GENERATING)
        self._watch = asyncio.create_task(watch)

    async def end_tasks(self) -> None:
        """End the work that no caller waits for."""
        for task in (self._upkeep, self._watch):
            if task is not None:
                task.cancel()
        await asyncio.to_thread(self._replication.stop)

    async def close(self, loading: asyncio.Task[None] | None) -> None:
        """End the work of calls, and close the stores; no door may be open.

        :param loading: a task that runs ``load``, to wait for.
        """
        await self.runtime.workers.close()
        if loading is not None:
            await asyncio.wait([loading])
        if self.runtime.loaded is not None:
            self.runtime.loaded.close()
        self.metrics.stop()
