"""Constrained decoding with llguidance: which tokens may come next.

A ``Vocabulary`` belongs to a model and compiles constraints; a ``Matcher`` belongs to a sequence
and follows its tokens through the grammar. Both work in processes of their own, whose time and
memory are limited (``constraint_worker``).
"""

from __future__ import annotations

import json
import math
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from multiprocessing import Pipe, reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from expertrag.api.errors import InvalidArgument, Overloaded
from expertrag.api.types import Constraint
from expertrag.api.validation import invalid, schema_to_text
from expertrag.llm import constraint_worker as worker
from expertrag.llm.base import ShouldStop, never_stop
from expertrag_common.worker_process import WorkerProcess

WAIT_S = 20.0
"""How long to wait for a process whose CPU time is limited: it may share its core with many."""
_STOP_EVERY_S = 0.05  # whether to stop is asked so often
_MESSAGE_S = 1.0  # from the first byte of a reply to its last


class ProcessEndedError(InvalidArgument):
    """The process of a constraint has ended: a limit was reached, or the system has ended it."""


class Vocabulary:
    """A model's tokens in llguidance's form, read at the first constraint. Thread-safe."""

    def __init__(self, tokenizer: Any, end_tokens: Collection[int]) -> None:
        """Take a tokenizer, of transformers or of a file, and the tokens that end a sequence."""
        self._tokenizer = tokenizer
        self._end_tokens = sorted(end_tokens)
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None

    def matcher(self, constraint: Constraint, should_stop: ShouldStop = never_stop) -> Matcher:
        """Compile a constraint for a new sequence, calling ``should_stop`` meanwhile.

        :raises InvalidArgument: it cannot be compiled; the message names the field.
        :raises Overloaded: the system has no process for it.
        """
        kind, value = _sole_field(constraint)
        asked = f"constraint.{kind}", json.dumps({"kind": kind, "value": value}).encode()
        try:
            return Matcher(self._new_process(), *asked, should_stop)
        except (ProcessEndedError, ConnectionError):
            if not self._worker_is_lost():
                raise
        except OSError:  # no process, no descriptor
            raise _no_process() from None
        try:  # the worker was killed just now
            return Matcher(self._new_process(), *asked, should_stop)
        except OSError:
            raise _no_process() from None

    def _new_process(self) -> Connection:
        """Return the link to a new process for one sequence."""
        with self._lock:
            if self._worker is None or self._worker_is_lost():
                tokens = self._tokens()
                self._worker = WorkerProcess(worker.__name__)
                self._worker.link.send_bytes(tokens)
            ours, theirs = Pipe()
            with theirs:
                reduction.send_handle(self._worker.link, theirs.fileno(), self._worker.pid)
            return ours

    def _worker_is_lost(self) -> bool:
        """Whether the worker has ended; it sends nothing, so that what can be read is its end."""
        return self._worker is not None and (self._worker.link.poll() or not self._worker.alive)

    def _tokens(self) -> bytes:
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise invalid(
                "constraint", "cannot be enforced with this model's tokenizer (no fast version)"
            )
        plain = Tokenizer.from_str(backend.to_str())
        plain.no_padding()
        plain.no_truncation()
        return json.dumps({"tokenizer": plain.to_str(), "end_tokens": self._end_tokens}).encode()


