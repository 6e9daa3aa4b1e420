"""Tokens of a mixture that use fewer experts than it was trained with, beside its own choice.

The model is random, with the shapes of OLMoE-1B-7B in a quarter of its layers: what is chosen is
arbitrary, what it costs is not.
"""

from __future__ import annotations

import functools
import random
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch
from generation_runs import write

from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag_kernels import Format, Routing

KEPT = (6, 4, 2, 1)
ROUNDS = 7
_PROMPT_TOKENS = 64


def routing(
    format: str, prompts: Sequence[list[int]], tokens: int, *, quick: bool
) -> dict[str, Any]:
    """Generate with each number of experts, 1 and 8 texts at once, in turns.

    :returns: per number of texts and of experts tokens per second, prefill included, and the ratio
        to the model's own number.
    """
    model = _olmoe(2 if quick else 4)
    with torch.no_grad():
        lowered = lower(model, Format(format), cache_bytes=256 << 20, context_tokens=1024)
    vocabulary = model.config.vocab_size
    short = [[token % vocabulary for token in prompt[:_PROMPT_TOKENS]] for prompt in prompts]
    engine = Engine(lowered.decoder, speculate=False, prefix_caching=False)
    own = model.config.num_experts_per_tok
    found: dict[str, Any] = {"experts": model.config.num_experts, "top_k": own}
    for texts in (1, 8):
        speeds: dict[int, list[float]] = {kept: [] for kept in (own, *KEPT)}
        for _ in range(2 if quick else ROUNDS + 1):
            for kept in random.sample(list(speeds), len(speeds)):
                with_routing = functools.partial(write, engine, routing=Routing(top_k=kept))
                speeds[kept].append(with_routing(short[:texts], tokens).tokens_per_s)
        medians = {kept: statistics.median(some[1:]) for kept, some in speeds.items()}
        found[f"texts_{texts}"] = {
            str(kept): {"tokens_per_s": speed, "ratio": speed / medians[own]}
            for kept, speed in medians.items()
        }
        print(texts, "texts:", found[f"texts_{texts}"], file=sys.stderr)
    engine.stop()
    return found


def _olmoe(layers: int) -> Any:
    from transformers import OlmoeConfig, OlmoeForCausalLM

    torch.manual_seed(0)
    config = OlmoeConfig(
        vocab_size=8192,
        hidden_size=2048,
        intermediate_size=1024,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=16,
        num_experts=64,
        num_experts_per_tok=8,
        max_position_embeddings=2048,
    )
    model: Any = OlmoeForCausalLM(config)
    return model.bfloat16().eval()
