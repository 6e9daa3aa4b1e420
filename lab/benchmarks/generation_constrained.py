"""Cost of constrained generation; a part of ``bench_generation.py``."""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from generation_runs import write

from expertrag.api.types import Constraint
from expertrag.llm.constraints import Matcher
from expertrag.llm.engine.engine import Engine
from expertrag.llm.load.chat import ChatTokenizer

# Longer than the generated texts, so that no text ends early.
SCHEMA = {
    "type": "array",
    "minItems": 100,
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 40}, "year": {"type": "integer"}},
        "required": ["name", "year"],
        "additionalProperties": False,
    },
}
AT_ONCE = 8


def constrained(
    engines: Mapping[bool, Engine], chat: ChatTokenizer, prompts: Sequence[list[int]], tokens: int
) -> dict[str, Any]:
    """Generate free texts and JSON in turn, one and several at a time.

    :param engines: with prompt lookup (True) and without.
    """
    vocabulary = chat.vocabulary([2])
    constraint = Constraint(json_schema=SCHEMA)
    started = time.perf_counter()
    vocabulary.matcher(constraint)
    found: dict[str, Any] = {"first_constraint_s": time.perf_counter() - started}
    held: dict[str, Callable[[], Matcher | None]] = {
        "free": lambda: None,
        "json": lambda: vocabulary.matcher(constraint),
    }
    for engine in engines.values():
        write(engine, prompts, 1)  # prefill, so that only decoding is timed
    equal = True
    for texts in (1, AT_ONCE):
        speeds: dict[str, list[float]] = {}
        for start in range(0, len(prompts) - texts + 1, texts):
            some = prompts[start : start + texts]
            for name in random.sample(list(held), len(held)):
                drawn = []
                for on in random.sample([True, False], 2):
                    run = write(engines[on], some, tokens, matcher=held[name])
                    kind = name if on else f"{name} plain"
                    speeds.setdefault(kind, []).append(run.tokens_per_s)
                    drawn.append(run.drawn)
                equal &= drawn[0] == drawn[1]
        found[f"tokens_per_s_{texts}"] = {k: statistics.median(v) for k, v in speeds.items()}
    found["equal"] = equal
    [text] = write(engines[True], prompts[:1], tokens, matcher=held["json"]).drawn
    found["us_per_token"] = _us_per_token(vocabulary.matcher(constraint), text)
    print(json.dumps(found), file=sys.stderr)
    return found


def _us_per_token(matcher: Matcher, drawn: Sequence[int]) -> float:
    """Median time in microseconds to mask the logits and to advance by the drawn token."""
    times = []
    logits = torch.zeros(49152)
    for token in drawn:
        started = time.perf_counter()
        logits.masked_fill(~matcher.find_allowed(len(logits)), -torch.inf)
        matcher.consume(token)
        times.append(time.perf_counter() - started)
    return 1e6 * statistics.median(times)
