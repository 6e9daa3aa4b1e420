"""Coroutines that never suspend run in the thread of their caller, without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from serving_fixtures import StartServer

from expertrag.client import Client
from expertrag.client.blocking import complete, iterate, run_here


def test_a_coroutine_gives_its_result_or_its_error() -> None:
    assert complete(run_here(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        complete(run_here(divmod, 7, 0))


def test_a_coroutine_that_suspends_is_an_error_of_ours() -> None:
    ended = False

    async def suspend() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(0)
        finally:
            ended = True

    with pytest.raises(RuntimeError, match="it awaits more than its backend"):
        complete(suspend())
    assert ended


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("read", [1, 2, 3, 4])
def test_an_iterator_is_closed_at_its_end_or_before(read: int, dropped: bool) -> None:
    closed = 0

    async def count() -> AsyncIterator[int]:
        nonlocal closed
        try:
            for number in range(3):
                yield number
        finally:
            closed += 1

    numbers = iterate(count())
    assert [number for number, _ in zip(numbers, range(read), strict=False)] == [0, 1, 2][:read]
    if dropped:
        del numbers
    else:
        numbers.close()
    assert closed == 1


def test_an_error_of_an_iterator_comes_after_its_items() -> None:
    async def fail() -> AsyncIterator[int]:
        yield 1
        raise OSError("gone")

    numbers = iterate(fail())
    assert next(numbers) == 1
    with pytest.raises(OSError, match="gone"):
        next(numbers)


def test_a_client_blocks_a_thread_whose_event_loop_runs(start_server: StartServer) -> None:
    """As in a notebook."""
    server = start_server()

    async def ask() -> None:
        with Client(server.address) as client:
            assert client.stats() == client.info().index
            events = client.stream("When are roses pruned?")
            next(events)
            events.close()
            assert client.answer("When are roses pruned?", max_tokens=2).text

    asyncio.run(ask())
