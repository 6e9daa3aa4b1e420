"""The OpenAI-compatible back end against a real server: llama.cpp's, with SmolLM2-135M-Instruct."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm.backends.conftest import CONTEXT_TOKENS, LlamaServer
from serving_fixtures import OpenPipeline, wait_until

from expertrag.api.errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidArgument,
    Unauthenticated,
    Unavailable,
)
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, Constraint, FinishReason, GateMode, Sampling
from expertrag.llm import Message
from expertrag.llm.backends.openai_backend import OpenAIGenerator
from expertrag.llm.backends.openai_errors import API_KEY
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import Document

QUESTION = [Message("system", "Be brief."), Message("user", "What is the capital of France?")]
LONG = [Message("user", "Count from one to one thousand in words, with all numbers.")]
GREEDY = Sampling(max_tokens=24)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
    "additionalProperties": False,
}
WITHIN_S = 30.0

Own = Callable[..., LlamaServer]


@pytest.fixture(scope="module")
def remote(llama: LlamaServer) -> Iterator[OpenAIGenerator]:
    generator = OpenAIGenerator.connect(f"{llama.url}#smollm2")
    yield generator
    generator.close()


def text_of(generator: OpenAIGenerator, sampling: Sampling, asked: Any = QUESTION) -> str:
    generator.check(sampling)
    session = generator.begin(asked, sampling)
    try:
        return "".join(session.stream())
    finally:
        session.close()


def test_an_answer_is_streamed_with_its_usage(remote: OpenAIGenerator) -> None:
    session = remote.begin(QUESTION, GREEDY)
    deltas = list(session.stream())
    assert len(deltas) > 3 and "".join(deltas) == "The capital of France is Paris."
    assert session.finish_reason is FinishReason.STOP
    assert session.completion_tokens == 8 and session.lm_calls == 1
    cut = remote.begin(QUESTION, replace(GREEDY, max_tokens=3))
    assert "".join(cut.stream()) == "The capital of"
    assert cut.finish_reason is FinishReason.LENGTH and cut.completion_tokens == 3


def test_signals_of_the_prefill_are_those_of_our_engine(
    remote: OpenAIGenerator, smollm: TransformersGenerator
) -> None:
    sessions = [generator.begin(QUESTION, GREEDY) for generator in (smollm, remote)]
    here, there = (session.peek(6) for session in sessions)
    assert here is not None and there is not None
    assert there.tokens == 6
    # other arithmetic: llama.cpp multiplies in 8 bits
    assert there.margin == pytest.approx(here.margin, abs=0.05)
    assert there.max_probability == pytest.approx(here.max_probability, abs=0.05)
    assert 0 < there.entropy <= here.entropy + 0.05  # 20 tokens: a lower bound
    for session in sessions:
        list(session.stream())
    assert sessions[0].prompt_tokens == sessions[1].prompt_tokens
    assert remote.count_tokens(QUESTION) >= sessions[1].prompt_tokens


@pytest.mark.parametrize("stop", [("Paris",), ("1", "2", "3", "4", "Paris")])
def test_stop_strings(remote: OpenAIGenerator, stop: tuple[str, ...]) -> None:
    session = remote.begin(QUESTION, replace(GREEDY, stop=stop))
    assert "".join(session.stream()) == "The capital of France is "
    assert session.finish_reason is FinishReason.STOP


def test_log_probabilities_join_to_the_text(remote: OpenAIGenerator) -> None:
    asked = [Message("user", "Say hello in Chinese, and with an emoji.")]
    for sampling in (replace(GREEDY, logprobs=3), replace(GREEDY, logprobs=3, stop=("zzz",))):
        deltas = list(remote.begin(asked, sampling).deltas())
        tokens = [token for delta in deltas for token in delta.logprobs]
        assert "".join(token.text for token in tokens) == "".join(delta.text for delta in deltas)
        assert all(token.logprob <= 0 and len(token.top) == 3 for token in tokens)


def test_constraints(remote: OpenAIGenerator) -> None:
    found = text_of(remote, replace(GREEDY, constraint=Constraint(json_schema=SCHEMA)))
    assert json.loads(found).keys() == {"city"}
    choices = ("London", 'the "Eternal" \\ City', "Straße")
    assert text_of(remote, replace(GREEDY, constraint=Constraint(choices=choices))) in choices
    for constraint in (Constraint(regex="[0-9]+"), Constraint(grammar='start: "a"')):
        with pytest.raises(InvalidArgument, match=r"constraint\.(regex|grammar): llama.cpp"):
            text_of(remote, replace(GREEDY, constraint=constraint))
    broken = Constraint(json_schema={"type": "strange"})
    with pytest.raises(InvalidArgument, match="rejected by the model server"):
        text_of(remote, replace(GREEDY, constraint=broken))


def test_a_prompt_over_the_context_is_the_callers_fault(remote: OpenAIGenerator) -> None:
    assert remote.context_tokens == CONTEXT_TOKENS
    with pytest.raises(InvalidArgument, match="exceeds the available context size"):
        text_of(remote, GREEDY, [Message("user", "word " * 2 * CONTEXT_TOKENS)])
    assert remote.problem == ""


def test_cancelling_ends_the_work_of_the_server(
    remote: OpenAIGenerator, llama: LlamaServer, figures: dict[str, Any]
) -> None:
    cancelled = False

    def stop() -> None:
        if cancelled:
            raise Cancelled("gone")

    session = remote.begin(LONG, Sampling(max_tokens=900), stop)
    stream = session.stream()
    assert next(stream)
    assert llama.busy() == 1
    cancelled = True
    with pytest.raises(Cancelled):
        list(stream)
    session.close()
    figures["seconds_until_a_cancelled_request_is_free"] = round(
        wait_until(lambda: llama.busy() == 0, WITHIN_S), 2
    )


@pytest.mark.parametrize("mode", [GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO])
def test_answers_of_the_pipeline(
    remote: OpenAIGenerator, open_pipeline: OpenPipeline, mode: GateMode
) -> None:
    """With as many passages as the server's context holds, and log probabilities for the gate."""
    asked = AnswerRequest(
        "How many days of paid leave do employees get?", mode=mode, k=18, sampling=GREEDY
    )
    answer = fold(open_pipeline(remote).answer(asked))
    assert answer.text and not answer.abstained
    assert bool(answer.passages) == (answer.decision.action == "retrieve")
    assert 0 < answer.usage.prompt_tokens <= CONTEXT_TOKENS
    assert answer.usage.completion_tokens > 0
    if mode is GateMode.AUTO:
        signals = answer.decision.signals
        assert 0 < signals["margin"] < 1 and signals["entropy"] > 0
        assert "router_entropy" not in signals  # a server shows no experts
        assert "does not report its confidence" not in answer.decision.reason


