"""Make a store of many synthetic chunks with the default embedder's name, for measurements.

    python benchmarks/large_store.py STORE --chunks 100000

Texts are random words of a vocabulary; their vectors are random, because embedding 100,000 texts
takes minutes. The store opens, searches and updates as any other of its size; what it finds means
nothing.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from expertrag.answer.assemble import open_embedder
from expertrag.config import ModelConfig
from expertrag_index.build import IndexWriter
from expertrag_index.types import Document, FloatArray

WORDS, PER_DOCUMENT, WORDS_PER_CHUNK = 30_000, 5, 150


class RandomVectors:
    """The default embedder, but for its vectors."""

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self._draw = np.random.default_rng(7)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count words: every word of the vocabulary is taken for one token."""
        return [len(text.split()) + 2 for text in texts]

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Return random unit vectors [N, D]."""
        vectors = self._draw.normal(size=(len(texts), self._embedder.dimension))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found: FloatArray = vectors.astype(np.float32)
        return found


def documents(chunks: int) -> Iterator[Document]:
    """Yield documents of about five chunks each."""
    draw = random.Random(7)
    words = [f"w{number:x}" for number in range(WORDS)]
    for number in range(chunks // PER_DOCUMENT):
        sections = [
            f"# Section {place}\n\n" + " ".join(draw.choices(words, k=WORDS_PER_CHUNK)) + "."
            for place in range(PER_DOCUMENT)
        ]
        yield Document(f"d{number}", "\n\n".join(sections), f"Document {number}", domain="general")


def main() -> None:
    """Build the store."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    given = parser.parse_args()
    embedder: Any = RandomVectors(open_embedder(ModelConfig(), None))
    with IndexWriter.open(given.store, embedder) as writer:
        report = writer.build(documents(given.chunks))
    print(f"{report.chunks:,} chunks in {report.seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
