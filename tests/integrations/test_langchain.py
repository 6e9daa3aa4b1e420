"""The LangChain adapters over a real server and in process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from serving_fixtures import Background, StartServer

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Constraint, GateMode
from expertrag.client import AsyncClient, Client
from expertrag.integrations.langchain import ExpertRAGChatModel, ExpertRAGRetriever

QUESTION = "When are roses pruned?"


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


def test_without_langchain_the_fix_is_named() -> None:
    script = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "from expertrag import MissingExtra\n"
        "try: import expertrag.integrations.langchain\n"
        "except MissingExtra as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith("run: pip install 'expertrag[langchain]'")
