"""A model server in a process of its own, which a test can slow down, break, stop and kill.

It speaks OpenAI's API over HTTP/1.1 with chunked streams, as vLLM and llama.cpp's server do.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

START_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Behaviour:
    """How the server answers. ``status``: of each request for an answer; 200 answers.

    ``first_token_s`` and ``step_s``: before the first and each other token. ``cut_after``: hangs up
    after so many tokens. ``told``: further fields of the model's entry in the list.
    """

    model: str = "tiny"
    status: int = 200
    retry_after: str = ""
    first_token_s: float = 0.0
    step_s: float = 0.0
    tokens: list[str] = field(default_factory=lambda: ["Paris", " it", " is."])
    cut_after: int | None = None
    thoughts: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)


class ModelServer:
    """The server's process, and its address, which stays the same when it is started again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.where = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.where}/v1"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, **behaviour: Any) -> None:
        """Start the process unless it runs, and wait until it listens."""
        if self._process is not None:
            return self.behave(**behaviour)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(self.port)], stdin=subprocess.DEVNULL
        )
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return self.behave(**behaviour)
            except OSError:
                assert time.monotonic() < until and self._process.poll() is None, "did not start"
                time.sleep(0.02)

    def behave(self, **behaviour: Any) -> None:
        """Answer from now on in another way than the default, and count requests anew."""
        self._ask("/behave", asdict(Behaviour(**behaviour)))

    @property
    def requests(self) -> int:
        """Requests for answers since the last ``behave``."""
        return self._count("requests")

    @property
    def probes(self) -> int:
        """Requests for the list of models since then."""
        return self._count("probes")

    @property
    def last_request(self) -> dict[str, Any]:
        """Body of the last request for an answer."""
        found: dict[str, Any] = self._ask("/last", {})
        return found

    def _count(self, name: str) -> int:
        found: int = self._ask("/counts", {}).get(name, 0)
        return found

    def freeze(self) -> None:
        """Stop the process: connections are accepted by the system, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a stopped process go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process; safe to call twice."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _ask(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"http://{self.where}{path}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Answers)
        self.behaviour = Behaviour()
        self.counts: Counter[str] = Counter()
        self.last_request: dict[str, Any] = {}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self.server.counts["probes"] += 1
        now = self.server.behaviour
        entry = {"id": now.model, "object": "model", "created": 0, "owned_by": "test"}
        self._send(200, {"object": "list", "data": [{**entry, **now.told}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/behave":
            self.server.behaviour, self.server.counts = Behaviour(**body), Counter()
            return self._send(200, {})
        if self.path == "/counts":
            return self._send(200, self.server.counts)
        if self.path == "/last":
            return self._send(200, self.server.last_request)
        self.server.counts["requests"] += 1
        self.server.last_request = body
        now = self.server.behaviour
        if now.status != 200:
            return self._send(now.status, {"error": {"message": "as told"}}, now.retry_after)
        self._stream(now)

    def _send(self, status: int, body: Any, retry_after: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, now: Behaviour) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._event({"role": "assistant", "content": None})
        time.sleep(now.first_token_s)
        for thought in now.thoughts:
            self._event({"content": None, "reasoning_content": thought})
        for count, token in enumerate(now.tokens):
            if count == now.cut_after:
                self.close_connection = True
                return
            time.sleep(now.step_s if count else 0.0)
            self._event({"content": token})
        self._event({}, "stop")
        self._write("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        kind = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "tiny"}
        self._write(f"data: {json.dumps({**kind, 'choices': [choice]})}\n\n")

    def _write(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


if __name__ == "__main__":
    _Listener(int(sys.argv[1])).serve_forever(poll_interval=0.05)
