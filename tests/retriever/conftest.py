"""Fixtures of the retrieval tests: a store of a small BEIR set, built once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from expertrag_index import Index
    from expertrag_retriever import Searcher, SentenceTransformerEmbedder

SMALL_SET = Path(__file__).parent.parent / "data" / "beir_small"


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="session")
def beir_index(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceTransformerEmbedder
) -> Iterator[Index]:
    """150 sections of the Python documentation, with the fusion calibrated."""
    from expertrag_index import Index, IndexWriter
    from expertrag_index.types import Document
    from expertrag_retriever import calibrate_fusion

    store = tmp_path_factory.mktemp("beir") / "store"
    documents = [
        Document(
            item["_id"],
            item["text"],
            item["title"],
            metadata={"part": item["_id"].split("/")[0]},
            source="beir_small",
        )
        for item in _lines(SMALL_SET / "corpus.jsonl.gz")
    ]
    with IndexWriter.open(
        store, embedder, calibrate=lambda index: {"fusion": calibrate_fusion(index, embedder)}
    ) as writer:
        writer.build(documents, failures=[])
    with Index.open(store, embedder_fingerprint=embedder.fingerprint) as index:
        yield index


@pytest.fixture(scope="session")
def searcher(beir_index: Index, embedder: SentenceTransformerEmbedder) -> Searcher:
    from expertrag_retriever import Searcher

    return Searcher(beir_index, embedder)


@pytest.fixture(scope="session")
def judged_queries() -> list[tuple[str, set[str]]]:
    """Each test question with the ids of its relevant sections."""
    relevant: dict[str, set[str]] = {}
    for line in (SMALL_SET / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        relevant.setdefault(query, set()).add(document)
    texts = {item["_id"]: item["text"] for item in _lines(SMALL_SET / "queries.jsonl.gz")}
    return [(texts[query], documents) for query, documents in relevant.items()]
