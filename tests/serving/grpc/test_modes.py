"""The mode of a request that names none: of the token, the collection or the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from http_fixtures import CHAT, Served, StartHttp, chat_body
from serving_fixtures import Background, OpenPipeline

from expertrag.answer.collections import Collections
from expertrag.api.types import GateMode
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import AsyncClient, Client
from expertrag.config import AuthConfig, GateConfig

QUESTION = "Say hello in French."
READ = frozenset({Scope.READ})
Token = Callable[[GateMode | None], str]


@pytest.fixture
def token(tmp_path: Path) -> Token:
    """Returns a token without a mode, or with one."""
    file = TokenFile(tmp_path / "tokens.json")
    modes = (None, *GateMode)
    return {mode: file.create("test", READ, mode=mode).text for mode in modes}.__getitem__


@pytest.fixture
def served(
    start_http: StartHttp,
    open_pipeline: OpenPipeline,
    built_store: Path,
    tmp_path: Path,
    token: Token,
) -> Served:
    """A server whose default is STRICT, but for the collection ``forum``."""
    policy = GateConfig(mode="strict")
    return start_http(
        lambda: Collections(
            lambda store: open_pipeline(store=store, policy=policy),
            {"default": built_store, "forum": built_store},
            modes={"forum": GateMode.NEVER},
        ),
        auth=AuthConfig(tokens=str(tmp_path / "tokens.json")),
    )


@pytest.mark.parametrize(
    ("own", "collection", "named", "mode"),
    [
        (None, "", None, "strict"),
        (None, "forum", None, "never"),
        ("always", "", None, "always"),
        ("always", "forum", None, "always"),
        ("auto", "", None, "auto"),
        (None, "", "auto", "auto"),
        ("always", "forum", "auto", "auto"),
        ("auto", "forum", "strict", "strict"),
    ],
)
def test_a_named_mode_wins_then_the_token_the_collection_and_the_server(
    served: Served,
    token: Token,
    own: str | None,
    collection: str,
    named: str | None,
    mode: str,
) -> None:
    """By gRPC, and by OpenAI's API, whose models have the mode in their name."""
    text = token(GateMode(own) if own else None)
    with Client(served.grpc.address, token=text, collection=collection) as client:
        assert client.decide(QUESTION, mode=named).mode == mode
        assert client.answer(QUESTION, mode=named).decision.mode == mode
    header = {"authorization": f"Bearer {text}"}
    name = ":".join(filter(None, (collection or "default", named)))
    said = served.post(CHAT, chat_body(model=name), headers=header).json()
    assert said["expertrag"]["decision"]["mode"] == mode
    body = {"model": name, "input": QUESTION}
    said = served.post("/v1/responses", body, headers=header).json()
    assert said["expertrag"]["decision"]["mode"] == mode


def test_the_extension_of_a_request_names_a_mode(served: Served, token: Token) -> None:
    header = {"authorization": f"Bearer {token(GateMode.STRICT)}"}
    options = {"mode": "auto"}
    said = served.post(CHAT, chat_body(model="default", expertrag=options), headers=header).json()
    assert said["expertrag"]["decision"]["mode"] == "auto"


@pytest.mark.parametrize(
    ("named", "mode"), [({}, "strict"), ({"mode": None}, "strict"), ({"mode": "auto"}, "auto")]
)
def test_the_console_names_a_mode_only_if_it_is_chosen(
    served: Served, token: Token, named: dict[str, str | None], mode: str
) -> None:
    header = {"authorization": f"Bearer {token(None)}"}
    asked = {"question": QUESTION, **named}
    assert served.post("/api/decide", asked, headers=header).json()["mode"] == mode


def test_asyncio(served: Served, token: Token, background: Background) -> None:
    text = token(None)

    async def modes() -> list[GateMode]:
        async with AsyncClient(served.grpc.address, token=text) as client:
            return [
                (await client.decide(QUESTION)).mode,
                (await client.answer(QUESTION)).decision.mode,
                (await client.answer(QUESTION, mode="auto")).decision.mode,
            ]

    assert background.run(modes()) == ["strict", "strict", "auto"]
