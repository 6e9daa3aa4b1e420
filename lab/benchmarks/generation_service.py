"""Overhead of the service: the same answers from a server and from a pipeline in this process."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench_server_start import served

from expertrag import Client
from expertrag.api.events import DeltaEvent, UsageEvent

TOKENS = 64


def service(place: Path, count: int) -> dict[str, Any]:
    """Stream ``count`` answers both ways; the store is created in ``place``."""
    (place / "docs").mkdir()
    (place / "docs" / "one.txt").write_text("The harbour of Example Town opened in 1901.\n")
    store = str(place / "store")
    build = ("-m", "expertrag", "index", "build", str(place / "docs"), "--out", store)
    subprocess.run([sys.executable, *build], check=True, capture_output=True)
    runs: dict[str, list[tuple[float, float]]] = {"in process": [], "grpc": []}
    with served(sys.executable, ["serve", "--index", store]) as server, Client(store) as local:
        clients = {"in process": local, "grpc": server.client}
        for number in range(-1, count):
            for name in random.sample(list(clients), 2):
                run = _streamed(clients[name], f"Tell me about the number {number}.")
                if number >= 0:
                    runs[name].append(run)
    first = {name: statistics.median(run[0] for run in some) for name, some in runs.items()}
    speed = {name: statistics.median(run[1] for run in some) for name, some in runs.items()}
    found = {
        "answers": count,
        "first_token_ms": {name: 1e3 * value for name, value in first.items()},
        "tokens_per_s": speed,
        "tokens_per_s_lost": 1 - speed["grpc"] / speed["in process"],
        "first_token_lost": first["grpc"] / first["in process"] - 1,
    }
    print(json.dumps(found), file=sys.stderr)
    return found


def _streamed(client: Client, question: str) -> tuple[float, float]:
    """Seconds to the first text of an answer, and tokens per second of the whole answer."""
    started = time.perf_counter()
    first = 0.0
    tokens = 0
    for event in client.stream(question, mode="never", max_tokens=TOKENS):
        if isinstance(event, DeltaEvent):
            first = first or time.perf_counter() - started
        elif isinstance(event, UsageEvent):
            tokens = event.usage.completion_tokens
    return first, tokens / (time.perf_counter() - started)
