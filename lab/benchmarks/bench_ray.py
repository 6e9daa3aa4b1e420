"""Builds by workers on Ray beside a local build, of the same documents on one machine.

    python lab/benchmarks/bench_ray.py [--documents FOLDER] [--every N] [--workers N ...] [--json F]

Each build runs in a process of its own, with all-MiniLM-L6-v2 on the CPU and without calibration.
Seconds are those of the build, the start of the workers apart; CPU seconds are those of all its
processes, Ray's own included. Stores are compared row by row. Needs the extra 'ray'.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import results_file

from expertrag.config import ModelConfig
from expertrag.runtime.threads import share_cores
from expertrag.stores.embedders import open_embedder, open_worker_embedder
from expertrag_index.build.chunk import Chunker
from expertrag_index.build.embed_pool import EmbedPool
from expertrag_index.build.ray_pool import RayPool
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders import load
from expertrag_index.types import Document

CODE = (
    "lab/benchmarks/bench_ray.py",
    "index/expertrag_index/build/writer.py",
    "index/expertrag_index/build/embed_pool.py",
    "index/expertrag_index/build/embedding.py",
    "index/expertrag_index/build/ray_cluster.py",
    "index/expertrag_index/build/ray_pool.py",
    "index/expertrag_index/build/ray_worker.py",
    "index/expertrag_index/build/staging.py",
)
MODEL = ModelConfig(embedder="all-minilm-l6-v2", device="cpu")
LOCAL = 0
"""Workers of a build in the process itself."""


def main() -> None:
    """Measure all builds, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--documents", type=Path, default=Path("examples/documents"))
    parser.add_argument("--every", type=int, default=3, help="use every so many documents")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--store", type=Path, help="(of a child) store to build")
    given = parser.parse_args()
    if given.store:
        print(json.dumps(built(given.store, read(given.documents, given.every), given.workers[0])))
        return
    alone, load = parts(given.documents, given.every), os.getloadavg()[1]
    body: dict[str, Any] = {"parts": alone, "load": load, "builds": []}
    print(alone, load, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        expected = None
        for workers in (LOCAL, *given.workers):
            store = Path(folder) / str(workers)
            shared = ["--documents", given.documents, "--every", given.every]
            asked = ["--store", store, "--workers", workers, *shared]
            command = [sys.executable, __file__, *map(str, asked)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = rows(store)
            expected = expected or found
            row = {**json.loads(done.stdout), "same": found == expected}
            print(row, flush=True)
            body["builds"].append(row)
    results_file.write(given.json, body, CODE)


def read(folder: Path, every: int) -> list[Document]:
    """Read every so many documents."""
    return list(load([folder], on_failure=lambda failure: None))[::every]


def parts(folder: Path, every: int) -> dict[str, float]:
    """Measure what the writer does before texts are embedded, each part alone."""
    started = time.perf_counter()
    documents = read(folder, every)
    read_s = time.perf_counter() - started
    embedder = open_embedder(MODEL, None)
    chunker = Chunker(embedder.max_tokens, embedder.count_tokens)
    chunker.split(documents[0])
    started = time.process_time()
    chunks = sum(len(chunker.split(document)) for document in documents)
    chunk_s = time.process_time() - started
    return {"documents": len(documents), "chunks": chunks, "read_s": read_s, "chunk_s": chunk_s}


def built(store: Path, documents: list[Document], workers: int) -> dict[str, float]:
    """Build a store, and return what it took."""
    embedder = open_embedder(MODEL, None)
    started: list[tuple[float, float]] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "start workers" and done == total:
            started.append((time.perf_counter(), cpu_s()))

    with ExitStack() as stack:
        pool: EmbedPool | None = None
        if workers != LOCAL:
            loader = functools.partial(open_worker_embedder, MODEL)
            pool = stack.enter_context(RayPool(loader, workers=workers, progress=progress))
        writer = stack.enter_context(IndexWriter.open(store, embedder, pool=pool))
        began = time.perf_counter(), cpu_s()
        report = writer.build(documents)
        ended = time.perf_counter(), cpu_s()
        worker_mb = most_worker_mb()
    ready = started[0] if started else began
    return {
        "workers": workers,
        "start_s": ready[0] - began[0],
        "start_cpu_s": ready[1] - began[1],
        "seconds": ended[0] - ready[0],
        "cpu_s": ended[1] - ready[1],
        "chunks_per_s": report.chunks / (ended[0] - ready[0]),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_mb": worker_mb,
    }


def cpu_s() -> float:
    """CPU seconds of this process and of all below it that run."""
    own = time.process_time()
    return own + sum(_cpu_s(pid) for pid in _below("self"))


def most_worker_mb() -> float:
    """Most memory of a worker below this process; 0 without one."""
    found = [0.0]
    for pid in _below("self"):
        with suppress(OSError):
            if "EmbedWorker" in Path(f"/proc/{pid}/cmdline").read_text():
                status = Path(f"/proc/{pid}/status").read_text()
                found.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
    return max(found)


def _below(pid: str) -> Iterator[str]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield child
                yield from _below(child)


def _cpu_s(pid: str) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / 100  # clock ticks, a hundred a second on Linux
    return 0.0


def rows(store: Path) -> list[tuple[object, ...]]:
    """Return the rows of documents, chunks and vectors, in the order of the chunks' keys."""
    with closing(sqlite3.connect(store / "store.db")) as connection:
        return connection.execute(
            """SELECT c.*, d.*, v.* FROM chunks c JOIN documents d ON d.row = c.document
            JOIN vectors v ON v.content_hash = c.content_hash ORDER BY c.key"""
        ).fetchall()


if __name__ == "__main__":
    share_cores()  # as the command line does, before torch is loaded
    main()
