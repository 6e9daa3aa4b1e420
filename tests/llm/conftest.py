"""Tiny random models of real architectures, and a real OpenAI-compatible server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from model_families import LATENT, SHAPE
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.backends.transformers_network import TransformersNetwork

TinyFolder = Callable[[str], Path]

_CHANGES: dict[str, Any] = {
    "vocab_size": 49152,
    "num_hidden_layers": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
_EXTRA: dict[str, dict[str, Any]] = {
    "olmoe": {"num_experts": 5},
    "qwen2_moe": {"num_experts": 5, "shared_expert_intermediate_size": 40},
    "qwen3_moe": {"num_experts": 5},
    "mixtral": {"num_local_experts": 5},
    "gpt_oss": {"num_local_experts": 4, "sliding_window": 64},
    "deepseek_v2": {**LATENT, "topk_method": "greedy"},
    "llama": {},
}


@pytest.fixture(scope="session")
def tiny_folder(smollm_path: Path, tmp_path_factory: Any) -> TinyFolder:
    """Make (once) the folder of a random model of an architecture, with SmolLM2's tokenizer."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder: Path = tmp_path_factory.mktemp(kind)
            torch.manual_seed(0)
            config = AutoConfig.for_model(kind, **{**SHAPE, **_CHANGES, **_EXTRA[kind]})
            from_config: Any = AutoModelForCausalLM.from_config
            model = from_config(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(std=0.2)  # the default 0.02 makes all tokens alike
            model.save_pretrained(folder)
            AutoTokenizer.from_pretrained(smollm_path).save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make


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
            self._send(200, {"data": [{"id": "tiny", "max_model_len": 777}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        script = self.server.script
        script.requests.append(body)
        kind = body["model"]
        if kind in _REFUSALS:
            status, words = _REFUSALS[kind]
            self._send(status, {"error": {"message": words}})
        elif kind == "rejects-logprobs" and "logprobs" in body:
            self._send(400, {"error": {"message": "logprobs is not supported"}})
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
    tiny: TransformersGenerator, body: dict[str, Any], *, with_logprobs: bool
) -> Iterator[dict[str, Any]]:
    """Greedy decoding, written without the session that it is compared with."""
    tokenizer, network = tiny._chat._tokenizer, tiny._network
    assert isinstance(network, TransformersNetwork)
    text = tokenizer.apply_chat_template(
        body["messages"], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False).input_ids
    prompt, finish = len(ids), "length"
    for _ in range(body["max_tokens"]):
        with torch.inference_mode():
            log_p = network.model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        token = int(log_p.argmax())
        ids.append(token)
        if token == tokenizer.eos_token_id:
            finish = "stop"
            break
        top = log_p.topk(body.get("top_logprobs", 1))
        entries = [
            {"token": tokenizer.decode([i]), "logprob": value, "bytes": None}
            for value, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        ]
        content = [{**entries[0], "top_logprobs": entries}] if with_logprobs else None
        yield _chunk(tokenizer.decode([token]), content)
    yield _chunk("", finish=finish)
    usage = {"prompt_tokens": prompt, "completion_tokens": len(ids) - prompt, "total_tokens": 0}
    yield {**_chunk(""), "choices": [], "usage": usage}


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
