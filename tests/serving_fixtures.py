"""Fixtures of everything that needs a running server: a store, pipelines, servers, a loop."""

from __future__ import annotations

import asyncio
import faulthandler
import shutil
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest
import structlog

from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.events import DeltaEvent
from expertrag.api.types import FinishReason, Sampling
from expertrag.config import Config, GateConfig, ModelConfig, ServiceConfig
from expertrag.llm import prompt
from expertrag.llm.base import Generator, Message, Session, ShouldStop, never_stop
from expertrag.llm.probe import STATES, Owner, Probe
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_retriever.types import PrefillSignals

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections
    from expertrag.answer.pipeline import Pipeline
    from expertrag.audit import Audit
    from expertrag.serving.server import Server
    from expertrag_index.types import FloatArray

T = TypeVar("T")
SECTIONS = ("auth", "tls", "quota", "collections", "index", "replica")
"""Sections of the configuration that ``start_server`` takes beside settings of the service."""
OpenPipeline = Callable[..., "Pipeline"]
StartServer = Callable[..., "Server"]

TOPICS = {
    "database": {
        "checkpoints": "A checkpoint writes all dirty pages to disk. The default is 5 minutes.",
        "vacuum": "Vacuum reclaims the space of dead rows so that a table does not grow.",
        "wal": "The write-ahead log records each change before the data files are changed.",
        "index": "A B-tree index finds rows by equality and by range in logarithmic time.",
        "replica": "A standby server replays the log of the primary and answers reads.",
        "locks": "Row locks block writers of the same row and never block readers.",
    },
    "garden": {
        "roses": "Roses are pruned in March, above a bud that faces outwards.",
        "compost": "Compost needs air, water, green and brown material in equal parts.",
        "tulips": "Tulip bulbs are planted in October, three times as deep as they are high.",
        "lawn": "A lawn is cut to four centimetres and left longer in dry summers.",
        "apples": "Apple trees bear best when water shoots are removed in August.",
        "beans": "Runner beans climb poles and fix nitrogen in the soil.",
    },
    "office": {
        "leave": "Employees of Northwind get 27 days of paid leave a year.",
        "travel": "Travel by train is booked in second class up to four hours.",
        "remote": "Remote work is allowed on three days of the week at Northwind.",
        "expenses": "Expenses are refunded within 14 days when receipts are attached.",
        "laptop": "Every laptop is replaced after four years or when it is repaired twice.",
        "oncall": "The on-call engineer of the week answers alerts within 15 minutes.",
    },
}


def trailing_of(error: Any) -> dict[str, Any]:
    """Return the trailing metadata of a failed call; gRPC's stubs hide it from ``RpcError``."""
    return dict(error.trailing_metadata())


def _drop(*_event: object) -> str:
    raise structlog.DropEvent


