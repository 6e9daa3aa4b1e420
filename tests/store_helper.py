"""Shared by the tests of the store: an embedder, documents, and a child process to kill.

Run as a script, it reads a command a line, and prints the number and the exit code of its process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import BuildReport, Document, DocumentEmbedder, Group, Progress
from expertrag_index.upkeep.backup import backup, restore
from expertrag_retriever.router import groups

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

    def assign(
        self, samples: Mapping[str, Sequence[str]], known: Collection[Group], progress: Progress
    ) -> list[Group]:
        raise AssertionError("a plain embedder assigns no groups")

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


class ExpertEmbedder(HashingEmbedder):
    """A hashing embedder with experts, each with its own vector space.

    The base model's vectors are those of :class:`HashingEmbedder` with a 0 appended. An expert
    rolls them, so that vectors of two experts are unrelated, and tilts them towards one common
    direction: with ``lean`` l, cosines become c² · cosine + s² with s = sin l, c = cos l, an affine
    map. ``versions`` of experts represent their weights.

    The router reads words: ``legal-word`` assigns a text to the expert "legal" with a probability
    of .95; other texts are of no domain.
    """

    def __init__(
        self,
        experts: tuple[str, ...] = ("legal", "finance"),
        lean: dict[str, float] | None = None,
        versions: dict[str, int] | None = None,
        dimension: int = 32,
        delay_s: float = 0.0,
    ) -> None:
        base = f"base-{dimension}"
        super().__init__(dimension, base, delay_s)
        self.name = f"bundle of {' and '.join(experts)}"
        self.dimension = dimension + 1
        self.experts = experts
        self.encoded_by: list[str] = []
        self.routed = 0
        self._hash_dimension = dimension
        self._lean = lean or {}
        self._base = base
        self._versions = versions or {}
        self.fingerprint = "/".join(map(self.fingerprint_of_expert, ("general", *experts)))

    def fingerprint_of_expert(self, expert: str) -> str:
        version = self._versions.get(expert, 0)
        return self._base if expert == "general" else f"{self._base}+{expert}{version}"

    def tokens_read(self, texts: Sequence[str], role: str) -> list[int]:
        del role
        return self.count_tokens(texts)

    def posteriors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.routed += len(texts)
        rows = np.zeros((len(texts), len(self.experts) + 1), np.float32)
        for row, text in zip(rows, texts, strict=True):
            said = [i for i, name in enumerate(self.experts) if f"{name}-word" in text.lower()]
            row[-1] = 0.05 if said else 1.0
            row[said] = 0.95 / max(1, len(said))
        return rows

    assign = groups.assign

    def encode_documents(
        self, texts: Sequence[str], domain: str | None = None
    ) -> NDArray[np.float32]:
        assert domain is not None, "the store names the expert"
        time.sleep(self.delay_s * len(texts))
        self.encoded.extend(texts)
        self.encoded_by.extend([domain] * len(texts))
        return np.stack([self.encode_query(text, domain) for text in texts])

    def encode_query(self, text: str, domain: str | None = None) -> NDArray[np.float32]:
        plain = HashingEmbedder(self._hash_dimension).encode_query(text)
        if domain not in self.experts:
            return np.append(plain, np.float32(0))
        lean = self._lean.get(str(domain), 0.0)
        rolled = np.roll(plain, 1 + self.experts.index(str(domain)))
        return np.append(rolled * np.cos(lean), np.sin(lean)).astype(np.float32)

    def encode_queries(
        self, texts: Sequence[str], domain: str | None = None
    ) -> NDArray[np.float32]:
        return np.stack([self.encode_query(text, domain) for text in texts])

    def encode_queries_by_experts(
        self, texts: Sequence[str], experts: Sequence[str]
    ) -> NDArray[np.float32]:
        return np.stack([[self.encode_query(text, expert) for expert in experts] for text in texts])


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


CORPUS = make_corpus(60)
"""Sixty documents of two chunks each, three subjects, numbered."""


def make_mixed_corpus(count: int) -> list[Document]:
    """A third each: labelled legal, in a folder with words of finance, in a folder without."""
    documents = []
    for i in range(count):
        kind = ("legal", "money", "garden")[i % 3]
        words = " ".join(f"word{(i * j) % 89}" for j in range(1, 70))
        reported = "finance-word" if kind == "money" else "plants"
        documents.append(
            Document(
                id=f"{kind}{i}",
                text=f"About {reported} number{i}. {words}.",
                domain="legal" if kind == "legal" else None,
                source=f"/notes/{kind}/{i}.txt",
            )
        )
    return documents


def build(
    store: Path, embedder: DocumentEmbedder, documents: Iterable[Document], **options: Any
) -> BuildReport:
    """Build a store, or build it again."""
    with IndexWriter.open(store, embedder, **options) as writer:
        return writer.build(documents)


def migrate(store: Path, embedder: DocumentEmbedder) -> BuildReport:
    """Encode the documents of a store with another embedder."""
    with IndexWriter.open(store, embedder, migrating=True) as writer:
        return writer.migrate()


class PowerCutError(Exception):
    """Simulates the end of a process at a moment that the test chooses."""


def change_database(store: Path, *statements: str) -> None:
    """Run SQL on the database of a store."""
    with closing(sqlite3.connect(store / "store.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def contents(store: Path) -> tuple[list[Any], ...]:
    """Return a store's contents without keys and generations, so that equal stores are equal."""
    with closing(sqlite3.connect(store / "store.db")) as connection:
        documents = connection.execute(
            """SELECT id, hash, source, title, domain, metadata, text FROM documents
            WHERE removed_in = 1 << 62 ORDER BY id"""
        ).fetchall()
        chunks = connection.execute(
            """SELECT d.id, c.ordinal, c.start, c."end", c.title, c.text, c.expert, v.embedding
            FROM chunks c JOIN documents d ON d.row = c.document
            JOIN vectors v ON v.content_hash = c.content_hash
            WHERE c.removed_in = 1 << 62 ORDER BY d.id, c.ordinal"""
        ).fetchall()
        groups = connection.execute(
            """SELECT name, expert, share, documents, evidence FROM groups
            WHERE removed_in = 1 << 62 ORDER BY name"""
        ).fetchall()
    return documents, chunks, groups


