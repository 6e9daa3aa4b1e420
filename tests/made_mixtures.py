"""Tiny random mixtures in memory, profiles of them, and what they give for a fixed text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from model_families import FAMILIES, model_of
from model_fixtures import logits_of, lowered
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from expertrag_kernels import Format
from expertrag_kernels.transformers import NAME, register
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, ExpertUse
from expertrag_lab.surgery.profiling.observe import observe

IDS = torch.arange(3, 43)
"""The text of :func:`logits_of`."""


SIZES: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 8},
    "olmoe": {"num_experts": 8},
    "qwen2_moe with null experts": {"num_experts": 11},
    "gpt_oss": {"num_local_experts": 8},
    "deepseek_v2 in groups": {"n_routed_experts": 16},
    "deepseek_v3": {"n_routed_experts": 16},
    "glm4_moe": {"n_routed_experts": 16},
    "granitemoe": {"num_local_experts": 8},
    "granitemoeshared": {"num_local_experts": 8},
    "phimoe": {"num_local_experts": 8},
}
"""Families, and enough experts to drop half."""


def mixture_of(family: str, **change: Any) -> Mixture:
    """A random mixture in float32, with a tokenizer of one word."""
    kind, own = FAMILIES[family]
    model = model_of(kind, **{**own, **change})
    register()
    model.set_experts_implementation(NAME)
    words = WordLevel({"word": 0, "<unk>": 1}, unk_token="<unk>")
    make: Any = PreTrainedTokenizerFast  # without annotations
    tokenizer = make(tokenizer_object=Tokenizer(words), unk_token="<unk>")
    return Mixture(model.requires_grad_(False), tokenizer, family, "MIT")


def texts(count: int, seed: int = 0) -> list[list[int]]:
    """Random texts of 24 tokens."""
    generator = torch.Generator().manual_seed(seed)
    found: list[list[int]] = torch.randint(3, 301, (count, 24), generator=generator).tolist()
    return found


def profile_of(
    mixture: Mixture, domains: Mapping[str, Sequence[Sequence[int]]] | None = None
) -> ExpertProfile:
    """The use of a mixture's experts by texts; without domains, by one of random texts."""
    given = domains or {"any": texts(4)}
    numbers = [layer.number for layer in mixture.layers]
    used = {name: observe(mixture, its) for name, its in given.items()}
    return ExpertProfile("0123456789abcdef", numbers, used)


def planted_profile(mixture: Mixture, **values: torch.Tensor) -> ExpertProfile:
    """A profile of one domain with these values, and zeros."""
    none = ExpertUse.none(len(mixture.layers), mixture.num_experts)
    tokens = torch.tensor(10.0, dtype=torch.float64)
    own = {name: value.double() for name, value in values.items()}
    numbers = [layer.number for layer in mixture.layers]
    return ExpertProfile("0123456789abcdef", numbers, {"any": replace(none, tokens=tokens, **own)})


def logits(mixture: Mixture) -> torch.Tensor:
    """Logits (T, V) of ``IDS``, by transformers."""
    with torch.inference_mode():
        found: torch.Tensor = mixture.model(input_ids=IDS[None]).logits[0]
    return found


def engine_logits(model: Any) -> torch.Tensor:
    """Logits (T, V) of ``IDS``, by our engine."""
    return logits_of(lowered(model, Format.F32))


def greedy(mixture: Mixture) -> list[int]:
    """Twelve tokens."""
    with torch.inference_mode():
        made = mixture.model.generate(
            IDS[None], max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=2
        )
    found: list[int] = made[0, len(IDS) :].tolist()
    return found


def same_weights(one: Mixture, other: Mixture) -> bool:
    """Whether all weights are equal, bit for bit."""
    states = one.model.state_dict(), other.model.state_dict()
    assert states[0].keys() == states[1].keys()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def layers_of(mixture: Mixture) -> tuple[Any, ...]:
    """The layers, whose modules have attributes that transformers does not declare."""
    return mixture.layers
