"""Generate texts with an engine, and measure the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from expertrag.llm.constraints import Matcher
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.sequences import SampledToken, SequenceState
from expertrag.llm.sampling import Sampler


@dataclass(slots=True)
class Run:
    """Generated texts: tokens of each, total seconds, and seconds to the first token of each."""

    drawn: list[list[int]]
    seconds: float
    first: list[float]

    @property
    def tokens_per_s(self) -> float:
        """Tokens per second of all texts together, including prefill."""
        return sum(map(len, self.drawn)) / self.seconds


Write = Callable[[Sequence[list[int]], int], Run]


def write(
    engine: Engine,
    prompts: Sequence[list[int]],
    tokens: int,
    penalty: float = 0.0,
    matcher: Callable[[], Matcher | None] = lambda: None,
    experts: Sequence[int] = (-1,),
) -> Run:
    """Generate greedily after simultaneous prompts, past the end of an answer.

    :param experts: experts of a mixture to assign to the texts in turn; -1: as its routers choose.
    """
    cpu = torch.device("cpu")
    texts = [
        SequenceState(
            list(p),
            Sampler(0.0, 0, cpu, frequency_penalty=penalty, matcher=matcher()),
            token_budget=tokens,
            expert=experts[place % len(experts)],
        )
        for place, p in enumerate(prompts)
    ]
    first = [0.0] * len(texts)
    started = time.perf_counter()

    def follow(place: int) -> None:
        for number in range(tokens):
            found = engine.next_output(texts[place], lambda: None)
            assert isinstance(found, SampledToken)
            if number == 0:
                first[place] = time.perf_counter() - started

    threads = [threading.Thread(target=follow, args=(place,)) for place in range(len(texts))]
    for text in texts:
        engine.submit(text)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    for text in texts:
        engine.close(text)
    return Run([text.tokens[-tokens:] for text in texts], seconds, first)
