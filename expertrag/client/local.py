"""An in-process store, blocking or on asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import MissingExtra
from expertrag.api.folding import fold
from expertrag.api.types import (
    Answer,
    AnswerEvent,
    AnswerRequest,
    DocumentInput,
    Feedback,
    UpdateReport,
)
from expertrag.client.operations import Operation, RequestT, ResponseT
from expertrag.config import Config, load
from expertrag.runtime.bridge import EventBridge
from expertrag.runtime.stop import Stop
from expertrag.runtime.threads import share_cores
from expertrag_common.extras import install_command

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline


class LocalBackend:
    """Its own pipeline, loaded at the first call. Thread-safe."""

    def __init__(self, store: Path, config: Config | None) -> None:
        """Use ``config`` for models and gate; None uses environment, file and defaults."""
        self._store = store
        self._config = config
        self._lock = threading.Lock()
        self._loaded: Pipeline | None = None

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            if self._loaded is not None:
                self._loaded.close()
                self._loaded = None

    def call(
        self, operation: Operation[RequestT, ResponseT], request: RequestT, timeout: float
    ) -> ResponseT:
        """Return the answer to a request."""
        return operation.run(self.pipeline(), request, Stop(timeout))

    def answer(self, request: AnswerRequest, timeout: float) -> Answer:
        """Return the whole answer."""
        return fold(self.stream(request, timeout))

    def stream(self, request: AnswerRequest, timeout: float) -> Iterator[AnswerEvent]:
        """Yield events; closing the iterator stops the work."""
        stop = Stop(timeout)  # loading counts
        yield from self.pipeline().answer(request, stop)

    def feedback(self, feedback: Feedback, timeout: float) -> None:
        """Store feedback on an answer; needs no model."""
        from expertrag.audit import Audit  # POSIX only; the SDK runs anywhere

        config = load().config if self._config is None else self._config
        audit = Audit.of(config.audit)
        try:
            audit.feedback(feedback)
        finally:
            audit.close()

    def upsert(self, documents: Iterable[DocumentInput], timeout: float) -> UpdateReport:
        """Add or replace documents; the deadline is checked at each of them."""
        stop = Stop(timeout)

        def timed() -> Iterator[DocumentInput]:
            for document in documents:
                stop()
                yield document

        return self.pipeline().upsert(timed())

    def wait_ready(self, timeout: float) -> None:
        """Load the models now."""
        self.pipeline()

    def pipeline(self) -> Pipeline:
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
                config = load().config if self._config is None else self._config
                self._loaded = open_pipeline(replace(config, index=str(self._store)))
            return self._loaded


class AsyncLocalBackend:
    """``LocalBackend`` on asyncio: the work runs in threads."""

    def __init__(self, store: Path, config: Config | None) -> None:
        """Take the arguments of ``LocalBackend``."""
        self._local = LocalBackend(store, config)

    async def close(self) -> None:
        """Close the store."""
        await asyncio.to_thread(self._local.close)

    async def call(
        self, operation: Operation[RequestT, ResponseT], request: RequestT, timeout: float
    ) -> ResponseT:
        """Return the answer to a request."""
        return await asyncio.to_thread(self._local.call, operation, request, timeout)

    async def answer(self, request: AnswerRequest, timeout: float) -> Answer:
        """Return the whole answer."""
        return await asyncio.to_thread(self._local.answer, request, timeout)

    async def stream(self, request: AnswerRequest, timeout: float) -> AsyncGenerator[AnswerEvent]:
        """Yield events; closing the iterator stops the work."""
        stop = Stop(timeout)
        bridge = EventBridge(stop)

        def work() -> Iterator[AnswerEvent]:
            yield from self._local.pipeline().answer(request, stop)

        worker = asyncio.create_task(asyncio.to_thread(bridge.pump, work()))
        try:
            async for event in bridge:
                yield event
        finally:
            stop.cancel()
            await worker

    async def feedback(self, feedback: Feedback, timeout: float) -> None:
        """Store feedback on an answer."""
        await asyncio.to_thread(self._local.feedback, feedback, timeout)

    async def upsert(self, documents: Iterable[DocumentInput], timeout: float) -> UpdateReport:
        """Add or replace documents."""
        return await asyncio.to_thread(self._local.upsert, documents, timeout)

    async def wait_ready(self, timeout: float) -> None:
        """Load the models now."""
        await asyncio.to_thread(self._local.wait_ready, timeout)
