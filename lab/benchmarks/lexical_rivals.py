"""Builds or searches an index of one engine, and prints what it cost as JSON.

    python lab/benchmarks/lexical_rivals.py ENGINE build|search FOLDER --chunks N

A process of its own, so that its peak of memory is the engine's; ``lexical_engines`` starts it, for
tantivy and bm25s with the Python of another environment.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lexical_corpus
import numpy as np
from numpy.typing import NDArray

HITS = 10
_WARM_UP = 20
Search = Callable[[str], list[int]]


def main() -> None:
    """Build or search."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("step", choices=("build", "search"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=int, required=True)
    given = parser.parse_args()
    build, opened = ENGINES[given.engine]
    found = (
        _built(build, given.folder, given.chunks)
        if given.step == "build"
        else _searched(opened, given.folder)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**found, "peak_mib": round(peak / 1024)}))


def _built(build: Callable[[Path, Iterable[list[str]]], str], folder: Path, chunks: int) -> Any:
    """Time a build without the making of the texts."""
    making = np.zeros(2)

    def texts() -> Iterable[list[str]]:
        nonlocal making
        source = lexical_corpus.batches(chunks)
        while True:
            began = _clocks()
            batch = next(source, None)
            making += _clocks() - began
            if batch is None:
                return
            yield batch

    began = _clocks()
    version = build(folder, texts())
    wall, cpu = _clocks() - began - making
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "version": version,
        "build_s": round(wall, 2),
        "build_cpu_s": round(cpu, 2),
        "bytes_a_chunk": round(size / chunks),
    }


def _clocks() -> NDArray[np.float64]:
    """Return seconds of the wall clock, and of the CPU."""
    return np.array([time.perf_counter(), time.process_time()])


def _searched(opened: Callable[[Path], Search], folder: Path) -> Any:
    began = time.perf_counter()
    search = opened(folder)
    opening = time.perf_counter() - began
    for query in lexical_corpus.queries(_WARM_UP, seed=2):
        search(query)
    hits, times = [], []
    for query in lexical_corpus.queries():
        before = _clocks()
        hits.append(search(query))
        times.append(1000 * (_clocks() - before))
    wall, cpu = np.transpose(times)
    return {
        "open_s": round(opening, 3),
        "p50_ms": round(float(np.percentile(wall, 50)), 3),
        "p95_ms": round(float(np.percentile(wall, 95)), 3),
        "max_ms": round(float(wall.max()), 3),
        "mean_cpu_ms": round(float(cpu.mean()), 3),
        "hits": hits,
    }


def _build_ours(folder: Path, batches: Iterable[list[str]]) -> str:
    from expertrag_index.postings.build import build_postings
    from expertrag_index.words.analysis import tokens

    def analysed() -> Iterable[tuple[Any, list[list[str]]]]:
        start = 0
        for texts in batches:
            yield np.arange(start, start + len(texts)), [tokens(text) for text in texts]
            start += len(texts)

    build_postings(analysed(), folder)
    return ""


def _open_ours(folder: Path, engine: str) -> Search:
    from expertrag_index.postings.engine import best_engine
    from expertrag_index.postings.plain import PlainEngine
    from expertrag_index.postings.search import PostingSearcher
    from expertrag_index.postings.segment import PostingSegment

    (path,) = folder.glob("*.postings")
    chosen = PlainEngine() if engine == "numpy" else best_engine()
    assert chosen.name == engine, "the compiled search is missing: run make install"
    searcher = PostingSearcher([PostingSegment.open(path)], None, chosen)
    return lambda query: [hit.key for hit in searcher.search(searcher.statistics(query), HITS)]


def _build_fts5(folder: Path, batches: Iterable[list[str]]) -> str:
    connection = sqlite3.connect(folder / "fts5.db")
    connection.execute(
        "CREATE VIRTUAL TABLE texts USING fts5 (text, content='', tokenize='porter unicode61')"
    )
    start = 0
    for texts in batches:
        connection.executemany(
            "INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts, start)
        )
        start += len(texts)
    connection.commit()
    connection.close()
    return sqlite3.sqlite_version


def _open_fts5(folder: Path) -> Search:
    connection = sqlite3.connect(folder / "fts5.db")
    connection.execute("PRAGMA mmap_size = 8589934592")

    def search(query: str) -> list[int]:
        match = " OR ".join(f'"{name}"' for name in query.split())
        rows = connection.execute(
            "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank, rowid LIMIT ?",
            (match, HITS),
        )
        return [key for (key,) in rows]

    return search


def _build_tantivy(folder: Path, batches: Iterable[list[str]]) -> str:
    tantivy = importlib.import_module("tantivy")
    schema = tantivy.SchemaBuilder()
    schema.add_unsigned_field("key", stored=True)
    schema.add_text_field("text", stored=False, tokenizer_name="en_stem", index_option="freq")
    writer = tantivy.Index(schema.build(), path=str(folder)).writer(256 << 20, 1)
    start = 0
    for texts in batches:
        for key, text in enumerate(texts, start):
            writer.add_document(tantivy.Document(key=key, text=text))
        start += len(texts)
    writer.commit()
    writer.wait_merging_threads()
    return str(tantivy.__version__)


def _open_tantivy(folder: Path) -> Search:
    index = importlib.import_module("tantivy").Index.open(str(folder))
    searcher = index.searcher()

    def search(query: str) -> list[int]:
        found = searcher.search(index.parse_query(query, ["text"]), HITS, count=False).hits
        return [searcher.doc(address)["key"][0] for _, address in found]

    return search


def _build_bm25s(folder: Path, batches: Iterable[list[str]]) -> str:
    bm25s = importlib.import_module("bm25s")
    texts = [text for batch in batches for text in batch]
    tokens = bm25s.tokenize(texts, stopwords=None, show_progress=False)
    model = bm25s.BM25(k1=1.2, b=0.75, backend="numba")
    model.index(tokens, show_progress=False)
    model.save(str(folder))
    return str(bm25s.__version__)


def _open_bm25s(folder: Path) -> Search:
    bm25s = importlib.import_module("bm25s")
    model = bm25s.BM25.load(str(folder), mmap=True)
    model.backend = "numba"

    def search(query: str) -> list[int]:
        tokens = bm25s.tokenize([query], stopwords=None, return_ids=False, show_progress=False)
        found = model.retrieve(tokens, k=HITS, show_progress=False, n_threads=1)
        keys: list[int] = found.documents[0].tolist()
        return keys

    return search


ENGINES: dict[str, tuple[Callable[[Path, Iterable[list[str]]], str], Callable[[Path], Search]]] = {
    "C++": (_build_ours, lambda folder: _open_ours(folder, "C++")),
    "numpy": (_build_ours, lambda folder: _open_ours(folder, "numpy")),
    "fts5": (_build_fts5, _open_fts5),
    "tantivy": (_build_tantivy, _open_tantivy),
    "bm25s": (_build_bm25s, _open_bm25s),
}


if __name__ == "__main__":
    main()
