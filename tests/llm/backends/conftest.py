"""llama.cpp's server, in processes of its own.

``make lab-test-openai-server`` runs its tests, with the server and a model; without, they are not
collected.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM, MODEL = os.environ.get("LLAMA_SERVER", ""), os.environ.get("LLAMA_SERVER_MODEL", "")
FIGURES = os.environ.get("LLAMA_SERVER_FIGURES", "")
collect_ignore = [] if PROGRAM else ["test_llama_server.py"]

START_TIMEOUT_S = 120.0
CONTEXT_TOKENS = 1024  # of each of the two requests that run at a time


class LlamaServer:
    """A process of llama-server; started again, it has the same address."""

    def __init__(self, *arguments: str) -> None:
        assert PROGRAM, "run make lab-test-openai-server"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.where = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.where}/v1"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> LlamaServer:
        """Start the process; by default, wait until it has loaded the model."""
        context = ["--ctx-size", str(2 * CONTEXT_TOKENS), "--parallel", "2", "--threads", "1"]
        command = [PROGRAM, "--model", MODEL, "--alias", "smollm2", *context]
        command += ["--host", "127.0.0.1", "--port", str(self.port), *self._arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + START_TIMEOUT_S
        while wait and not self._loaded():
            assert time.monotonic() < until and self._process.poll() is None, "did not start"
            time.sleep(0.1)
        return self

    def busy(self) -> int:
        """Requests that it works on now."""
        with urllib.request.urlopen(f"http://{self.where}/slots", timeout=10) as answer:
            return sum(slot["is_processing"] for slot in json.load(answer))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill the process; safe to call twice."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _loaded(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.where}/health", timeout=10):
                return True
        except (urllib.error.URLError, OSError):  # 503 while it loads
            return False


@pytest.fixture(scope="session")
def llama() -> Iterator[LlamaServer]:
    """One that runs in all tests."""
    server = LlamaServer().start()
    yield server
    server.kill()


@pytest.fixture
def own_llama() -> Iterator[Callable[..., LlamaServer]]:
    """Makes servers for a test alone."""
    made: list[LlamaServer] = []

    def make(*arguments: str) -> LlamaServer:
        made.append(LlamaServer(*arguments))
        return made[-1]

    yield make
    for server in made:
        server.kill()


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, Any]]:
    """What the tests measure; written to the file of LLAMA_SERVER_FIGURES."""
    found: dict[str, Any] = {}
    yield found
    if FIGURES:
        Path(FIGURES).write_text(json.dumps(found), encoding="utf-8")
