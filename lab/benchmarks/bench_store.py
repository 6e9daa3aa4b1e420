"""What the store's operations cost: CPU seconds and wall seconds at 100,000 chunks.

    make lab-bench-store ARGS="--json FILE"

A store is made of random words with Zipf's frequencies and vectors around random centres, which
need no model, so that the figures are those of the store alone; a write is timed without its
embedding and calibration. 60 % of the documents have access labels, and the restricted reader sees
those with one of two labels and those without. Each operation runs ``--rounds`` times, and the
medians are written. Queries of BM25 have three words: the first time, and again, when the
restricted reader has kept the places of their words.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import results_file
from tqdm import tqdm

from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.types import Document, FloatArray, Group, Progress
from expertrag_index.upkeep.backup import backup, restore
from expertrag_index.upkeep.compact import compact
from expertrag_index.upkeep.deep import deep_check
from expertrag_index.upkeep.verify import verify

CODE = ("index/expertrag_index", "lab/benchmarks/bench_store.py")
WORDS = 50_000
WORDS_OF_A_CHUNK = 60
CHUNKS_OF_A_DOCUMENT = 4
LABELS = tuple(f"team{number}" for number in range(5))
SEEN = LABELS[:2]
Seconds = Mapping[str, float]


class RandomEmbedder:
    """A text's vector is near one of 1,000 centres, both chosen by the text's hash."""

    name = fingerprint = "random"
    dimension = 384
    max_tokens = WORDS_OF_A_CHUNK + 8
    experts: tuple[str, ...] = ()

    def __init__(self) -> None:
        """Draw the centres."""
        self._centres = np.random.default_rng(0).standard_normal((1000, self.dimension), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count words, and two special tokens."""
        return [text.count(" ") + 3 for text in texts]

    def fingerprint_of_expert(self, expert: str) -> str:
        """Return the only fingerprint."""
        return self.fingerprint

    def assign(
        self, samples: Mapping[str, Sequence[str]], known: Collection[Group], progress: Progress
    ) -> list[Group]:
        """Assign no groups: there are no experts."""
        return []

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Return vectors [N, D]."""
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> FloatArray:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        noise = np.random.default_rng(seed).standard_normal(self.dimension, np.float32)
        vector = self._centres[seed % len(self._centres)] + noise
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def main() -> None:
    """Measure, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        stores = {"labelled": place / "labelled", "plain": place / "plain"}
        for kind, path in stores.items():
            _build(path, given.chunks, labelled=kind == "labelled")
        with Index.open(stores["labelled"]) as index:
            sizes = {"chunks": index.size, "documents": index.manifest.documents}
            sizes["seen"] = index.restrict(SEEN).size
            sizes["bytes"] = index.size_bytes
            found: dict[str, Any] = {**sizes, "bm25": _bm25(index, given.queries)}
        rounds = range(given.rounds)
        runs = [_operations(stores, place / "work", number) for number in tqdm(rounds, "rounds")]
    found["operations"] = {
        name: {
            key: round(statistics.median(run[name][key] for run in runs), 4)
            for key in ("cpu_s", "wall_s")
        }
        for name in runs[0]
    }
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)


def _build(path: Path, chunks: int, *, labelled: bool) -> None:
    documents = documents_of(chunks // CHUNKS_OF_A_DOCUMENT, labelled=labelled)
    total = chunks // CHUNKS_OF_A_DOCUMENT
    with IndexWriter.open(path, RandomEmbedder()) as writer:
        writer.build(tqdm(documents, f"{path.name} documents", total))


def documents_of(count: int, *, labelled: bool) -> Iterator[Document]:
    """Yield documents of random words, four chunks each."""
    draw = np.random.default_rng(1)
    shares = np.cumsum(1 / np.arange(1, WORDS + 1))
    for number in range(count):
        size = CHUNKS_OF_A_DOCUMENT, WORDS_OF_A_CHUNK
        words = np.searchsorted(shares, draw.random(size) * shares[-1])
        text = "\n\n".join(" ".join(f"w{word}" for word in chunk) + "." for chunk in words)
        labels = [LABELS[draw.integers(len(LABELS))]] if labelled and draw.random() < 0.6 else []
        yield Document(
            f"doc{number}", text, metadata={"number": number}, source=f"/{number}", labels=labels
        )


def _bm25(index: Index, count: int) -> dict[str, float]:
    """Time searches by BM25, in milliseconds of CPU: of the whole store, and restricted."""
    rng = random.Random(2)
    # ranks in steps of equal ratio: common and rare words alike
    queries = [
        " ".join(f"w{int(WORDS ** rng.random()) - 1}" for _ in range(3)) for _ in range(count)
    ]
    readers = {"whole": index, "restricted": index.restrict(SEEN)}
    found = {}
    for name, reader in readers.items():
        for run in ("first", "again"):
            started = time.process_time()
            for query in queries:
                # a word more each time, which no chunk has: else a cache holds the statistics
                reader.search_lexical(f"{query} x{run}", 10)
            spent = time.process_time() - started
            found[f"{name}, {run}"] = round(spent / count * 1000, 3)
    found["ratio, first"] = round(found["restricted, first"] / found["whole, first"], 3)
    found["ratio, again"] = round(found["restricted, again"] / found["whole, again"], 3)
    return found


def _operations(stores: Mapping[str, Path], work: Path, number: int) -> dict[str, Seconds]:
    """Time each operation once, on copies of the stores."""
    path, copy = Path(shutil.copytree(stores["labelled"], work / "store")), work / "backup"
    embedder = RandomEmbedder()
    found: dict[str, Seconds] = {}

    def timed(name: str, operation: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        operation()
        spent = time.process_time() - cpu
        found[name] = {"cpu_s": spent, "wall_s": time.perf_counter() - wall}

    timed("open", lambda: Index.open(path).close())
    timed("open, no labels", lambda: Index.open(stores["plain"]).close())
    with Index.open(path) as index:
        seal, segments = index.seal, index.open_parts
        timed("open, state known", lambda: Index.open(path, known=seal).close())
        timed(
            "open, state and files known",
            lambda: Index.open(path, known=seal, reuse=segments).close(),
        )
        timed("view of a restricted reader", lambda: index.restrict(SEEN))
    note = Document("note", f"w1 w2 of round {number}.", labels=SEEN[:1])
    with IndexWriter.open(path, embedder) as writer:
        timed("small update", lambda: writer.add([note]))
        timed("small update, state known", lambda: writer.add([replace(note, id="other")]))
    timed("backup", lambda: backup(path, copy))
    timed("restore", lambda: restore(copy, work / "restored"))
    timed("verify", lambda: _must_be_sound(verify(path).problems))
    timed("verify --deep, after verify", lambda: _must_be_sound(deep_check(path, embedder)))
    segment = next((path / "segments").iterdir())
    segment.write_bytes(segment.read_bytes()[:-1])
    timed("repair of a vector file", lambda: verify(path, repair=True))
    timed("compact", lambda: compact(path))
    shutil.rmtree(work)
    return found


def _must_be_sound(problems: Collection[str]) -> None:
    if problems:
        raise RuntimeError(f"the store is damaged: {next(iter(problems))}")


if __name__ == "__main__":
    main()