class Background:
    """An event loop in a thread. One for all tests: grpc.aio wants one loop in a process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="test-loop")
        self._thread.start()

    def run(self, work: Awaitable[T], timeout: float = 60.0) -> T:
        """Run a coroutine there and wait for its result; print where all is if it is late."""

        async def awaited() -> T:
            return await work

        result = asyncio.run_coroutine_threadsafe(awaited(), self.loop)
        try:
            return result.result(timeout)
        except TimeoutError:
            if not result.done():
                faulthandler.dump_traceback()
                for task in asyncio.all_tasks(self.loop):
                    task.print_stack(file=sys.__stderr__)
            raise

    def close(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class PacedGenerator(Generator):
    """A language model whose speed and length a test sets: it counts, one word a step.

    ``reading``: how ``open_pipeline`` reads its replies.
    """

    reading = ReadingPolicy()
    problem = ""
    healthy = True

    def __init__(self, step_s: float = 0.0, words: int = 20) -> None:
        self.name = "paced"
        self.fingerprint = "paced-1"
        self.context_tokens = 2048
        self.step_s = step_s
        self.words = words
        self.open_sessions = 0
        self.salts: list[str] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def begin(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        should_stop: ShouldStop = never_stop,
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
        without_passages: Sequence[Message] | None = None,
    ) -> Session:
        self.salts.append(policy.salt if policy else "")
        return self.session(messages, sampling, should_stop)

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> PacedSession:
        """Open a session; a test may count the prompts, or fail here."""
        return PacedSession(self, self.count_tokens(messages), sampling, stop)


class PacedSession(Session):
    def __init__(
        self, model: PacedGenerator, prompt_tokens: int, sampling: Sampling, stop: ShouldStop
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self._model = model
        self._sampling = sampling
        self._stop = stop
        self._open = True
        model.open_sessions += 1

    def peek(self, tokens: int) -> PrefillSignals | None:
        self.lm_calls = 1
        self._stop()
        return PrefillSignals(margin=0.1, entropy=3.0, max_probability=0.2, tokens=tokens)

    def deltas(self) -> Iterator[DeltaEvent]:
        self.lm_calls = 1
        words = min(self._model.words, self._sampling.max_tokens)
        for number in range(words):
            self._stop()
            time.sleep(self._model.step_s)
            self.completion_tokens += 1
            yield DeltaEvent(f"{number} ")
        cut = words < self._model.words
        self.finish_reason = FinishReason.LENGTH if cut else FinishReason.STOP

    def close(self) -> None:
        if self._open:
            self._open = False
            self._model.open_sessions -= 1


class TellingGenerator(PacedGenerator):
    """A reader that replies what a test tells it to, three characters a step."""

    reading = ReadingPolicy(reader=True)

    def __init__(self, reply: str = "", doubt: float | None = None) -> None:
        super().__init__()
        self.name = "telling"
        self.reply = reply
        self.doubt = doubt

    def reply_to(self, messages: Sequence[Message]) -> str:
        """Return the reply to a prompt; the same to all, unless a test wants others."""
        del messages
        return self.reply

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> TellingSession:
        reply = self.reply_to(messages)
        session = TellingSession(self, self.count_tokens(messages), sampling, stop)
        session.reply, session.told_doubt = reply, self.doubt
        return session


class TellingSession(PacedSession):
    reply: str
    told_doubt: float | None
    told_state: FloatArray | None = None
    """The hidden states that ``peek`` returns."""

    def peek(self, tokens: int) -> PrefillSignals | None:
        signals = super().peek(tokens)
        if signals is None or self.told_state is None:
            return signals
        return replace(signals, vectors=dict.fromkeys(STATES, self.told_state))

    def look(self) -> float | None:
        self.lm_calls = 1
        self._stop()
        self.doubt = self.told_doubt
        return self.doubt

    def deltas(self) -> Iterator[DeltaEvent]:
        self.lm_calls = 1
        self.doubt = self.told_doubt
        for start in range(0, len(self.reply), 3):
            self.completion_tokens += 1
            yield DeltaEvent(self.reply[start : start + 3])


class KnowingGenerator(TellingGenerator):
    """A model in whose hidden states "our" can be read."""

    reading = ReadingPolicy(
        reader=True,
        internal=Probe(np.array([4.0, 4.0], np.float32), -4.0, Owner("telling", "", "")),
    )

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> TellingSession:
        session = KnowingSession(self, self.count_tokens(messages), sampling, stop)
        session.reply, session.told_doubt = self.reply, self.doubt
        session.asked = messages[-1].content
        return session


class KnowingSession(TellingSession):
    asked: str

    def peek(self, tokens: int) -> PrefillSignals:
        self.lm_calls = 1
        state = np.array([float("our" in self.asked.split())], np.float32)
        return PrefillSignals(0.1, 3.0, 0.2, tokens, vectors=dict.fromkeys(STATES, state))


class DoubtingGenerator(TellingGenerator):
    """Reads passages in portions; its doubts are of its prompts with passages, in their order.

    Of later prompts, those with one passage have the last doubt, and others have ``together``.
    ``state`` is the one number of its hidden states when it is asked whether its answer is right.
    """

    reading = ReadingPolicy(reader=True, probe="doubting", best_first=True)
    state = 0.0

    def __init__(self, reply: str, *doubts: float | None, together: float = 0.05) -> None:
        super().__init__(reply)
        self.doubts, self.together = doubts, together
        self.prompts: list[str] = []
        self.verified: list[str] = []
        self._doubts: dict[str, float | None] = {}

    def reply_to(self, messages: Sequence[Message]) -> str:
        """Set the doubt of a prompt that shows passages, and keep it."""
        shown = messages[-1].content
        if messages[0].content == prompt.CLOSED_BOOK or _verifies(messages):
            return self.reply
        self.prompts.append(shown)
        doubts = self.doubts[len(self._doubts) :]
        later = self.together if "\n\n[2]" in shown else self.doubts[-1]
        self.doubt = self._doubts.setdefault(shown, doubts[0] if doubts else later)
        return self.reply

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> TellingSession:
        session = super().session(messages, sampling, stop)
        if _verifies(messages):
            self.verified.append(messages[-3].content)
            session.told_state = np.array([self.state], np.float32)
        return session


def _verifies(messages: Sequence[Message]) -> bool:
    return any(message.content == prompt.VERIFICATION for message in messages)


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    """The event loop of all servers and asynchronous clients."""
    structlog.configure(processors=[_drop])  # lines of calls would come between the tests
    background = Background()
    yield background
    background.close()
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def built_store(tmp_path_factory: pytest.TempPathFactory, embedder: Any) -> Path:
    """A store of 18 short documents; read it, do not write to it."""
    from expertrag_index.build.writer import IndexWriter
    from expertrag_index.types import Document
    from expertrag_retriever.calibrate import calibrator

    path = tmp_path_factory.mktemp("served") / "store"
    documents = [
        Document(
            id=f"{domain}/{name}",
            text=text,
            title=name,
            metadata={"year": 2020 + number, "lang": "en"},
            domain=domain,
            source=f"{name}.txt",
        )
        for domain, texts in TOPICS.items()
        for number, (name, text) in enumerate(texts.items())
    ]
    with IndexWriter.open(path, embedder, calibrate=calibrator(embedder)) as writer:
        writer.build(documents, failures=[])
    return path


@pytest.fixture
def own_store(built_store: Path, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(built_store, tmp_path / "store"))


@pytest.fixture
def paced() -> PacedGenerator:
    """The model of pipelines and servers, unless a test names another."""
    return PacedGenerator()


@pytest.fixture
def open_pipeline(
    built_store: Path, embedder: Any, paced: PacedGenerator
) -> Iterator[OpenPipeline]:
    """Opens the real pipeline, by default over ``built_store``; closes it after the test."""
    from expertrag.answer.pipeline import Pipeline
    from expertrag.answer.pipeline_models import PipelineModels

    with ExitStack() as opened:

        def make(
            model: Generator = paced,
            *,
            store: Path = built_store,
            policy: GateConfig | None = None,
            audit: Audit | None = None,
            **more: Any,
        ) -> Pipeline:
            reading = getattr(model, "reading", None)
            models = PipelineModels(embedder, model, reading, **more)
            pipeline = Pipeline(store, models, policy=policy, audit=audit)
            return opened.enter_context(closing(pipeline))

        yield make


@pytest.fixture
def start_server(background: Background, open_pipeline: OpenPipeline) -> Iterator[StartServer]:
    """Starts servers on a free port of the loopback; stops them after the test."""
    from expertrag.serving.server import Server

    servers: list[Server] = []

    async def start(load: Callable[[], Pipeline | Collections], settings: dict[str, Any]) -> Server:
        sections = {name: settings.pop(name) for name in SECTIONS if name in settings}
        service = ServiceConfig(**{"address": "127.0.0.1:0", **settings})
        server = Server(Config(service=service, **sections), lambda: collections_of(load()))
        await server.start()
        servers.append(server)
        return server

    def make(
        load: Callable[[], Pipeline | Collections] = open_pipeline,
        *,
        wait: bool = True,
        **settings: Any,
    ) -> Server:
        server = background.run(start(load, settings))
        if wait:
            background.run(server.wait_loaded())
        return server

    yield make
    for server in servers:
        background.run(server.stop())


def collections_of(loaded: Pipeline | Collections) -> Collections:
    """Return what a server serves."""
    from expertrag.answer.collections import Collections

    return loaded if isinstance(loaded, Collections) else Collections.single(loaded)


@pytest.fixture(scope="session")
def model_config(minilm_path: Path, smollm_path: Path) -> Config:
    """The default models, from the cache."""
    return Config(model=ModelConfig(embedder=str(minilm_path), generator=str(smollm_path)))


def wait_until(done: Callable[[], bool], timeout: float = 5.0) -> float:
    """Return the seconds until something holds."""
    started = time.perf_counter()
    while not done():
        assert time.perf_counter() - started < timeout
        time.sleep(0.001)
    return time.perf_counter() - started
