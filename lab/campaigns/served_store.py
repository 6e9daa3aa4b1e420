"""Stores for the servers of the campaigns, built in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from serving_fixtures import TOPICS

from expertrag import models
from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import Document
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.encoder import load_embedder

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder

MODEL = "all-minilm-l6-v2"
_TEXTS = [text for texts in TOPICS.values() for text in texts.values()]
WORDS = tuple(sorted({word for text in _TEXTS for word in text.split()}))


def topics() -> list[Document]:
    """Return short documents of three domains."""
    return [
        Document(id=f"{domain}/{name}", text=text, title=name, domain=domain)
        for domain, texts in TOPICS.items()
        for name, text in texts.items()
    ]


def build(path: Path, documents: Sequence[Document]) -> int:
    """Build a store of exactly these documents; return its generation."""
    embedder = _embedder()
    with IndexWriter.open(path, embedder, calibrate=calibrator(embedder)) as writer:
        return writer.build(documents, failures=[]).generation


@cache
def _embedder() -> SentenceTransformerEmbedder:
    return load_embedder(models.ensure(MODEL), name=MODEL)
