"""What the tests of the store share: an embedder, documents, and a child process to be killed.

The child prints "ready" and reads one line: build|add STORE COUNT DELAY_S.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import Document

SUBJECTS = ("checkpoints", "replication", "indexes")


class HashingEmbedder:
    """A deterministic embedder without weights, for tests that need thousands of runs.

    Words are hashed onto a few signed dimensions, so that texts with common words are similar.
    It remembers what it encodes. A text with the word ``poison`` becomes NaN.
    """

    def __init__(
        self, dimension: int = 32, fingerprint: str = "hashing-1", delay_s: float = 0.0
    ) -> None:
        self.name = "hashing"
        self.fingerprint = fingerprint
        self.dimension = dimension
        self.max_tokens = 64
        self.delay_s = delay_s
        self.encoded: list[str] = []
        self.experts: tuple[str, ...] = ()

    def fingerprint_of_expert(self, expert: str) -> str:
        return self.fingerprint

    def posteriors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise AssertionError("a plain embedder is asked for no posteriors")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]

    def encode_documents(
        self, texts: Sequence[str], domain: str | None = None
    ) -> NDArray[np.float32]:
        time.sleep(self.delay_s * len(texts))
        self.encoded.extend(texts)
        return np.stack([self.encode_query(text) for text in texts])

    def encode_query(self, text: str, domain: str | None = None) -> NDArray[np.float32]:
        vector = np.full(self.dimension, 1e-3, np.float32)
        for word in text.lower().split():
            if word == "poison":
                return np.full(self.dimension, np.nan, np.float32)
            digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
            for byte in digest:
                vector[byte % self.dimension] += 1 if byte & 128 else -1
        return vector / np.linalg.norm(vector)


def make_corpus(count: int, version: int = 0) -> list[Document]:
    """Documents of two chunks; those of odd number change with ``version``."""
    documents = []
    for i in range(count):
        subject = SUBJECTS[i % 3]
        words = [f"word{(i * j) % 89}" for j in range(1, 80)]
        edition = f"edition{version if i % 2 else 0}"
        documents.append(
            Document(
                id=f"doc{i}",
                text=f"About {subject} number{i} {edition}. {' '.join(words)}.",
                title=f"Notes on {subject}",
                metadata={"number": i, "parity": "odd" if i % 2 else "even", "long": i > 30},
                domain="database" if i % 3 else None,
                source=f"/notes/{subject}/{i}.txt",
            )
        )
    return documents


def main() -> None:

    from expertrag_index.build import IndexWriter
    from expertrag_index.settings import WriterSettings

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    command, store, count, delay_s = sys.stdin.readline().split()
    embedder = HashingEmbedder(delay_s=float(delay_s))
    settings = WriterSettings(embed_batch=16)
    with IndexWriter.open(Path(store), embedder, settings=settings) as writer:
        if command == "build":
            writer.build(make_corpus(int(count)))
        else:
            writer.add(make_corpus(int(count), version=1))


if __name__ == "__main__":
    main()
