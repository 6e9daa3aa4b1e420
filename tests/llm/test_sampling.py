"""Sampling and certainty against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.generation.logits_process import TopPLogitsWarper

from expertrag.llm.certainty import Certainty, average
from expertrag.llm.prompt import Doubt
from expertrag.llm.sampling import Abstention, Sampler, certainty, nucleus

_CPU = torch.device("cpu")


def test_certainty_of_known_probabilities() -> None:
    p = torch.tensor([0.5, 0.25, 0.125, 0.125])
    got = certainty(p.log() + 3.0)  # a constant changes nothing
    assert got.max_probability == pytest.approx(0.5)
    assert got.margin == pytest.approx(0.25)
    assert got.entropy == pytest.approx(1.75 * math.log(2))


def test_certainty_of_a_sure_model_is_finite() -> None:
    got = certainty(torch.tensor([1e4, -1e4, -torch.inf]))
    assert got == Certainty(margin=1.0, entropy=0.0, max_probability=1.0)


def test_average() -> None:
    signals = average([Certainty(0.2, 1.0, 0.6), Certainty(0.4, 3.0, 0.8)])
    assert signals.margin == pytest.approx(0.3)
    assert signals.entropy == pytest.approx(2.0)
    assert signals.max_probability == pytest.approx(0.7)
    assert (signals.tokens, signals.router_entropy) == (2, None)


@pytest.mark.parametrize(
    ("doubt", "others", "token"), [(0.4, (0.3, 0.3), 0), (0.6, (0.2, 0.2), 2), (0.5, (0.5, 0.0), 2)]
)
def test_abstention_needs_a_doubt_of_half(
    doubt: float, others: tuple[float, float], token: int
) -> None:
    """Answers begin with several tokens, none of which needs to be likelier than abstention."""
    logits = torch.tensor([*others, doubt]).log()
    sampler = Sampler(0.0, 0, _CPU, abstention=Abstention((2,)))
    assert sampler.draw(logits) == token
    assert sampler.doubt == pytest.approx(doubt)
    assert (
        sampler.draw(torch.tensor([0.0, 0.1, 0.2])) == 2
    )  # after the first draw, the token is like any other
    assert sampler.doubt == pytest.approx(doubt)
    abstention = Abstention((2,))
    drawn = {Sampler(5.0, seed, _CPU, abstention=abstention).draw(logits) for seed in range(50)}
    assert (2 in drawn) == (token == 2) and (drawn == {2}) == (token == 2)


def test_an_abstention_is_completed() -> None:
    """An untrained model begins it, but might continue in its own words."""
    sampler = Sampler(0.0, 0, _CPU, abstention=Abstention((2, 0, 1)))
    assert [sampler.draw(torch.tensor([0.0, 1.0, 5.0])) for _ in range(2)] == [2, 0]
    assert sampler.find_forced() == [1]
    own = torch.tensor([9.0, 0.0, 0.0])
    assert [sampler.draw(own) for _ in range(2)] == [1, 0]  # then its own words again


def test_doubt_can_be_reported_without_deciding() -> None:
    sampler = Sampler(0.0, 0, _CPU, abstention=Abstention((1,), decides=False))
    assert sampler.draw(torch.tensor([0.75, 0.25]).log()) == 0
    assert sampler.doubt == pytest.approx(0.25)
    sure = Sampler(0.0, 0, _CPU, abstention=Abstention((1, 0), decides=False))
    assert sure.draw(torch.tensor([0.25, 0.75]).log()) == 1
    assert sure.doubt == pytest.approx(0.75)
    assert not sure.find_forced()


def test_doubt_is_calibrated() -> None:
    """Log odds 0 of the first token, slope 2 and intercept -1: e^-1 / (1 + e^-1)."""
    sampler = Sampler(0.0, 0, _CPU, abstention=Abstention((1,), Doubt(2.0, -1.0)))
    assert sampler.draw(torch.tensor([0.0, 0.0])) == 0
    assert sampler.doubt == pytest.approx(0.26894142)


def test_temperature_follows_the_probabilities() -> None:
    sampler = Sampler(2.0, 0, _CPU)
    logits = torch.tensor([0.75, 0.25]).log() * 2  # at temperature 2: 0.75 and 0.25
    draws = [sampler.draw(logits) for _ in range(4000)]
    assert sum(draws) / 4000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("temperature", [5e-324, 1e-46, 1e-6, 1e6])
def test_extreme_temperatures_still_draw(temperature: float) -> None:
    logits = torch.tensor([10.0, 9.0, -torch.inf])
    assert Sampler(temperature, -1, _CPU).draw(logits) in (0, 1)


@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.55, 0.7, 0.95, 0.999])
def test_nucleus_keeps_what_transformers_keeps(top_p: float) -> None:
    logits = torch.randn(200, generator=torch.Generator().manual_seed(3)) * 2
    expected = TopPLogitsWarper(top_p)(torch.zeros(1, 1, dtype=torch.long), logits[None])[0]
    kept = nucleus(logits.softmax(-1), top_p)
    assert torch.equal(kept > 0, expected > -torch.inf)
    assert torch.equal(kept[kept > 0], logits.softmax(-1)[kept > 0])


def test_nucleus_of_equal_and_certain_probabilities() -> None:
    assert nucleus(torch.full((4,), 0.25), 0.5).tolist() == [0.25, 0.25, 0.0, 0.0]
    assert nucleus(torch.tensor([0.0, 1.0, 0.0]), 0.0).tolist() == [0.0, 1.0, 0.0]


def test_top_p_limits_the_draws() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    sampler = Sampler(1.0, 0, _CPU, top_p=0.7)
    draws = [sampler.draw(logits) for _ in range(2000)]
    assert set(draws) == {0, 1}
    assert draws.count(0) / 2000 == pytest.approx(0.5 / 0.8, abs=0.04)
    assert {Sampler(1.0, seed, _CPU, top_p=0.0).draw(logits) for seed in range(20)} == {0}


@pytest.mark.parametrize("temperature", [0.0, 1e-6])
def test_each_draw_lowers_its_token(temperature: float) -> None:
    logits = torch.tensor([3.0, 2.5, 1.0, -torch.inf])
    sampler = Sampler(temperature, 0, _CPU, frequency_penalty=0.4)
    # 3.0, 2.6, 2.2 < 2.5, 2.2 > 2.1, 1.8 < 2.1
    assert [sampler.draw(logits) for _ in range(5)] == [0, 0, 1, 0, 1]
    assert logits.tolist() == [3.0, 2.5, 1.0, -math.inf]


def test_small_penalties_count_in_bfloat16() -> None:
    logits = torch.tensor([20.0, 19.875], dtype=torch.bfloat16)  # neighbours in that type
    sampler = Sampler(0.0, 0, _CPU, frequency_penalty=0.05)
    assert [sampler.draw(logits) for _ in range(4)] == [0, 0, 0, 1]
