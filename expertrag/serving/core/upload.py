"""The documents of one upload: a stream of a caller, read on demand from a worker thread."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass

from expertrag.api.errors import Cancelled, DeadlineExceeded
from expertrag.api.types import DocumentInput
from expertrag.runtime.stop import Stop


@dataclass(frozen=True, slots=True)
class SentDocument:
    """One document of an upload, as its door received it.

    ``read`` returns it, or raises InvalidArgument; it is called in a worker thread. ``content``
    returns bytes that are the same if the document is. ``size``: bytes that were sent.
    ``collection`` and ``key``, of the upload: the values of its first document count.
    """

    read: Callable[[], DocumentInput]
    content: Callable[[], bytes]
    size: int
    collection: str = ""
    key: str = ""


class Upload:
    """Reads a stream so that a fast sender waits for the embedder.

    A sender that is idle for ``idle_s`` keeps other writers waiting, so its call fails. Any error
    aborts the write before it is published.
    """

    def __init__(
        self,
        documents: AsyncIterator[SentDocument],
        idle_s: float,
        charge: Callable[[SentDocument, bool], None],
    ) -> None:
        """Read ``documents`` on the running loop.

        :param charge: called there for each document, and whether it is to be written.
        """
        self._documents = documents
        self._loop = asyncio.get_running_loop()
        self._idle_s = idle_s
        self._charge = charge
        self._first: SentDocument | None = None
        self._digest = hashlib.sha256()
        self._ended = False

    async def begin(self) -> tuple[str, str]:
        """Read the first document; return the upload's collection and its idempotency key."""
        try:
            async with asyncio.timeout(self._idle_s):
                self._first = await self._read()
        except TimeoutError:
            raise self._idle() from None
        return (self._first.collection, self._first.key) if self._first else ("", "")

    def documents(self, stop: Stop) -> Iterator[DocumentInput]:
        """Yield the documents, in a worker thread."""
        document = self._first
        while document is not None:
            yield document.read()
            stop()
            document = self._next(stop)
        stop()

    async def digest(self) -> bytes:
        """Return a digest of the documents; the rest of them is read, and not written."""
        try:
            while not self._ended:
                async with asyncio.timeout(self._idle_s):
                    await self._read(written=False)
        except TimeoutError:
            raise self._idle() from None
        return self._digest.digest()

    def _next(self, stop: Stop) -> SentDocument | None:
        future = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        try:
            return future.result(min(self._idle_s, stop.remaining() or self._idle_s))
        except TimeoutError:
            future.cancel()
            stop()
            raise self._idle() from None
        except CancelledError:
            raise Cancelled("the sender cancelled; nothing was changed") from None

    async def _read(self, *, written: bool = True) -> SentDocument | None:
        document = await anext(self._documents, None)
        if document is None:
            self._ended = True
            return None
        self._charge(document, written)
        content = document.content()
        self._digest.update(len(content).to_bytes(8, "big") + content)
        return document

    def _idle(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"no document came for {self._idle_s:g} s; nothing was changed: send the documents of "
            "a call without pauses",
            reason="UPLOAD_IDLE",
        )
