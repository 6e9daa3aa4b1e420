"""MCP on the HTTP server, with the protocol's own client."""

from __future__ import annotations

from pathlib import Path

import httpx
import httpx2
import pytest
from http_fixtures import Served, StartHttp
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_helper import ERAS, value
from serving_fixtures import Background, OpenPipeline, PacedGenerator, wait_until

from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig

PING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
READS = ["search", "fetch", "answer", "explain_gate"]
WRITES = ["add_document", "delete_document"]


@pytest.mark.parametrize("era", ERAS)
def test_search_and_fetch(served: Served, background: Background, era: str) -> None:
    async def use() -> None:
        async with Client(streamable_http_client(f"{served.url}/mcp"), mode=era) as session:
            assert [tool.name for tool in (await session.list_tools()).tools] == READS
            found = value(await session.call_tool("search", {"query": "pruned roses"}))
            first = found["results"][0]
            assert first["id"] == "garden/roses"
            assert first["url"].startswith(f"{served.url}/#/document?id=garden%2Froses")
            fetched = value(await session.call_tool("fetch", {"id": first["id"]}))
            assert fetched["text"].startswith("Roses are pruned")

    background.run(use())


def test_writes_where_the_server_allows_them(start_http: StartHttp, background: Background) -> None:
    served = start_http(allow_writes=True)

    async def use() -> None:
        async with Client(streamable_http_client(f"{served.url}/mcp")) as session:
            names = [tool.name for tool in (await session.list_tools()).tools]
            assert names == READS + WRITES

    background.run(use())


def test_callers_are_those_of_the_server(
    start_http: StartHttp, background: Background, tmp_path: Path
) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    reader = tokens.create("reader", frozenset({Scope.READ})).text
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))
    for headers in ({}, {"authorization": "Bearer wrong"}):
        refused = served.post("/mcp", PING, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"

    async def use() -> None:
        headers = {"authorization": f"Bearer {reader}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{served.url}/mcp", http_client=http)) as session,
        ):
            result = await session.call_tool("search", {"query": "pruned roses"})
            assert value(result)["results"]

    background.run(use())


def test_who_hangs_up_frees_the_slot(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    served = start_http(lambda: open_pipeline(PacedGenerator(step_s=0.05, words=2_000)))
    params = {"name": "answer", "arguments": {"question": "When?", "mode": "never"}}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    accept = {"accept": "application/json, text/event-stream"}
    with httpx.stream("POST", f"{served.url}/mcp", json=asked, headers=accept, timeout=60):
        wait_until(lambda: served.grpc.running == 1)
    wait_until(lambda: served.grpc.running == 0)


def test_pages_of_other_sites_are_refused(served: Served) -> None:
    accept = {"accept": "application/json, text/event-stream"}
    evil = {**accept, "origin": "https://evil.example"}
    assert served.post("/mcp", PING, headers=evil).status_code == 403
    assert served.post("/mcp", PING, headers={**accept, "host": "evil.example"}).status_code == 403