class Matcher:
    """The state of one sequence in its grammar, which a process of its own follows.

    After :meth:`consume` the process works while the caller does something else; the members that
    need its reply wait for it. Not thread-safe, but for :meth:`close`.
    """

    def __init__(
        self,
        sequence: Connection,
        field: str,
        request: bytes,
        should_stop: ShouldStop = never_stop,
    ) -> None:
        """Compile the constraint in a process, which ends if ``should_stop`` raises.

        :raises InvalidArgument: it cannot be compiled, or takes too long.
        :raises Overloaded: the system has no process for it.
        """
        self._sequence = sequence
        self._using, self._closing = threading.RLock(), threading.Lock()
        self._field = field
        self._error: BaseException | None = None
        self._sent_at: float | None = None  # of a request without a reply
        self._complete = False
        self._bits = b""
        self._forced: list[int] = []
        self.slow = False
        """Whether the last reply took so long that it is not worth waiting for the next one."""
        self._replies = select.poll()
        self._replies.register(sequence, select.POLLIN)
        self._stop_waiting_in(_MESSAGE_S)
        try:
            self._send(request)
            while not self.ready:
                should_stop()
                self.wait(_STOP_EVERY_S)
            self._follow()
        except BaseException:
            self.close()
            raise

    @property
    def ready(self) -> bool:
        """Whether the process has followed the last token, or never will: no member waits."""
        if self._sent_at is None:
            return True
        return self.wait(0) or time.monotonic() > self._sent_at + WAIT_S

    @property
    def complete(self) -> bool:
        """Whether the sequence is complete, so that only its end can follow.

        :raises InvalidArgument: the grammar is too complex, or cannot be satisfied.
        """
        self._follow()
        return self._complete

    def find_allowed(self, tokens: int) -> torch.Tensor:
        """Return which of a model's tokens may come next, (V,) bool; raises as :attr:`complete`.

        :param tokens: V, the number of the model's tokens.
        """
        self._follow()
        bits = np.frombuffer(self._bits, np.uint8)
        # A model may have more rows than its tokenizer has tokens, or fewer: count pads or cuts.
        mask = np.unpackbits(bits, count=tokens, bitorder="little").view(np.bool_)
        return torch.from_numpy(mask)

    def find_forced(self) -> list[int]:
        """Return the tokens that must come next, as the tokenizer would split them."""
        self._follow()
        return list(self._forced)

    def consume(self, token: int) -> None:
        """Advance by a token that was allowed; returns at once.

        :raises InvalidArgument: the process has ended.
        """
        self._follow()
        self._send(str(token).encode())

    def close(self) -> None:
        """End the process; safe to call twice, and from any thread: whoever waits gets an error."""
        with self._closing:
            if self._sequence.closed:
                return
            with suppress(OSError), self._socket() as link:
                link.shutdown(socket.SHUT_RDWR)  # ends the wait of another thread
            with self._using:
                self._sequence.close()

    def wait(self, seconds: float) -> bool:
        """Wait for the process, so long at most; return whether it has replied, or ended."""
        with self._using:
            return self._sequence.closed or bool(self._replies.poll(math.ceil(seconds * 1e3)))

    def _socket(self) -> socket.socket:
        """Return the link as a socket; closing it leaves the link open."""
        return socket.socket(fileno=os.dup(self._sequence.fileno()))

    def _stop_waiting_in(self, seconds: float) -> None:
        """Bound the time that the rest of a reply may take, should the process be stopped in it."""
        limit = struct.pack("ll", *divmod(round(seconds * 1e6), 10**6))
        with self._socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def _send(self, request: bytes) -> None:
        """Send a request; the process reads one at a time, so that this never waits."""
        self._sent_at = time.monotonic()
        try:
            with self._using:
                self._sequence.send_bytes(request)
        except OSError:
            self._error = self._end_error()
            raise self._error from None

    def _follow(self) -> None:
        """Wait for the reply to the last request; raise the error that it brought, or brings."""
        if self._error is None and self._sent_at is not None:
            try:
                self._receive(self._sent_at)
            except BaseException as error:
                self._error = error
            self._sent_at = None
        if self._error is not None:
            raise self._error

    def _receive(self, sent_at: float) -> None:
        wait_s = max(0.0, sent_at + WAIT_S - time.monotonic())
        try:
            with self._using:
                reply = self._sequence.recv_bytes() if self.wait(wait_s) else b""
        except (EOFError, OSError):
            reply = b""
        state, body = reply[:1], reply[1:]
        if state == worker.BUSY:
            raise _no_process()
        if state == worker.FAILED:
            raise invalid(self._field, _reason(body.decode()))
        if not state:
            raise self._end_error()
        self._complete = state == worker.COMPLETE
        self._bits, self._forced = worker.unpack_reply(body) if body else (b"", [])
        self.slow = time.monotonic() - sent_at > worker.SLOW_S

    def _end_error(self) -> ProcessEndedError:
        return ProcessEndedError(
            f"{self._field}: cannot be enforced (it needs over {worker.COMPILE_S:g} s to "
            f"compile, {worker.STEP_S:g} s per token or {worker.MEMORY_BYTES >> 20} MB, or the "
            "system has ended its process); simplify it",
            reason="INVALID_FIELD",
            metadata={"field": self._field},
        )


def _no_process() -> Overloaded:
    return Overloaded("the system has no process for the constraint; ask again later")


def _sole_field(constraint: Constraint) -> tuple[str, str]:
    """Return the field that is set, and what it holds as text."""
    if constraint.regex is not None:
        return "regex", constraint.regex
    if constraint.json_schema is not None:
        return "json_schema", schema_to_text(constraint.json_schema)
    if constraint.choices is not None:
        return "choices", json.dumps(list(constraint.choices))
    return "grammar", constraint.grammar or ""


def _reason(error: str) -> str:
    """Shorten llguidance's report, which marks the position in the grammar, to one line."""
    lines = [line.strip() for line in error.splitlines()]
    errors = [line for line in lines if line.startswith("error:")] or lines
    return f"cannot be enforced ({errors[0].removeprefix('error:').strip()})"
