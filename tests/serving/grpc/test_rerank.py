"""The reranker of a server: ranks of texts, and the order of what a search finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from serving_fixtures import OpenPipeline, PacedGenerator, StartServer

from expertrag.answer.rerank import ServedReranker
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.rerank import RerankMode, RerankResult
from expertrag.api.types import RetrieveResult
from expertrag.client import AsyncClient, Client
from expertrag.integrations.langchain import ExpertRAGRetriever
from expertrag_retriever.rerank.loading import load_reranker
from expertrag_retriever.rerank.reranking import Reranking

QUERY = "When are roses pruned?"
TEXTS = ["Roses are pruned in March.", "Compost needs air.", "A lawn is cut."]


@pytest.fixture(scope="module")
def served(cross_encoder_folder: Path) -> ServedReranker:
    reranker = load_reranker(str(cross_encoder_folder), name="tiny", device="cpu")
    return ServedReranker(Reranking(reranker, candidates=8, deadline_s=60.0))


@pytest.fixture
def client(
    start_server: StartServer, open_pipeline: OpenPipeline, served: ServedReranker
) -> Iterator[Client]:
    server = start_server(lambda: open_pipeline(reranker=served))
    with Client(server.address) as client:
        yield client


def test_texts_are_ranked(client: Client, served: ServedReranker) -> None:
    scores = served.reranking.reranker.score(QUERY, TEXTS)
    raw = client.rerank(QUERY, TEXTS, raw_scores=True, return_text=True)
    assert [rank.index for rank in raw.ranks] == np.argsort(-scores).tolist()
    assert [rank.score for rank in raw.ranks] == pytest.approx(
        sorted(scores, reverse=True), abs=0.01
    )
    assert [rank.text for rank in raw.ranks] == [TEXTS[rank.index] for rank in raw.ranks]
    assert raw.model == "tiny"
    mapped = client.rerank(QUERY, TEXTS)
    assert [rank.index for rank in mapped.ranks] == [rank.index for rank in raw.ranks]
    wanted = [1 / (1 + np.exp(-rank.score)) for rank in raw.ranks]
    assert [rank.score for rank in mapped.ranks] == pytest.approx(wanted, abs=0.01)
    assert {rank.text for rank in mapped.ranks} == {""}


def test_a_long_text_is_cut_or_refused(client: Client) -> None:
    assert len(client.rerank(QUERY, ["rose " * 500]).ranks) == 1
    with pytest.raises(InvalidArgument, match=r"texts: has one of 5\d\d tokens .* reads 96"):
        client.rerank(QUERY, [*TEXTS, "rose " * 500], truncate=False)
    assert len(client.rerank(QUERY, TEXTS, truncate=False).ranks) == 3


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("query", lambda client: client.rerank("", TEXTS)),
        ("texts", lambda client: client.rerank(QUERY, [])),
        ("texts", lambda client: client.rerank(QUERY, ["x"] * 257)),
        ("texts", lambda client: client.rerank(QUERY, "one string")),
        ("rerank", lambda client: client.retrieve(QUERY, rerank="maybe")),
    ],
)
def test_bad_requests_name_the_field(
    client: Client, field: str, ask: Callable[[Client], object]
) -> None:
    with pytest.raises(InvalidArgument, match=f"^{field}: "):
        ask(client)


def test_a_search_is_reranked(client: Client) -> None:
    plain = client.retrieve(QUERY, k=8, rerank="off")
    assert {passage.rerank_score for passage in plain.passages} == {None}
    assert plain.reranked == 0
    found = client.retrieve(QUERY, k=3)
    assert found.reranked == 8
    scores = [passage.rerank_score or 0.0 for passage in found.passages]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    ids = {passage.document_id for passage in plain.passages}
    assert {passage.document_id for passage in found.passages} <= ids


def test_an_answer_reports_the_reranking(client: Client) -> None:
    answer = client.answer(QUERY, mode="always", k=2)
    assert answer.usage.reranked == 8
    assert answer.usage.stage_seconds["rerank"] > 0
    assert all(passage.rerank_score is not None for passage in answer.passages)
    plain = client.answer(QUERY, mode="always", k=2, rerank="off")
    assert plain.usage.reranked == 0
    assert "rerank" not in plain.usage.stage_seconds


def test_both_clients_and_langchain_see_the_scores(
    open_pipeline: OpenPipeline, start_server: StartServer, served: ServedReranker
) -> None:
    address = start_server(lambda: open_pipeline(reranker=served)).address

    async def ask() -> tuple[RerankResult, RetrieveResult]:
        async with AsyncClient(address) as twin:
            return await twin.rerank(QUERY, TEXTS), await twin.retrieve(QUERY, k=3)

    ranked, found = asyncio.run(ask())
    with Client(address) as client:
        assert client.rerank(QUERY, TEXTS) == ranked
        first, *_ = ExpertRAGRetriever(client=client, k=3).invoke(QUERY)
        assert first.metadata["rerank_score"] == found.passages[0].rerank_score
        plain, *_ = ExpertRAGRetriever(client=client, k=3, rerank=RerankMode.OFF).invoke(QUERY)
        assert "rerank_score" not in plain.metadata


def test_without_time_the_search_keeps_its_order(
    open_pipeline: OpenPipeline, start_server: StartServer, served: ServedReranker
) -> None:
    hasty = ServedReranker(Reranking(served.reranking.reranker, deadline_s=0.0))
    server = start_server(lambda: open_pipeline(reranker=hasty))
    with Client(server.address) as client:
        found, plain = (client.retrieve(QUERY, rerank=mode) for mode in ("on", "off"))
        assert found.passages == plain.passages
        assert found.reranked == 0
        assert found.rerank_skipped.startswith("it would take ")
        assert plain.rerank_skipped == ""
        assert client.answer(QUERY, mode="always").usage.rerank_skipped == 1


def test_a_server_without_a_reranker_says_so(
    open_pipeline: OpenPipeline, start_server: StartServer
) -> None:
    server = start_server(lambda: open_pipeline(PacedGenerator()))
    with Client(server.address) as client:
        for ask in (
            lambda: client.rerank(QUERY, TEXTS),
            lambda: client.retrieve(QUERY, rerank="on"),
            lambda: client.answer(QUERY, mode="always", rerank="on"),
        ):
            with pytest.raises(Conflict, match="no reranker is set; start with --reranker"):
                ask()
        assert client.retrieve(QUERY).reranked == 0
