"""What a step has, by the status of its sequences; no page is lost whatever is scheduled."""

from __future__ import annotations

import logging
import random

import pytest
import torch
from small_decoder import small_model

from expertrag.llm.engine.scheduler import Scheduler
from expertrag.llm.engine.sequences import SequenceState, Status, WeakSequence
from expertrag.llm.engine.step import Scheduled
from expertrag.llm.sampling import Sampler
from expertrag_kernels import Format

_CPU = torch.device("cpu")
_PAGE = 64


def _scheduler(pages: int = 12, step_rows: int = 48) -> Scheduler:
    decoder = small_model(Format.F32, pages=pages).decoder
    decoder.step_rows = step_rows
    return Scheduler(decoder, None, speculate=True, prefix_caching=True)


def _sequence(tokens: int, seed: int = 0, budget: int = 8) -> SequenceState:
    draw = random.Random(seed)
    prompt = [draw.randrange(60) for _ in range(tokens)]
    return SequenceState(prompt, Sampler(0.0, 0, _CPU), token_budget=budget)


def _rows(parts: list[Scheduled]) -> list[tuple[int, int, int]]:
    return [(part.start, part.stop, len(part.drafts)) for part in parts]


def _run(scheduler: Scheduler) -> list[tuple[int, int, int]]:
    """Run a step without a decoder: each sequence at its end gets a token."""
    parts = scheduler.schedule()
    assert scheduler.failed == []
    rows = _rows(parts)
    for part in parts:
        returned = part.sequence.logit_rows
        scheduler.advance(part)
        if part.last and not returned and not isinstance(part.sequence, WeakSequence):
            sequence = part.sequence
            sequence.generated += 1
            for side in filter(None, (sequence, sequence.weak)):
                side.tokens.append(sequence.generated % 60)
    return rows


def test_a_prompt_is_computed_in_chunks_and_then_decoded() -> None:
    scheduler, sequence = _scheduler(), _sequence(100, budget=2)
    scheduler.sequences.append(sequence)
    statuses = []
    rows = []
    for _ in range(5):
        statuses.append(sequence.status)
        rows += _run(scheduler)
    assert rows == [(0, 48, 0), (48, 96, 0), (96, 100, 0), (100, 101, 0)]
    assert statuses == [*[Status.PREFILLING] * 3, Status.DECODING, Status.PAUSING]
    sequence.closed = True
    assert sequence.status is Status.CLOSED and not sequence.runnable
    assert _run(scheduler) == [] and scheduler.pages.available == 12


def test_rows_that_are_returned_together_run_in_one_step() -> None:
    scheduler, sequence = _scheduler(), _sequence(60)
    sequence.logit_rows = 20
    scheduler.sequences.append(sequence)
    assert [_run(scheduler) for _ in range(2)] == [[(0, 40, 0)], [(40, 60, 0)]]
    longer = _sequence(100)
    longer.logit_rows = 60  # more than a step has otherwise
    scheduler.sequences[:] = [longer]
    assert [_run(scheduler) for _ in range(2)] == [[(0, 40, 0)], [(40, 100, 0)]]


def test_forced_tokens_follow_the_last_one_within_the_budget() -> None:
    scheduler, sequence = _scheduler(), _sequence(10, budget=4)
    scheduler.sequences.append(sequence)
    _run(scheduler)
    sequence.forced = [1, 2, 3, 4, 5]
    assert _run(scheduler) == [(10, 11, 2)]  # the fourth token is sampled after them


def test_the_last_arrival_is_preempted_for_an_earlier_one() -> None:
    scheduler = _scheduler(pages=2)
    first, second = _sequence(_PAGE - 4, 1), _sequence(40, 2)
    scheduler.sequences += [first, second]
    while not scheduler.counters.preemptions:
        _run(scheduler)
    assert len(first.pages) == 2 and second.generated and not second.pages
    assert second.status is Status.PREFILLING  # from its first token
    first.token_budget = first.generated  # it pauses, so its pages are free for the other
    _run(scheduler)
    assert second.pages and not first.pages


def test_both_sides_are_prefilled_before_they_run_together() -> None:
    scheduler, strong = _scheduler(), _sequence(30)
    strong.weak = WeakSequence(_sequence(20, 1).tokens)
    scheduler.sequences.append(strong)
    steps = [_run(scheduler) for _ in range(4)]
    assert steps[:3] == [[(0, 29, 0)], [(0, 19, 0)], [(19, 20, 0), (29, 30, 0)]]
    assert steps[3] == [(20, 21, 0), (30, 31, 0)]
    assert list(scheduler.differences()) == []


@pytest.mark.parametrize("seed", range(4))
def test_no_page_is_lost_whatever_is_scheduled(seed: int) -> None:
    draw = random.Random(seed)
    scheduler = _scheduler(pages=8)
    for _ in range(400):
        if len(scheduler.sequences) < 5 and draw.random() < 0.3:
            sequence = _sequence(draw.randrange(1, 200), draw.randrange(3), draw.randrange(1, 40))
            if draw.random() < 0.3:
                shared = len(sequence.tokens) - 1 if draw.random() < 0.5 else 0
                weak = sequence.tokens if shared else _sequence(draw.randrange(1, 99), 7).tokens
                sequence.weak = WeakSequence(list(weak), shared_tokens=shared)
            scheduler.sequences.append(sequence)
        if scheduler.sequences and draw.random() < 0.1:
            draw.choice(scheduler.sequences).closed = True
        _run(scheduler)
        assert list(scheduler.differences()) == []
    for sequence in scheduler.sequences:
        sequence.closed = True
    _run(scheduler)
    assert scheduler.pages.available == 8


def test_a_page_that_is_lost_is_logged_once_the_last_sequence_has_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler, sequence = _scheduler(), _sequence(70)
    scheduler.sequences.append(sequence)
    _run(scheduler)
    scheduler.counters.steps = scheduler.counters.rows = 1
    lost = scheduler.pages.take()
    scheduler.check_idle()
    assert caplog.records == []  # a sequence is open
    sequence.closed = True
    _run(scheduler)
    for _ in range(2):
        scheduler.check_idle()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "internal error: the idle engine has lost track of pages: "
        f"page {lost} has 1 holders, and 0 sequences hold it"
    )
    scheduler.repair()
    assert list(scheduler.differences()) == [] and scheduler.pages.available == 12
