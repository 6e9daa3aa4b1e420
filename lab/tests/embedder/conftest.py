"""Domains that a tiny encoder can learn, and that encoder."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from encoder_fixtures import WORDS

from expertrag_lab.embedder.base import BaseModel, base_model
from expertrag_lab.embedder.types import Pair, Source

DOMAINS = ("trees", "metals")
FILLER = ("the", "a", "of", "in", "on", "by", "at", "to", "and")


class Killed(Exception):
    """Simulates a kill at a moment that the test chooses."""


def domain_source(domain: str, count: int) -> Source:
    """Queries and documents about the same two words, under different names for them."""
    rng = random.Random(domain)
    corpus, pairs = {}, []
    for number in range(count):
        first, second = rng.sample(WORDS[domain], 2)
        filler = " ".join(rng.choices(FILLER, k=6))
        corpus[f"d{number}"] = f"{first}{first} {filler} {second}{second} {number}"
        pairs.append(Pair(f"{first} with {second} number {number}", f"d{number}"))
    return Source(domain, corpus, tuple(pairs))


@pytest.fixture(scope="session")
def base(encoder_folders: dict[str, Path]) -> BaseModel:
    """The tiny BERT."""
    return base_model(str(encoder_folders["bert"]), "tiny")