class Child:
    """An interpreter that has imported everything, and forks a process for each command.

    One command runs at a time. The process has died as soon as :meth:`wait` returns.
    """

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._parent = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self._process = 0

    def start(self, command: str, *arguments: object) -> None:
        """Start one of ``COMMANDS``."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(f"{command} {' '.join(map(str, arguments))}\n")
        self._parent.stdin.flush()
        self._process = self._heard()

    @property
    def runs(self) -> bool:
        assert self._parent.stdout is not None
        return not select.select([self._parent.stdout], [], [], 0)[0]

    def kill(self) -> int:
        """Kill the process, if it still runs; return its exit code, negative if it was killed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        return self._heard()

    def close(self) -> None:
        """End the interpreter."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.close()
        assert self._parent.wait() == 0
        self._parent.stdout.close()

    def _heard(self) -> int:
        assert self._parent.stdout is not None
        return int(self._parent.stdout.readline())


def write(command: str, store: str, count: str, delay_s: str) -> None:
    with_experts = command in ("experts", "migrate")
    embedder = (ExpertEmbedder if with_experts else HashingEmbedder)(delay_s=float(delay_s))
    settings = WriterSettings(embed_batch=16, commit_chunks=16)
    with IndexWriter.open(
        Path(store), embedder, settings=settings, migrating=command == "migrate"
    ) as writer:
        if command == "migrate":
            writer.migrate()
        elif command == "experts":
            writer.build(make_mixed_corpus(int(count)))
        elif command == "build":
            writer.build(make_corpus(int(count)))
        else:
            writer.add(make_corpus(int(count), version=1))


def copy(command: str, source: str, target: str) -> None:
    run = backup if command == "backup" else restore
    run(Path(source), Path(target), force=True)


COMMANDS: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("build", "add", "experts", "migrate"), write),
    **dict.fromkeys(("backup", "restore"), copy),
}
"""What a child can do: ``write STORE COUNT DELAY_S``, and ``copy SOURCE TARGET``."""


def main() -> None:
    for line in sys.stdin:
        command, *arguments = line.split()
        process = os.fork()
        if process == 0:
            COMMANDS[command](command, *arguments)
            return
        _say(process)
        _, status = os.waitpid(process, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
