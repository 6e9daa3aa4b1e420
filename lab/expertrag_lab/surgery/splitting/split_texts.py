"""Prompts and answers as the tokens that a dense model runs, apart those that it is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from expertrag.api.errors import InvalidArgument
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt

_HELD = 8  # of so many prompts of a domain, one is held out


@dataclass(frozen=True, slots=True)
class SplitTexts:
    """Tokens of prompts with their answers.

    :param seen: that the model is split by.
    :param held: that it is measured on.
    :param domains: number of prompts by domain.
    :param skipped: prompts that do not fit the model's context.
    """

    seen: tuple[tuple[int, ...], ...]
    held: tuple[tuple[int, ...], ...]
    domains: Mapping[str, int]
    skipped: int

    @classmethod
    def of(
        cls, traffic: Sequence[TrafficPrompt], tokens: Mapping[int, Sequence[int]]
    ) -> SplitTexts:
        """Part texts by domain: the last of every eight is held out.

        :param tokens: of the prompts that fit, by their place in ``traffic``.
        :raises InvalidArgument: none could be held out.
        """
        seen: list[tuple[int, ...]] = []
        held: list[tuple[int, ...]] = []
        counts: dict[str, int] = {}
        for place, text in tokens.items():
            domain = traffic[place].domain
            counts[domain] = counts.get(domain, 0) + 1
            (seen if counts[domain] % _HELD else held).append(tuple(text))
        if not held:
            raise InvalidArgument(
                f"no domain has {_HELD} prompts that fit the model's context (of all: "
                f"{len(tokens)} of {len(traffic)}): give more, shorter ones, or lower --most-tokens"
            )
        return cls(tuple(seen), tuple(held), counts, len(traffic) - len(tokens))


@torch.inference_mode()
def next_token_loss(model: Any, texts: Sequence[Sequence[int]]) -> float:
    """Return the loss of a model on texts, nats a token, over every token but the first."""
    total, count = 0.0, 0
    for text in texts:
        ids = torch.tensor(text)
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1].float()
        total += float(functional.cross_entropy(logits, ids[1:], reduction="sum"))
        count += len(text) - 1
    return total / max(count, 1)
