"""The engine on a real tiny mixture: sharing steps, pages and draft tokens changes no token."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from model_fixtures import WORDS, TinyFolder, lowered
from transformers import AutoModelForCausalLM

from expertrag.api.errors import Cancelled, InvalidArgument, ServerError
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.sequences import PrefillOutput, SampledToken, SequenceState
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_kernels import Format
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.torch_decoder import TorchDecoder

_CPU = torch.device("cpu")
_PAGE = 64

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tiny_folder: TinyFolder) -> Any:
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(tiny_folder("mixtral"), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def page_bytes(model: Any) -> int:
    return int(lowered(model, Format.F32, context_tokens=2048).decoder.shape.page_bytes())


@pytest.fixture(scope="module")
def engine(model: Any, page_bytes: int) -> Make:
    """Makes engines as contexts, which stop them at the end."""

    @contextmanager
    def make(pages: int = 64, lowering: Any = None, **options: Any) -> Iterator[Engine]:
        given = {"cache_bytes": pages * page_bytes, "context_tokens": 2048, **(lowering or {})}
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


def _sequence(
    prompt: list[int], tokens: int = 12, seed: int = 0, temperature: float = 0.8
) -> SequenceState:
    sampler = Sampler(temperature, seed, _CPU, frequency_penalty=0.1)
    return SequenceState(list(prompt), sampler, token_budget=tokens)


def _finish(engine: Engine, sequence: SequenceState, tokens: int = 12) -> list[int]:
    drawn = []
    for _ in range(tokens):
        found = engine.next_output(sequence, lambda: None)
        assert isinstance(found, SampledToken)
        drawn.append(found.token)
    return drawn


def _together(engine: Engine, sequences: list[SequenceState]) -> list[list[int]]:
    for sequence in sequences:
        engine.submit(sequence)
    return [_finish(engine, sequence) for sequence in sequences]


def _alone(engine: Engine, prompt: list[int], seed: int = 0, temperature: float = 0.8) -> list[int]:
    sequence = _sequence(prompt, seed=seed, temperature=temperature)
    engine.submit(sequence)
    drawn = _finish(engine, sequence)
    engine.close(sequence)
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
        sequence = SequenceState(list(prompt), Sampler(0.0, 0, _CPU), token_budget=12)
        with engine() as running:
            running.submit(sequence)
            drawn = _finish(running, sequence)
        assert 2 not in drawn, "min_new_tokens forbids the end token there: choose another seed"
        assert drawn == out[0, length:].tolist()


def test_the_torch_decoder_generates_the_same_tokens(engine: Make) -> None:
    prompts = [_prompt(seed, 20 + 31 * seed) for seed in range(5)]
    with engine() as running:
        wanted = [_alone(running, p, temperature=0.0) for p in prompts]
    make = partial(TorchDecoder, device=_CPU, dtype=torch.float32)
    with engine(lowering={"make": make}) as running:
        assert _together(running, [_sequence(p, temperature=0.0) for p in prompts]) == wanted
        assert _alone(running, prompts[4], temperature=0.0) == wanted[4]
        assert running.counters.cached_tokens > 64


def test_sequences_of_different_experts_share_no_prefix(engine: Make) -> None:
    prompt = _prompt(1, 150)

    def written(running: Engine, expert: int) -> list[int]:
        sequence = _sequence(prompt, temperature=0.0)
        sequence.policy = SequencePolicy(expert)
        running.submit(sequence)
        drawn = _finish(running, sequence)
        running.close(sequence)
        return drawn

    alone = []
    for expert in (-1, 0, 1):
        with engine() as running:
            alone.append(written(running, expert))
    with engine() as running:
        assert [written(running, expert) for expert in (-1, 0, 1)] == alone
        assert running.counters.cached_tokens == 0
        assert written(running, 1) == alone[2]
        cached = running.counters.cached_tokens
        assert cached > 64
        running.reset_prefix_cache()
        assert written(running, 1) == alone[2]
        assert running.counters.cached_tokens == cached
    assert alone[1] != alone[2]


def test_sequences_of_callers_with_another_salt_share_no_prefix(engine: Make) -> None:
    prompt = _prompt(1, 150)
    with engine() as running:
        for salt, cached in (("acme", 0), ("globex", 0), ("", 0), ("acme", 128), ("", 128)):
            sequence = _sequence(prompt, temperature=0.0)
            sequence.policy = SequencePolicy(salt=salt)
            running.submit(sequence)
            _finish(running, sequence)
            running.close(sequence)
            assert sequence.cached // 128 * 128 == cached, salt


def test_many_sequences_share_steps(engine: Make) -> None:
    prompts = [_prompt(seed, 20 + 31 * seed) for seed in range(8)]
    with engine(speculate=False, prefix_caching=False) as running:
        alone = [_alone(running, p, seed) for seed, p in enumerate(prompts)]
        before = running.counters.steps
        sequences = [_sequence(p, seed=seed) for seed, p in enumerate(prompts)]
        assert _together(running, sequences) == alone
        assert running.counters.steps - before < 8 * 12 / 2


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_rejected_draft_tokens_change_nothing(
    temperature: float, engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = _prompt(1, 60)
    with engine(speculate=False) as plain:
        wanted = _alone(plain, prompt, temperature=temperature)
    monkeypatch.setattr(
        "expertrag.llm.engine.drafts.PromptLookup.propose",
        lambda _self, tokens, most: [*wanted[len(tokens) - 60 :][:1], 5, 6][:most],
    )
    with engine() as guessing:
        assert _alone(guessing, prompt, temperature=temperature) == wanted
        counters = guessing.counters
        assert 0 < counters.accepted_tokens < counters.draft_tokens


def test_accepted_draft_tokens_save_steps(engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(speculate=False) as plain:
        wanted = _alone(plain, prompt := _prompt(4, 30))
    right = [*prompt, *wanted]
    monkeypatch.setattr(
        "expertrag.llm.engine.drafts.PromptLookup.propose",
        lambda _self, tokens, most: right[len(tokens) : len(tokens) + most],
    )
    with engine() as guessing:
        assert _alone(guessing, prompt) == wanted
        guessing.stop()  # the last step is counted after its output
        assert guessing.counters.accepted_tokens >= 8
        assert guessing.counters.steps < 12


def test_equal_prefixes_are_computed_once(engine: Make) -> None:
    beginning = _prompt(5, 3 * _PAGE + 20)
    prompts = [beginning + _prompt(seed, 30) for seed in (6, 7, 8)]
    with engine(prefix_caching=False) as plain:
        wanted = [_alone(plain, p) for p in prompts]
        assert plain.counters.cached_tokens == 0
    with engine() as reusing:
        assert [_alone(reusing, p) for p in prompts] == wanted
        # whole pages and, starting with the third prompt, the shared part of a full page
        assert reusing.counters.cached_tokens >= 2 * 3 * _PAGE
        assert _alone(reusing, prompts[0]) == wanted[0]


def test_a_small_cache_preempts_and_recomputes_sequences(engine: Make) -> None:
    prompts = [_prompt(seed, 2 * _PAGE - 6) for seed in range(4)]
    with engine(speculate=False) as roomy:
        wanted = [_alone(roomy, p, seed) for seed, p in enumerate(prompts)]
    with engine(pages=5, speculate=False) as tight:  # each needs 2 pages, and then a third
        sequences = [_sequence(p, seed=seed) for seed, p in enumerate(prompts)]
        for sequence in sequences:
            tight.submit(sequence)
        found = []
        for sequence in sequences:
            found.append(_finish(tight, sequence))
            tight.close(sequence)
        assert found == wanted
        assert tight.counters.preemptions > 0


def test_a_sequence_longer_than_the_cache_is_rejected(engine: Make) -> None:
    with engine(pages=2) as running:
        with pytest.raises(InvalidArgument, match="140 tokens do not fit into the cache of 128"):
            running.submit(_sequence(_prompt(0, 128)))
        assert len(_alone(running, _prompt(0, 100))) == 12


def test_an_idle_sequence_is_preempted(engine: Make) -> None:
    prompt, other = _prompt(1, 100), _prompt(2, 150)
    with engine(speculate=False) as roomy:
        wanted = _alone(roomy, prompt), _alone(roomy, other)
    with engine(pages=3) as tight:
        paused = _sequence(prompt, tokens=3)
        tight.submit(paused)
        first = _finish(tight, paused, 3)
        assert _alone(tight, other) == wanted[1]
        tight.set_budget(paused, 12, return_certainty=False)
        assert first + _finish(tight, paused, 9) == wanted[0]


def test_a_closed_sequence_frees_its_pages(engine: Make) -> None:
    with engine(pages=40, prefix_caching=False) as running:
        for _ in range(5):
            sequence = SequenceState(_prompt(1, 600), Sampler(0.0, 0, _CPU), token_budget=1500)
            running.submit(sequence)
            _finish(running, sequence, 2)
            running.close(sequence)
        deadline = time.monotonic() + 5
        while running._scheduler.pages.available < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running._scheduler.pages.available == 40


def test_should_stop_ends_waiting(engine: Make) -> None:
    def stop() -> None:
        raise Cancelled("gone")

    with engine() as running, pytest.raises(Cancelled):
        running.next_output(SequenceState([]), stop)


def test_a_failed_step_is_reported_and_other_sequences_go_on(
    engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine() as running:
        whole = Decoder.run

        def fail(self: Decoder, tokens: torch.Tensor, *rest: Any, **options: Any) -> Any:
            if 77 in tokens.tolist():
                raise RuntimeError("planted")
            return whole(self, tokens, *rest, **options)

        monkeypatch.setattr(Decoder, "run", fail)
        sequence = _sequence([5, 77, 6])
        running.submit(sequence)
        with pytest.raises(ServerError, match="the server's log has the cause"):
            running.next_output(sequence, lambda: None)
        assert len(_alone(running, [5, 6])) == 12


def test_prefill_returns_the_last_rows_and_an_end_token_ends(engine: Make) -> None:
    prompt = _prompt(9, 90)
    with engine() as running:
        sequence = running_sequence = SequenceState([])
        running.submit(sequence)
        running.prefill(sequence, prompt, 3, return_states=True)
        output = running.next_output(sequence, lambda: None)
        assert isinstance(output, PrefillOutput)
        assert output.logits.shape == (3, WORDS) and all(len(k) == 3 for k in output.states)
        running.prefill(sequence, [11], 1, return_states=False)
        after = running.next_output(running_sequence, lambda: None)
        assert isinstance(after, PrefillOutput) and after.logits.shape == (1, WORDS)
        token = int(output.logits[-1].argmax())
        ending = SequenceState(
            list(prompt), Sampler(0.0, 0, _CPU), frozenset([token]), token_budget=5
        )
        running.submit(ending)
        assert _finish(running, ending, 1) == [token]
        assert not ending.runnable and len(ending.tokens) == 90


def test_more_rows_may_be_returned_than_a_step_has_otherwise(engine: Make) -> None:
    prompt, late = _prompt(3, 420), time.monotonic() + 60

    def stop() -> None:
        if time.monotonic() > late:
            raise Cancelled("its rows are never computed")

    with engine() as running:
        other = _sequence(_prompt(4, 50), tokens=40)
        running.submit(other)
        many, few = (
            SequenceState([], policy=SequencePolicy(salt=salt)) for salt in ("many", "few")
        )
        logits = {}
        for sequence, rows in ((many, 300), (few, 2)):
            running.submit(sequence)
            running.prefill(sequence, prompt, rows, return_states=False)
            output = running.next_output(sequence, stop)
            assert isinstance(output, PrefillOutput)
            logits[rows] = output.logits
        assert logits[300].shape[0] == 300
        assert torch.equal(logits[300][-2:], logits[2])
        with pytest.raises(InvalidArgument, match="at most 512 rows can be returned at once"):
            running.prefill(few, prompt, 513, return_states=False)


def test_a_prefill_right_after_an_output_is_computed(engine: Make) -> None:
    """A caller may ask for more tokens as soon as it has an output, before the engine goes on."""

    class Eager(queue.SimpleQueue[SampledToken | PrefillOutput | Exception]):
        asked = False

        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            super().put(item)
            if not self.asked:
                self.asked = True
                running.prefill(sequence, [7, 8], 1, return_states=False)

    with engine() as running:
        sequence = SequenceState([], outputs=Eager())
        running.submit(sequence)
        running.prefill(sequence, _prompt(9, 40), 1, return_states=False)
        stop = time.monotonic() + 20
        for _ in range(2):
            found = running.next_output(sequence, partial(_until, stop))
            assert isinstance(found, PrefillOutput)
        running.close(sequence)


def _until(stop: float) -> None:
    if time.monotonic() > stop:
        raise Cancelled("too late")


def test_stopping_reports_an_error_to_open_sequences(engine: Make) -> None:
    with engine() as running:
        sequence = SequenceState(_prompt(1, 500), Sampler(0.0, 0, _CPU), token_budget=1000)
        running.submit(sequence)
        _finish(running, sequence, 1)
        threading.Timer(0.05, running.stop).start()
        with pytest.raises(ServerError, match="unloaded"):
            while True:
                running.next_output(sequence, lambda: None)


def test_freed_memory_changes_no_token(engine: Make, page_bytes: int) -> None:
    prompts = [[*_prompt(0, 70), *_prompt(seed, 60 * seed)] for seed in range(1, 9)]
    with engine(pages=60) as running, engine(pages=60, kept_bytes=6 * page_bytes) as frugal:
        wanted = [_alone(running, prompt) for prompt in prompts]
        assert [_alone(frugal, prompt) for prompt in prompts] == wanted
        assert frugal.counters.cached_tokens  # the prefix that all share
        sequences = [_sequence(prompt) for prompt in prompts]
        assert _together(frugal, sequences) == wanted
        assert frugal._scheduler.pages.with_memory > 6
        for sequence in sequences:
            frugal.close(sequence)
        assert _alone(frugal, prompts[0]) == wanted[0]
        assert frugal._scheduler.pages.with_memory <= 6
