"""Measure the speed and memory of a generator on this machine."""

from __future__ import annotations

import multiprocessing
import re
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.models.card import source_of
from expertrag.models.registry import REGISTRY
from expertrag.models.shipped import SHIPPED_FOLDER
from expertrag.models.speed import Speed, keep

if TYPE_CHECKING:
    from expertrag.llm import Generator, Message

PASSAGES = 5
PROMPT_TOKENS = 1180
"""Typical length of a prompt with five passages."""
ANSWER_TOKENS = 64
_RUNS = 3
_QUESTION = "What do these passages say, and how was it measured?"


def bench(name: str, folder: str) -> Speed:
    """Measure a generator in its own process; the figures of a package model are stored.

    :param folder: the resolved ``name``.
    :raises ExpertRAGError: if it cannot be loaded; the message has the fix.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
        speed = process.submit(_measure, folder).result()
    if name in REGISTRY:
        speed = replace(speed, source=source_of(REGISTRY[name]))
        keep(REGISTRY[name], speed)
    return speed


def _measure(folder: str) -> Speed:
    from expertrag.llm import load_generator
    from expertrag.llm.load.loading import quiet
    from expertrag_common.cores import available_cores

    with quiet():
        generator = load_generator(folder)
    prompts = _prompts(generator)
    _answer(generator, prompts[0][:1], 4)  # the system message only, to page in the weights
    runs = [_answer(generator, prompt, ANSWER_TOKENS) for prompt in prompts]
    tokens = [generator.count_tokens(prompt) for prompt in prompts]
    return Speed(
        prompt_tokens=round(statistics.median(tokens)),
        first_token_s=statistics.median(first for first, _ in runs),
        prompt_tokens_per_s=statistics.median(
            count / first for count, (first, _) in zip(tokens, runs, strict=True)
        ),
        tokens_per_s=statistics.median(rate for _, rate in runs),
        memory_bytes=_peak_bytes(),
        cores=available_cores(),
    )


def _answer(generator: Generator, prompt: list[Message], tokens: int) -> tuple[float, float]:
    """Return the seconds to the first token, and the tokens per second after it."""
    from expertrag.api.types import Constraint, Sampling

    # force a long text: an answer that ends early is not a measurement
    form = Constraint(regex=f"(?s:.{{{8 * tokens},}})")
    sampling = Sampling(max_tokens=tokens, constraint=form)
    generator.check(sampling)
    session = generator.begin(prompt, sampling)
    try:
        started = time.perf_counter()
        session.peek(1)
        first = time.perf_counter()
        for _ in session.deltas():
            pass
        done = time.perf_counter()
        return first - started, (session.completion_tokens - 1) / (done - first)
    finally:
        session.close()


def _prompts(generator: Generator) -> list[list[Message]]:
    """Return prompts with different prefixes, from the (English) cards of shipped bundles."""
    cards = sorted(SHIPPED_FOLDER.glob("*/README.md"))
    words = " ".join(card.read_text(encoding="utf-8") for card in cards).split()
    prompts = []
    for run in range(_RUNS):
        width, start = 100, run * len(words) // _RUNS
        for _ in range(3):
            tokens = generator.count_tokens(_prompt(words, start, width))
            width = max(1, round(width * PROMPT_TOKENS / tokens))
        prompts.append(_prompt(words, start, width))
    return prompts


def _prompt(words: list[str], start: int, width: int) -> list[Message]:
    from expertrag.api.types import Passage
    from expertrag.llm.prompt import open_book

    passages = []
    for number in range(PASSAGES):
        positions = [(start + number * width + offset) % len(words) for offset in range(width)]
        text = " ".join(words[position] for position in positions)
        passages.append(Passage(f"card/{number}", 0, text, 0, len(text), 1.0, title=text[:20]))
    return open_book(_QUESTION, passages)


def _peak_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
