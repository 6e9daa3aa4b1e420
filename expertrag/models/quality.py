"""Answer quality of package models: figures of ``lab/results``, shipped as JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

_FILE = Path(__file__).with_name("answers.json")


def answers_of(name: str) -> Mapping[str, float]:
    """Return the share of test questions that a model answers correctly, by data set.

    From five passages of a hybrid search; correct if the model's answer contains an accepted one.
    Empty for a model that was not measured.
    """
    return _figures().get(name, {})


@functools.cache
def _figures() -> Mapping[str, Mapping[str, float]]:
    figures: Mapping[str, Mapping[str, float]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return figures
