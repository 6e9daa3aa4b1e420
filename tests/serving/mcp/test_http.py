"""Streamable HTTP on loopback: callers, origins, cancellation and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_helper import ERAS, Connected, ServeHttp, failure, refused, value
from serving_fixtures import Background, OpenPipeline, PacedGenerator, StartServer, wait_until
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from expertrag.answer.collections import Collections
from expertrag.api.access import Access
from expertrag.auth import Scope as TokenScope
from expertrag.auth.token_file import TokenFile
from expertrag.client import AsyncClient
from expertrag.config import AuthConfig
from expertrag.serving.mcp import McpEndpoint, mcp_server
from expertrag.serving.server import Server

TENANTS = {"acme": "zirconcanary", "globex": "obsidiancanary"}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


class CallersOf:
    """Keeps a client of ours for each token, as the HTTP server in front of the endpoint does."""

    def __init__(self, address: str, connected: Connected) -> None:
        self._address = address
        self._connected = connected
        self._clients: dict[str, AsyncClient] = {}

    def client(self, request: Request) -> AsyncClient:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._clients:
            self._clients[token] = self._connected(self._address, token=token or None)
        return self._clients[token]

    def endpoint(self, **options: Any) -> McpEndpoint:
        return McpEndpoint(mcp_server(self.client, writes=True), **options)


class Balancer:
    """Sends requests to one of several endpoints."""

    def __init__(self, chosen: McpEndpoint) -> None:
        self.chosen = chosen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.chosen(scope, receive, send)


@asynccontextmanager
async def opened(url: str, era: str, token: str = "") -> AsyncIterator[Client]:
    """Open the package's client, which sends a token with every request."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as session,
    ):
        yield session


@pytest.fixture
def url(start_server: StartServer, connected: Connected, serve_http: ServeHttp) -> str:
    endpoint = CallersOf(start_server().address, connected).endpoint()
    return serve_http(endpoint, endpoint)


@pytest.mark.parametrize("era", ERAS)
def test_tools_and_resources_over_http(url: str, era: str, background: Background) -> None:
    async def use() -> None:
        async with opened(url, era) as session:
            assert len((await session.list_tools()).tools) == 6
            found = value(await session.call_tool("search", {"query": "paid leave"}))
            assert found["results"][0]["id"] == "office/leave"
            asked = {"question": "How many?", "mode": "always"}
            reported: list[float] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                reported.append(progress)

            answer = await session.call_tool("answer", asked, progress_callback=note)
            assert value(answer)["from_documents"]
            assert reported
            assert len((await session.list_resources()).resources) == 18
            assert (await refused(session.read_resource("expertrag://document/x"))).code == -32602

    background.run(use())


@pytest.fixture
def tokens(tmp_path: Any) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def tenants(
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    tokens: TokenFile,
    connected: Connected,
    serve_http: ServeHttp,
    background: Background,
    embedder: Any,
    tmp_path: Any,
) -> tuple[str, dict[str, str]]:
    """URL of an endpoint in front of a server with two tenants, and the token of each.

    A third token may only read what the first tenant has.
    """
    from expertrag_index.build.writer import IndexWriter

    def create(store: Any) -> None:
        with IndexWriter.open(store, embedder) as writer:
            writer.build(())

    collections = Collections(
        lambda store: open_pipeline(store=store),
        {},
        folder=tmp_path / "collections",
        create_store=create,
    )
    made = {
        name: tokens.create(name, frozenset(TokenScope), access=Access(name)) for name in TENANTS
    }
    made["reader"] = tokens.create("reader", frozenset({TokenScope.READ}), access=Access("acme"))
    server: Server = start_server(
        lambda: collections, auth=AuthConfig(tokens=str(tokens.path)), allow_writes=True
    )
    endpoint = CallersOf(server.address, connected).endpoint()
    for name in TENANTS:
        client = connected(server.address, token=made[name].text)
        background.run(client.create_collection("default"))
    return serve_http(endpoint, endpoint), {name: token.text for name, token in made.items()}


@pytest.mark.parametrize("era", ERAS)
def test_callers_see_their_own_documents_only(
    tenants: tuple[str, dict[str, str]], era: str, background: Background
) -> None:
    url, tokens = tenants

    async def use() -> None:
        async with (
            opened(url, era, tokens["acme"]) as acme,
            opened(url, era, tokens["globex"]) as globex,
        ):
            sessions = {"acme": acme, "globex": globex}
            for name, session in sessions.items():
                document = {"id": "secret", "text": f"The codename is {TENANTS[name]}."}
                value(await session.call_tool("add_document", document))
                only = document | {"id": f"{name}/only"}
                value(await session.call_tool("add_document", only))
            for name, session in sessions.items():
                await sees_only(session, name)

    background.run(use())


