"""Seconds of contrastive decoding by those of greedy decoding, with a shared prompt's cache."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence

import torch

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.sequences import SequenceState, WeakSequence
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_index.types import Progress
from expertrag_kernels import Routing
from expertrag_lab.metrics.types import Estimate

ROUNDS, TOKENS = 9, 48


def contrast_speed(
    generator: TransformersGenerator, prompts: Sequence[list[int]], side: WeakSide, report: Progress
) -> Estimate:
    """Generate equally many tokens after each prompt in turn, with and without a weak side.

    :returns: median ratio of seconds, prefill included, with minimum and maximum of the rounds.
    """
    network = generator._network
    assert isinstance(network, NativeNetwork), "contrasts need the engine"
    contrast = Contrast(side)
    ratios = []
    for done in range(ROUNDS + 1):
        seconds = {}
        for contrasted in random.sample([False, True], 2):
            network.reset_prefix_cache()
            started = time.perf_counter()
            for prompt in prompts:
                _generate(network, prompt, contrast if contrasted else None)
            seconds[contrasted] = time.perf_counter() - started
        ratios.append(seconds[True] / seconds[False])
        report(f"speed of {generator.name}, {side}", done, ROUNDS)
    kept = ratios[1:]  # the first round warms up
    return Estimate(statistics.median(kept), min(kept), max(kept), len(kept))


def _generate(network: NativeNetwork, prompt: list[int], contrast: Contrast | None) -> None:
    engine: Engine = network.engine
    own = 0 if network.limits.experts else -1
    weak = None
    if contrast:
        base = own if contrast.weak is WeakSide.ROUTING else network.limits.expert_of("base")
        routing = Routing.parse(contrast.routing if contrast.weak is WeakSide.ROUTING else "")
        shared = len(prompt) - 1
        policy = SequencePolicy(base, routing)
        weak = WeakSequence(list(prompt), policy=policy, shared_tokens=shared)
    sequence = SequenceState(
        list(prompt),
        Sampler(0.0, 0, torch.device("cpu"), contrast=contrast),
        policy=SequencePolicy(own),
        token_budget=TOKENS,
        weak=weak,
    )
    engine.submit(sequence)
    for _ in range(TOKENS):
        engine.next_output(sequence, lambda: None)
    engine.close(sequence)
