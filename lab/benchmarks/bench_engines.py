"""Where the vectors are: FAISS in the folder beside PostgreSQL and other engines.

    make lab-bench-engines ARGS="--sizes 10000 100000 --json FILE"

One store of each size is built with its vectors in its folder, then moved to each engine in turn
(``index compact --vectors``). The corpus, questions and embedder are those of ``bench_scale.py``:
the embedder costs nearly nothing, so that the figures are those of the store. For each place:

- move: seconds until all vectors are there, and chunks/s; FAISS: the whole build
- search: hybrid, dense and BM25, as in ``bench_scale.py``; recall@10 of the dense half
- filters: hybrid search among 1, 10 and 50 % of the documents
- upsert: seconds until a search finds one new document
- bytes: what the vectors take on disk, for a chunk; in PostgreSQL with its indexes

A PostgreSQL server is started on a socket in a temporary folder; ``--engine URL`` measures another
engine, such as a Qdrant server.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import results_file
import scale_store
from postgres_server import Postgres, postgres_server
from scale_tables import places
from synthetic_corpus import DOCUMENTS
from topic_embedder import TopicEmbedder

from expertrag_index.build.settings import WriterSettings
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_index.upkeep.compact import compact

HERE = Path(__file__).parent
CODE = (*results_file.SEARCH, "lab/benchmarks/bench_engines.py", "lab/benchmarks/scale_store.py")
NAME = "bench"
_UPSERTS = 5


def main() -> None:
    """Measure, print a table, and write JSON to a file or to stdout."""
    parser = results_file.parser(__doc__, "--work")
    parser.add_argument("--sizes", type=int, nargs="+", default=(10_000, 100_000))
    parser.add_argument(
        "--engine", action="append", default=[], metavar="URL", help="without #NAME"
    )
    given = parser.parse_args()
    sizes: dict[str, Any] = {}
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server())
        for size in given.sizes:
            folder = given.work / "engines" / str(size)
            sizes[str(size)] = dict(_places(folder, size, server, given.engine))
    print("\n".join(places({"sizes": sizes})))
    results_file.write(given.json, {"sizes": sizes}, CODE)


def _places(
    folder: Path, size: int, server: Postgres, engines: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each place with its figures; the store stays in the last one."""
    embedder = TopicEmbedder("topics", "topics-1")
    if not (folder / "corpus" / DOCUMENTS).exists():
        _run("synthetic_corpus.py", folder / "corpus", "--chunks", size, "--questions", 4000)
        scale_store.exact(folder, embedder)
    if not (folder / "store").exists():
        scale_store.build(folder, embedder)
    addresses = [f"{address}#{NAME}{size}" for address in engines]
    for address in ("faiss", server.url(f"{NAME}{size}"), *addresses):
        started = time.perf_counter()
        compact(folder / "store", settings=WriterSettings(vectors=address))
        moved = time.perf_counter() - started
        scheme = urlsplit(address).scheme or address
        print(f"{size:,} chunks: {scheme} in {moved:.0f} s", file=sys.stderr, flush=True)
        yield scheme, {"move_s": round(moved, 2), **_measured(folder, embedder, server, size)}


def _measured(folder: Path, embedder: TopicEmbedder, server: Postgres, size: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "search": scale_store.search(folder, embedder),
        "filters": scale_store.filters(folder, embedder),
    }
    found["upsert_s"] = _upserted(folder, embedder)
    with Index.open(folder / "store") as index:
        engine = index.manifest.engine
        if engine is None:
            segments = index.manifest.segments
            held = sum(segment.entry.bytes + segment.rows.bytes for segment in segments)
            found["bytes_a_chunk"] = round(held / index.size, 1)
        elif engine.url.startswith("postgresql:"):
            relation = f"expertrag_{NAME}{size}.chunks_{index.dimension}"
            held = int(server.sql(f"SELECT pg_total_relation_size('{relation}')"))
            found["bytes_a_chunk"] = round(held / index.size, 1)
    return found


def _upserted(folder: Path, embedder: TopicEmbedder) -> float:
    """Median of the seconds until a search finds one new document; the first warms up."""
    index, seconds = Index.open(folder / "store"), []
    for number in range(_UPSERTS + 1):
        word = f"quay{time.time_ns()}x"
        note = Document(f"note-{number}", f"Berth {word} of the harbour is free today.")
        figures, index = scale_store.upsert(folder / "store", index, embedder, [note], word)
        seconds.append(figures["visible_s"])
    index.close()
    return round(statistics.median(seconds[1:]), 3)


def _run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(HERE / script), *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
