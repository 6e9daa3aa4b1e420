"""A server in a process of its own, which a campaign starts, watches, stops and kills."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expertrag.api.errors import ExpertRAGError
from expertrag.client import Client

ROOT = Path(__file__).parents[2]
READY_S = 300.0
STOP_S = 90.0


@dataclass(frozen=True, slots=True)
class ServedSettings:
    """Settings of a server. ``step_s`` and ``words``: the speed and length of paced answers."""

    index: Path
    step_s: float = 0.01
    words: int = 10
    generator: str = "paced"
    collections: Path | None = None
    service: Mapping[str, Any] = field(default_factory=dict)
    auth: Mapping[str, Any] = field(default_factory=dict)
    replica: Mapping[str, Any] = field(default_factory=dict)
    log: str = "warning"

    def write(self, path: Path, address: str) -> None:
        """Write the file for ``served_child.py``."""
        body = {
            "index": str(self.index),
            "step_s": self.step_s,
            "words": self.words,
            "generator": self.generator,
            "collections": str(self.collections or ""),
            "service": {"address": address, **self.service},
            "auth": dict(self.auth),
            "replica": dict(self.replica),
            "log": self.log,
        }
        path.write_text(json.dumps(body), encoding="utf-8")


class ServerProcess:
    """A running server; ``restart`` starts it again at the same address."""

    def __init__(self, settings: ServedSettings, work: Path) -> None:
        """Start it, without waiting; ``work`` holds its settings and its log."""
        self.settings = settings
        self.address = f"127.0.0.1:{free_port()}"
        self.log = work / "server.log"
        self._file = work / "settings.json"
        settings.write(self._file, self.address)
        self._asking = threading.Lock()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def wait_ready(self) -> float:
        """Wait until the server answers; return the seconds since its start."""
        with Client(self.address) as client:
            while self.alive and time.monotonic() < self._started + READY_S:
                with suppress(ExpertRAGError):
                    client.wait_ready(2.0)
                    return time.monotonic() - self._started
        raise RuntimeError(f"the server did not start: {self.log.read_text()[-2000:]}")

    def terminate(self) -> int:
        """Send SIGTERM; return the exit status of the process."""
        with self._process as process:  # closes the pipes
            process.send_signal(signal.SIGTERM)
            return process.wait(STOP_S)

    def kill(self) -> None:
        """Send SIGKILL, if it runs."""
        with self._process as process:
            process.kill()

    def restart(self) -> None:
        """Start it again, without waiting."""
        self._process = self._start()

    def state(self) -> Mapping[str, int]:
        """Return its load: each figure is 0 if nothing is left to do.

        running: calls that hold a slot; waiting: for a slot; sessions: open answers of the paced
        model; busy: worker threads.
        """
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with self._asking:
            process.stdin.write(b"\n")
            process.stdin.flush()
            found: Mapping[str, int] = json.loads(process.stdout.readline())
        return found

    def wait_idle(self, timeout: float = 30.0) -> float:
        """Wait until no worker is busy; return the seconds, or infinity when time is up."""
        began = time.monotonic()
        while time.monotonic() < began + timeout:
            if not any(self.state().values()):
                return time.monotonic() - began
            time.sleep(0.002)
        return float("inf")

    def rss_mb(self) -> float:
        """Resident memory in MB of 10^6 bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def log_problems(self) -> list[str]:
        """Return the lines of the log that should not be there."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or '"level": "error"' in line]

    def _start(self) -> subprocess.Popen[bytes]:
        self._started = time.monotonic()
        paths = os.pathsep.join(str(ROOT / name) for name in ("tests", "lab/campaigns"))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "lab/campaigns" / "served_child.py"), str(self._file)],
                env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )


@contextmanager
def serving(settings: ServedSettings, work: Path) -> Iterator[ServerProcess]:
    """Run a server for a block, from when it is ready."""
    work.mkdir(parents=True, exist_ok=True)
    server = ServerProcess(settings, work)
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill()


def free_port() -> int:
    """Return a port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PeakMemory:
    """The most memory of a server while a block runs, and what it had before; in MB."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.before = self.peak = server.rss_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.peak = max(self.peak, self._server.rss_mb())
