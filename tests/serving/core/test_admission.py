"""Admission: some calls run, a few wait, the rest is rejected with a retry delay."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from serving_fixtures import Background, PacedGenerator, StartServer, trailing_of

from expertrag.api.errors import Overloaded
from expertrag.client import Client
from expertrag.serving.core.admission import Admission
from expertrag.v1 import answer_pb2, answer_pb2_grpc


def test_slots_then_queue_then_rejection(background: Background) -> None:
    async def scenario() -> None:
        admission = Admission(limit=2, queue_depth=1)
        first, _second = await admission.acquire(), await admission.acquire()
        waiter = asyncio.create_task(admission.acquire())
        await asyncio.sleep(0)
        assert (admission.running, admission.waiting) == (2, 1)
        with pytest.raises(Overloaded) as caught:
            await admission.acquire()
        assert caught.value.reason == "OVERLOADED"
        assert caught.value.retry_after_s is not None
        first.release()
        await waiter
        assert (admission.running, admission.waiting) == (2, 0)

    background.run(scenario())


def test_a_cancelled_waiter_frees_its_place(background: Background) -> None:
    async def scenario() -> None:
        admission = Admission(limit=1, queue_depth=1)
        slot = await admission.acquire()
        waiter = asyncio.create_task(admission.acquire())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
        assert admission.waiting == 0
        slot.release()
        await admission.acquire()
        assert admission.running == 1

    background.run(scenario())


def test_the_retry_delay_grows_with_the_queue(background: Background) -> None:
    async def advised(queue_depth: int) -> float:
        admission = Admission(limit=1, queue_depth=queue_depth, patient=True)
        await admission.acquire()
        admission.leave(10.0)  # a call that took 10 s
        await admission.acquire()
        waiters = [asyncio.create_task(admission.acquire()) for _ in range(queue_depth)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await admission.acquire()
        for waiter in waiters:
            waiter.cancel()
        assert caught.value.retry_after_s is not None
        return caught.value.retry_after_s

    assert background.run(advised(4)) == pytest.approx(5 * background.run(advised(0)))


def test_callers_take_turns(background: Background) -> None:
    async def order() -> list[str]:
        admission = Admission(limit=1, queue_depth=8)
        served: list[str] = []

        async def call(caller: str) -> None:
            slot = await admission.acquire(caller)
            served.append(caller)
            slot.release()

        first = await admission.acquire("greedy")
        calls = [asyncio.create_task(call(name)) for name in ["greedy"] * 4 + ["ada", "bob"] * 2]
        await asyncio.sleep(0)
        first.release()
        await asyncio.gather(*calls)
        assert (admission.running, admission.waiting) == (0, 0)
        return served

    turns = ["greedy", "ada", "bob", "greedy", "ada", "bob", "greedy", "greedy"]
    assert background.run(order()) == turns


def test_a_full_queue_makes_place_for_a_caller_with_fewer_calls(background: Background) -> None:
    async def scenario() -> None:
        admission = Admission(limit=1, queue_depth=4)
        held = await admission.acquire("greedy")
        greedy = [asyncio.create_task(admission.acquire("greedy")) for _ in range(4)]
        await asyncio.sleep(0)
        ada = asyncio.create_task(admission.acquire("ada"))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await greedy[-1]  # the newest of those with the most
        assert admission.waiting == 4
        with pytest.raises(Overloaded):
            await admission.acquire("greedy")  # has the most itself
        held.release()
        (await greedy[0]).release()
        (await ada).release()
        (await greedy[1]).release()
        (await greedy[2]).release()
        assert (admission.running, admission.waiting) == (0, 0)

    background.run(scenario())


def test_a_wait_beyond_the_deadline_is_rejected_at_once(background: Background) -> None:
    async def scenario() -> None:
        admission = Admission(limit=2, queue_depth=8, patient=True)
        await admission.acquire()
        admission.leave(10.0)  # the mean is 2 s from now on
        await admission.acquire()
        await admission.acquire()
        with pytest.raises(Overloaded):
            await admission.acquire(remaining_s=0.9)
        waiter = asyncio.create_task(admission.acquire(remaining_s=1.1))
        await asyncio.sleep(0)
        assert admission.waiting == 1
        waiter.cancel()

    background.run(scenario())


def test_no_call_waits_longer_than_one_takes(background: Background) -> None:
    async def scenario() -> None:
        admission = Admission(limit=2, queue_depth=8)
        await admission.acquire()
        admission.leave(10.0)
        await admission.acquire()
        await admission.acquire()
        waiters = [asyncio.create_task(admission.acquire()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await admission.acquire()
        for waiter in waiters:
            waiter.cancel()

    background.run(scenario())


def test_the_queue_of_one_caller_does_not_keep_another_out(background: Background) -> None:
    async def scenario() -> None:
        admission = Admission(limit=2, queue_depth=64)
        await admission.acquire("greedy")
        admission.leave(10.0)  # the mean is 2 s from now on
        held = [await admission.acquire("greedy") for _ in range(2)]
        greedy = [asyncio.create_task(admission.acquire("greedy")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):  # its wait would be longer than a call takes
            await admission.acquire("greedy")
        ada = asyncio.create_task(admission.acquire("ada", remaining_s=2.5))
        await asyncio.sleep(0)
        for slot in held:
            slot.release()
        for waiting in (greedy[0], ada, greedy[1]):
            (await waiting).release()
        assert (admission.running, admission.waiting) == (0, 0)

    background.run(scenario())


def test_overload_is_rejected_at_once_with_retry_info(
    start_server: StartServer, paced: PacedGenerator
) -> None:
    paced.step_s, paced.words = 0.02, 50
    server = start_server(max_concurrency=1, queue_depth=1)
    with Client(server.address) as client, ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(client.answer, "count", mode="never") for _ in range(2)]
        while server.running + server.waiting < 2:
            time.sleep(0.005)
        question = answer_pb2.Question(text="one too many")
        started = time.perf_counter()
        with grpc.insecure_channel(server.address) as channel:
            stub = answer_pb2_grpc.AnswerServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Answer(answer_pb2.AnswerRequest(question=question), timeout=10)
        assert time.perf_counter() - started < 0.5
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailing = trailing_of(caught.value)
        assert int(trailing["grpc-retry-pushback-ms"]) >= 100
        status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
        retry = error_details_pb2.RetryInfo()
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.ToMilliseconds() == int(trailing["grpc-retry-pushback-ms"])
        with pytest.raises(Overloaded) as typed:
            client.answer("one too many")
        assert typed.value.retry_after_s is not None
        # Another kind of call is not blocked, and admitted calls finish.
        assert client.retrieve("roses", k=1).passages
        assert all(future.result().usage.completion_tokens == 50 for future in busy)


async def test_a_caller_is_not_rejected_for_the_waiting_calls_of_another() -> None:
    admission = Admission(2, 16)
    for _ in range(60):  # a call takes .3 s
        await admission.acquire("greedy")
        admission.leave(0.3)
    greedy = [asyncio.ensure_future(admission.acquire("greedy")) for _ in range(6)]
    await asyncio.sleep(0)
    assert (admission.running, admission.waiting) == (2, 2)  # the others would wait for too long
    modest = asyncio.ensure_future(admission.acquire("modest"))  # second in turn
    await asyncio.sleep(0)
    assert not modest.done()
    (await greedy[0]).release()
    (await greedy[1]).release()
    (await modest).release()
    (await greedy[2]).release()
    (await greedy[3]).release()
    for rejected in greedy[4:]:
        with pytest.raises(Overloaded):
            await rejected
