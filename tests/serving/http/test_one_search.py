"""Every door finds the same documents for a question: none reads it in a way of its own."""

from __future__ import annotations

from http_fixtures import Served
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from mcp_helper import value
from serving_fixtures import Background

from expertrag.client import Client
from expertrag.integrations.langchain import ExpertRAGRetriever

QUESTIONS = [
    "When are roses pruned?",
    "when are ROSES pruned",
    "Could you tell me when roses are pruned?",
    "HOW LONG IS THE LEAVE AT NORTHWIND",
    "what is a checkpoint?",
    "roses",
]
K = 20
"""Passages of MCP's search."""


def test_every_door_searches_alike(served: Served, background: Background) -> None:
    expected, others = [], []

    async def search(query: str) -> list[str]:
        async with McpClient(streamable_http_client(f"{served.url}/mcp")) as session:
            found = value(await session.call_tool("search", {"query": query}))
        return [document["id"] for document in found["results"]]

    with Client(served.grpc.address) as client:
        retriever = ExpertRAGRetriever(client=client, k=K)
        for query in QUESTIONS:
            passages = client.retrieve(query, k=K).passages
            ids = list(dict.fromkeys(passage.document_id for passage in passages))
            console = served.post("/api/retrieve", {"query": query, "k": K}).json()["passages"]
            documents = retriever.invoke(query)
            expected.append([ids] * 3)
            others.append(
                [
                    background.run(search(query)),
                    list(dict.fromkeys(passage["document_id"] for passage in console)),
                    list(dict.fromkeys(found.metadata["document_id"] for found in documents)),
                ]
            )
    assert others == expected
