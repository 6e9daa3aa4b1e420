"""Compile and follow constraints in a process that may be lost: ``python -m`` this module.

A small grammar can take any amount of time and memory, and llguidance's own limits do not cover all
of it (whether the intersection of some patterns is empty, for one). So the process that has read a
model's tokens forks for each constrained sequence, and the fork has limits of memory, and of CPU
time per request: past them the kernel ends it, even inside native code, and that sequence fails
alone.

Messages are bytes over socket pairs; a reply begins with ``OK`` or ``FAILED``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, regex_to_lark

from expertrag_index.worker_process import limit_cpu, limit_memory, parent_link

COMPILE_S = 1.0
"""CPU seconds that a constraint may take to compile, its first mask included."""
STEP_S = 0.5
"""CPU seconds that a token may take."""
MEMORY_BYTES = 1 << 30
"""Address space of a sequence's process, of which the tokens take a fifth."""

ALLOWED, FORCED, CONSUME = b"a", b"f", b"c"
OK, COMPLETE, FAILED = b"+", b".", b"-"

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
        if os.fork() == 0:
            parent.close()
            _follow(sequence, vocabulary)
            os._exit(0)
        sequence.close()


def _follow(sequence: Connection, vocabulary: LLTokenizer) -> None:
    """Serve one sequence until its parent closes the socket or a limit ends this process."""
    limit_memory(MEMORY_BYTES)
    try:
        constraint = json.loads(sequence.recv_bytes())
        limit_cpu(COMPILE_S)
        limits = LLParserLimits(verbose_errors=False)  # verbose ones quote the generated text
        matcher = LLMatcher(vocabulary, grammar(**constraint), log_level=0, limits=limits)
        matcher.compute_bitmask()  # some unsatisfiable grammars fail only here
        reply = b""
        while True:
            limit_cpu(0)
            sequence.send_bytes(_state(matcher) + reply)
            request = sequence.recv_bytes()
            limit_cpu(STEP_S)
            reply = _answer(matcher, request)
    except (EOFError, OSError):  # the sequence has ended, or the server has
        return


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


def _answer(matcher: LLMatcher, request: bytes) -> bytes:
    kind, token = request[:1], request[1:]
    if kind == ALLOWED:
        return matcher.compute_bitmask()
    if kind == FORCED:
        return json.dumps(matcher.compute_ff_tokens()).encode()
    matcher.consume_token(int(token))
    return b""


def _state(matcher: LLMatcher) -> bytes:
    if matcher.is_error():
        return FAILED + matcher.get_error().encode()
    return COMPLETE if matcher.is_stopped() else OK


if __name__ == "__main__":
    main(int(sys.argv[1]))
