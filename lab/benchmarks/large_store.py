"""Make a large store that a server opens: random words and vectors, under the default embedder.

    python lab/benchmarks/large_store.py STORE --chunks 100000
    make lab-bench-server-start STORE=STORE

Embedding 100,000 texts takes minutes, and what the store finds does not matter to how it starts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench_store import CHUNKS_OF_A_DOCUMENT, RandomEmbedder, documents_of
from tqdm import tqdm

from expertrag.config import ModelConfig
from expertrag.stores.embedders import open_embedder
from expertrag_index.build.writer import IndexWriter


class NamedEmbedder(RandomEmbedder):
    """Random vectors under the name of the default embedder, for its base model's partition."""

    def __init__(self) -> None:
        """Take over the name, and what a store records of it."""
        super().__init__()
        embedder = open_embedder(ModelConfig(embedder="all-minilm-l6-v2"), None)
        self.name, self.fingerprint = embedder.name, embedder.fingerprint


def main() -> None:
    """Build the store."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    given = parser.parse_args()
    count = given.chunks // CHUNKS_OF_A_DOCUMENT
    with IndexWriter.open(given.store, NamedEmbedder()) as writer:
        writer.build(tqdm(documents_of(count, labelled=False), "documents", count))


if __name__ == "__main__":
    main()
