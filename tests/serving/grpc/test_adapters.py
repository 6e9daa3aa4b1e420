"""Adapters of a real model on a real server: named by requests, loaded and unloaded meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lora_fixtures import LoraBase
from serving_fixtures import OpenPipeline, StartServer

from expertrag.answer.assemble import open_generator
from expertrag.api.errors import Conflict, InvalidArgument, NotFound, PermissionDenied
from expertrag.api.events import DeltaEvent, DoneEvent
from expertrag.api.types import Answer
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag.config import AuthConfig, ModelConfig
from expertrag.serving.server import Server

READ = frozenset({Scope.READ})
_QUESTION = "When are roses pruned?"


@pytest.fixture
def server(start_server: StartServer, open_pipeline: OpenPipeline, lora_base: LoraBase) -> Server:
    """A server of the tiny model, with the adapter legal."""
    return start_server(lambda: open_pipeline(lora_base.generator("legal")))


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def _ask(client: Client, adapter: str = "", mode: str = "never", tokens: int = 8) -> Answer:
    return client.answer(_QUESTION, mode=mode, max_tokens=tokens, adapter=adapter)


@pytest.mark.parametrize("mode", ["never", "always"])
def test_requests_name_adapters_that_come_and_go(
    client: Client, lora_base: LoraBase, mode: str
) -> None:
    assert [adapter.name for adapter in client.adapters()] == ["legal"]
    base, legal = _ask(client, mode=mode), _ask(client, "legal", mode)
    assert base.text != legal.text
    assert (base.model, legal.model) == ("base", "base@legal")
    with pytest.raises(InvalidArgument, match="there is no adapter 'medical'; loaded: legal"):
        _ask(client, "medical", mode)
    loaded = client.load_adapter("medical", str(lora_base.adapters["medical"]))
    assert (loaded.name, loaded.rank, loaded.base) == ("medical", 8, "some/base")
    assert client.adapters()[1] == loaded
    medical = _ask(client, "medical", mode)
    assert medical.text not in (base.text, legal.text)
    client.unload_adapter("legal")
    with pytest.raises(InvalidArgument, match="no adapter 'legal'; loaded: medical"):
        _ask(client, "legal", mode)
    assert _ask(client, "medical", mode).text == medical.text
    assert _ask(client, mode=mode).text == base.text


def test_a_stream_goes_on_when_its_adapter_is_unloaded(client: Client, lora_base: LoraBase) -> None:
    whole = _ask(client, "legal", tokens=150).text
    events = client.stream(_QUESTION, mode="never", max_tokens=150, adapter="legal")
    said: list[str] = []
    for event in events:
        if isinstance(event, DeltaEvent):
            if not said:
                client.unload_adapter("legal")
                client.load_adapter("other", str(lora_base.adapters["medical"]))
            said.append(event.text)
    assert "".join(said) == whole
    assert isinstance(event, DoneEvent) and event.model == "base@legal"
    client.load_adapter("legal", str(lora_base.adapters["legal"]))
    assert _ask(client, "legal", tokens=150).text == whole


def test_answers_of_all_adapters_at_once(client: Client, lora_base: LoraBase) -> None:
    client.load_adapter("medical", str(lora_base.adapters["medical"]))
    names = ("", "legal", "medical") * 2
    alone = [_ask(client, name, tokens=40).text for name in names]
    found = [""] * len(names)

    def ask(place: int) -> None:
        found[place] = _ask(client, names[place], tokens=40).text

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


def test_what_cannot_be_loaded(client: Client, lora_base: LoraBase, tmp_path: Path) -> None:
    folder = str(lora_base.adapters["medical"])
    with pytest.raises(Conflict, match="legal is loaded already"):
        client.load_adapter("legal", folder)
    with pytest.raises(NotFound, match=r"has no adapter_config\.json"):
        client.load_adapter("empty", str(tmp_path))
    with pytest.raises(InvalidArgument, match=r"folder: is empty"):
        client.load_adapter("empty", "")
    with pytest.raises(InvalidArgument, match=r"the name '\.\./x' is invalid"):
        client.load_adapter("../x", folder)
    with pytest.raises(NotFound, match="no adapter 'x'; loaded: legal"):
        client.unload_adapter("x")


def test_loading_needs_the_scope_admin(
    start_server: StartServer, open_pipeline: OpenPipeline, lora_base: LoraBase, tmp_path: Path
) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    readers, admin = file.create("r", READ), file.create("a", READ | {Scope.ADMIN})
    server = start_server(
        lambda: open_pipeline(lora_base.generator("legal")),
        auth=AuthConfig(tokens=str(file.path)),
    )
    with Client(server.address, token=readers.text) as client:
        assert [adapter.name for adapter in client.adapters()] == ["legal"]
        with pytest.raises(PermissionDenied):
            client.load_adapter("medical", str(lora_base.adapters["medical"]))
        with pytest.raises(PermissionDenied):
            client.unload_adapter("legal")
    with Client(server.address, token=admin.text) as client:
        client.unload_adapter("legal")
        assert client.adapters() == []


def test_a_model_that_takes_no_adapters(start_server: StartServer, lora_base: LoraBase) -> None:
    with Client(start_server().address) as client:
        for refused in (
            client.adapters,
            lambda: client.load_adapter("legal", str(lora_base.adapters["legal"])),
            lambda: _ask(client, "legal"),
        ):
            with pytest.raises(InvalidArgument, match="paced does not run on our engine"):
                refused()


def test_adapters_of_the_configuration(lora_base: LoraBase) -> None:
    named = ", ".join(f"{name}={folder}" for name, folder in lora_base.adapters.items())
    model = ModelConfig(generator=str(lora_base.folder), dtype="float32", adapters=named)
    assert [adapter.name for adapter in open_generator(model).adapters.all()] == [
        "legal",
        "medical",
    ]
    with pytest.raises(NotFound, match=r"has no adapter_config\.json"):
        open_generator(replace(model, adapters=f"legal={lora_base.folder}"))
    for wrong, message in (("legal", "is not NAME=FOLDER"), ("a=b,a=c", "'a' is named twice")):
        with pytest.raises(InvalidArgument, match=rf"model\.adapters: .*{message}"):
            ModelConfig(adapters=wrong)
