"""Constrained decoding with llguidance: which tokens may come next.

A ``Vocabulary`` belongs to a model and compiles constraints; a ``Matcher`` belongs to a sequence
and follows its tokens through the grammar. Both work in processes of their own, whose time and
memory are limited (``constraint_worker``).
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Collection
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
from expertrag_index.worker_process import WorkerProcess

WAIT_S = 20.0
"""How long to wait for a process whose CPU time is limited: it may share its core with many."""


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

    def matcher(self, constraint: Constraint) -> Matcher:
        """Compile a constraint for a new sequence.

        :raises InvalidArgument: it cannot be compiled; the message names the field.
        :raises Overloaded: the system has no process for it.
        """
        kind, value = _sole_field(constraint)
        request = json.dumps({"kind": kind, "value": value}).encode()
        try:
            return Matcher(self._new_process(), f"constraint.{kind}", request)
        except (ProcessEndedError, ConnectionError):
            if not self._worker_is_lost():
                raise
        except OSError:  # no process, no descriptor
            raise _no_process() from None
        try:  # the worker was killed just now
            return Matcher(self._new_process(), f"constraint.{kind}", request)
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
    """The state of one sequence in its grammar. Not thread-safe, but for :meth:`interrupt`."""

    complete: bool
    """Whether the sequence is complete, so that only its end can follow."""
    ready, slow = True, False
    """Whether the next token can be sampled, and seldom soon; see :class:`MatcherThread`."""

    def __init__(self, sequence: Connection, field: str, request: bytes) -> None:
        """Compile the constraint in a process.

        :raises InvalidArgument: it cannot be compiled, or takes too long.
        :raises Overloaded: the system has no process for it.
        """
        self._sequence = sequence
        self._field = field
        self._ask(request)

    def allowed(self, tokens: int) -> torch.Tensor:
        """Return which of a model's tokens may come next, (V,) bool.

        :param tokens: V, the number of the model's tokens.
        """
        bits = np.frombuffer(self._bits, np.uint8)
        # A model may have more rows than its tokenizer has tokens, or fewer: count pads or cuts.
        mask = np.unpackbits(bits, count=tokens, bitorder="little").view(np.bool_)
        return torch.from_numpy(mask)

    def forced(self) -> list[int]:
        """Return the tokens that must come next, as the tokenizer would split them."""
        return list(self._forced)

    def consume(self, token: int) -> None:
        """Advance by a token that was allowed; waits for the process.

        :raises InvalidArgument: the grammar is too complex, or cannot be satisfied.
        """
        self._ask(str(token).encode())

    def close(self) -> None:
        """End the process; safe to call twice."""
        self._sequence.close()

    def interrupt(self) -> None:
        """End the process, from another thread than the one that waits for it and gets an error."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._sequence.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)

    def send(self, request: bytes) -> None:
        """Send a request; the process reads one at a time, so that this never waits.

        :raises InvalidArgument: the process has ended.
        """
        try:
            self._sequence.send_bytes(request)
        except OSError:
            raise self.ended() from None

    def receive(self, wait_s: float | None = None) -> None:
        """Wait for the reply to a request; see :meth:`consume`.

        :param wait_s: how long; None for ever.
        """
        try:
            reply = self._sequence.recv_bytes() if self._sequence.poll(wait_s) else b""
        except (EOFError, OSError):
            reply = b""
        state, body = reply[:1], reply[1:]
        if state == worker.BUSY:
            raise _no_process()
        if state == worker.FAILED:
            raise invalid(self._field, _reason(body.decode()))
        if not state:
            raise self.ended()
        self.complete = state == worker.COMPLETE
        self._bits, self._forced = worker.unpacked(body) if body else (b"", [])

    def _ask(self, request: bytes) -> None:
        self.send(request)
        self.receive(WAIT_S)

    def ended(self) -> ProcessEndedError:
        """Return the error of a matcher whose process has ended."""
        return ProcessEndedError(
            f"{self._field}: cannot be enforced (it needs over {worker.COMPILE_S:g} s to "
            f"compile, {worker.STEP_S:g} s per token or {worker.MEMORY_BYTES >> 20} MB, or the "
            "system has ended its process); simplify it",
            reason="INVALID_FIELD",
            metadata={"field": self._field},
        )


class MatcherThread:
    """A matcher whose process works while others sample: a thread of its own waits for it.

    After :meth:`consume`, the other members are valid once ``ready`` is True; they raise what the
    matcher has raised. All but ``close`` are for one thread.
    """

    def __init__(self, matcher: Matcher, notify: Callable[[], None]) -> None:
        """Start the thread, which calls ``notify`` whenever the matcher becomes ready.

        :raises Overloaded: the system has no thread for it.
        """
        self._matcher = matcher
        self._notify = notify
        self._error: BaseException | None = None
        self.slow = False
        """Whether the last reply took so long that it is not worth waiting for the next one."""
        self._sent_at = 0.0
        self._late_at: float | None = None  # while the process works
        thread = threading.Thread(target=self._follow, name="constraint", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            raise _no_process() from None

    @property
    def ready(self) -> bool:
        """Whether the process has followed the last token, or never will."""
        late_at = self._late_at
        return late_at is None or self._error is not None or time.monotonic() > late_at

    @property
    def complete(self) -> bool:
        """See :attr:`Matcher.complete`."""
        return self._followed().complete

    def allowed(self, tokens: int) -> torch.Tensor:
        """See :meth:`Matcher.allowed`."""
        return self._followed().allowed(tokens)

    def forced(self) -> list[int]:
        """See :meth:`Matcher.forced`."""
        return self._followed().forced()

    def consume(self, token: int) -> None:
        """Advance by a token that was allowed; returns at once."""
        self._sent_at = time.monotonic()
        self._late_at = self._sent_at + WAIT_S
        self._matcher.send(str(token).encode())

    def close(self) -> None:
        """End the process and the thread; safe to call twice."""
        self._matcher.interrupt()

    def _followed(self) -> Matcher:
        if self._error is None and self._late_at is not None:  # it is late
            self._error = self._matcher.ended()
        if self._error is not None:
            raise self._error
        return self._matcher

    def _follow(self) -> None:
        while self._error is None:
            try:
                self._matcher.receive()
                self.slow = time.monotonic() - self._sent_at > worker.SLOW_S
                self._late_at = None
            except BaseException as error:  # for the thread that samples
                self._error = error
            with suppress(BaseException):  # this thread goes on, and who samples looks again
                self._notify()
        self._matcher.close()


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
