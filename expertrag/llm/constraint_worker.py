"""Compile and follow constraints in a process that may be lost: ``python -m`` this module.

A small grammar can take any amount of time and memory. The limits of llguidance do not cover all of
it, for example the check whether the intersection of some patterns is empty. So the process that
has read a model's tokens forks for each constrained sequence. The fork has limits of memory, and of
CPU time per request. Past them the kernel ends it, even inside native code, and that sequence fails
alone.

Messages are bytes over socket pairs. The first request of a sequence is its constraint, each other
one a token. A reply begins with ``OK``, ``COMPLETE``, ``FAILED`` or ``BUSY``. After ``OK`` follow
the tokens that may come next, as bits, and those that must, as JSON (see :func:`pack_reply`).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, regex_to_lark

from expertrag_common.worker_process import limit_cpu, limit_memory, parent_link

COMPILE_S = 1.0
"""CPU seconds that a constraint may take to compile, its first mask included."""
STEP_S = 0.5
"""CPU seconds that a token may take."""
MEMORY_BYTES = 1 << 30
"""Address space of a sequence's process, of which the tokens take a fifth."""

SLOW_S = 0.02
"""CPU seconds of a token after which the process yields the cores to all others from then on."""

OK, COMPLETE, FAILED, BUSY = b"+", b".", b"-", b"!"
_LEAST_PRIORITY = 19
_HEAD = 4  # bytes of the length of the forced tokens

# JSON as ``json.dumps`` writes it: if any white space is allowed, small models write nothing else.
_JSON: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def main(descriptor: int) -> None:
    """Read a model's tokens, then fork for each sequence until the parent closes its socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    parent = parent_link(descriptor)
    tokens = json.loads(parent.recv_bytes())
    vocabulary = LLTokenizer(tokens["tokenizer"], eos_token=tokens["end_tokens"] or None)
    while True:
        try:
            sequence = Connection(reduction.recv_handle(parent))
        except EOFError:
            return
        with sequence:
            if _fork(sequence) == 0:
                try:
                    parent.close()
                    _follow(sequence, vocabulary)
                finally:
                    os._exit(0)


def _fork(sequence: Connection) -> int:
    """Fork; tell the sequence if the system has no process or memory for it."""
    try:
        return os.fork()
    except OSError:
        with suppress(OSError):  # it has ended
            sequence.send_bytes(BUSY)
        return -1


def _follow(sequence: Connection, vocabulary: LLTokenizer) -> None:
    """Serve one sequence until its parent closes the socket or a limit ends this process."""
    limit_memory(MEMORY_BYTES)
    try:
        constraint = json.loads(sequence.recv_bytes())
        limit_cpu(COMPILE_S)
        _end_with(sequence, True)
        limits = LLParserLimits(verbose_errors=False)  # verbose ones quote the generated text
        matcher = LLMatcher(vocabulary, grammar(**constraint), log_level=0, limits=limits)
        reply, yields = _next(matcher), False
        _end_with(sequence, False)
        while True:
            limit_cpu(0)
            sequence.send_bytes(reply)
            token = int(sequence.recv_bytes())
            limit_cpu(STEP_S)
            started = time.process_time()
            matcher.consume_token(token)
            reply = _next(matcher)
            if not yields and time.process_time() - started > SLOW_S:
                os.nice(_LEAST_PRIORITY)
                yields = True
    except (EOFError, OSError):  # the sequence has ended, or the server has
        return


def _end_with(sequence: Connection, does: bool) -> None:
    """Let this process end with its socket although it compiles, or no longer.

    SIGIO, which ends a process, comes when the parent closes the socket, or sends something.

    :raises EOFError: the socket is closed already.
    """
    flags = fcntl.fcntl(sequence, fcntl.F_GETFL)
    fcntl.fcntl(sequence, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sequence, fcntl.F_SETFL, flags | os.O_ASYNC if does else flags & ~os.O_ASYNC)
    if does and sequence.poll():
        raise EOFError


def _next(matcher: LLMatcher) -> bytes:
    """Return the state of a grammar, and what may come next."""
    bits = b"" if matcher.is_stopped() else matcher.compute_bitmask()
    forced = [] if matcher.is_stopped() else matcher.compute_ff_tokens()
    if matcher.is_error():  # some unsatisfiable grammars fail only at the first mask
        return FAILED + matcher.get_error().encode()
    return COMPLETE if matcher.is_stopped() else OK + pack_reply(bits, forced)


def pack_reply(bits: bytes, forced: list[int]) -> bytes:
    """Join the body of a reply; :func:`unpack_reply` is the inverse."""
    tokens = json.dumps(forced).encode()
    return len(tokens).to_bytes(_HEAD) + tokens + bits


def unpack_reply(body: bytes) -> tuple[bytes, list[int]]:
    """Return the bits of the tokens that may come next, and the tokens that must."""
    end = _HEAD + int.from_bytes(body[:_HEAD])
    return body[end:], json.loads(body[_HEAD:end])


def grammar(kind: str, value: str) -> str:
    """Return a constraint in llguidance's format.

    :param kind: field of ``Constraint``.
    :param value: what the field holds; a JSON schema and choices as JSON.
    """
    match kind:
        case "regex":
            ascii_digits = regex_to_lark(value, "d")
            return LLMatcher.grammar_from_lark(f"start: /{ascii_digits}/")
        case "json_schema":
            return LLMatcher.grammar_from_json_schema(value, defaults=_JSON)
        case "choices":
            # One terminal: thousands of choices as separate rules would be too many at a time.
            choices = " | ".join(json.dumps(choice) for choice in json.loads(value))
            return LLMatcher.grammar_from_lark(f"start: CHOICE\nCHOICE: {choices}")
    return LLMatcher.grammar_from_lark(value)


if __name__ == "__main__":
    main(int(sys.argv[1]))
