"""A fault of one sequence ends that sequence; the log and the health tell what has failed."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from small_generator import small_generator

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.errors import Cancelled, InvalidArgument, Overloaded, ServerError
from expertrag.api.types import Constraint, Sampling
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message, Session
from expertrag.llm.engine.batch import BatchRunner
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.sequences import WeakSequence
from expertrag_kernels.decoder import Decoder

_LETTERS = Constraint(regex="[a-f]{50,60}")
_SECRET = "a text that nobody may read"


@pytest.fixture
def small() -> Iterator[TransformersGenerator]:
    generator = small_generator()
    yield generator
    engine_of(generator).stop()


def engine_of(generator: TransformersGenerator) -> Engine:
    network = generator._network
    assert isinstance(network, NativeNetwork)
    return network.engine


def begin(generator: TransformersGenerator, text: str = "What is it?", **fields: Any) -> Session:
    ends_at = time.monotonic() + 60

    def should_stop() -> None:
        if time.monotonic() > ends_at:
            raise Cancelled("too late")

    sampling = Sampling(**{"max_tokens": 8, "temperature": 30.0, "seed": 3, **fields})
    return generator.begin([Message("user", text)], sampling, should_stop)


def answer(generator: TransformersGenerator, text: str = "What is it?", **fields: Any) -> str:
    with closing(begin(generator, text, **fields)) as session:
        return "".join(session.stream())


def processes_of(generator: TransformersGenerator) -> list[int]:
    """Return the processes of constrained sequences."""
    worker = generator._vocabulary._worker
    assert worker is not None
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text()
    return list(map(int, children.split()))


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    ends_at = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_a_killed_process_of_a_constraint_ends_its_answer_alone(
    small: TransformersGenerator,
) -> None:
    plain = answer(small)
    with closing(begin(small, max_tokens=60, constraint=_LETTERS)) as session:
        session.peek(6)
        (process,) = processes_of(small)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(InvalidArgument, match=r"constraint\.regex: cannot be enforced"):
            list(session.stream())
    assert answer(small) == plain
    assert answer(small, constraint=_LETTERS)
    assert engine_of(small).check_integrity() == ()


def test_answers_that_are_given_up_leave_no_process_and_no_descriptor(
    small: TransformersGenerator,
) -> None:
    answer(small, constraint=_LETTERS)
    wait_until(lambda: not processes_of(small))
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for tokens in (0, 1, 5):
        session = begin(small, max_tokens=60, constraint=_LETTERS)
        session.peek(tokens)
        assert processes_of(small)
        session.close()
        wait_until(lambda: not processes_of(small))
    wait_until(lambda: len(os.listdir("/proc/self/fd")) == descriptors)
    wait_until(lambda: threading.active_count() == threads)


def test_processes_go_on_without_the_one_that_forked_them_and_end_with_their_answers(
    small: TransformersGenerator,
) -> None:
    whole = answer(small, max_tokens=60, constraint=_LETTERS)
    with closing(begin(small, max_tokens=60, constraint=_LETTERS)) as session:
        session.peek(2)
        worker, (process,) = small._vocabulary._worker, processes_of(small)
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert "".join(session.stream()) == whole
    wait_until(lambda: not _runs(process))
    assert answer(small, max_tokens=60, constraint=_LETTERS) == whole


def _runs(process: int) -> bool:
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    return False


def test_a_constraint_that_keeps_others_waiting_delays_only_its_own_answer(
    small: TransformersGenerator,
) -> None:
    whole = answer(small, max_tokens=60, constraint=_LETTERS)
    alone = _intervals(small)
    with closing(begin(small, max_tokens=60, constraint=_LETTERS)) as session:
        session.peek(2)
        (process,) = processes_of(small)
        os.kill(process, signal.SIGSTOP)
        reader = threading.Timer(0, lambda: text.append("".join(session.stream())))
        text: list[str] = []
        reader.start()
        time.sleep(0.05)
        beside = _intervals(small)
        assert not text
        os.kill(process, signal.SIGCONT)
        reader.join()
    assert text == [whole]
    assert _percentile(beside) <= _percentile(alone) + 0.05


def _intervals(generator: TransformersGenerator) -> list[float]:
    """Return the time of each of 400 tokens."""
    seconds = []
    for number in range(4):
        with closing(begin(generator, f"Question {number}", max_tokens=100)) as session:
            for tokens in range(1, 101):
                started = time.monotonic()
                session.peek(tokens)
                seconds.append(time.monotonic() - started)
    return seconds


def _percentile(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def test_a_failing_weak_side_ends_the_answer_at_once(
    small: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, run = 0, BatchRunner.run

    def fail(self: BatchRunner, parts: Any) -> Any:
        nonlocal failed
        if parts and all(isinstance(part.sequence, WeakSequence) for part in parts):
            failed += 1
            raise MemoryError(_SECRET)
        return run(self, parts)

    monkeypatch.setattr(BatchRunner, "run", fail)
    contrast = Sampling(8, contrast=Contrast(WeakSide.NO_PASSAGES))
    session = small.begin(
        [Message("user", "With passages")], contrast, without_passages=[Message("user", "Without")]
    )
    with closing(session), pytest.raises(Overloaded, match="out of memory"):
        list(session.stream())
    assert failed == 1
    assert answer(small)
    assert engine_of(small).check_integrity() == ()


def test_what_fails_in_a_step_is_logged_once_and_not_quoted(
    small: TransformersGenerator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = answer(small)
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "run", _raise)
        with pytest.raises(ServerError, match="the server's log has the cause") as caught:
            answer(small)
    assert _SECRET not in str(caught.value) and caught.value.reason == "INTERNAL"
    (record,) = caplog.records
    assert record.exc_info and _SECRET not in record.getMessage()
    assert answer(small) == plain


def _raise(*_given: Any, **_options: Any) -> Any:
    raise RuntimeError(_SECRET)


def test_a_step_that_fails_for_one_sequence_is_run_again_for_the_others(
    small: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = answer(small, "A long question of others", max_tokens=100)
    engine, run = engine_of(small), Decoder.run
    marked = small._chat.encode([Message("user", "Z")])[0]

    def fail(self: Decoder, tokens: torch.Tensor, *rest: Any, **options: Any) -> Any:
        if marked in tokens.tolist():
            raise RuntimeError(_SECRET)
        return run(self, tokens, *rest, **options)

    with closing(begin(small, "A long question of others", max_tokens=100)) as other:
        other.peek(1)
        monkeypatch.setattr(Decoder, "run", fail)
        with engine._changed:  # both are in the next step
            engine.set_budget(other._sequence, 100, return_certainty=False)  # type: ignore[attr-defined]
            failing = begin(small, "Z")
            failing._allow(8, sure=False)  # type: ignore[attr-defined]
        with closing(failing), pytest.raises(ServerError):
            list(failing.stream())
        assert "".join(other.stream()) == wanted


def test_a_stuck_engine_is_reported_until_it_moves_again(
    small: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, go_on, run = engine_of(small), threading.Event(), Decoder.run
    engine._stall_s = 0.05

    def block(*given: Any, **options: Any) -> Any:
        assert go_on.wait(60)
        return run(*given, **options)

    assert small.healthy and small.problem == ""
    time.sleep(0.1)
    assert small.healthy  # idle
    monkeypatch.setattr(Decoder, "run", block)
    with closing(begin(small)) as session:
        session._allow(8, sure=False)  # type: ignore[attr-defined]
        wait_until(lambda: not small.healthy)
        assert small.problem.startswith("the engine has made no step for ")
        go_on.set()
        assert "".join(session.stream())
    wait_until(lambda: small.healthy)
    assert small.problem == ""


def test_an_engine_that_has_ended_is_reported_and_nobody_waits_for_it(
    small: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "_turn", lambda _self: False)
    with closing(begin(small)) as session, pytest.raises(ServerError):
        list(session.stream())
    assert not small.healthy
    assert small.problem == "the engine has ended; restart the server"
    with pytest.raises(ServerError, match="the engine has ended; restart the server"):
        answer(small)


def test_what_no_guard_expects_ends_the_open_answers_and_the_engine_goes_on(
    small: TransformersGenerator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = answer(small)
    with closing(begin(small, max_tokens=100)) as session:
        session.peek(2)
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "_distribute", _raise)
            with pytest.raises(ServerError, match="the server's log has the cause"):
                list(session.stream())
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert answer(small) == plain
    assert engine_of(small).check_integrity() == ()


def test_a_model_that_computes_no_numbers_gives_no_text(
    small: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Decoder.run

    def spoil(*given: Any, **options: Any) -> Any:
        logits, states = run(*given, **options)
        return torch.full_like(logits, torch.nan), states

    monkeypatch.setattr(Decoder, "run", spoil)
    with pytest.raises(ServerError):
        answer(small, temperature=0.0)


def test_lost_pages_are_found(small: TransformersGenerator) -> None:
    engine = engine_of(small)
    page = engine._scheduler.pages.take()
    assert page is not None
    assert engine.check_integrity() == (f"page {page} has 1 holders, and 0 sequences hold it",)
    engine._scheduler.pages.release(page)
    assert engine.check_integrity() == ()
    with pytest.raises(RuntimeError, match="no sequence holds"):
        engine._scheduler.pages.release(page)


def test_an_idle_engine_logs_the_pages_that_are_lost(
    small: TransformersGenerator, caplog: pytest.LogCaptureFixture
) -> None:
    page = engine_of(small)._scheduler.pages.take()
    assert answer(small)
    wait_until(lambda: bool(caplog.records))
    (record,) = caplog.records
    assert record.levelname == "ERROR" and f"page {page} has 1 holders" in record.getMessage()
