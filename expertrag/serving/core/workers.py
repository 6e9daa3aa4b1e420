"""Run the work of calls in threads, with admission, deadlines and cancellation."""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import TypeVar

from expertrag.api.events import AnswerEvent
from expertrag.config import ServiceConfig
from expertrag.runtime.bridge import EventBridge
from expertrag.runtime.panics import as_exception
from expertrag.runtime.stop import Stop
from expertrag.serving.core.admission import Admission, Slot
from expertrag.serving.core.context import CallContext

T = TypeVar("T")


class CallKind(StrEnum):
    """Admission group: calls that compete for the same model."""

    ANSWER = "answer"
    RETRIEVE = "retrieve"
    GATE = "gate"
    EMBED = "embed"
    RERANK = "rerank"
    READ = "read"
    WRITE = "write"
    FEEDBACK = "feedback"
    AUDIT = "audit"
    ADAPTER = "adapter"


class Workers:
    """Threads for calls of all kinds, one per slot: an admitted call never waits for a thread."""

    def __init__(self, config: ServiceConfig) -> None:
        """Admit calls by kind.

        Writes of a tenant run one at a time: a store has one writer, and one that takes long holds
        up no other tenant.
        """
        self._config = config
        self._admissions = {
            kind: Admission(
                config.max_concurrency, config.queue_depth, patient=kind is CallKind.WRITE
            )
            for kind in CallKind
        }
        # of the tenants whose writes run or wait
        self._writers: weakref.WeakValueDictionary[str, Admission] = weakref.WeakValueDictionary()
        threads = config.max_concurrency * len(CallKind)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="expertrag-work")

    def running(self) -> int:
        """Return the number of calls that hold a slot, of all kinds."""
        return sum(some.running for some in self._admissions.values())

    def waiting(self) -> int:
        """Return the number of calls that wait for a slot, of all kinds."""
        kinds = [*self._admissions.values(), *self._writers.values()]
        return sum(some.waiting for some in kinds)

    async def close(self) -> None:
        """Accept no more work, and wait for the threads, which end at their next check."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    async def run(
        self, kind: CallKind, context: CallContext, work: Callable[[Stop], T], tenant: str = ""
    ) -> T:
        """Run ``work`` in a thread and return its result.

        :param tenant: whose collection is written.
        :raises Overloaded: if too many calls of this kind wait.
        :raises DeadlineExceeded: at the deadline; the thread ends at its next check of ``Stop``.
        """
        async with self._admit(kind, context, tenant) as (stop, slots):
            return await asyncio.wrap_future(self._submit(slots, work, stop))

    async def stream(
        self, kind: CallKind, context: CallContext, work: Callable[[Stop], Iterator[AnswerEvent]]
    ) -> AsyncGenerator[AnswerEvent]:
        """Yield the events of ``work`` as they come; raises as ``run`` does.

        Close the iterator if it is not read to its end.
        """
        async with self._admit(kind, context) as (stop, slots):
            bridge = EventBridge(stop)
            self._submit(slots, lambda stop: bridge.pump(_late(work, stop)), stop)
            async for event in bridge:
                yield event

    @asynccontextmanager
    async def _admit(
        self, kind: CallKind, context: CallContext, tenant: str = ""
    ) -> AsyncIterator[tuple[Stop, list[Slot]]]:
        """Apply the deadline to the block; leaving it in any way stops the thread."""
        stop = Stop(None if context.own else self._seconds(kind, context))
        timeout = asyncio.timeout(stop.remaining())
        try:
            async with timeout:
                yield stop, await self._slots(kind, context.caller.id, stop, tenant)
        except TimeoutError:
            if timeout.expired():
                raise stop.deadline_error() from None
            raise
        finally:
            stop.cancel()

    async def _slots(self, kind: CallKind, caller: str, stop: Stop, tenant: str) -> list[Slot]:
        """Wait for the slots that a call needs: a write first for its tenant's."""
        own: list[Slot] = []
        if kind is CallKind.WRITE:
            if (writer := self._writers.get(tenant)) is None:
                writer = Admission(1, self._config.queue_depth, patient=True)
                self._writers[tenant] = writer
            own.append(await writer.acquire(caller, stop.remaining()))
        try:
            return [*own, await self._admissions[kind].acquire(caller, stop.remaining())]
        except BaseException:
            for slot in own:
                slot.release()
            raise

    def _submit(self, slots: list[Slot], work: Callable[[Stop], T], stop: Stop) -> Future[T]:
        """Start a thread that frees the slots when it ends, which may be after the call's end."""
        loop = asyncio.get_running_loop()

        def free(_: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop is closed: the server is gone
                for slot in slots:
                    loop.call_soon_threadsafe(slot.release)

        def run(stop: Stop) -> T:
            try:
                return work(stop)
            except Exception:
                raise
            except BaseException as raised:  # a panic would not be handled as an error
                raise as_exception(raised) from raised

        # the context names the trace
        future = self._executor.submit(contextvars.copy_context().run, run, stop)
        future.add_done_callback(free)
        return future

    def _seconds(self, kind: CallKind, context: CallContext) -> float:
        """Return the time for a call: the client's deadline, capped."""
        remaining = context.remaining()
        write = kind is CallKind.WRITE
        longest = self._config.max_upload_s if write else self._config.max_deadline_s
        if remaining is None:
            return longest if write else self._config.default_deadline_s
        return min(remaining, longest)


def _late(work: Callable[[Stop], Iterator[AnswerEvent]], stop: Stop) -> Iterator[AnswerEvent]:
    """Call ``work`` at the first ``next``, so that its errors are raised among the events."""
    yield from work(stop)
