"""A tiny mixture in a folder, prompts for it, and a profile with known numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from model_families import FAMILIES, model_of
from short_tokenizer import write_short_tokenizer

from expertrag_kernels.transformers import NAME, register
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, ExpertUse

WORDS = 4096
FINGERPRINT = "0123456789abcdef"


def mixture_of(kind: str, **change: Any) -> Mixture:
    """A tiny random mixture of a family, without a tokenizer."""
    name, own = FAMILIES[kind]
    model = model_of(name, **{**own, **change}).requires_grad_(False)
    register()
    model.set_experts_implementation(NAME)
    return Mixture(model, None, "tiny", "cc0-1.0")


def write_tiny_mixture(folder: Path, tokenizer_from: Path, kind: str = "qwen2_moe") -> Path:
    """Write a tiny random mixture with a short tokenizer."""
    name, own = FAMILIES[kind]
    changes = {"vocab_size": WORDS, "tie_word_embeddings": True, "max_position_embeddings": 1024}
    model_of(name, **{**own, **changes}).save_pretrained(folder)
    return write_short_tokenizer(tokenizer_from, folder, WORDS)


def rows(count: int, domain: str = "births", words: int = 20) -> list[dict[str, Any]]:
    """Prompts with two passages and an answer each."""
    return [
        {
            "id": f"{domain} {number}",
            "question": f"When was person {number} born?",
            "passages": [
                {"title": f"Person {number}", "text": f"Born in {1900 + number}. " * (words // 3)},
                {"title": "Nobody", "text": "This is about nothing at all."},
            ],
            "answer": str(1900 + number),
            "domain": domain,
        }
        for number in range(count)
    ]


def profile_of(uses: Mapping[str, torch.Tensor], **changes: torch.Tensor) -> ExpertProfile:
    """A profile whose experts have these scores (L, E) by EASY-EP, of ten tokens a domain."""
    domains = {}
    for name, scores in uses.items():
        use = ExpertUse.none(*scores.shape)
        domains[name] = replace(
            use,
            tokens=torch.tensor(10.0, dtype=torch.float64),
            output_aware=scores.double() * 10,
            **changes,
        )
    layers = len(next(iter(uses.values())))
    return ExpertProfile(FINGERPRINT, tuple(range(1, 1 + layers)), domains)
