"""Documents for tests of the store, and a child process that builds it and can be killed.

It prints "ready" and reads one line: build|add STORE COUNT DELAY_S
"""

from __future__ import annotations

import sys
from pathlib import Path

from expertrag_index.types import Document

SUBJECTS = ("checkpoints", "replication", "indexes")


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
    from hashing_embedder import HashingEmbedder

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