@pytest.mark.parametrize("kind", ["prose", "numbers"])
def test_passages_are_cut_to_the_context(
    remote: OpenAIGenerator, open_pipeline: OpenPipeline, embedder: Any, tmp_path: Path, kind: str
) -> None:
    """Together they are several times as long as the context of the server."""
    texts = {
        "prose": "Employees of the office in town {n} get {n} days of paid leave a year. " * 12,
        "numbers": "Paid leave: " + " ".join(f"{{n}} {year * 7919}" for year in range(60)),
    }
    with IndexWriter.open(tmp_path / "store", embedder) as writer:
        writer.build([Document(str(n), texts[kind].format(n=n)) for n in range(12)])
    asked = AnswerRequest(
        "How many days of paid leave?", mode=GateMode.ALWAYS, k=12, sampling=GREEDY
    )
    answer = fold(open_pipeline(remote, store=tmp_path / "store").answer(asked))
    assert answer.text
    assert CONTEXT_TOKENS / 3 < answer.usage.prompt_tokens <= CONTEXT_TOKENS - GREEDY.max_tokens


def test_keys(own_llama: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    server = own_llama("--api-key", "right").start()
    monkeypatch.setenv(API_KEY, "wrong")
    with pytest.raises(Unauthenticated, match=API_KEY):
        OpenAIGenerator.connect(f"{server.url}#smollm2")
    monkeypatch.setenv(API_KEY, "right")
    generator = OpenAIGenerator.connect(f"{server.url}#smollm2")
    assert "Paris" in text_of(generator, GREEDY)
    generator.close()


def test_a_server_that_loads_its_model_is_unavailable(own_llama: Own) -> None:
    server = own_llama().start(wait=False)
    until = time.monotonic() + WITHIN_S
    while True:
        try:
            generator = OpenAIGenerator.connect(f"{server.url}#smollm2")
            break
        except Unavailable:  # nothing else, before it listens and while it loads
            assert time.monotonic() < until
    assert "Paris" in text_of(generator, GREEDY)
    generator.close()


def test_a_stalled_server(own_llama: Own) -> None:
    server = own_llama().start()
    generator = OpenAIGenerator.connect(f"{server.url}#smollm2", read_timeout_s=1.0)
    session = generator.begin(LONG, Sampling(max_tokens=900))
    stream = session.stream()
    assert next(stream)
    server.send(signal.SIGSTOP)
    with pytest.raises(DeadlineExceeded, match="did not answer in time"):
        list(stream)
    session.close()
    generator.close()


def test_a_server_killed_in_the_middle_of_an_answer(own_llama: Own) -> None:
    server = own_llama().start()
    generator = OpenAIGenerator.connect(f"{server.url}#smollm2")
    stream = generator.begin(LONG, Sampling(max_tokens=900)).stream()
    assert next(stream)
    server.kill()
    with pytest.raises(Unavailable, match="closed the connection; ask again"):
        list(stream)
    with pytest.raises(Unavailable, match="no model server at"):
        text_of(generator, GREEDY)
    server.start()
    assert "Paris" in text_of(generator, GREEDY)
    assert generator.problem == ""
    generator.close()


def test_one_of_two_killed_under_load(own_llama: Own, figures: dict[str, Any]) -> None:
    """No call fails unless its answer had begun on the killed server."""
    servers = [own_llama().start() for _ in range(2)]
    generator = OpenAIGenerator.connect(f"{servers[0].url},{servers[1].url}#smollm2")
    counts: Counter[str] = Counter()
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            counts[_outcome(generator)] += 1

    def healthy() -> list[bool]:
        return [status.healthy for status in generator.endpoints()]

    with ThreadPoolExecutor(8) as callers:
        running = [callers.submit(call) for _ in range(8)]
        try:
            wait_until(lambda: counts["answered"] >= 24, WITHIN_S)
            servers[1].kill()
            left_s = wait_until(lambda: healthy() == [True, False], WITHIN_S)
            before = counts["answered"]
            wait_until(lambda: counts["answered"] >= before + 16, WITHIN_S)
            servers[1].start()
            asked = generator.endpoints()[1].requests
            back_s = wait_until(
                lambda: healthy()[1] and generator.endpoints()[1].requests > asked + 8, WITHIN_S
            )
        finally:
            done.set()
    for one in running:
        one.result()
    generator.close()
    figures["one_of_two_killed"] = {
        "callers": 8,
        "answered": counts["answered"],
        "cut_in_their_answer": counts["cut"],
        "failed": counts["failed"],
        "seconds_until_left": round(left_s, 2),
        "seconds_until_back": round(back_s, 2),
    }
    assert counts["failed"] == 0
    assert counts["cut"] <= 2  # it works on two requests at a time


def _outcome(generator: OpenAIGenerator) -> str:
    """Ask; say whether the answer came, was cut, or did not begin."""
    session = generator.begin(LONG, Sampling(max_tokens=12))
    begun = False
    try:
        for _ in session.stream():
            begun = True
    except Unavailable:
        return "cut" if begun else "failed"
    finally:
        session.close()
    return "answered"
