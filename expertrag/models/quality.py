"""How well package models answer: figures of ``benchmarks/results``, carried by this package."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

_FILE = Path(__file__).with_name("answers.json")


def answers_of(name: str) -> Mapping[str, float]:
    """Share of a data set's test questions that a model answers right, by the set's name.

    From five passages of a hybrid search, the accepted answer contained in the model's. Empty for
    a model that was not measured.
    """
    return _figures().get(name, {})


@functools.cache
def _figures() -> Mapping[str, Mapping[str, float]]:
    figures: Mapping[str, Mapping[str, float]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return figures
