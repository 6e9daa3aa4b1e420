"""Tiny random models of real architectures, and a real OpenAI-compatible server on loopback."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from model_families import FAMILIES, SHAPE, set_corrections, set_null_experts
from short_tokenizer import write_short_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from expertrag.api.types import Sampling
from expertrag.llm import prompt as prompts
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message, Session
from expertrag.llm.engine.lowering import Lowered, lower
from expertrag.llm.load.chat import ChatTokenizer
from expertrag_kernels import Format
from expertrag_kernels.steps import SequenceRows

TinyFolder = Callable[[str], Path]

WORDS = 12_000
"""Words of tiny models: SmolLM2's 49,152 take .3 s to load, more than all else in such a model."""
_CHANGES: dict[str, Any] = {
    "vocab_size": WORDS,
    "num_hidden_layers": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="session")
def tiny_folder(words: Path, tmp_path_factory: Any) -> TinyFolder:
    """Make (once) the folder of a random model of an architecture, with SmolLM2's first words."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder: Path = tmp_path_factory.mktemp(kind)
            torch.manual_seed(0)
            config = AutoConfig.for_model(
                FAMILIES[kind][0], **{**SHAPE, **FAMILIES[kind][1], **_CHANGES}
            )
            from_config: Any = AutoModelForCausalLM.from_config
            model = from_config(config)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    # the default 0.02 makes all tokens alike, and experts change none of them
                    parameter.normal_(std=0.2 if "embed" in name else 0.4)
            set_corrections(model)
            set_null_experts(model)
            model.save_pretrained(folder)
            AutoTokenizer.from_pretrained(words).save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make


@pytest.fixture(scope="session")
def left_folder(tiny_folder: TinyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is left to transformers: its angles depend on the length."""
    folder = shutil.copytree(tiny_folder("llama"), tmp_path_factory.mktemp("left") / "model")
    moving = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    change_json(folder / "config.json", rope_parameters=moving)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: TinyFolder) -> TransformersGenerator:
    """A random Mixtral, in float32, on our engine."""
    return TransformersGenerator.load(str(tiny_folder("mixtral")), dtype="float32")


@pytest.fixture(scope="session")
def tiny_left(tiny_folder: TinyFolder) -> TransformersGenerator:
    """The same model, run by transformers."""
    folder = str(tiny_folder("mixtral"))
    return TransformersGenerator.load(folder, dtype="float32", native=False)


@pytest.fixture(params=["engine", "transformers"])
def either(
    request: pytest.FixtureRequest, tiny: TransformersGenerator, tiny_left: TransformersGenerator
) -> TransformersGenerator:
    """Each of the two."""
    return tiny if request.param == "engine" else tiny_left


@pytest.fixture(scope="session")
def smollm(smollm_path: Path) -> TransformersGenerator:
    """The default model."""
    return TransformersGenerator.load(str(smollm_path))


