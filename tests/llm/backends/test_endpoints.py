"""Several servers of one model: load, failures, ejection, return. The servers are processes."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from model_server import ModelServer

from expertrag.api.errors import (
    ExpertRAGError,
    InvalidArgument,
    Overloaded,
    ServerError,
    Unavailable,
)
from expertrag.api.types import Constraint, Sampling
from expertrag.llm import Message
from expertrag.llm.backends.openai_backend import OpenAIGenerator

QUESTION = [Message("user", "What is the capital of France?")]
ANSWER = "Paris it is."
WITHIN_S = 20.0  # for what takes a second or two on an idle machine

Connect = Callable[..., OpenAIGenerator]


@pytest.fixture(scope="module")
def processes() -> Iterator[tuple[ModelServer, ModelServer]]:
    pair = ModelServer(), ModelServer()
    yield pair
    for server in pair:
        server.kill()


@pytest.fixture
def pair(
    processes: tuple[ModelServer, ModelServer],
) -> Iterator[tuple[ModelServer, ModelServer]]:
    """Two servers in their default behaviour."""
    for server in processes:
        server.start()
    yield processes


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened = []

    def connected(*servers: ModelServer, model: str = "tiny", **options: Any) -> OpenAIGenerator:
        name = f"{','.join(server.url for server in servers)}#{model}"
        generator = OpenAIGenerator.connect(name, **{"probe_every_s": 0.1, **options})
        opened.append(generator)
        return generator

    yield connected
    for generator in opened:
        generator.close()


def ask(generator: OpenAIGenerator) -> str:
    session = generator.begin(QUESTION, Sampling(max_tokens=8))
    try:
        return "".join(session.stream())
    finally:
        session.close()


def healthy(generator: OpenAIGenerator) -> list[bool]:
    return [status.healthy for status in generator.endpoints()]


def wait_until(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_S
    while not ready():
        assert time.monotonic() < until, "not within the bound"
        time.sleep(0.02)


def test_load_is_spread(pair: tuple[ModelServer, ModelServer], connect: Connect) -> None:
    generator = connect(*pair)
    assert [ask(generator) for _ in range(6)] == [ANSWER] * 6
    assert [server.requests for server in pair] == [3, 3]  # in turn while nothing runs
    assert [status.requests for status in generator.endpoints()] == [3, 3]
    assert [status.outstanding for status in generator.endpoints()] == [0, 0]


def test_a_slow_server_gets_less(pair: tuple[ModelServer, ModelServer], connect: Connect) -> None:
    slow, quick = pair
    slow.behave(first_token_s=0.5)
    generator = connect(*pair)
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: ask(generator), range(40)))
    assert answers == [ANSWER] * 40
    assert slow.requests + quick.requests == 40
    assert 2 * slow.requests < quick.requests


@pytest.mark.parametrize("status", [502, 503, 504, 429])
def test_a_server_without_capacity_is_replaced(
    pair: tuple[ModelServer, ModelServer], connect: Connect, status: int
) -> None:
    pair[0].behave(status=status)
    generator = connect(*pair)
    assert ask(generator) == ANSWER
    assert [server.requests for server in pair] == [1, 1]
    assert generator.problem == ""
    assert generator.endpoints()[0].failures == (0 if status == 429 else 1)


@pytest.mark.parametrize(("status", "kind"), [(500, Unavailable), (400, InvalidArgument)])
def test_what_another_server_would_refuse_too_is_asked_once(
    pair: tuple[ModelServer, ModelServer],
    connect: Connect,
    status: int,
    kind: type[ExpertRAGError],
) -> None:
    pair[0].behave(status=status)
    with pytest.raises(kind):
        ask(connect(*pair))
    assert [server.requests for server in pair] == [1, 0]


def test_there_is_one_retry(pair: tuple[ModelServer, ModelServer], connect: Connect) -> None:
    for server in pair:
        server.behave(status=503)
    generator = connect(*pair)
    with pytest.raises(Unavailable, match=f"{pair[1].where} failed with status 503"):
        ask(generator)
    assert [server.requests for server in pair] == [1, 1]


def test_all_at_their_limit(pair: tuple[ModelServer, ModelServer], connect: Connect) -> None:
    for server in pair:
        server.behave(status=429, retry_after="Wed, 21 Oct 2099 07:28:00 GMT")
    generator = connect(*pair)
    with pytest.raises(Overloaded) as caught:
        ask(generator)
    assert (caught.value.retry_after_s or 0) > 1e9  # a date is understood, too
    assert healthy(generator) == [True, True]
    pair[1].kill()
    wait_until(lambda: healthy(generator) == [True, False])
    with pytest.raises(Overloaded):  # the dead one cannot help
        ask(generator)


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", None), ("inf", None), ("-1", 0)],
)
def test_when_to_ask_again(
    pair: tuple[ModelServer, ModelServer], connect: Connect, said: str, wait_s: float | None
) -> None:
    pair[0].behave(status=429, retry_after=said)
    with pytest.raises(Overloaded) as caught:
        ask(connect(pair[0]))
    assert caught.value.retry_after_s == wait_s


def test_llama_cpp_gets_constraints_that_it_enforces(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    """It ignores fields that it does not know, and then answers without the constraint."""
    pair[1].behave(told={"owned_by": "llamacpp"})
    generator = connect(*pair)
    for constraint in (Constraint(regex="a+"), Constraint(grammar='start: "a"')):
        with pytest.raises(InvalidArgument, match=r"llama\.cpp's server cannot enforce it"):
            generator.check(Sampling(constraint=constraint))
    sampling = Sampling(constraint=Constraint(choices=("yes", 'say "no"\n', "ÄÖ")))
    generator.check(sampling)
    for _ in pair:
        list(generator.begin(QUESTION, sampling).stream())
    grammar = r'''root ::= "yes" | "say \"no\"\n" | "ÄÖ"'''
    assert pair[1].last_request["grammar"] == grammar
    assert "structured_outputs" not in pair[1].last_request
    assert "grammar" not in pair[0].last_request
    assert pair[0].last_request["structured_outputs"] == {"choice": ["yes", 'say "no"\n', "ÄÖ"]}


def test_a_lost_answer_is_asked_again_before_its_first_token(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    pair[0].behave(cut_after=0)
    generator = connect(*pair)
    assert ask(generator) == ANSWER
    assert [server.requests for server in pair] == [1, 1]
    pair[0].behave(first_token_s=60)
    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(ask, generator)
        wait_until(lambda: generator.endpoints()[0].outstanding == 1)
        pair[0].kill()
        assert waiting.result(WITHIN_S) == ANSWER


@pytest.mark.parametrize("way", ["killed", "cut"])
def test_nothing_is_asked_again_after_the_first_token(
    pair: tuple[ModelServer, ModelServer], connect: Connect, way: str
) -> None:
    pair[0].behave(**({"step_s": 60} if way == "killed" else {"cut_after": 1}))
    generator = connect(*pair)
    session = generator.begin(QUESTION, Sampling(max_tokens=8))
    stream = session.stream()
    assert next(stream) == "Paris"
    if way == "killed":
        pair[0].kill()
    with pytest.raises((Unavailable, ServerError), match=f"{pair[0].where}.*ask again"):
        next(stream)
    session.close()
    assert pair[1].requests == 0
    assert generator.endpoints()[0].failures == 1


def test_calls_outlast_a_killed_server(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    """8 callers; the killed server is left, and has requests again.

    No call fails, but for one whose text had begun: nothing takes that back.
    """
    for server in pair:
        server.behave(first_token_s=0.03)
    generator = connect(*pair)
    found: Counter[str] = Counter()
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            pieces: list[str] = []
            with closing(generator.begin(QUESTION, Sampling(max_tokens=8))) as session:
                try:
                    pieces.extend(session.stream())
                except ExpertRAGError as error:
                    found["cut" if pieces else f"failed: {error}"] += 1
                else:
                    found["".join(pieces)] += 1

    with ThreadPoolExecutor(8) as callers:
        running = [callers.submit(call) for _ in range(8)]
        try:
            wait_until(lambda: found[ANSWER] > 40)
            pair[1].kill()
            wait_until(lambda: healthy(generator) == [True, False])
            before = generator.endpoints()[1].requests
            alone = found[ANSWER]
            wait_until(lambda: found[ANSWER] > alone + 40)
            assert generator.endpoints()[1].requests == before  # only probed
            pair[1].start(first_token_s=0.03)
            wait_until(lambda: healthy(generator) == [True, True] and pair[1].requests > 10)
        finally:
            done.set()
    for one in running:
        one.result()
    assert set(found) <= {ANSWER, "cut"} and found["cut"] <= len(running)


def test_a_stalled_server_is_left_out(
    pair: tuple[ModelServer, ModelServer],
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("expertrag.llm.backends.endpoints.PROBE_TIMEOUT_S", 0.2)
    generator = connect(*pair)
    pair[0].freeze()
    try:
        wait_until(lambda: healthy(generator) == [False, True])
        assert [ask(generator) for _ in range(3)] == [ANSWER] * 3
    finally:
        pair[0].thaw()
    wait_until(lambda: healthy(generator) == [True, True])


def test_endpoints_serve_the_same_model(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    pair[1].behave(model="other")
    with pytest.raises(InvalidArgument) as caught:
        connect(*pair)
    said = caught.value.message
    assert f"{pair[0].where} serves 'tiny', {pair[1].where} serves 'other'" in said
    pair[1].behave(model="other", told={"aliases": ["tiny"]})  # as llama.cpp lists its --alias
    connect(*pair)


def test_one_endpoint_is_refused_that_serves_another_model(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    pair[0].behave(model="other")
    with pytest.raises(InvalidArgument) as caught:
        connect(pair[0])
    assert f"'tiny', but {pair[0].where} serves 'other'; name a model" in caught.value.message


def test_a_server_that_returns_with_another_model_stays_out(
    pair: tuple[ModelServer, ModelServer],
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair[1].kill()
    with caplog.at_level(logging.WARNING):
        generator = connect(*pair)  # one of two is enough to start
    assert healthy(generator) == [True, False]
    assert f"{pair[1].where} is left out" in caplog.text
    pair[1].start(model="other")
    wait_until(lambda: pair[1].probes > 15)  # longer than it is left out after one failure
    assert healthy(generator) == [True, False]
    pair[1].behave(model="tiny")
    wait_until(lambda: healthy(generator) == [True, True])


def test_without_any_server(pair: tuple[ModelServer, ModelServer], connect: Connect) -> None:
    generator = connect(*pair)
    for server in pair:
        server.kill()
    with pytest.raises(Unavailable, match="no model server at"):
        connect(*pair)
    wait_until(lambda: healthy(generator) == [False, False])
    with pytest.raises(Unavailable, match="no model server at"):
        ask(generator)
    assert generator.problem
    pair[0].start()
    wait_until(lambda: healthy(generator)[0])
    assert ask(generator) == ANSWER
    assert generator.problem == ""


def test_a_server_that_was_left_out_is_the_last_resort(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    generator = connect(*pair, probe_every_s=60)
    pair[1].kill()
    while healthy(generator)[1]:
        assert ask(generator) == ANSWER
    pair[1].start()
    pair[0].kill()
    assert ask(generator) == ANSWER  # before a probe has found it
    assert healthy(generator) == [True, True]


def test_the_shortest_context_counts(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    pair[0].behave(told={"max_model_len": 900})
    pair[1].behave(told={"meta": {"n_ctx": 700}})
    assert connect(*pair).context_tokens == 700


def test_more_servers_keep_the_fingerprint(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    one, both, other = connect(pair[0]), connect(*pair), connect(pair[1])
    assert one.fingerprint == both.fingerprint != other.fingerprint
    assert one.endpoints()[0].where == pair[0].where


def test_a_server_that_does_not_accept_connections_is_replaced(
    pair: tuple[ModelServer, ModelServer], connect: Connect
) -> None:
    generator = connect(*pair, connect_timeout_s=0.3, probe_every_s=60)
    port = pair[0].port
    pair[0].kill()
    with socket.socket() as full, socket.socket() as waiting:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.1", port))
        full.listen(0)
        waiting.connect(("127.0.0.1", port))  # the system's queue is full from here on
        assert ask(generator) == ANSWER
    assert generator.endpoints()[0].failures == 1


def test_probing_ends_with_the_model(
    pair: tuple[ModelServer, ModelServer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    generator = OpenAIGenerator.connect(f"{pair[0].url},{pair[1].url}#tiny", probe_every_s=0.05)
    wait_until(lambda: pair[0].probes > 3)
    assert ask(generator) == ANSWER
    assert caplog.text == ""  # no line for each probe
    del generator

    def ended() -> bool:
        before = pair[0].probes
        time.sleep(0.5)
        return pair[0].probes == before

    wait_until(ended)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("http://a/v1,,http://b/v1#m", "openai:URL,URL#MODEL"),
        ("http://a/v1,b/v1#m", "openai:URL,URL#MODEL"),
        ("http://a/v1,https://u:p@a/v1/#m", "the same server twice"),
    ],
)
def test_names(name: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        OpenAIGenerator.connect(name)
