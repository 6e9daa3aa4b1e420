"""The tools over a real server, by the newest protocol and by the one before it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import INVALID_PARAMS
from mcp_helper import Connected, Talk, failure, refused, value
from serving_fixtures import (
    TOPICS,
    Background,
    OpenPipeline,
    PacedGenerator,
    StartServer,
    TellingGenerator,
    wait_until,
)
from table_fixtures import COVERAGE, TABLE, OpenCounting

from expertrag.api.jsonable import to_json
from expertrag.api.types import GateMode, QuestionScope
from expertrag.client import AsyncClient
from expertrag.serving.mcp.documents import DocumentLinks

LEAVE = TOPICS["office"]["leave"]
LEAVE_SENTENCE = "Employees of Northwind get 27 days of paid leave a year."
READING = ["search", "fetch", "answer", "explain_gate"]
WRITING = ["add_document", "delete_document"]


@pytest.fixture
def client(start_server: StartServer, connected: Connected) -> AsyncClient:
    return connected(start_server().address)


@pytest.fixture
def writer(
    start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path, connected: Connected
) -> AsyncClient:
    """A client of a server that allows writes."""
    server = start_server(lambda: open_pipeline(store=own_store), allow_writes=True)
    return connected(server.address)


def test_tools_that_read_are_marked_so(talk: Talk, client: AsyncClient) -> None:
    tools = talk(lambda session: session.list_tools(), client).tools
    assert [tool.name for tool in tools] == READING
    for tool in tools:
        assert tool.title
        assert tool.description
        assert tool.annotations.read_only_hint
        assert not tool.annotations.destructive_hint
        assert tool.annotations.idempotent_hint
        assert not tool.annotations.open_world_hint
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema["type"] == "object"


def test_tools_that_write_are_listed_where_writes_are_allowed(
    talk: Talk, client: AsyncClient
) -> None:
    tools = talk(lambda session: session.list_tools(), client, writes=True).tools
    assert [tool.name for tool in tools] == READING + WRITING
    for tool in tools[len(READING) :]:
        assert not tool.annotations.read_only_hint
        assert tool.annotations.destructive_hint


def test_the_modes_of_an_answer_are_in_its_schema(talk: Talk, client: AsyncClient) -> None:
    tools = {tool.name: tool for tool in talk(lambda session: session.list_tools(), client).tools}
    schema = tools["answer"].input_schema
    assert schema["properties"]["mode"]["enum"] == [*(mode.value for mode in GateMode), None]
    assert schema["required"] == ["question"]


def test_search_lists_each_document_once(talk: Talk, client: AsyncClient) -> None:
    found = value(
        talk(lambda session: session.call_tool("search", {"query": "paid leave"}), client)
    )
    assert list(found) == ["results"]
    assert found["results"][0] == {
        "id": "office/leave", "title": "leave", "url": "", "source": "leave.txt"
    }  # fmt: skip
    ids = [result["id"] for result in found["results"]]
    assert len(ids) == len(set(ids)) == 18


def test_fetch_returns_the_document(talk: Talk, client: AsyncClient) -> None:
    fetched = value(
        talk(lambda session: session.call_tool("fetch", {"id": "office/leave"}), client)
    )
    assert fetched == {
        "id": "office/leave",
        "title": "leave",
        "text": LEAVE,
        "url": "",
        "metadata": {"source": "leave.txt", "year": 2020, "lang": "en"},
    }


def test_urls_of_web_pages_lead_there() -> None:
    links = DocumentLinks()
    assert links.url_of("a", "https://example.com/a") == "https://example.com/a"
    assert links.url_of("a", "folder/a.txt") == links.url_of("a", "javascript:x") == ""


def test_urls_lead_to_the_console(talk: Talk, client: AsyncClient) -> None:
    async def use(session: Client) -> list[str]:
        found = value(await session.call_tool("search", {"query": "paid leave"}))
        fetched = value(await session.call_tool("fetch", {"id": "office/leave"}))
        return [found["results"][0]["url"], fetched["url"]]

    expected = "https://rag.example/console/#/document?id=office%2Fleave"
    for base_url in ("https://rag.example/console", "https://rag.example/console/"):
        assert talk(use, client, base_url_of=lambda _, base=base_url: base) == [expected] * 2


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("fetch", {"id": "office/none"}, "'office/none'"),
        ("fetch", {"id": ""}, "id: is empty; give a text"),
        ("search", {"query": " "}, "query: is empty; give a text"),
        ("search", {}, "query: Field required"),
        ("search", {"query": ["a"]}, "query: Input should be a valid string"),
        ("search", {"query": "a", "top": 3}, "top: Unexpected"),
        ("answer", {"question": "x", "mode": "maybe"}, "auto, never, always, strict"),
        ("answer", {"question": "x" * 40_000}, "question: has 40,000 bytes"),
    ],
)
def test_errors_say_what_to_do(
    talk: Talk, client: AsyncClient, tool: str, arguments: dict[str, Any], message: str
) -> None:
    result = talk(lambda session: session.call_tool(tool, arguments), client)
    assert message in failure(result)


@pytest.mark.parametrize("tool", ["none", *WRITING])
def test_a_tool_that_is_not_listed_is_an_error(talk: Talk, client: AsyncClient, tool: str) -> None:
    error = talk(lambda session: refused(session.call_tool(tool, {"id": "x"})), client)
    assert error.code == INVALID_PARAMS
    assert error.message.endswith("choose one of search, fetch, answer, explain_gate")


def test_an_absent_server_is_an_error_of_the_tool(
    talk: Talk, connected: Connected, tmp_path: Path
) -> None:
    absent = connected(f"unix:{tmp_path}/none")

    async def use(session: Client) -> str:
        return failure(await session.call_tool("search", {"query": "x"}))

    assert "unix:" in talk(use, absent, timeout_s=2.0)


def test_what_is_unexpected_stays_in_the_log(background: Background) -> None:
    from expertrag.serving.mcp import mcp_server

    def broken(_: object) -> AsyncClient:
        raise RuntimeError("a secret")

    async def use() -> tuple[str, str]:
        async with Client(mcp_server(broken, writes=False)) as session:
            message = failure(await session.call_tool("search", {"query": "x"}))
            return message, (await refused(session.list_resources())).message

    for message in background.run(use()):
        assert message == "an unexpected error; the log of the server has its cause"


def test_an_answer_marks_its_citations(
    talk: Talk, start_server: StartServer, open_pipeline: OpenPipeline, connected: Connected
) -> None:
    model = TellingGenerator(f"{LEAVE_SENTENCE} That is a lot.")
    client = connected(start_server(lambda: open_pipeline(model)).address)
    asked = {"question": "How many days of leave do employees get?", "mode": "always"}
    answer = value(
        talk(
            lambda session: session.call_tool("answer", asked),
            client,
            base_url_of=lambda _: "http://x",
        )
    )
    assert answer["from_documents"]
    assert not answer["abstained"]
    (citation,) = answer["citations"]
    number = citation["source"]
    source = answer["sources"][number - 1]
    assert answer["text"].startswith(f"{LEAVE_SENTENCE} [{number}]")
    assert (source["number"], source["id"], source["page"]) == (number, "office/leave", None)
    assert source["url"] == "http://x/#/document?id=office%2Fleave"
    assert citation["quote"] == LEAVE[citation["start"] : citation["end"]]
    assert citation["sentence"] == LEAVE_SENTENCE
    assert citation["support"] == 1.0
    assert answer["gate"]["retrieve"]
    assert answer["gate"]["mode"] == "always"
    assert len(answer["id"]) == 32


def test_an_answer_from_the_model_alone_says_so(talk: Talk, client: AsyncClient) -> None:
    asked = {"question": "How many?", "mode": "never"}
    answer = value(talk(lambda session: session.call_tool("answer", asked), client))
    assert answer["text"].startswith("0 1 2")
    assert not answer["from_documents"]
    assert (answer["citations"], answer["sources"]) == ([], [])


def test_an_abstention_says_why(talk: Talk, client: AsyncClient) -> None:
    asked = {"question": "Who won the cup in 1998?", "mode": "strict"}
    answer = value(talk(lambda session: session.call_tool("answer", asked), client))
    assert answer["abstained"]
    assert answer["unsupported_reason"]


def test_the_gate_is_explained_as_it_decides(
    talk: Talk, client: AsyncClient, background: Background
) -> None:
    question = "How many days of leave do employees get?"
    told = value(
        talk(lambda session: session.call_tool("explain_gate", {"question": question}), client)
    )
    decision = background.run(client.decide(question))
    assert told["retrieve"] is decision.retrieve
    assert (told["p_benefit"], told["threshold"]) == (decision.p_benefit, decision.threshold)
    assert (told["reason"], told["mode"]) == (decision.reason, "auto")
    assert told["contributions"] == dict(decision.contributions)
    assert told["rewritten_question"] == ""


def test_documents_are_added_and_deleted(talk: Talk, writer: AsyncClient) -> None:
    async def use(session: Client) -> None:
        document = {
            "id": "office/bicycle",
            "text": "A bicycle can be leased through the office.",
            "title": "bicycle",
            "metadata": {"tags": ["lease"], "author": {"name": "Ada"}},
        }
        added = value(await session.call_tool("add_document", document))
        assert (added["id"], added["change"]) == ("office/bicycle", "added")
        again = value(await session.call_tool("add_document", document))
        assert again["change"] == "unchanged"
        changed = await session.call_tool("add_document", document | {"text": "A car."})
        assert value(changed)["change"] == "changed"
        fetched = value(await session.call_tool("fetch", {"id": "office/bicycle"}))
        assert fetched["text"] == "A car."
        assert fetched["metadata"] == {"source": "api", "tags": ["lease"], "author.name": "Ada"}
        blank = await session.call_tool("add_document", {"id": "blank", "text": " "})
        assert failure(blank)
        removed = value(await session.call_tool("delete_document", {"id": "office/bicycle"}))
        assert removed["change"] == "removed"
        assert removed["generation"] > added["generation"]
        for tool in ("delete_document", "fetch"):
            gone = await session.call_tool(tool, {"id": "office/bicycle"})
            assert "there is no document 'office/bicycle'" in failure(gone)

    talk(use, writer, writes=True)


def test_a_server_without_writes_refuses_them(talk: Talk, client: AsyncClient) -> None:
    document = {"id": "a", "text": "A text."}
    result = talk(lambda session: session.call_tool("add_document", document), client, writes=True)
    assert "--allow-writes" in failure(result)


def test_progress_is_reported(talk: Talk, client: AsyncClient) -> None:
    reported: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, message))

    asked = {"question": "How many?", "mode": "always"}

    async def use(session: Client) -> None:
        value(await session.call_tool("answer", asked, progress_callback=note))

    talk(use, client)
    numbers = [progress for progress, _ in reported]
    assert numbers == sorted(set(numbers))
    messages = [message for _, message in reported]
    assert messages[:2] == ["searching the documents", "found 5 passages"]
    assert set(messages[2:]) == {"writing"}


def test_a_cancelled_call_ends_the_answer(
    talk: Talk,
    paced: PacedGenerator,
    start_server: StartServer,
    connected: Connected,
) -> None:
    paced.step_s, paced.words = 0.01, 3_000
    client = connected(start_server().address)

    async def use(session: Client) -> None:
        asked = session.call_tool("answer", {"question": "How many?", "mode": "never"})
        calling = asyncio.create_task(asked)
        await asyncio.to_thread(wait_until, lambda: paced.open_sessions > 0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await asyncio.to_thread(wait_until, lambda: not paced.open_sessions)

    talk(use, client)


def test_an_answer_about_a_set_of_documents_has_its_table(
    talk: Talk, start_server: StartServer, open_counting: OpenCounting, connected: Connected
) -> None:
    counting = open_counting()
    client = connected(start_server(lambda: counting).address)
    asked = {"question": "How many?", "scope": "list", "as_of": "2026-01-31"}
    got = value(talk(lambda session: session.call_tool("answer", asked), client))
    assert (got["table"], got["coverage"]) == (to_json(TABLE), to_json(COVERAGE))
    assert counting.days == ["2026-01-31"]
    refused_day = {"question": "How many?", "as_of": "today"}
    assert "write a day such as 2026-01-31" in failure(
        talk(lambda session: session.call_tool("answer", refused_day), client)
    )
    tools = {tool.name: tool for tool in talk(lambda session: session.list_tools(), client).tools}
    scopes = tools["answer"].input_schema["properties"]["scope"]["enum"]
    assert scopes == [*(scope.value for scope in QuestionScope), None]
