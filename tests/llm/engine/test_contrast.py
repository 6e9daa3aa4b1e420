"""Contrastive decoding on the engine: two sides of one model, token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from model_fixtures import WORDS, TinyFolder, lowered
from transformers import AutoModelForCausalLM

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.errors import InvalidArgument
from expertrag.llm.contrast import apply_contrast
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.sequences import (
    PrefillOutput,
    SampledToken,
    SequenceState,
    WeakSequence,
)
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_kernels import Format, Routing

_CPU = torch.device("cpu")
_CONTRAST = Contrast(WeakSide.ROUTING, beta=1.5, plausibility=0.01)
_TOKENS = 80
_WEAK = Routing(top_k=1)

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tiny_folder: TinyFolder) -> Any:
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(tiny_folder("mixtral"), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def engine(model: Any) -> Make:
    """Makes engines as contexts, which stop them at the end."""
    page_bytes = lowered(model, Format.F32, context_tokens=2048).decoder.shape.page_bytes()

    @contextmanager
    def make(pages: int = 64, **options: Any) -> Iterator[Engine]:
        given = {"cache_bytes": pages * page_bytes, "context_tokens": 2048}
        made = Engine(lowered(model, Format.F32, **given).decoder, **options)
        try:
            yield made
            assert made._stopped or made.check_integrity() == ()
        finally:
            made.stop()

    return make


def _prompt(seed: int, tokens: int) -> list[int]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(3, WORDS, (tokens,), generator=draw).tolist()


def _sequence(prompt: list[int], weak: WeakSequence | None) -> SequenceState:
    sampler = Sampler(0.8, 0, _CPU, frequency_penalty=0.1, contrast=_CONTRAST)
    return SequenceState(list(prompt), sampler, token_budget=_TOKENS, weak=weak)


def _sharing(prompt: list[int], shared: int | None = None, weak: Routing = _WEAK) -> SequenceState:
    """A sequence whose weak side reads the keys of its prompt."""
    shared_tokens = len(prompt) - 1 if shared is None else shared
    return _sequence(
        prompt,
        WeakSequence(
            list(prompt), policy=SequencePolicy(routing=weak), shared_tokens=shared_tokens
        ),
    )


def _finish(engine: Engine, sequence: SequenceState) -> list[int]:
    drawn = []
    for _ in range(_TOKENS):
        found = engine.next_output(sequence, lambda: None)
        assert isinstance(found, SampledToken)
        drawn.append(found.token)
    engine.close(sequence)
    return drawn


def _drawn(engine: Engine, sequence: SequenceState) -> list[int]:
    engine.submit(sequence)
    return _finish(engine, sequence)


def _next_logits(engine: Engine, tokens: list[int], routing: Routing = _WEAK) -> torch.Tensor:
    """Logits after a sequence that is computed anew."""
    sequence = SequenceState(list(tokens), logit_rows=1, policy=SequencePolicy(routing=routing))
    engine.submit(sequence)
    found = engine.next_output(sequence, lambda: None)
    engine.close(sequence)
    assert isinstance(found, PrefillOutput)
    return found.logits[0]


def test_implausible_tokens_are_left_out_and_the_others_compared() -> None:
    strong = torch.tensor([2.0, 1.9, 1.0, -5.0, -torch.inf])
    weak = torch.tensor([2.0, 0.0, 4.0, -9.0, 1.0])
    found = apply_contrast(strong, weak, Contrast(WeakSide.ROUTING, beta=0.5, plausibility=0.3))
    assert found.tolist() == pytest.approx([2.0, 1.9 + 0.95, 1.0 - 1.5, -torch.inf, -torch.inf])


def test_tokens_are_those_of_two_models(engine: Make) -> None:
    """With prompts of their own, the sides are two models, which are asked one by one here."""
    prompt, other = _prompt(1, 70), _prompt(2, 130)
    with engine(speculate=False) as running:
        found = _drawn(
            running,
            _sequence(prompt, WeakSequence(list(other), policy=SequencePolicy(routing=_WEAK))),
        )
        sampler = Sampler(0.8, 0, _CPU, frequency_penalty=0.1, contrast=_CONTRAST)
        drawn: list[int] = []
        for _ in range(12):
            strong = _next_logits(running, [*prompt, *drawn], Routing())
            drawn.append(sampler.draw(strong, _next_logits(running, [*other, *drawn])))
    assert found[:12] == drawn


def test_a_side_like_the_strong_one_changes_nothing(engine: Make) -> None:
    prompt = _prompt(3, 100)
    with engine() as running:
        plain = SequenceState(list(prompt), Sampler(0.0, 0, _CPU), token_budget=_TOKENS)
        wanted = _drawn(running, plain)
        same = _sharing(prompt, weak=Routing())
        same.sampler = Sampler(0.0, 0, _CPU, contrast=_CONTRAST)
        assert _drawn(running, same) == wanted
        weaker = _sharing(prompt)
        weaker.sampler = Sampler(0.0, 0, _CPU, contrast=_CONTRAST)
        assert _drawn(running, weaker) != wanted


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 129, 300])
def test_a_shared_prompt_is_computed_once(engine: Make, length: int) -> None:
    """The strong side's keys are read up to the last token, and the rest is the weak side's own."""
    prompt = _prompt(4, length)
    with engine() as running:
        before = running.counters.prefill_tokens
        found = _drawn(running, _sharing(prompt))
        assert running.counters.prefill_tokens - before <= length + 1
        assert _drawn(running, _sharing(prompt)) == found
    with engine(prefix_caching=False, speculate=False) as running:
        assert _drawn(running, _sharing(prompt)) == found


def test_other_sequences_and_a_small_cache_change_no_token(engine: Make) -> None:
    prompts = [_prompt(seed, 40 + 37 * seed) for seed in range(5)]
    with engine() as running:
        wanted = [_drawn(running, _sharing(prompt)) for prompt in prompts]
        own = [_drawn(running, _sequence(p, WeakSequence(_prompt(9, 50)))) for p in prompts]
    with engine(pages=9) as running:
        together = [_sharing(prompt) for prompt in prompts]
        beside = [_sequence(p, WeakSequence(_prompt(9, 50))) for p in prompts]
        for sequence in (*together, *beside):
            running.submit(sequence)
        assert [_finish(running, sequence) for sequence in together] == wanted
        assert [_finish(running, sequence) for sequence in beside] == own
        assert running.counters.preemptions
    with engine(pages=9) as running:  # nothing is held once all have ended
        for prompt in prompts * 4:
            _drawn(running, _sharing(prompt))


def test_draft_tokens_are_accepted_by_both_sides(engine: Make) -> None:
    prompt = _prompt(5, 20) * 5
    greedy = Contrast(WeakSide.ROUTING, beta=0.3, plausibility=0.1)

    def sequence() -> SequenceState:
        made = _sharing(prompt)
        made.sampler = Sampler(0.0, 0, _CPU, contrast=greedy)
        return made

    with engine(speculate=False) as running:
        wanted = _drawn(running, sequence())
        steps = running.counters.steps
    with engine() as running:
        assert _drawn(running, sequence()) == wanted
        assert running.counters.accepted_tokens
        assert running.counters.steps < steps


def test_keys_of_a_weak_side_are_not_found_by_others(engine: Make) -> None:
    prompt = _prompt(6, 100)
    with engine() as running:
        drawn = _drawn(running, _sharing(prompt))
        continued = [*prompt, *drawn]
        strong = _next_logits(running, continued, Routing())
        weak = _next_logits(running, continued)
    with engine() as running:
        assert torch.equal(_next_logits(running, continued, Routing()), strong)
        assert torch.equal(_next_logits(running, continued), weak)


def test_the_states_of_the_prompt_come_with_a_weak_side(engine: Make) -> None:
    prompt = _prompt(7, 90)
    with engine() as running:
        found = _sharing(prompt, shared=len(prompt) - 8)
        found.state_rows = 8
        running.submit(found)
        states = running.next_output(found, lambda: None)
        assert isinstance(states, PrefillOutput)
        assert all(len(kept) == 8 for kept in states.states)
        _finish(running, found)


def test_both_sides_have_to_fit_the_cache(engine: Make) -> None:
    with engine(pages=5) as running:
        _drawn(running, _sharing(_prompt(8, 100)))
        with pytest.raises(InvalidArgument, match="do not fit into the cache of 320"):
            running.submit(_sequence(_prompt(8, 100), WeakSequence(_prompt(9, 90))))
