"""Hidden states of prompts, cached on disk so that an interrupted training can resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from expertrag.llm import prompt
from expertrag.llm.probe import STATES
from expertrag_lab.data.resume import appending, read_results

if TYPE_CHECKING:
    from expertrag.llm.base import Message, WhiteBox
    from expertrag_index.types import FloatArray, Progress
    from expertrag_lab.train.probe.prompts import Prompt

_DIGITS = 4  # significant digits of a stored state


def states_of(
    asked: Sequence[Prompt], generator: WhiteBox, path: Path, stage: str, progress: Progress
) -> tuple[FloatArray, list[float]]:
    """Compute the hidden states of every prompt; prompts of one group share their prefill.

    :param path: the cache, one prompt per line.
    :returns: states [N, 2 D], and the probability that ``prompt.NOT_FOUND`` begins each reply [N].
    """
    prompts = [messages_of(item, generator) for item in asked]
    names = [hashlib.sha256(repr(item).encode()).hexdigest()[:24] for item in prompts]
    with appending(path) as file:
        known = read_results(path, _parse)
        for done, (name, messages) in enumerate(zip(names, prompts, strict=True)):
            progress(stage, done, len(names))
            if name in known:
                continue
            watched, abstains = generator.watch(messages)
            state = np.concatenate([watched.vectors[key] for key in STATES])
            values = [float(f"{value:.{_DIGITS}g}") for value in state.tolist()]
            known[name] = np.array(values, np.float32), abstains
            file.write(json.dumps({"prompt": name, "state": values, "abstains": abstains}) + "\n")
            file.flush()
    progress(stage, len(names), len(names))
    return np.stack([known[name][0] for name in names]), [known[name][1] for name in names]


def messages_of(item: Prompt, generator: WhiteBox) -> list[Message]:
    """Return a prompt as it is served to the model."""
    family = prompt.FAMILIES[generator.family]
    return prompt.open_book(item.question, item.passages, family=family)


def _parse(item: Mapping[str, Any]) -> tuple[str, tuple[FloatArray, float]]:
    return item["prompt"], (np.array(item["state"], np.float32), float(item["abstains"]))
