"""What a small upsert costs a store with replicas: bytes and seconds of its push and its pull.

    make lab-bench-replicas ARGS="--json FILE"

A store of random words and vectors (see ``bench_store``) is pushed to a folder and pulled from
there; then one document of one chunk is added, pushed and pulled, ``--rounds`` times. For other
sizes of blocks, it is counted what the same upserts would upload: the blocks of the database that
change, compressed, and the list of all of them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import statistics
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import results_file
from bench_store import CHUNKS_OF_A_DOCUMENT, WORDS_OF_A_CHUNK, RandomEmbedder, documents_of
from tqdm import tqdm

from expertrag_index.build.writer import IndexWriter
from expertrag_index.replicas.published import generation_object, read_published, serialise
from expertrag_index.replicas.pull import pull
from expertrag_index.replicas.push import push
from expertrag_index.replicas.remote import open_remote
from expertrag_index.store.index import Index
from expertrag_index.types import Document

CODE = ("index/expertrag_index", "lab/benchmarks/bench_replicas.py")
_SIZES = tuple(1 << power for power in (12, 14, 16, 18))
_NAMED_BYTES = 67  # of a block in the list of a generation


def main() -> None:
    """Measure, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--chunks", type=int, nargs="+", default=[4_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for chunks in given.chunks:
        with tempfile.TemporaryDirectory() as name:
            found[str(chunks)] = _measured(Path(name), chunks, given.rounds)
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)


def _measured(work: Path, chunks: int, rounds: int) -> dict[str, Any]:
    store, url, copy = work / "store", str(work / "shared"), work / "copy"
    with IndexWriter.open(store, RandomEmbedder()) as writer:
        documents = documents_of(chunks // CHUNKS_OF_A_DOCUMENT, labelled=False)
        writer.build(tqdm(documents, "documents"))
    first = [asdict(push(store, url)), asdict(pull(url, copy))]
    runs, blocks = [], []
    before = _database(store, work)
    for number in tqdm(range(rounds), "rounds"):
        text = " ".join(f"w{number}{word}" for word in range(WORDS_OF_A_CHUNK))
        with IndexWriter.open(store, RandomEmbedder()) as writer:
            writer.add([Document(f"note{number}", f"{text}.")])
        runs.append([_timed(push, store, url), _timed(pull, url, copy)])
        after = _database(store, work)
        blocks.append([_changed(before, after, size) for size in _SIZES])
        before = after
    published = read_published(open_remote(url))
    data = serialise(published)
    name = generation_object(published.generation, data)
    with Index.open(copy) as index:
        assert index.generation == rounds + 1, "the copy is in step"
        sizes = {"chunks": index.size, "database": len(before), "bytes": index.size_bytes}
    return {
        **sizes,
        "block_bytes": published.database.block_bytes,
        "list_bytes": len(open_remote(url).read(name, 1 << 28) or b""),
        "first": dict(zip(("push", "pull"), map(_rounded, first), strict=True)),
        "upsert": {
            what: _rounded(_medians([run[at] for run in runs]))
            for at, what in enumerate(("push", "pull"))
        },
        "uploaded_by_block_bytes": {
            str(size): _medians([round_[at] for round_ in blocks]) for at, size in enumerate(_SIZES)
        },
    }


def _timed(run: Any, *arguments: object) -> dict[str, Any]:
    cpu = time.process_time()
    report = asdict(run(*arguments))
    return {**report, "cpu_s": time.process_time() - cpu}


def _database(store: Path, work: Path) -> bytes:
    path = work / "snapshot.db"
    path.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(store / "store.db")) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    return path.read_bytes()


def _changed(before: bytes, after: bytes, size: int) -> dict[str, int]:
    """Count the blocks that an upload of a database would have, and the bytes with their list."""
    known = {hashlib.sha256(block).digest() for block in _cut(before, size)}
    changed = [block for block in _cut(after, size) if hashlib.sha256(block).digest() not in known]
    packed = sum(len(zlib.compress(block, 1)) for block in changed)
    named = -(-len(after) // size) * _NAMED_BYTES
    return {"blocks": len(changed), "plain": sum(map(len, changed)), "packed": packed + named}


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[offset : offset + size] for offset in range(0, len(data), size))


def _medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    kept = ("objects", "bytes", "seconds", "cpu_s")
    return {key: round(float(figures[key]), 3) for key in kept if key in figures}


if __name__ == "__main__":
    main()
