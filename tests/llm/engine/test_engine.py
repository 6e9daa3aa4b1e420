"""The engine on a real tiny mixture: who shares a step, a page or a guess changes no token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from expertrag.api.errors import Cancelled, InvalidArgument, ServerError
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag.llm.engine.texts import Drawn, Looked, Text
from expertrag.llm.sampling import Sampler
from expertrag_kernels import Format
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.torch_decoder import TorchDecoder

_CPU = torch.device("cpu")
_PAGE = 64

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> Any:
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(tiny_folder("mixtral"), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def engine(model: Any) -> Make:
    """Makes engines; a context ends each of them."""

    @contextmanager
    def make(pages: int = 64, **options: Any) -> Iterator[Engine]:
        whole = lower(model, Format.F32, cache_bytes=1 << 30, context_tokens=2048).decoder
        decoder = lower(
            model,
            Format.F32,
            cache_bytes=pages * whole.shape.page_bytes(),
            context_tokens=2048,
        ).decoder
        made = Engine(decoder, **options)
        try:
            yield made
        finally:
            made.stop()

    return make


def _prompt(seed: int, tokens: int) -> list[int]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(3, 40000, (tokens,), generator=draw).tolist()


def _text(prompt: list[int], tokens: int = 12, seed: int = 0, temperature: float = 0.8) -> Text:
    sampler = Sampler(temperature, seed, _CPU, frequency_penalty=0.1)
    return Text(list(prompt), sampler, allowed=tokens)


def _finish(engine: Engine, text: Text, tokens: int = 12) -> list[int]:
    drawn = []
    for _ in range(tokens):
        found = engine.result(text, lambda: None)
        assert isinstance(found, Drawn)
        drawn.append(found.token)
    return drawn


def _alone(engine: Engine, prompt: list[int], seed: int = 0, temperature: float = 0.8) -> list[int]:
    text = _text(prompt, seed=seed, temperature=temperature)
    engine.submit(text)
    drawn = _finish(engine, text)
    engine.close(text)
    return drawn


def test_greedy_tokens_are_those_of_transformers(engine: Make, model: Any) -> None:
    for seed, length in ((1, 5), (2, 130), (3, 300)):
        prompt = _prompt(seed, length)
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=12,
                min_new_tokens=12,
                do_sample=False,
            )
        text = Text(list(prompt), Sampler(0.0, 0, _CPU), allowed=12)
        with engine() as running:
            running.submit(text)
            drawn = _finish(running, text)
        # min_new_tokens forbids the end, which our text without an end may draw
        if 2 not in drawn:
            assert drawn == out[0, length:].tolist()


def test_a_decoder_for_gpus_runs_the_same_texts(engine: Make, model: Any) -> None:
    prompts = [_prompt(seed, 20 + 31 * seed) for seed in range(5)]
    with engine() as running:
        wanted = [_alone(running, p, temperature=0.0) for p in prompts]
    make = partial(TorchDecoder, device=_CPU, dtype=torch.float32)
    options: dict[str, Any] = {"cache_bytes": 1 << 26, "context_tokens": 2048, "make": make}
    running = Engine(lower(model, Format.F32, **options).decoder)
    try:
        texts = [_text(p, temperature=0.0) for p in prompts]
        for text in texts:
            running.submit(text)
        assert [_finish(running, text) for text in texts] == wanted
        assert _alone(running, prompts[4], temperature=0.0) == wanted[4]
        assert running.counters.reused_tokens > 64
    finally:
        running.stop()


def test_texts_of_other_experts_share_no_beginning(engine: Make) -> None:
    prompt = _prompt(1, 150)

    def written(running: Engine, expert: int) -> list[int]:
        text = _text(prompt, temperature=0.0)
        text.expert = expert
        running.submit(text)
        drawn = _finish(running, text)
        running.close(text)
        return drawn

    alone = []
    for expert in (-1, 0, 1):
        with engine() as running:
            alone.append(written(running, expert))
    with engine() as running:
        assert [written(running, expert) for expert in (-1, 0, 1)] == alone
        assert running.counters.reused_tokens == 0
        assert written(running, 1) == alone[2]
        assert running.counters.reused_tokens > 64
    assert alone[1] != alone[2]


def test_many_texts_share_steps(engine: Make) -> None:
    prompts = [_prompt(seed, 20 + 31 * seed) for seed in range(8)]
    with engine(guesses=False, reuse=False) as running:
        alone = [_alone(running, p, seed) for seed, p in enumerate(prompts)]
        before = running.counters.steps
        texts = [_text(p, seed=seed) for seed, p in enumerate(prompts)]
        for text in texts:
            running.submit(text)
        assert [_finish(running, text) for text in texts] == alone
        assert running.counters.steps - before < 8 * 12 / 2


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_wrong_guesses_change_nothing(
    temperature: float, engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = _prompt(1, 60)
    with engine(guesses=False) as plain:
        wanted = _alone(plain, prompt, temperature=temperature)
    monkeypatch.setattr(
        "expertrag.llm.engine.lookup.Lookup.guess",
        lambda _self, tokens, most: [*wanted[len(tokens) - 60 :][:1], 5, 6][:most],
    )
    with engine() as guessing:
        assert _alone(guessing, prompt, temperature=temperature) == wanted
        counters = guessing.counters
        assert 0 < counters.right_tokens < counters.guessed_tokens


def test_right_guesses_save_steps(engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(guesses=False) as plain:
        wanted = _alone(plain, prompt := _prompt(4, 30))
    right = [*prompt, *wanted]
    monkeypatch.setattr(
        "expertrag.llm.engine.lookup.Lookup.guess",
        lambda _self, tokens, most: right[len(tokens) : len(tokens) + most],
    )
    with engine() as guessing:
        assert _alone(guessing, prompt) == wanted
        guessing.stop()  # the last step counts after it has told
        assert guessing.counters.right_tokens >= 8
        assert guessing.counters.steps < 12


def test_beginnings_are_computed_once(engine: Make) -> None:
    beginning = _prompt(5, 3 * _PAGE + 20)
    prompts = [beginning + _prompt(seed, 30) for seed in (6, 7, 8)]
    with engine(reuse=False) as plain:
        wanted = [_alone(plain, p) for p in prompts]
        assert plain.counters.reused_tokens == 0
    with engine() as reusing:
        assert [_alone(reusing, p) for p in prompts] == wanted
        # whole pages, and from the third on what is alike in a page that was filled
        assert reusing.counters.reused_tokens >= 2 * 3 * _PAGE
        assert _alone(reusing, prompts[0]) == wanted[0]


def test_a_small_cache_makes_texts_wait_and_start_again(engine: Make) -> None:
    prompts = [_prompt(seed, 2 * _PAGE - 6) for seed in range(4)]
    with engine(guesses=False) as roomy:
        wanted = [_alone(roomy, p, seed) for seed, p in enumerate(prompts)]
    with engine(pages=5, guesses=False) as tight:  # each needs 2 pages, and then a third
        texts = [_text(p, seed=seed) for seed, p in enumerate(prompts)]
        for text in texts:
            tight.submit(text)
        found = []
        for text in texts:
            found.append(_finish(tight, text))
            tight.close(text)
        assert found == wanted
        assert tight.counters.preempted > 0


def test_what_can_never_fit_is_refused(engine: Make) -> None:
    with engine(pages=2) as running:
        with pytest.raises(InvalidArgument, match="140 tokens do not fit into the cache of 128"):
            running.submit(_text(_prompt(0, 128)))
        assert len(_alone(running, _prompt(0, 100))) == 12


def test_a_paused_text_gives_its_pages_to_others(engine: Make) -> None:
    prompt, other = _prompt(1, 100), _prompt(2, 150)
    with engine(guesses=False) as roomy:
        wanted = _alone(roomy, prompt), _alone(roomy, other)
    with engine(pages=3) as tight:
        paused = _text(prompt, tokens=3)
        tight.submit(paused)
        first = _finish(tight, paused, 3)
        assert _alone(tight, other) == wanted[1]
        tight.allow(paused, 12, sure=False)
        assert first + _finish(tight, paused, 9) == wanted[0]


def test_a_closed_text_frees_its_pages(engine: Make) -> None:
    with engine(pages=40, reuse=False) as running:
        for _ in range(5):
            text = Text(_prompt(1, 600), Sampler(0.0, 0, _CPU), allowed=1500)
            running.submit(text)
            _finish(running, text, 2)
            running.close(text)
        deadline = time.monotonic() + 5
        while running._pages.available < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running._pages.available == 40


def test_waiting_ends_when_the_caller_says_so(engine: Make) -> None:
    def stop() -> None:
        raise Cancelled("gone")

    with engine() as running, pytest.raises(Cancelled):
        running.result(Text([]), stop)


def test_a_failed_step_is_told_and_others_go_on(
    engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine() as running:
        whole = Decoder.run

        def fail(self: Decoder, tokens: torch.Tensor, *rest: Any, **options: Any) -> Any:
            if 77 in tokens.tolist():
                raise RuntimeError("planted")
            return whole(self, tokens, *rest, **options)

        monkeypatch.setattr(Decoder, "run", fail)
        text = _text([5, 77, 6])
        running.submit(text)
        with pytest.raises(ServerError, match="planted"):
            running.result(text, lambda: None)
        assert len(_alone(running, [5, 6])) == 12


def test_asked_rows_and_the_end_of_a_text(engine: Make) -> None:
    prompt = _prompt(9, 90)
    with engine() as running:
        text = running_text = Text([])
        running.submit(text)
        running.ask(text, prompt, 3, watched=True)
        looked = running.result(text, lambda: None)
        assert isinstance(looked, Looked)
        assert looked.logits.shape == (3, 49152) and all(len(k) == 3 for k in looked.kept)
        running.ask(text, [11], 1, watched=False)
        after = running.result(running_text, lambda: None)
        assert isinstance(after, Looked) and after.logits.shape == (1, 49152)
        token = int(looked.logits[-1].argmax())
        ending = Text(list(prompt), Sampler(0.0, 0, _CPU), frozenset([token]), allowed=5)
        running.submit(ending)
        assert _finish(running, ending, 1) == [token]
        assert not ending.runs and len(ending.tokens) == 90


def test_stopping_tells_those_who_wait(engine: Make) -> None:
    with engine() as running:
        text = Text(_prompt(1, 500), Sampler(0.0, 0, _CPU), allowed=1000)
        running.submit(text)
        _finish(running, text, 1)
        threading.Timer(0.05, running.stop).start()
        with pytest.raises(ServerError, match="unloaded"):
            while True:
                running.result(text, lambda: None)


def test_memory_goes_back_and_changes_no_token(engine: Make, model: Any) -> None:
    whole = lower(model, Format.F32, cache_bytes=1 << 30, context_tokens=2048).decoder
    kept = 6 * whole.shape.page_bytes()
    prompts = [[*_prompt(0, 70), *_prompt(seed, 60 * seed)] for seed in range(1, 9)]
    with engine(pages=60) as running, engine(pages=60, kept_bytes=kept) as frugal:
        wanted = [_alone(running, prompt) for prompt in prompts]
        assert [_alone(frugal, prompt) for prompt in prompts] == wanted
        assert frugal.counters.reused_tokens  # the beginning that all have
        texts = [_text(prompt) for prompt in prompts]
        for text in texts:
            frugal.submit(text)
        assert [_finish(frugal, text) for text in texts] == wanted
        assert frugal._pages.with_memory > 6
        for text in texts:
            frugal.close(text)
        assert _alone(frugal, prompts[0]) == wanted[0]
        assert frugal._pages.with_memory <= 6
