"""Large requests, and senders that stall."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import connections
import grpc
from load_callers import (
    RETRIEVE,
    LoadResult,
    Metadata,
    Outcomes,
    channel,
    percentile_ms,
    retrieve,
    words,
)
from served import PeakMemory, ServedSettings, ServerProcess, serving

from expertrag.api.errors import Unauthenticated
from expertrag.api.types import DocumentInput
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag.v1 import index_pb2, retrieve_pb2

UPSERT = "/expertrag.v1.IndexService/Upsert"
_LARGE_BYTES = 7_900_000
_MOST_GROWTH_MB = 750.0
"""The server holds requests of 256 MiB together, each up to three times: received, parsed, read."""
_IDLE_S = 2.0
_STALLED_SENDERS = 320


def large_messages(store: Path, work: Path, size: float) -> LoadResult:
    """Send messages close to the limit, all at once."""
    messages = max(20, int(150 * size))
    message = retrieve_pb2.RetrieveRequest(query="x" * _LARGE_BYTES).SerializeToString()
    outcomes, pings = Outcomes(), Outcomes()

    async def send(address: str) -> None:
        ways = [channel(address, number) for number in range(20)]
        ended = asyncio.Event()
        ping = asyncio.create_task(_ping(address, pings, ended))
        await asyncio.gather(
            *(
                outcomes.call(ways[number % len(ways)], RETRIEVE, message, 60.0)
                for number in range(messages)
            )
        )
        ended.set()
        await ping
        for way in ways:
            await way.close()

    with serving(ServedSettings(store), work) as server, PeakMemory(server) as memory:
        asyncio.run(send(server.address))
        time.sleep(1.0)
        after = server.rss_mb()
    found = LoadResult(
        {
            "messages": messages,
            "codes": dict(outcomes.codes),
            "memory_mb": {
                "before": round(memory.before),
                "peak": round(memory.peak),
                "after": round(after),
                "grew": round(memory.peak - memory.before),
            },
            "others": dict(pings.codes),
            "others_max_ms": percentile_ms(pings.accepted_s, 1.0),
        }
    )
    found.check(
        memory.peak - memory.before <= _MOST_GROWTH_MB, f"memory grows by over {_MOST_GROWTH_MB} MB"
    )
    found.check(
        outcomes.codes.keys() <= {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"},
        f"other statuses: {dict(outcomes.codes)}",
    )
    found.check(pings.codes.keys() == {"OK"}, f"others fail: {dict(pings.codes)}")
    return found


async def _ping(
    address: str, pings: Outcomes, ended: asyncio.Event, metadata: Metadata = ()
) -> None:
    way, number = channel(address, 99), 0
    while not ended.is_set():
        number += 1
        await pings.call(way, RETRIEVE, retrieve(number), metadata=metadata)
        await asyncio.sleep(0.02)
    await way.close()


def stalled_upsert(store: Path, work: Path, size: float) -> LoadResult:
    """Let a sender of documents stop in the middle, while others write and read."""
    del size
    settings = ServedSettings(store, service={"allow_writes": True, "upload_idle_s": _IDLE_S})
    with serving(settings, work) as server, ThreadPoolExecutor(2) as pool:
        with Client(server.address) as client:
            alone_s = _written(client, "alone")
            ended = threading.Event()
            stalled = pool.submit(_stall, server.address, ended)
            time.sleep(0.5)
            reads = pool.submit(_read, server.address, ended)
            beside_s = _written(client, "beside")
            ended.set()
        status, waited_s = stalled.result()
        codes = reads.result()
    found = LoadResult(
        {
            "idle_limit_s": _IDLE_S,
            "stalled_status": status,
            "stalled_ends_after_s": round(waited_s, 2),
            "write_alone_s": round(alone_s, 2),
            "write_beside_s": round(beside_s, 2),
            "reads": dict(codes),
        }
    )
    found.check(status == "DEADLINE_EXCEEDED", f"the stalled sender is told {status}")
    found.check(beside_s <= _IDLE_S + 2 * alone_s + 1, "others wait for longer than the idle limit")
    found.check(codes.keys() == {"OK"}, f"reads fail: {dict(codes)}")
    return found


def _written(client: Client, name: str) -> float:
    began = time.monotonic()
    client.upsert([DocumentInput(f"load/{name}", f"A text about {words(1)}.")])
    return time.monotonic() - began


def _stall(address: str, ended: threading.Event) -> tuple[str, float]:
    def documents() -> Iterator[bytes]:
        document = index_pb2.Document(id="stalled", text="a text")
        yield index_pb2.UpsertRequest(document=document).SerializeToString()
        ended.wait(60)

    began = time.monotonic()
    with grpc.insecure_channel(address) as way:
        ask: Any = way.stream_unary(UPSERT, None, None)
        try:
            ask(documents(), timeout=60)
        except grpc.RpcError as error:
            failed: Any = error
            return failed.code().name, time.monotonic() - began
    return "OK", time.monotonic() - began


def _read(address: str, ended: threading.Event) -> Counter[str]:
    codes: Counter[str] = Counter()
    with Client(address) as client:
        while not ended.is_set():
            client.retrieve("roses")
            codes["OK"] += 1
            time.sleep(0.02)
    return codes


def stalled_senders(store: Path, work: Path, size: float) -> LoadResult:
    """Begin calls without a message, twenty times as many as are received at a time."""
    senders = max(64, int(_STALLED_SENDERS * size))
    file = TokenFile(work / "tokens.json")
    own, others = (file.create(name, frozenset({Scope.READ})).text for name in ("own", "other"))
    settings = ServedSettings(store, auth={"tokens": str(file.path)})
    runs: dict[str, Outcomes] = {"before": Outcomes()}
    with serving(settings, work) as server:
        asyncio.run(_pinged(server, own, runs["before"], 3.0))
        for kind, token in (("strangers", "ert_none"), ("another_caller", others)):
            runs[kind] = Outcomes()
            opened = _stalled(server, token, senders)
            asyncio.run(_pinged(server, own, runs[kind], 3.0))
            for connection in opened:
                connections.reset(connection)
        after_s = server.wait_idle()
    worst = {kind: percentile_ms(outcomes.accepted_s, 1.0) for kind, outcomes in runs.items()}
    found = LoadResult(
        {"senders": senders, "a_caller_max_ms": worst, "idle_after_s": round(after_s, 2)}
    )
    for kind, outcomes in runs.items():
        found.check(outcomes.codes.keys() == {"OK"}, f"{kind}: calls fail: {outcomes.codes}")
        found.check(worst[kind] < 1_500, f"{kind}: a caller waits for over 1.5 s")
    return found


def _stalled(server: ServerProcess, token: str, number: int) -> list[socket.socket]:
    """Begin calls on connections of their own, and send no message."""

    def call(recorded: str) -> None:
        with Client(recorded, token=token) as client, suppress(Unauthenticated):
            client.retrieve("roses")

    recording = connections.recorded(server.address, call)
    opened = [connections.open_connection(server.address) for _ in range(number)]
    for connection in opened:
        connection.sendall(connections.before_message(recording))
    return opened


async def _pinged(server: ServerProcess, token: str, outcomes: Outcomes, seconds: float) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, ended.set)
    await _ping(server.address, outcomes, ended, [("authorization", f"Bearer {token}")])
