"""One answer from two prompts, against the formula computed on the plain model."""

from __future__ import annotations

import math

import pytest
import torch

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import FinishReason, Sampling
from expertrag.llm.backends.mixture import MixedSession
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message

_BOOK = [Message("user", "Passage: Paris is in France. Where is Paris?")]
_ALONE = [Message("user", "Where is Paris?")]
_GREEDY = Sampling(max_tokens=12, frequency_penalty=0)


def by_formula(generator: TransformersGenerator, weight: float) -> str:
    """Greedy tokens of the marginal, each step from whole prompts without a cache."""
    network, chat = generator._network, generator._chat
    prompts = [chat.encode(messages) for messages in (_BOOK, _ALONE)]
    posterior = torch.tensor([weight, 1 - weight], dtype=torch.float64)
    drawn: list[int] = []
    for _ in range(_GREEDY.max_tokens):
        said = torch.stack(
            [
                network.forward([*prompt, *drawn], network.new_cache()).logits.double().softmax(-1)
                for prompt in prompts
            ]
        )
        token = int((posterior[:, None] * said).sum(0).argmax())
        if token in network.end_tokens:
            break
        drawn.append(token)
        posterior = posterior * said[:, token]
        posterior = posterior / posterior.sum()
    return chat.decode(drawn)


@pytest.mark.parametrize("weight", [0.05, 0.5, 0.9])
def test_tokens_are_those_of_the_marginal(either: TransformersGenerator, weight: float) -> None:
    session = either.begin_mixed(_BOOK, _ALONE, weight, _GREEDY)
    assert "".join(session.stream()) == by_formula(either, weight)


def test_both_prompts_are_counted(either: TransformersGenerator) -> None:
    session = either.begin_mixed(_BOOK, _ALONE, 0.5, _GREEDY)
    assert session.lm_calls == 0
    list(session.stream())
    assert session.lm_calls == 2
    assert session.prompt_tokens == either.count_tokens(_BOOK) + either.count_tokens(_ALONE)
    assert session.completion_tokens == 12
    assert session.finish_reason is FinishReason.LENGTH
    session.close()
    session.close()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_two_equal_prompts_answer_like_one(
    smollm: TransformersGenerator, temperature: float
) -> None:
    sampling = Sampling(max_tokens=16, temperature=temperature, seed=3)
    mixed = smollm.begin_mixed(_ALONE, _ALONE, 0.5, sampling)
    assert "".join(mixed.stream()) == "".join(smollm.begin(_ALONE, sampling).stream())


def test_a_weight_near_one_ignores_the_other_prompt(smollm: TransformersGenerator) -> None:
    sampling = Sampling(max_tokens=16)
    mixed = smollm.begin_mixed(_BOOK, _ALONE, 1 - 1e-12, sampling)
    assert "".join(mixed.stream()) == "".join(smollm.begin(_BOOK, sampling).stream())


def test_either_prompt_may_be_too_long(either: TransformersGenerator) -> None:
    long = [Message("user", "word " * 3000)]
    for prompts in ((long, _ALONE), (_ALONE, long)):
        with pytest.raises(InvalidArgument, match="exceed the model's context of 2048"):
            either.begin_mixed(*prompts, 0.5, _GREEDY)


def test_the_weights_stay_a_distribution(either: TransformersGenerator) -> None:
    session = either.begin_mixed(_BOOK, _ALONE, 0.3, _GREEDY)
    list(session.stream())
    assert isinstance(session, MixedSession)
    weights = session._log_weights
    assert math.isclose(float(weights.exp().sum()), 1, rel_tol=1e-5)