@pytest.fixture(scope="session")
def reader_folder(tiny_folder: TinyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture that is marked as a reader of our prompts."""
    folder = shutil.copytree(tiny_folder("mixtral"), tmp_path_factory.mktemp("reader") / "model")
    change_json(folder / "config.json", reader_prompts=prompts.fingerprint())
    return folder


@pytest.fixture(scope="session")
def chat(words: Path) -> ChatTokenizer:
    """The tokenizer of the tiny models."""
    return ChatTokenizer(AutoTokenizer.from_pretrained(words))


@pytest.fixture(scope="session")
def short_tokenizer(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2's tokenizer with its first 2,000 words: GGUF files of all are written slowly."""
    return write_short_tokenizer(smollm_path, tmp_path_factory.mktemp("short"), 2_000)


@pytest.fixture(scope="session")
def words(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2's tokenizer with the words of tiny models."""
    return write_short_tokenizer(smollm_path, tmp_path_factory.mktemp("words"), WORDS)


def text_of(session: Session) -> str:
    """The whole answer of a session, which is closed."""
    with closing(session):
        return "".join(session.stream())


def lowered(model: Any, format: Format, **options: Any) -> Lowered:
    """A tiny model as our steps, with a cache of 512 tokens or more."""
    given = {"cache_bytes": 1 << 22, "context_tokens": 512, **options}
    return lower(model, format, **given)


def logits_of(lowered: Lowered) -> torch.Tensor:
    """Logits (T, V) of a fixed text."""
    ids, places = torch.arange(3, 43), torch.arange(40)
    logits: torch.Tensor
    logits, _ = lowered.decoder.run(ids, places, [SequenceRows(0, 40, torch.tensor([1]))], places)
    return logits


@dataclass
class OpenAIServer:
    """Answers from a real model; the model's name in a request chooses how it misbehaves."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    disconnected: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    model: TransformersGenerator
    script: OpenAIServer


_REFUSALS = {  # by the model's name: status, the server's words
    "limited": (429, "slow down"),
    "too-long": (400, "maximum context length is 777 tokens"),
    "broken": (503, "loading"),
    "free": (400, "Unrecognized request argument supplied: structured_outputs"),
    "unknown": (404, "The model does not exist"),
}
_REFUSED = {  # by the model's name: parameters, each with a status and the server's words
    "rejects-logprobs": {"logprobs": (400, "logprobs is not supported")},
    "reasoning": {  # of OpenAI
        "max_tokens": (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
        ),
        "temperature": (
            400,
            "Unsupported value: 'temperature' does not support 0 with this model. Only the "
            "default (1) value is supported.",
        ),
        "logprobs": (403, "You are not allowed to request logprobs from this model"),
        "stop": (400, "Unsupported parameter: 'stop' is not supported with this model."),
    },
}
_KINDS = (*_REFUSALS, *_REFUSED, "malformed", "endless", "silent", "cut", "no-logprobs")


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        if self.path.startswith("/old/"):  # a server without a list of models
            self._send(404, {"error": {"message": "no such path"}})
        elif self.headers["Authorization"] == "Bearer wrong":
            self._send(401, {"error": {"message": "Incorrect API key provided: wrong"}})
        else:
            listed = [{"id": name, "max_model_len": 777} for name in ("tiny", *_KINDS)]
            self._send(200, {"data": listed})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        script = self.server.script
        script.requests.append(body)
        kind = body["model"]
        if kind in _REFUSALS:
            status, words = _REFUSALS[kind]
            self._send(status, {"error": {"message": words}})
        elif refused := [name for name in _REFUSED.get(kind, ()) if name in body]:
            status, words = _REFUSED[kind][refused[0]]
            self._send(status, {"error": {"message": words, "param": refused[0]}})
        else:
            self._stream(body, script)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, body: dict[str, Any], script: OpenAIServer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for line in _lines(self.server.model, body):
                self.wfile.write(f"{line}\n\n".encode())
                self.wfile.flush()
        except OSError:
            script.disconnected.set()


@pytest.fixture(scope="session")
def _server(tiny_left: TransformersGenerator) -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.model = tiny_left
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def openai_server(_server: _Server) -> OpenAIServer:
    """The server, with an empty record of requests."""
    _server.script = OpenAIServer(f"http://127.0.0.1:{_server.server_address[1]}/v1")
    return _server.script


def _lines(model: TransformersGenerator, body: dict[str, Any]) -> Iterator[str]:
    """Lines of a stream of server-sent events, valid or not by the model's name."""
    kind = body["model"]
    if kind == "malformed":
        yield "data: {not json"
    elif kind in ("endless", "silent"):  # a comment is not an event: it only detects a closed peer
        line = ": still here" if kind == "silent" else f"data: {json.dumps(_chunk('again '))}"
        while True:
            yield line
            time.sleep(0.02)
    else:
        for chunk in _answer(model, body, with_logprobs="logprobs" not in kind):
            yield f"data: {json.dumps(chunk)}"
            if kind == "cut":
                return
        yield "data: [DONE]"


def _answer(
    model: TransformersGenerator, body: dict[str, Any], *, with_logprobs: bool
) -> Iterator[dict[str, Any]]:
    """Greedy decoding in transformers."""
    asked = [Message(**message) for message in body["messages"]]
    top = body.get("top_logprobs", 1)
    most = body.get("max_tokens") or body["max_completion_tokens"]
    sampling = Sampling(most, frequency_penalty=0, logprobs=top)
    with closing(model.begin(asked, sampling)) as session:
        for delta in session.deltas():
            content = [
                {**_said(token), "top_logprobs": [_said(other) for other in token.top]}
                for token in delta.logprobs
            ]
            yield _chunk(delta.text, content if with_logprobs else None)
        yield _chunk("", finish=str(session.finish_reason))
        prompt, answer = session.prompt_tokens, session.completion_tokens
    usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": 0}
    yield {**_chunk(""), "choices": [], "usage": usage}


def _said(token: Any) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": None}


def _chunk(text: str, logprobs: Any = None, finish: str | None = None) -> dict[str, Any]:
    choice = {
        "index": 0,
        "delta": {"content": text},
        "finish_reason": finish,
        "logprobs": {"content": logprobs} if logprobs else None,
    }
    return {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "tiny",
        "choices": [choice],
    }
