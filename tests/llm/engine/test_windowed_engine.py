"""Models whose layers attend to a sliding window: their pages before it are used again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from model_families import model_of
from model_fixtures import lowered

from expertrag.api.errors import InvalidArgument
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.sequences import SampledToken, SequenceState
from expertrag.llm.sampling import Sampler
from expertrag_kernels import Format
from expertrag_kernels.torch_decoder import TorchDecoder

_CPU = torch.device("cpu")
_WINDOW = 100
_LONG = 900  # tokens of a sequence
_IN_TORCH = {"make": partial(TorchDecoder, device=_CPU, dtype=torch.float32)}


@pytest.fixture(scope="module")
def model() -> Any:
    return model_of("mistral", sliding_window=_WINDOW, max_position_embeddings=2048)


@contextmanager
def _engine(model: Any, pages: int, lowering: Any = None, **options: Any) -> Iterator[Engine]:
    given = {"context_tokens": 2048, **(lowering or {})}
    shape = lowered(model, Format.F32, **given).decoder.shape
    decoder = lowered(model, Format.F32, cache_bytes=pages * shape.page_bytes(), **given).decoder
    assert decoder.pages == pages
    running = Engine(decoder, **options)
    try:
        yield running
        assert running.check_integrity() == ()
    finally:
        running.stop()


def _prompt(seed: int, tokens: int) -> list[int]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(3, 301, (tokens,), generator=draw).tolist()


def _sequence(prompt: list[int], tokens: int) -> SequenceState:
    return SequenceState(list(prompt), Sampler(0.0, 0, _CPU), token_budget=tokens)


def _finished(running: Engine, sequence: SequenceState, tokens: int) -> list[int]:
    drawn = []
    for _ in range(tokens):
        found = running.next_output(sequence, lambda: None)
        assert isinstance(found, SampledToken)
        drawn.append(found.token)
    return drawn


def _alone(running: Engine, prompt: list[int], tokens: int) -> list[int]:
    sequence = _sequence(prompt, tokens)
    running.submit(sequence)
    drawn = _finished(running, sequence, tokens)
    running.close(sequence)
    return drawn


def _greedy(model: Any, prompt: list[int], drawn: list[int]) -> list[int]:
    """The tokens that transformers finds most probable after the prompt and each drawn token."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + drawn])).logits[0]
    best: list[int] = logits[len(prompt) - 1 : -1].argmax(1).tolist()
    return best


@pytest.mark.parametrize("lowering", [{}, _IN_TORCH], ids=["cpu", "gpu"])
def test_pages_before_the_windows_are_released(model: Any, lowering: Any) -> None:
    prompt = _prompt(1, 333)
    with _engine(model, 40, lowering, prefix_caching=False) as running:
        sequence = _sequence(prompt, _LONG - 333)
        running.submit(sequence)
        held = []
        drawn: list[int] = []
        for _ in range(27):
            drawn += _finished(running, sequence, 21)
            held.append(40 - running._scheduler.pages.available)
        # of the window, of the row's own page, and of draft tokens that the engine is ahead
        assert max(held) <= _WINDOW // 64 + 3
        assert sequence.released >= (_LONG - _WINDOW) // 64 - 1
        running.close(sequence)
    assert drawn == _greedy(model, prompt, drawn)


@pytest.mark.parametrize("caching", [False, True])
def test_a_sequence_may_be_longer_than_the_cache(model: Any, caching: bool) -> None:
    prompt = _prompt(2, 700)
    with _engine(model, 40) as roomy:
        assert roomy.most_tokens == 2048
        wanted = _alone(roomy, prompt, 200)
    assert wanted == _greedy(model, prompt, wanted)
    with _engine(model, 7, prefix_caching=caching) as tight:  # 448 tokens
        assert tight.most_tokens == 2048
        for _ in range(2):
            assert _alone(tight, prompt, 200) == wanted
    with _engine(model, 6) as small:  # not enough for a step's rows and their window
        assert small.most_tokens == 384
        with pytest.raises(InvalidArgument, match="900 tokens do not fit into the cache of 384"):
            small.submit(_sequence(prompt, 200))


def test_prefixes_are_found_as_long_as_their_pages_are_not_used_again(model: Any) -> None:
    prompt, other = _prompt(3, 400), _prompt(4, 700)
    with _engine(model, 40, prefix_caching=False) as plain:
        wanted = _alone(plain, prompt, 60), _alone(plain, other, 60)
    with _engine(model, 30) as running:
        assert _alone(running, prompt, 60) == wanted[0]
        assert running.counters.cached_tokens == 0
        assert _alone(running, prompt, 60) == wanted[0]
        assert running.counters.cached_tokens >= 384  # those before the window, too
        again = _sequence(prompt, 60)
        running.submit(again)
        assert _finished(running, again, 60) == wanted[0]
        assert again.released >= 4
        running.close(again)
    with _engine(model, 8) as tight:
        for _ in range(3):  # each takes pages that the other has released
            assert _alone(tight, prompt, 60) == wanted[0]
            assert _alone(tight, other, 60) == wanted[1]


def test_sequences_that_share_a_small_cache_are_recomputed(model: Any) -> None:
    prompts = [_prompt(seed, 250 + 40 * seed) for seed in range(5)]
    with _engine(model, 60, speculate=False) as roomy:
        wanted = [_alone(roomy, prompt, 40) for prompt in prompts]
    with _engine(model, 9, speculate=False) as tight:
        sequences = [_sequence(prompt, 40) for prompt in prompts]
        for sequence in sequences:
            tight.submit(sequence)
        found = []
        for sequence in sequences:
            found.append(_finished(tight, sequence, 40))
            tight.close(sequence)
        assert found == wanted
        assert tight.counters.preemptions > 0


def test_a_layer_that_attends_to_all_tokens_keeps_the_pages() -> None:
    alternating = model_of(
        "gpt_oss", num_local_experts=4, sliding_window=_WINDOW, max_position_embeddings=2048
    )
    prompt = _prompt(5, 300)
    with _engine(alternating, 10) as running:
        assert running.most_tokens == 640
        sequence = _sequence(prompt, 100)
        running.submit(sequence)
        drawn = _finished(running, sequence, 100)
        assert sequence.released == 0
        running.close(sequence)
    assert drawn == _greedy(alternating, prompt, drawn)
