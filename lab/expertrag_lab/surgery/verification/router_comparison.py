"""The agreement of two models' routers on right replies to held-out prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.low_rank_file import SURGERY_KEY
from expertrag_index.types import Progress
from expertrag_lab.surgery.mixture import Mixture, load_mixture
from expertrag_lab.surgery.retrieved_prompts import PromptForm, RetrievedPrompt
from expertrag_lab.surgery.verification.router_agreement import Choices, agreement, choices

MOST_PROMPTS = 64
"""Prompts whose routing is compared: each has hundreds of tokens."""


@dataclass(frozen=True, slots=True)
class RouterAgreement:
    """Share of a token's experts after that it had before as well.

    :param mean: over the layers with routed experts, each of which is in ``layers``.
    """

    mean: float
    layers: tuple[float, ...]
    prompts: int


def router_agreement(
    before: str,
    after: str,
    prompts: Sequence[RetrievedPrompt],
    form: PromptForm,
    report: Progress,
) -> tuple[RouterAgreement | None, str]:
    """Compare the routers of two checkpoints, which are in memory one after the other.

    :returns: None and the reason if they cannot be compared.
    """
    some = prompts[:MOST_PROMPTS]
    sides: list[tuple[Choices, Any, int]] = []
    for name in (before, after):
        try:
            mixture = load_mixture(name)
        except InvalidArgument as reason:
            why, _, _ = reason.message.partition(": ")  # what follows is to change the model
            return None, f"routers are not compared: {why}"
        texts = _texts(mixture, some, form)
        sides.append((choices(mixture, texts, report), mixture.model.config, mixture.num_experts))
    (old, first, count), (new, second, left) = sides
    layers = {len(side[0]) for side in (old, new)}
    members = None if len(layers) > 1 else members_of(first, second, layers.pop(), count)
    if members is None or any(len(belongs) != left for belongs in members):
        return None, (
            f"routers are not compared: {after} does not record which experts of {before} it has"
        )
    shares = tuple(agreement(old, new, members).tolist())
    return RouterAgreement(sum(shares) / len(shares), shares, len(some)), ""


def members_of(before: Any, after: Any, layers: int, experts: int) -> list[torch.Tensor] | None:
    """Return for each layer (E after, E before) which experts an expert is or was merged from.

    :param before: configuration, whose recorded steps are the first ones of ``after``.
    :returns: None if they are not: the models are not of one line.
    """
    earlier, steps = ([*(getattr(config, SURGERY_KEY, None) or ())] for config in (before, after))
    if steps[: len(earlier)] != earlier:
        return None
    members = [torch.eye(experts)] * layers
    for step in steps[len(earlier) :]:
        if len(step["experts"]) != layers:
            return None
        members = [
            _of_step(step, place, own.shape[0]) @ own for place, own in enumerate(members)
        ]  # [E after, E before]
    return [own > 0 for own in members]


def _of_step(step: Mapping[str, Any], layer: int, experts: int) -> torch.Tensor:
    groups = [[own] if isinstance(own, int) else own for own in step["experts"][layer]]
    made = torch.zeros(len(groups), experts)
    for place, group in enumerate(groups):
        made[place, list(group)] = 1.0
    return made


def _texts(
    mixture: Mixture, prompts: Sequence[RetrievedPrompt], form: PromptForm
) -> list[list[int]]:
    chat = ChatTokenizer(mixture.tokenizer)
    return [
        [*chat.encode(form.messages(item)), *chat.encode_text(form.right(item) or "")]
        for item in prompts
    ]
