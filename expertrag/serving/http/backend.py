"""What a client in this process calls: the operations of the server's core."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from expertrag.api.errors import Unavailable
from expertrag.api.events import AnswerEvent
from expertrag.api.jsonable import to_json
from expertrag.api.types import (
    AnswerRequest,
    DocumentInput,
    Feedback,
    UpdateReport,
)
from expertrag.api.validation import check_exact, check_no_null
from expertrag.auth import Caller
from expertrag.client.operations import Operation, RequestT, ResponseT
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.core import Core
from expertrag.serving.core.operations.answering import report_feedback, stream_answer
from expertrag.serving.core.operations.store import upsert
from expertrag.serving.core.upload import SentDocument
from expertrag.serving.http.operations import OPERATIONS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CoreBackend:
    """Runs the calls of one request as operations of the core.

    ``size``: takes the bytes of the request that its caller has not paid for yet.
    """

    core: Core
    request_id: str
    token: str | None
    collection: str
    size: Callable[[], int]

    async def call(
        self, operation: Operation[RequestT, ResponseT], request: RequestT, timeout: float
    ) -> ResponseT:
        """Run an operation, and return its result."""
        check_exact("filter", getattr(request, "filter", None))
        method, run = OPERATIONS[operation]
        result: ResponseT = await self._run(
            method, timeout, lambda context: run(self.core.runtime, context, request)
        )
        return result

    async def stream(self, request: AnswerRequest, timeout: float) -> AsyncGenerator[AnswerEvent]:
        """Yield the events of an answer; closing the iterator ends the work."""
        check_exact("filter", request.filter)
        events = self._events(request, timeout)
        # Several tasks read a stream; its call, which has a span, runs in one context.
        own = contextvars.copy_context()
        try:
            while (event := await _in(own, anext(events, None))) is not None:
                yield event
        finally:
            await _in(own, events.aclose())

    async def feedback(self, feedback: Feedback, timeout: float) -> None:
        """Store feedback on an answer."""
        await self._run(
            "GateService/ReportFeedback",
            timeout,
            lambda context: report_feedback(self.core.runtime, context, feedback),
        )

    async def upsert(self, documents: Iterable[DocumentInput], timeout: float) -> UpdateReport:
        """Add or replace documents; each of them is charged by its own size."""

        async def send() -> AsyncIterator[SentDocument]:
            for document in documents:
                yield _to_sent(document, self.collection)

        self.size()
        return await self._run(
            "IndexService/Upsert",
            timeout,
            lambda context: upsert(self.core.runtime, context, send()),
        )

    async def _run(
        self, method: str, timeout: float, work: Callable[[CallContext], Awaitable[T]]
    ) -> T:
        """Run a call; one that comes before the models are loaded waits for them."""
        ends_at = time.monotonic() + timeout
        while True:
            context = self._context(method, ends_at)
            try:
                with self.core.calls.serving(context, self._identify):
                    return await work(context)
            except Unavailable as error:
                await self._wait_loaded(error, ends_at)

    async def _events(self, request: AnswerRequest, timeout: float) -> AsyncGenerator[AnswerEvent]:
        """Yield events as ``_run`` runs a call; the models are loaded before the first event."""
        ends_at = time.monotonic() + timeout
        while True:
            context = self._context("AnswerService/StreamAnswer", ends_at)
            try:
                with self.core.calls.serving(context, self._identify):
                    running = stream_answer(self.core.runtime, context, request)
                    async with aclosing(running) as events:
                        async for event in events:
                            yield event
                    return
            except Unavailable as error:
                await self._wait_loaded(error, ends_at)

    def _context(self, method: str, ends_at: float) -> CallContext:
        return CallContext(
            method,
            self.request_id,
            collection=self.collection,
            remaining=lambda: ends_at - time.monotonic(),
            size=self.size(),
        )

    def _identify(self) -> Caller:
        return self.core.authenticator.caller(credentials(self.token))

    async def _wait_loaded(self, error: Unavailable, ends_at: float) -> None:
        """Wait until the models are loaded.

        :raises Unavailable: ``error`` itself, if it has another cause or they load for too long.
        """
        if error.reason != "LOADING":
            raise error
        try:
            async with asyncio.timeout(ends_at - time.monotonic()):
                await self.core.loaded.wait()
        except TimeoutError:
            raise error from None


def credentials(token: str | None) -> list[tuple[str, str]]:
    """Return a token as metadata, which name the caller to an ``Authenticator``."""
    return [] if token is None else [("authorization", f"Bearer {token}")]


async def _in(context: contextvars.Context, work: Awaitable[T]) -> T:
    """Await ``work`` in a task of its own with ``context``; cancelling this cancels it."""

    async def run() -> T:
        return await work

    return await asyncio.create_task(run(), context=context)


def _to_sent(document: DocumentInput, collection: str) -> SentDocument:
    content = json.dumps(to_json(document)).encode()
    return SentDocument(
        partial(_check_document, document), lambda: content, len(content), collection
    )


def _check_document(document: DocumentInput) -> DocumentInput:
    """Return a document whose metadata any client could send.

    :raises InvalidArgument: they hold null, or a number that other clients could not read.
    """
    metadata: Any = document.metadata
    check_exact("metadata", metadata)
    check_no_null("metadata", metadata)
    return document
