"""Tokens of every domain's traffic for ``eval_surgery.py``, and losses of a mixture on them.

The traffic of a domain is its prompts with their right replies, as served, or, of domains without
prompts, its texts.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from fixture_texts import (
    PROMPTS,
    TEXTS,
    encoded,
    test_prompts,
    text_rows,
    texts_of,
    train_prompts,
)
from numpy.typing import NDArray

from expertrag.llm.load.chat import ChatTokenizer
from expertrag_index.types import Progress
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.train.reader.examples import ReaderExample

_BATCH = 8
_TEXT_TOKENS = 256  # of a row, about as many as a prompt has
_SEED = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Tokens of the prompts of a domain, and how many of the last ones are a reply; 0 in texts."""

    tokens: tuple[tuple[int, ...], ...]
    replies: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens that have losses, and those of replies."""
        return sum(map(len, self.tokens)) - len(self.tokens), sum(self.replies)


@dataclass(frozen=True, slots=True)
class PromptLosses:
    """Losses of the prompts of a domain (N,): nats, summed over all tokens, and over the reply."""

    tokens: NDArray[np.float64]
    replies: NDArray[np.float64]


def traffic_of(
    data: Path, split: str, most: int, tokenizer: Any, positions: int, report: Progress
) -> dict[str, Traffic]:
    """Return the traffic of every domain: at most so many prompts, or rows of texts.

    :param split: ``train`` or ``test``.
    :param positions: tokens that a prompt may have.
    """
    made = train_prompts if split == TRAIN else test_prompts
    asked = made(data, most, report)
    texts = texts_of(data, split, most)
    found = {}
    for domain in TEXTS:
        if domain in PROMPTS:
            found[domain] = _of_prompts(asked[domain], most, tokenizer, positions)
        else:
            found[domain] = _of_texts(texts[domain], most, tokenizer)
    return found


def _of_prompts(
    asked: Sequence[ReaderExample], most: int, tokenizer: Any, positions: int
) -> Traffic:
    drawn = random.Random(_SEED).sample(asked, min(most, len(asked)))
    chat, end = ChatTokenizer(tokenizer), tokenizer.eos_token_id
    pairs = [encoded(item, chat, end) for item in drawn]
    fitting = [pair for pair in pairs if sum(map(len, pair)) <= positions]
    return Traffic(
        tuple((*prompt, *reply) for prompt, reply in fitting),
        tuple(len(reply) for _, reply in fitting),
    )


def _of_texts(texts: Sequence[str], most: int, tokenizer: Any) -> Traffic:
    rows = text_rows(tokenizer(list(texts)).input_ids, tokenizer.eos_token_id).tokens
    rows = rows.view(-1, _TEXT_TOKENS)[:most]
    return Traffic(tuple(map(tuple, rows.tolist())), (0,) * len(rows))


@torch.inference_mode()
def losses_of(model: Any, traffic: Mapping[str, Traffic]) -> dict[str, PromptLosses]:
    """Return the losses of a model of transformers on the traffic of every domain."""
    return {domain: _losses(model, item) for domain, item in traffic.items()}


def _losses(model: Any, traffic: Traffic) -> PromptLosses:
    sums = np.zeros((2, len(traffic.tokens)))
    order = sorted(range(len(traffic.tokens)), key=lambda place: len(traffic.tokens[place]))
    for start in range(0, len(order), _BATCH):
        places = order[start : start + _BATCH]
        rows = [torch.tensor(traffic.tokens[place]) for place in places]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # attention looks back only
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()  # [B, T - 1, V]
        targets = ids[:, 1:]
        each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        for place, row, loss in zip(places, rows, each.view_as(targets), strict=True):
            own = loss[: len(row) - 1].double()
            reply = own[len(own) - traffic.replies[place] :]
            sums[:, place] = float(own.sum()), float(reply.sum())
    return PromptLosses(*sums)
