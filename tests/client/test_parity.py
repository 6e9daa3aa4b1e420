"""A server and an in-process store give the same values, with the default models."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import Background

from expertrag.answer.assemble import open_collections
from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.errors import DeadlineExceeded, ExpertRAGError, NotFound
from expertrag.api.events import GateEvent
from expertrag.api.folding import fold
from expertrag.api.turns import Turn
from expertrag.api.types import (
    STAGES,
    Answer,
    Constraint,
    DocumentInput,
    Feedback,
)
from expertrag.audit.reading import read_log
from expertrag.client import AsyncClient, Client
from expertrag.config import AuditConfig, Config, ServiceConfig
from expertrag.serving.server import Server

QUESTION = "How many days of paid leave do employees of Northwind get?"


@pytest.fixture(scope="module")
def local(built_store: Path, model_config: Config) -> Iterator[Client]:
    with Client(built_store, config=model_config) as client:
        client.wait_ready()
        yield client


@pytest.fixture(scope="module")
def address(built_store: Path, model_config: Config, background: Background) -> Iterator[str]:
    async def start() -> Server:
        server = Server(
            Config(service=ServiceConfig(address="127.0.0.1:0")),
            lambda: open_collections(replace(model_config, index=str(built_store)), {}),
        )
        await server.start()
        await server.wait_loaded()
        return server

    server = background.run(start())
    yield server.address
    background.run(server.stop())


@pytest.fixture
def remote(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def timeless(answer: Answer) -> Answer:
    """Remove times from an answer."""
    return replace(answer, usage=replace(answer.usage, stage_seconds={}, cached_prompt_tokens=0))


@pytest.mark.parametrize("mode", ["auto", "never", "always", "strict"])
def test_answers_are_equal(local: Client, remote: Client, mode: str) -> None:
    options: dict[str, Any] = {"mode": mode, "k": 2, "max_tokens": 8}
    here = local.answer(QUESTION, **options)
    there = remote.answer(QUESTION, **options)
    assert timeless(here) == timeless(there)
    stages = list(here.usage.stage_seconds)
    assert list(there.usage.stage_seconds) == stages == [s for s in STAGES if s in stages]
    assert timeless(fold(remote.stream(QUESTION, **options))) == timeless(here)
    assert timeless(fold(local.stream(QUESTION, **options))) == timeless(here)
    assert len({here.id, there.id, ""}) == 3
    assert here.from_documents is (here.decision.retrieve and not here.abstained)
    if not here.decision.retrieve:
        assert here.usage.lm_calls == 1


@pytest.mark.parametrize("question", ["What does it need?", "Thanks!"])
def test_answers_in_a_conversation_are_equal(local: Client, remote: Client, question: str) -> None:
    history = [Turn.user("What is compost?"), Turn.assistant("Rotten plants.")]
    options: dict[str, Any] = {"history": history, "k": 2, "max_tokens": 8}
    here = local.answer(question, **options)
    assert timeless(remote.answer(question, **options)) == timeless(here)
    assert local.decide(question, history=history) == remote.decide(question, history=history)
    found = local.retrieve(question, history=history)
    assert replace(remote.retrieve(question, history=history), seconds=0) == replace(
        found, seconds=0
    )
    thanks = question == "Thanks!"
    assert here.decision.rewritten_question == ("" if thanks else found.rewritten_query)
    assert thanks or found.rewritten_query == "What does compost need?"


@pytest.mark.parametrize("mode", ["never", "always", "strict"])
def test_constrained_answers_are_equal(local: Client, remote: Client, mode: str) -> None:
    wanted = Constraint(regex=r"(27|28) days(, paid)?")
    options: dict[str, Any] = {"mode": mode, "k": 2, "constraint": wanted, "logprobs": 2}
    here = local.answer(QUESTION, **options)
    assert timeless(remote.answer(QUESTION, **options)) == timeless(here)
    assert timeless(fold(remote.stream(QUESTION, **options))) == timeless(here)
    assert not here.abstained
    assert re.fullmatch(r"(27|28) days(, paid)?", here.text)
    assert "".join(token.text for token in here.logprobs) == here.text
    assert all(len(token.top) == 2 for token in here.logprobs)


def test_contrasted_answers_are_equal(local: Client, remote: Client) -> None:
    contrast = Contrast(WeakSide.NO_PASSAGES, beta=1.0)
    options: dict[str, Any] = {"mode": "always", "k": 2, "logprobs": 0, "contrast": contrast}
    here = local.answer(QUESTION, **options)
    assert timeless(remote.answer(QUESTION, **options)) == timeless(here)
    assert timeless(fold(remote.stream(QUESTION, **options))) == timeless(here)
    never = {**options, "mode": "never"}
    plain = local.answer(QUESTION, mode="never", logprobs=0)
    assert timeless(local.answer(QUESTION, **never)) == timeless(plain)


def test_an_abstention_is_not_constrained(local: Client) -> None:
    wanted = Constraint(choices=("the moon", "a spoon"))
    answer = local.answer(QUESTION, mode="strict", constraint=wanted, logprobs=0)
    assert answer.abstained and answer.text not in ("the moon", "a spoon")
    assert answer.logprobs == ()


def test_everything_else_is_equal(local: Client, remote: Client) -> None:
    here, there = (client.retrieve(QUESTION, k=3) for client in (local, remote))
    assert replace(here, seconds=0) == replace(there, seconds=0)
    assert local.decide(QUESTION) == remote.decide(QUESTION)
    assert local.stats() == remote.stats()
    assert local.info() == remote.info()
    ours, theirs = (client.embed(["a", "b"], role="query") for client in (local, remote))
    assert ours[0] == pytest.approx(theirs[0], abs=1e-6)
    counted = [client.embeddings(["a", "b c"]) for client in (local, remote)]
    assert {(found.tokens, found.model) for found in counted} == {(7, local.info().embedder)}


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.answer(""),
        lambda client: list(client.stream("")),
        lambda client: client.retrieve("x", k=0),
        lambda client: client.retrieve("x", filter={"colour": "red"}),
        lambda client: client.answer("x", mode="sometimes"),
        lambda client: client.answer("x", scope="all"),
        lambda client: client.answer("x", as_of="yesterday"),
        lambda client: list(client.stream("x", scope="count", as_of="2026-02-30")),
        lambda client: client.answer("x", history=[Turn.user("")]),
        lambda client: client.retrieve("x", history=[Turn.user("x")] * 201),
        lambda client: client.decide("x", history=[Turn.user("x" * 300_000)]),
        lambda client: client.answer("x", constraint=Constraint()),
        lambda client: client.answer("x", constraint=Constraint(regex="(")),
        lambda client: list(client.stream("x", constraint=Constraint(json_schema={"not": {}}))),
        lambda client: client.embed([]),
        lambda client: client.rerank("x", []),
        lambda client: client.rerank("x", ["a"]),
        lambda client: client.retrieve("x", rerank="on"),
        lambda client: client.answer(QUESTION, threshold=1.5),
        lambda client: client.documents.get("nosuch"),
        lambda client: client.documents.list(page_token="x"),
        lambda client: client.documents.list(filter={"nosuch": 1}),
        lambda client: client.feedback("?", helpful=True),
        lambda client: client.feedback("0" * 32),
        lambda client: client.feedback("0" * 32, helpful=True),  # there is no audit log
    ],
)
def test_errors_are_equal(local: Client, remote: Client, ask: Callable[[Client], Any]) -> None:
    raised = []
    for client in (local, remote):
        with pytest.raises(ExpertRAGError) as caught:
            ask(client)
        raised.append(caught.value)
    here, there = raised
    assert type(here) is type(there)
    assert (here.message, here.reason, here.metadata) == (
        there.message,
        there.reason,
        there.metadata,
    )


def test_deadlines_end_both(local: Client, remote: Client) -> None:
    for client in (local, remote):
        with pytest.raises(DeadlineExceeded):
            client.answer(QUESTION, mode="never", max_tokens=250, timeout=0.05)


def test_the_asynchronous_twins(
    built_store: Path, model_config: Config, address: str, local: Client, background: Background
) -> None:
    wanted = Constraint(choices=("27", "28"))
    options: dict[str, Any] = {"mode": "always", "k": 2, "constraint": wanted, "logprobs": 1}
    expected = timeless(local.answer(QUESTION, **options))
    page, everything = local.documents.list(page_size=3), list(local.documents.all())
    opened, chunks = local.documents.get("garden/roses"), local.documents.chunks("garden/roses")

    async def ask(client: AsyncClient) -> None:
        async with client:
            await client.wait_ready()
            assert timeless(await client.answer(QUESTION, **options)) == expected
            events = [event async for event in client.stream(QUESTION, **options)]
            assert timeless(fold(events)) == expected
            abandoned = client.stream(QUESTION, **options)
            assert isinstance(await anext(abandoned), GateEvent)
            await abandoned.aclose()
            stats, info, found, vectors, decision = await asyncio.gather(
                client.stats(),
                client.info(),
                client.retrieve("roses", k=1),
                client.embed(["a"]),
                client.decide(QUESTION),
            )
            assert (stats, info) == (local.stats(), local.info())
            assert found.passages[0].document_id == "garden/roses"
            assert len(vectors[0]) == 384
            assert decision == local.decide(QUESTION)
            assert await client.documents.list(page_size=3) == page
            assert [each async for each in client.documents.all()] == everything
            assert await client.documents.get("garden/roses") == opened
            assert await client.documents.chunks("garden/roses") == chunks
            with pytest.raises(ExpertRAGError):
                await client.answer("")

    background.run(ask(AsyncClient(address)))
    background.run(ask(AsyncClient(built_store, config=model_config)))


def test_writes_in_process(own_store: Path, model_config: Config) -> None:
    with Client(own_store, config=model_config) as client:
        document = DocumentInput("office/dog", "Dogs are welcome in the office on Fridays.")
        assert client.upsert([document]).added == 1
        assert client.retrieve("dogs on Fridays", k=1).passages[0].document_id == "office/dog"
        assert client.delete(["office/dog"]).removed == 1


def test_a_log_in_process(
    built_store: Path, model_config: Config, tmp_path: Path, background: Background
) -> None:
    path = tmp_path / "audit.jsonl"
    config = replace(model_config, audit=AuditConfig(path=str(path)))
    with Client(built_store, config=config) as client:
        answer = client.answer(QUESTION, max_tokens=4)
        client.feedback(answer.id, helpful=True)

    async def correct() -> None:
        async with AsyncClient(built_store, config=config) as twin:
            await twin.feedback(answer.id, correct_answer="27")

    background.run(correct())
    log = read_log(path)
    assert [(entry.id, entry.question) for entry in log.entries] == [(answer.id, None)]
    assert log.feedback == {answer.id: Feedback(answer.id, True, "27")}


def test_a_folder_that_is_not_a_store(tmp_path: Path, model_config: Config) -> None:
    with Client(tmp_path, config=model_config) as client, pytest.raises(NotFound) as caught:
        client.stats()
    assert caught.value.reason == "STORE_NOT_FOUND"
