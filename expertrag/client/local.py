"""An in-process store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from expertrag.api.errors import MissingExtra
from expertrag.api.events import AnswerEvent
from expertrag.api.folding import fold
from expertrag.api.types import (
    Answer,
    AnswerRequest,
    DocumentInput,
    Feedback,
    UpdateReport,
)
from expertrag.client.blocking import run_here
from expertrag.client.operations import Operation, RequestT, ResponseT
from expertrag.config import Config, load
from expertrag.runtime.bridge import EventBridge
from expertrag.runtime.stop import Stop
from expertrag.runtime.threads import share_cores
from expertrag_common.extras import install_command

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline

T = TypeVar("T")


class LocalBackend:
    """Its own pipeline, loaded at the first call; the work runs in threads."""

    def __init__(self, store: Path, config: Config | None) -> None:
        """Use ``config`` for models and gate; None uses environment, file and defaults."""
        self._store = store
        self._config = config
        self._lock = threading.Lock()
        self._loaded: Pipeline | None = None

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def close(self) -> None:
        """Close the store."""

        def work() -> None:
            with self._lock:
                if self._loaded is not None:
                    self._loaded.close()
                    self._loaded = None

        await self._run(work)

    async def call(
        self, operation: Operation[RequestT, ResponseT], request: RequestT, timeout: float
    ) -> ResponseT:
        """Return the answer to a request."""
        return await self._run(lambda: operation.run(self._pipeline(), request, Stop(timeout)))

    async def answer(self, request: AnswerRequest, timeout: float) -> Answer:
        """Return the whole answer."""
        return await self._run(lambda: fold(self._events(request, Stop(timeout))))

    async def stream(self, request: AnswerRequest, timeout: float) -> AsyncGenerator[AnswerEvent]:
        """Yield events; closing the iterator stops the work."""
        stop = Stop(timeout)
        bridge = EventBridge(stop)
        events = self._events(request, stop)
        worker = asyncio.create_task(asyncio.to_thread(bridge.pump, events))
        try:
            async for event in bridge:
                yield event
        finally:
            stop.cancel()
            await worker

    async def feedback(self, feedback: Feedback, timeout: float) -> None:
        """Store feedback on an answer; needs no model."""

        def work() -> None:
            from expertrag.audit import Audit  # POSIX only; the SDK runs anywhere

            audit = Audit.of(self._load_config().audit)
            try:
                audit.feedback(feedback)
            finally:
                audit.close()

        await self._run(work)

    async def upsert(self, documents: Iterable[DocumentInput], timeout: float) -> UpdateReport:
        """Add or replace documents; the deadline is checked at each of them."""

        def work() -> UpdateReport:
            stop = Stop(timeout)  # loading counts
            return self._pipeline().upsert(_check_each(documents, stop))

        return await self._run(work)

    async def wait_ready(self, timeout: float) -> None:
        """Load the models now."""
        await self._run(self._pipeline)

    def _events(self, request: AnswerRequest, stop: Stop) -> Generator[AnswerEvent]:
        """Yield the events of an answer; loading counts toward its deadline."""
        yield from self._pipeline().answer(request, stop)

    def _load_config(self) -> Config:
        return load().config if self._config is None else self._config

    def _pipeline(self) -> Pipeline:
        """Return the pipeline, loaded once.

        :raises MissingExtra: if the models' packages are not installed.
        """
        with self._lock:
            if self._loaded is None:
                share_cores()
                try:
                    from expertrag.answer.assemble import open_pipeline
                except ModuleNotFoundError as error:
                    raise MissingExtra(
                        f"answering in process needs the package {error.name}; "
                        f"run: {install_command('server')}",
                        reason="MISSING_EXTRA",
                    ) from error
                self._loaded = open_pipeline(replace(self._load_config(), index=str(self._store)))
            return self._loaded


class BlockingLocalBackend(LocalBackend):
    """A ``LocalBackend`` that works in the thread of the caller. Thread-safe."""

    async def _run(self, work: Callable[[], T]) -> T:
        return await run_here(work)

    async def stream(self, request: AnswerRequest, timeout: float) -> AsyncGenerator[AnswerEvent]:
        """Yield events; closing the iterator stops the work."""
        with closing(self._events(request, Stop(timeout))) as events:
            for event in events:
                yield event


def _check_each(documents: Iterable[DocumentInput], stop: Stop) -> Iterator[DocumentInput]:
    for document in documents:
        stop()
        yield document
