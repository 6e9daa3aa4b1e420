"""The documents of one upload: a request stream, read on demand from a worker thread."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError

from expertrag.api.errors import Cancelled, DeadlineExceeded
from expertrag.api.types import DocumentInput
from expertrag.runtime.stop import Stop
from expertrag.v1 import index_pb2
from expertrag.wire.index import document_from_proto

END_OR_CANCEL_S = 0.05
"""gRPC ends the request stream of a cancelled call like that of a complete one, and reports the
cancel a moment later. Without this wait, 252 of 300 aborted uploads were partly published."""


class Upload:
    """Reads a stream so that a fast sender waits for the embedder.

    A sender that is idle for ``idle_s`` keeps other writers waiting, so its call fails. Any error
    aborts the write before it is published.
    """

    def __init__(
        self,
        requests: AsyncIterator[index_pb2.UpsertRequest],
        idle_s: float,
        charge: Callable[[], None],
    ) -> None:
        """Read ``requests`` on the running loop; ``charge`` is called there for each document."""
        self._requests = requests
        self._loop = asyncio.get_running_loop()
        self._idle_s = idle_s
        self._charge = charge
        self._first: index_pb2.UpsertRequest | None = None
        self._digest = hashlib.sha256()
        self._ended = False

    async def begin(self) -> tuple[str, str]:
        """Read the first message; return its collection and its idempotency key."""
        try:
            async with asyncio.timeout(self._idle_s):
                self._first = await self._read(self._charge)
        except TimeoutError:
            raise self._idle() from None
        first = self._first or index_pb2.UpsertRequest()
        return first.collection, first.idempotency_key

    def documents(self, stop: Stop) -> Iterator[DocumentInput]:
        """Yield the documents, in a worker thread."""
        request = self._first
        while request is not None:
            yield document_from_proto(request)
            stop()
            request = self._next(stop)
        stop()

    async def digest(self) -> bytes:
        """Return a digest of the documents; those that nobody has read are read, uncharged."""
        try:
            while not self._ended:
                async with asyncio.timeout(self._idle_s):
                    await self._read(lambda: None)
        except TimeoutError:
            raise self._idle() from None
        return self._digest.digest()

    def _next(self, stop: Stop) -> index_pb2.UpsertRequest | None:
        future = asyncio.run_coroutine_threadsafe(self._read(self._charge), self._loop)
        try:
            return future.result(min(self._idle_s, stop.remaining() or self._idle_s))
        except TimeoutError:
            future.cancel()
            stop()
            raise self._idle() from None
        except CancelledError:
            raise Cancelled("the sender cancelled; nothing was changed") from None

    async def _read(self, charge: Callable[[], None]) -> index_pb2.UpsertRequest | None:
        request = await anext(self._requests, None)
        if request is None:
            await asyncio.sleep(END_OR_CANCEL_S)
            self._ended = True
            return None
        charge()
        document = request.document.SerializeToString(deterministic=True)
        self._digest.update(len(document).to_bytes(8, "big") + document)
        return request

    def _idle(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"no document came for {self._idle_s:g} s; nothing was changed: send the documents of "
            "a call without pauses",
            reason="UPLOAD_IDLE",
        )
