"""Constrained decoding with llguidance: which tokens may come next.

A ``Vocabulary`` belongs to a model and compiles constraints; a ``Matcher`` belongs to a sequence
and follows its tokens through the grammar. Both work in processes of their own, whose time and
memory are limited (``constraint_worker``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from multiprocessing import Pipe, reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from expertrag.api.types import Constraint
from expertrag.api.validation import invalid, schema_to_text
from expertrag.llm import constraint_worker as worker
from expertrag_index.worker_process import WorkerProcess


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
        """
        kind, value = _sole_field(constraint)
        with self._lock:
            if self._worker is None or not self._worker.alive:
                tokens = self._tokens()
                self._worker = WorkerProcess(worker.__name__)
                self._worker.link.send_bytes(tokens)
            sequence = _fork(self._worker)
        request = json.dumps({"kind": kind, "value": value}).encode()
        return Matcher(sequence, f"constraint.{kind}", request)

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


def _fork(process: WorkerProcess) -> Connection:
    """Return the link to a new process for one sequence."""
    ours, theirs = Pipe()
    with theirs:
        reduction.send_handle(process.link, theirs.fileno(), process.pid)
    return ours


class Matcher:
    """The state of one sequence in its grammar. Not thread-safe."""

    complete: bool
    """Whether the sequence is complete, so that only its end can follow."""

    def __init__(self, sequence: Connection, field: str, request: bytes) -> None:
        self._sequence = sequence
        self._field = field
        self._ask(request)

    def allowed(self, tokens: int) -> torch.Tensor:
        """Return which of a model's tokens may come next, (V,) bool.

        :param tokens: V, the number of the model's tokens.
        :raises InvalidArgument: the grammar is too complex, or cannot be satisfied.
        """
        bits = np.frombuffer(self._ask(worker.ALLOWED), np.uint8)
        # A model may have more rows than its tokenizer has tokens, or fewer: count pads or cuts.
        mask = np.unpackbits(bits, count=tokens, bitorder="little").view(np.bool_)
        return torch.from_numpy(mask)

    def forced(self) -> list[int]:
        """Return the tokens that must come next, as the tokenizer would split them."""
        forced: list[int] = json.loads(self._ask(worker.FORCED))
        return forced

    def consume(self, token: int) -> None:
        """Advance by a token that was allowed."""
        self._ask(worker.CONSUME + str(token).encode())

    def _ask(self, request: bytes) -> bytes:
        try:
            self._sequence.send_bytes(request)
            reply = self._sequence.recv_bytes()
        except (EOFError, OSError):
            raise invalid(
                self._field,
                f"cannot be enforced (it needs over {worker.COMPILE_S:g} s to compile, "
                f"{worker.STEP_S:g} s per token or {worker.MEMORY_BYTES >> 20} MB); simplify it",
            ) from None
        state, body = reply[:1], reply[1:]
        if state == worker.FAILED:
            raise invalid(self._field, _reason(body.decode()))
        self.complete = state == worker.COMPLETE
        return body


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
