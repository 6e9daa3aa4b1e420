"""Generate texts with an engine, and measure the time; perplexity of texts."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from expertrag.llm.constraints import Matcher
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.sequences import PrefillOutput, SampledToken, SequenceState
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_kernels import Routing
from expertrag_kernels.routing import AS_THE_MODEL


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
    routing: Routing = AS_THE_MODEL,
) -> Run:
    """Generate greedily after simultaneous prompts, past the end of an answer.

    :param experts: experts of a mixture to assign to the texts in turn; -1: as its routers choose.
    :param routing: how many of the experts that routers choose are used.
    """
    cpu = torch.device("cpu")
    texts = [
        SequenceState(
            list(p),
            Sampler(0.0, 0, cpu, frequency_penalty=penalty, matcher=matcher()),
            token_budget=tokens,
            policy=SequencePolicy(experts[place % len(experts)], routing),
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


@torch.inference_mode()
def generated(model: Any, prompts: Sequence[list[int]], tokens: int) -> Run:
    """Generate greedily by transformers, in one batch; all prompts are of one length."""
    started = time.perf_counter()
    out = model(torch.tensor(prompts, device=model.device), use_cache=True, logits_to_keep=1)
    drawn = [out.logits[:, -1].argmax(-1)]
    drawn[0].tolist()  # waits for a GPU
    first = time.perf_counter() - started
    for _ in range(tokens - 1):
        out = model(drawn[-1][:, None], past_key_values=out.past_key_values, use_cache=True)
        drawn.append(out.logits[:, -1].argmax(-1))
    found = torch.stack(drawn, 1).tolist()
    return Run(found, time.perf_counter() - started, [first] * len(prompts))


def logits_of(engine: Engine, window: list[int]) -> torch.Tensor:
    """Return the logits of the next token after each token of a window but the last, [T - 1, V]."""
    text = SequenceState([])
    engine.submit(text)
    engine.prefill(text, window, len(window), return_states=False)
    looked = engine.next_output(text, lambda: None)
    engine.close(text)
    assert isinstance(looked, PrefillOutput), "it was asked"
    return looked.logits[:-1].float()


def perplexity(windows: Sequence[list[int]], logits: Callable[[list[int]], torch.Tensor]) -> float:
    """Perplexity of all tokens of the windows except the first of each."""
    total = 0.0
    for window in windows:
        said = logits(window).log_softmax(-1)
        total -= float(said.gather(1, torch.tensor(window[1:])[:, None]).double().sum())
    return math.exp(total / sum(len(window) - 1 for window in windows))
