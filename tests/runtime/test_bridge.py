"""The bridge from a worker thread to the loop: order, bounds, joining, ending."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from serving_fixtures import Background, wait_until

from expertrag.api.errors import Cancelled, NotFound
from expertrag.api.events import AnswerEvent, CitationEvent, DeltaEvent, DoneEvent
from expertrag.api.logprobs import TokenLogprob
from expertrag.api.types import Citation, FinishReason
from expertrag.runtime.bridge import CAPACITY, FLUSH_PIECES, MOST_EVENTS, EventBridge
from expertrag.runtime.panics import PanicError
from expertrag.runtime.stop import Stop

DONE = DoneEvent(FinishReason.STOP)


async def crossed(events: Iterator[AnswerEvent], pause_s: float = 0.0) -> list[AnswerEvent]:
    """Send events over a bridge and return what arrives."""
    bridge = EventBridge(Stop())
    worker = asyncio.create_task(asyncio.to_thread(bridge.pump, events))
    arrived = []
    async for event in bridge:
        arrived.append(event)
        await asyncio.sleep(pause_s)
    await worker
    return arrived


@pytest.mark.parametrize("pieces", [0, 1, FLUSH_PIECES, CAPACITY, 10 * CAPACITY + 3])
def test_nothing_is_lost_or_reordered(background: Background, pieces: int) -> None:
    tokens = [TokenLogprob(f"{number},", -number) for number in range(pieces)]
    made: list[AnswerEvent] = [DeltaEvent(token.text, (token,)) for token in tokens]
    *deltas, last = background.run(crossed(iter([*made, DONE])))
    assert last == DONE
    arrived: list[TokenLogprob] = []
    for delta in deltas:
        assert isinstance(delta, DeltaEvent)
        assert delta.text == "".join(token.text for token in delta.logprobs)
        arrived += delta.logprobs
    assert arrived == tokens


def test_a_slow_reader_does_not_hold_up_text(background: Background) -> None:
    pieces = [DeltaEvent(f"{number} ") for number in range(20 * CAPACITY)]

    async def scenario() -> list[AnswerEvent]:
        bridge = EventBridge(Stop())
        await asyncio.to_thread(bridge.pump, iter(pieces))  # ends before anything is read
        assert len(bridge._events) == CAPACITY
        return [event async for event in bridge]

    arrived = background.run(scenario())
    assert "".join(getattr(event, "text", "") for event in arrived) == "".join(
        piece.text for piece in pieces
    )


def test_a_slow_reader_does_not_hold_up_the_end_of_an_answer(background: Background) -> None:
    pieces = [DeltaEvent(f"{number} ") for number in range(20 * CAPACITY)]
    ends = [CitationEvent(Citation(number, number + 1, 1, "a", 0, 1, 1.0)) for number in range(200)]

    async def scenario() -> list[AnswerEvent]:
        bridge = EventBridge(Stop())
        async with asyncio.timeout(5):
            await asyncio.to_thread(bridge.pump, iter([*pieces, *ends, DONE]))
        return [event async for event in bridge]

    assert background.run(scenario())[-201:] == [*ends, DONE]


def test_the_queue_of_a_slow_reader_is_bounded(background: Background) -> None:
    made = 0

    def events() -> Iterator[AnswerEvent]:
        nonlocal made
        for _ in range(2 * MOST_EVENTS):
            made += 1
            yield DONE

    async def scenario() -> int:
        stop = Stop()
        bridge = EventBridge(stop)
        worker = asyncio.create_task(asyncio.to_thread(bridge.pump, events()))
        await asyncio.to_thread(wait_until, lambda: made >= MOST_EVENTS, 20.0)
        await asyncio.sleep(0.1)
        ahead = made
        stop.cancel()
        with pytest.raises(Cancelled):
            async for _ in bridge:
                pass
        await worker
        return ahead

    assert MOST_EVENTS <= background.run(scenario()) <= MOST_EVENTS + 1
    assert made <= MOST_EVENTS + 1


def test_an_error_comes_after_the_events_before_it(background: Background) -> None:
    def events() -> Iterator[AnswerEvent]:
        yield DeltaEvent("so far")
        raise NotFound("gone")

    async def scenario() -> list[AnswerEvent]:
        bridge = EventBridge(Stop())
        threading.Thread(target=bridge.pump, args=(events(),)).start()
        reader = aiter(bridge)
        arrived = [await anext(reader)]
        with pytest.raises(NotFound, match="gone"):
            await anext(reader)
        return arrived

    assert background.run(scenario()) == [DeltaEvent("so far")]


def test_the_events_are_closed_in_the_worker(background: Background) -> None:
    closed = threading.Event()

    def events() -> Iterator[AnswerEvent]:
        try:
            while True:
                time.sleep(0.001)
                yield DONE
        finally:
            closed.set()

    async def scenario() -> None:
        stop = Stop()
        bridge = EventBridge(stop)
        worker = asyncio.create_task(asyncio.to_thread(bridge.pump, events()))
        await anext(aiter(bridge))
        stop.cancel()  # and there is no reader any more
        await worker

    background.run(scenario())
    assert closed.is_set()


class Panic(BaseException):
    """What a panic in a library of Rust looks like: no ``Exception``."""


def test_a_panic_is_an_error_of_the_reader(background: Background) -> None:
    def events() -> Iterator[AnswerEvent]:
        yield DeltaEvent("a ")
        raise Panic("a text")

    with pytest.raises(PanicError, match=r"^Panic$") as raised:
        background.run(crossed(events()))
    assert isinstance(raised.value.__cause__, Panic)


def test_events_that_cannot_be_closed_end_with_an_error(background: Background) -> None:
    class Events:
        def __iter__(self) -> Iterator[AnswerEvent]:
            return iter([DONE])

        def close(self) -> None:
            raise ValueError("it does not close")

    with pytest.raises(ValueError, match="does not close"):
        background.run(crossed(Events()))  # type: ignore[arg-type]  # all that is used of one
