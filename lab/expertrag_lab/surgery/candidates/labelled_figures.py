"""How well adapters answer labelled questions (K-shot selection, Yang et al. 2024).

The authors measure exact match, and the perplexity of a written rationale. Rows of retrieved
prompts have answers without one, so it is the probability of the right answer here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from expertrag_lab.metrics import stats
from expertrag_lab.metrics.squad import contains
from expertrag_lab.metrics.types import Estimate
from expertrag_lab.surgery.retrieved_prompts import RetrievedPrompt
from expertrag_lab.surgery.verification.held_answers import HeldAnswer


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """A candidate on each of K labelled rows.

    :param likely: mean log probability of the tokens of the right reply, nats; None where no reply
        is right.
    :param right: whether the greedy answer contains an accepted one; None where there is none.
    """

    likely: tuple[float | None, ...]
    right: tuple[bool | None, ...]

    @classmethod
    def of(cls, prompts: Sequence[RetrievedPrompt], answers: Sequence[HeldAnswer]) -> LabelledRows:
        """Score answers to prompts."""
        likely = (None if item.loss is None else -item.loss / item.tokens for item in answers)
        right = (
            contains(answer.reply.answer, prompt.accepted) if prompt.accepted else None
            for prompt, answer in zip(prompts, answers, strict=True)
        )
        return cls(tuple(likely), tuple(right))

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> LabelledRows:
        """Read what ``asdict`` gave."""
        return cls(tuple(item["likely"]), tuple(item["right"]))

    @property
    def accuracy(self) -> float:
        """Share of the answerable questions that are answered right."""
        return fmean(item for item in self.right if item is not None)

    @property
    def log_probability(self) -> float:
        """Mean of ``likely``, nats a token."""
        return fmean(item for item in self.likely if item is not None)

    @property
    def useful(self) -> float:
        """Mean of the accuracy and of the probability of a right token, in [0, 1]."""
        return (self.accuracy + math.exp(self.log_probability)) / 2

    def gain(self, before: LabelledRows, seed: int) -> Estimate:
        """Return how much likelier right tokens are than before, nats, with its interval."""
        old, new = ([item for item in each.likely if item is not None] for each in (before, self))
        return stats.difference(old, new, seed=seed)
