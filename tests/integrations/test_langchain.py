"""The LangChain adapters over a real server and in process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import pytest
from langchain_core.exceptions import ModelRefusalError, OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from pydantic import BaseModel
from serving_fixtures import Background, OpenPipeline, StartServer, TellingGenerator
from table_fixtures import COVERAGE, TABLE, OpenCounting

from expertrag.api.errors import DeadlineExceeded, InvalidArgument
from expertrag.api.types import Constraint, GateMode, QuestionScope
from expertrag.client import AsyncClient, Client
from expertrag.integrations.langchain import ExpertRAGChatModel, ExpertRAGRetriever
from expertrag.integrations.structured import constraint_of
from expertrag.llm.base import Message
from expertrag_common.extras import install_command

QUESTION = "When are roses pruned?"
Telling = Callable[..., ExpertRAGChatModel]


@pytest.fixture
def address(start_server: StartServer) -> str:
    return start_server().address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def test_retriever(client: Client) -> None:
    retriever = ExpertRAGRetriever(client=client, k=2, filter={"domain": "garden"})
    first, second = retriever.invoke(QUESTION)
    assert first.page_content.startswith("Roses are pruned")
    assert first.id == "garden/roses#0"
    assert first.metadata["score"] >= second.metadata["score"]
    assert first.metadata["source"] == "roses.txt"
    assert first.metadata["document_id"] == "garden/roses"
    assert (first.metadata["start"], first.metadata["end"]) == (0, len(first.page_content))
    assert first.metadata["year"] == 2020
    assert first.metadata["generation"] == 1


def test_chat_model(client: Client) -> None:
    model = ExpertRAGChatModel(client=client, mode=GateMode.ALWAYS, max_tokens=3)
    message = model.invoke([SystemMessage("Be brief."), HumanMessage(QUESTION)])
    assert isinstance(message, AIMessage)
    assert message.content == "0 1 2 "
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] == 3
    assert message.response_metadata["gate"]["action"] == "retrieve"
    assert len(message.response_metadata["id"]) == 32
    assert message.response_metadata["finish_reason"] == "length"
    assert isinstance(message.response_metadata["citations"], list)
    assert message.response_metadata["model_name"] == "paced"
    assert message.response_metadata["from_documents"] is True
    again = client.answer(QUESTION, mode="always", max_tokens=3)
    assert message.response_metadata["unsupported_reason"] == again.unsupported_reason
    assert model.invoke(QUESTION, max_tokens=2, mode="never").content == "0 1 "


def test_a_count_has_its_table(start_server: StartServer, open_counting: OpenCounting) -> None:
    counting = open_counting()
    with Client(start_server(lambda: counting).address) as client:
        model = ExpertRAGChatModel(client=client, scope=QuestionScope.LIST)
        whole = model.invoke("Which?", as_of="2026-01-31")
        *_, last = model.stream("Which?")
    for metadata in (whole.response_metadata, last.response_metadata):
        assert metadata["table"] == asdict(TABLE)
        assert metadata["coverage"] == asdict(COVERAGE)
        assert metadata["gate"]["scope"] == "list"
    assert counting.days == ["2026-01-31", ""]


def test_chat_model_reads_the_chat(client: Client) -> None:
    model = ExpertRAGChatModel(client=client, mode=GateMode.ALWAYS, max_tokens=3)
    chat = [
        SystemMessage("Be brief."),
        HumanMessage(QUESTION),
        AIMessage("In March."),
        HumanMessage("Above what are they pruned?"),
    ]
    for answer in (model.invoke(chat), asyncio.run(model.ainvoke(chat))):
        gate = answer.response_metadata["gate"]
        assert gate["rewritten_question"] == "Above what are roses pruned?"
    *_, last = model.stream(chat)
    assert last.response_metadata["gate"]["rewritten_question"] == "Above what are roses pruned?"


def test_chat_model_streams(client: Client) -> None:
    model = ExpertRAGChatModel(client=client, mode=GateMode.NEVER)
    chunks = list(model.stream(QUESTION))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    assert whole.content == "".join(f"{number} " for number in range(20))
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 20
    assert whole.response_metadata["gate"]["action"] == "closed_book"
    assert whole.response_metadata["from_documents"] is False
    assert whole.response_metadata["unsupported_reason"] == ""


def test_sampling_reaches_the_server(client: Client) -> None:
    model = ExpertRAGChatModel(client=client, mode=GateMode.NEVER, frequency_penalty=3)
    with pytest.raises(InvalidArgument, match="frequency_penalty: is 3"):
        model.invoke(QUESTION)
    with pytest.raises(InvalidArgument, match=r"constraint\.choices: is empty"):
        model.invoke(QUESTION, frequency_penalty=1, constraint=Constraint(choices=()))
    message = model.invoke(QUESTION, frequency_penalty=1, logprobs=0, max_tokens=1)
    assert message.content == "0 " and message.response_metadata["logprobs"] == []


def test_the_question_comes_last(client: Client) -> None:
    model = ExpertRAGChatModel(client=client)
    with pytest.raises(InvalidArgument, match="messages"):
        model.invoke([HumanMessage(QUESTION), AIMessage("In March.")])


@pytest.mark.parametrize("own", [True, False], ids=["asynchronous", "in a thread"])
def test_asynchronous_calls(
    address: str, client: Client, background: Background, own: bool
) -> None:
    async def scenario() -> None:
        twin = AsyncClient(address) if own else None
        retriever = ExpertRAGRetriever(client=client, async_client=twin, k=1)
        assert (await retriever.ainvoke(QUESTION))[0].id == "garden/roses#0"
        model = ExpertRAGChatModel(
            client=client, async_client=twin, mode=GateMode.NEVER, max_tokens=3
        )
        assert (await model.ainvoke(QUESTION)).content == "0 1 2 "
        streamed = [chunk.content async for chunk in model.astream(QUESTION)]
        assert "".join(map(str, streamed)) == "0 1 2 "
        if twin is not None:
            await twin.close()

    background.run(scenario())


def test_system_messages_are_instructions(
    start_server: StartServer, open_pipeline: OpenPipeline
) -> None:
    class ReadingAloud(TellingGenerator):
        def reply_to(self, messages: Sequence[Message]) -> str:
            return messages[0].content

    server = start_server(lambda: open_pipeline(ReadingAloud()))
    with Client(server.address) as client:
        model = ExpertRAGChatModel(client=client, mode=GateMode.NEVER)
        chat = [SystemMessage("Be brief."), HumanMessage(QUESTION), SystemMessage("Rhyme.")]
        with pytest.raises(InvalidArgument, match="messages"):
            model.invoke(chat)
        message = model.invoke([*chat[::2], HumanMessage(QUESTION)])
        assert str(message.content).endswith("\n\nBe brief.\n\nRhyme.")
        *streamed, _ = model.stream([*chat[::2], HumanMessage(QUESTION)])
        assert "".join(str(chunk.content) for chunk in streamed) == message.content


def test_options_of_one_call(client: Client) -> None:
    assert len(ExpertRAGRetriever(client=client).invoke(QUESTION, k=2)) == 2
    with pytest.raises(InvalidArgument, match="top_k: is not an option"):
        ExpertRAGRetriever(client=client).invoke(QUESTION, top_k=2)
    model = ExpertRAGChatModel(client=client, mode=GateMode.NEVER)
    with pytest.raises(InvalidArgument, match="tools: is not an option"):
        model.invoke(QUESTION, tools=[])
    with pytest.raises(DeadlineExceeded):
        model.invoke(QUESTION, timeout=0.0001)


class Pruning(BaseModel):
    month: str
    above: str | None = None


REPLY = '{"month": "March", "above": "a bud"}'


@pytest.fixture
def telling(start_server: StartServer, open_pipeline: OpenPipeline) -> Iterator[Telling]:
    """Returns a chat model that replies what it is told."""
    with ExitStack() as opened:

        def make(reply: str, doubt: float | None = None, **options: Any) -> ExpertRAGChatModel:
            generator = TellingGenerator(reply, doubt)
            server = start_server(lambda: open_pipeline(generator))
            client = opened.enter_context(Client(server.address))
            return ExpertRAGChatModel(client=client, **options)

        yield make


def test_structured_output(telling: Telling) -> None:
    model = telling(REPLY, mode=GateMode.NEVER)
    found = Pruning(month="March", above="a bud")
    assert model.with_structured_output(Pruning).invoke(QUESTION) == found
    assert list(model.with_structured_output(Pruning).stream(QUESTION)) == [found]
    as_dict = model.with_structured_output(Pruning.model_json_schema())
    assert as_dict.invoke(QUESTION) == found.model_dump()
    *_, whole = as_dict.stream(QUESTION)
    assert whole == found.model_dump()
    anything = model.with_structured_output(None, method="json_mode")
    assert anything.invoke(QUESTION) == found.model_dump()
    raw = model.with_structured_output(Pruning, include_raw=True).invoke(QUESTION)
    assert (raw["raw"].content, raw["parsed"], raw["parsing_error"]) == (REPLY, found, None)


def test_abstentions_have_no_structure(telling: Telling) -> None:
    model = telling(REPLY, doubt=0.99, mode=GateMode.STRICT)
    structured = model.with_structured_output(Pruning)
    with pytest.raises(ModelRefusalError, match="an abstention has no structure; it says: The "):
        structured.invoke(QUESTION)
    with pytest.raises(ModelRefusalError):
        list(structured.stream(QUESTION))
    raw = model.with_structured_output(Pruning, include_raw=True).invoke(QUESTION)
    assert raw["parsed"] is None
    assert isinstance(raw["parsing_error"], ModelRefusalError)
    assert raw["raw"].response_metadata["finish_reason"] == "abstained"


def test_what_was_cut_or_is_invalid_is_an_error(telling: Telling, client: Client) -> None:
    cut = ExpertRAGChatModel(client=client, mode=GateMode.NEVER, max_tokens=3)
    with pytest.raises(OutputParserException, match="raise max_tokens"):
        cut.with_structured_output(Pruning).invoke(QUESTION)
    invalid = telling('{"month": 3}', mode=GateMode.NEVER)
    with pytest.raises(OutputParserException, match="not a valid Pruning"):
        invalid.with_structured_output(Pruning).invoke(QUESTION)


def test_arguments_of_structured_output(client: Client) -> None:
    model = ExpertRAGChatModel(client=client)
    for arguments, message in (
        ({"method": "xml"}, "method: is 'xml'; choose one of json_schema"),
        ({"tools": []}, "tools: is not an option"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            model.with_structured_output(Pruning, **arguments)
    with pytest.raises(InvalidArgument, match="schema: is None"):
        model.with_structured_output(None)


def test_objects_have_no_more_properties_than_the_schema() -> None:
    closed = constraint_of(Pruning, closed=True).json_schema
    assert closed == {**Pruning.model_json_schema(), "additionalProperties": False}
    assert constraint_of(Pruning, closed=False).json_schema == Pruning.model_json_schema()
    own = {"type": "object", "properties": {}, "additionalProperties": True}
    assert constraint_of(own, closed=True).json_schema == own
    inner = {"type": "object", "properties": {"of": own, "in": {**own}}}
    nested = {"type": "array", "items": [{**inner}]}
    shut = {"type": "array", "items": [{**inner, "additionalProperties": False}]}
    assert constraint_of(nested, closed=True).json_schema == shut


def test_without_langchain_the_fix_is_named() -> None:
    script = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "from expertrag import MissingExtra\n"
        "try: import expertrag.integrations.langchain\n"
        "except MissingExtra as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith(f"run: {install_command('langchain')}")
