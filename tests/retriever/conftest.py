"""Fixtures of the retrieval tests: a small BEIR store, and tiny encoders that can have experts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sentence_transformers import SentenceTransformer

    from expertrag_index import Index
    from expertrag_retriever import Searcher, SentenceTransformerEmbedder

SMALL_SET = Path(__file__).parent.parent / "data" / "beir_small"


_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 30522,
    "pad_token_id": 0,
    "max_position_embeddings": 160,
}
KINDS = ("bert", "mpnet", "modernbert", "nomic_bert")


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


@pytest.fixture(scope="session")
def encoder_folders(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind of encoder, with mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    model_of: Any = AutoModel.from_config  # the library leaves it without annotations

    tokenizer = AutoTokenizer.from_pretrained(minilm_path)
    folders = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        config: Any = AutoConfig.for_model(kind, **_SIZES)
        torch.manual_seed(0)
        model_of(config).save_pretrained(folder / "base")
        tokenizer.save_pretrained(folder / "base")
        transformer = Transformer(str(folder / "base"), max_seq_length=64)
        model = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
        model.save(str(folder / "model"))
        folders[kind] = folder / "model"
    return folders


@pytest.fixture
def encoder(encoder_folders: dict[str, Path]) -> Callable[[str], SentenceTransformer]:
    """Load an encoder of a kind, anew each time: surgery changes it."""

    def load(kind: str) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(encoder_folders[kind]), device="cpu").eval()

    return load