async def sees_only(session: Client, name: str) -> None:
    """Read in every way; find the documents of a tenant, and nothing of the other."""
    (other,) = TENANTS.keys() - {name}
    asked = {"question": "What is the codename?", "mode": "always"}
    told = [
        value(await session.call_tool("search", {"query": "codename"})),
        value(await session.call_tool("fetch", {"id": "secret"})),
        value(await session.call_tool("answer", asked)),
        value(await session.call_tool("explain_gate", {"question": asked["question"]})),
        failure(await session.call_tool("fetch", {"id": f"{other}/only"})),
        (await session.list_resources()).model_dump(),
        (await session.read_resource("expertrag://document/secret")).model_dump(),
        (await refused(session.read_resource(f"expertrag://document/{other}%2Fonly"))).message,
    ]
    everything = repr(told)
    assert TENANTS[name] in everything
    assert TENANTS[other] not in everything
    assert f"there is no document '{other}/only'" in everything


@pytest.mark.parametrize("era", ERAS)
def test_a_token_is_checked_at_each_call(
    tenants: tuple[str, dict[str, str]], era: str, background: Background
) -> None:
    url, tokens = tenants

    async def use(token: str, tool: str, **arguments: str) -> str:
        async with opened(url, era, token) as session:
            return failure(await session.call_tool(tool, arguments))

    assert "token" in background.run(use("", "search", query="x"))
    assert "token" in background.run(use("wrong", "search", query="x"))
    denied = background.run(use(tokens["reader"], "add_document", id="a", text="A text."))
    assert "write" in denied


def posted(url: str, body: Any = LIST_TOOLS, **headers: str) -> httpx2.Response:
    """Post a request as a program without the package does."""
    accept = {"Accept": "application/json, text/event-stream", **headers}
    return httpx2.post(url, json=body, headers=accept)


@pytest.mark.parametrize(
    ("header", "text", "status"),
    [
        ("Host", "evil.example", 421),
        ("Host", "localhost", 200),
        ("Origin", "https://evil.example", 403),
        ("Origin", "http://localhost:3000", 200),
        ("Origin", "null", 403),
    ],
)
def test_pages_of_others_are_refused(url: str, header: str, text: str, status: int) -> None:
    assert posted(url, **{header: text}).status_code == status


def test_named_hosts_and_origins_are_served(
    start_server: StartServer, connected: Connected, serve_http: ServeHttp
) -> None:
    callers = CallersOf(start_server().address, connected)
    named = callers.endpoint(hosts=["rag.example"], origins=["https://chat.example"])
    url = serve_http(named, named)
    assert posted(url, Host="rag.example", Origin="https://chat.example").status_code == 200
    assert posted(url, Host="rag.example:8443", Origin="https://rag.example").status_code == 200
    assert posted(url, Host="rag.example", Origin="https://evil.example").status_code == 403
    assert posted(url).status_code == 421
    anywhere = callers.endpoint(hosts=None)
    assert posted(serve_http(anywhere, anywhere), Host="any.example").status_code == 200


def test_nothing_but_posts_of_a_bounded_size(
    url: str, start_server: StartServer, connected: Connected, serve_http: ServeHttp
) -> None:
    answered = httpx2.get(url, headers={"Accept": "text/event-stream"})
    assert (answered.status_code, answered.headers["allow"]) == (405, "POST")
    assert httpx2.delete(url).status_code == 405
    assert posted(url, body=["not a request"]).status_code == 400
    small = CallersOf(start_server().address, connected).endpoint(max_request_bytes=1_000)
    long = {**LIST_TOOLS, "params": {"cursor": "x" * 1_000}}
    assert posted(serve_http(small, small), body=long).status_code == 413


def test_a_caller_that_goes_away_ends_the_answer(url: str, paced: PacedGenerator) -> None:
    paced.step_s, paced.words = 0.01, 3_000
    asked = {"name": "answer", "arguments": {"question": "How many?", "mode": "never"}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
    with pytest.raises(httpx2.TimeoutException), httpx2.Client(timeout=1.0) as http:
        http.post(url, json=call, headers={"Accept": "application/json, text/event-stream"})
    wait_until(lambda: not paced.open_sessions)


@pytest.mark.parametrize("era", ERAS)
def test_a_cancelled_call_ends_the_answer_over_http(
    url: str, era: str, background: Background, paced: PacedGenerator
) -> None:
    paced.step_s, paced.words = 0.01, 3_000

    async def use() -> None:
        async with opened(url, era) as session:
            asked = {"question": "How many?", "mode": "never"}
            calling = asyncio.create_task(session.call_tool("answer", asked))
            await asyncio.to_thread(wait_until, lambda: paced.open_sessions > 0)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await asyncio.to_thread(wait_until, lambda: not paced.open_sessions)

    background.run(use())


@pytest.mark.parametrize("era", ERAS)
def test_a_session_outlasts_a_restart(
    start_server: StartServer,
    connected: Connected,
    serve_http: ServeHttp,
    background: Background,
    era: str,
) -> None:
    callers = CallersOf(start_server().address, connected)
    first, second = callers.endpoint(), callers.endpoint()
    balancer = Balancer(first)
    url = serve_http(balancer, first)
    serve_http(second, second)

    async def use() -> None:
        async with opened(url, era) as session:
            before = value(await session.call_tool("search", {"query": "leave"}))
            balancer.chosen = second  # which never saw the session
            assert value(await session.call_tool("search", {"query": "leave"})) == before

    background.run(use())
