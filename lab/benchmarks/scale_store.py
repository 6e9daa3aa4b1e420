"""A part of ``bench_scale.py`` in a process of its own: how our store does at one size.

    python lab/benchmarks/scale_store.py PART FOLDER --embedder NAME FINGERPRINT

``FOLDER`` has ``corpus`` and ``store``. The figures are printed as one line of JSON. Each part is a
process, so that memory, caches and counters start from nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from scale_measures import (
    drop_page_cache,
    folder_bytes,
    memory,
    percentiles,
    read_files,
    timed,
    written,
)
from synthetic_corpus import DOCUMENTS, FILTERS, Asked, entries, paragraphs_of, read_questions
from topic_embedder import DIMENSION, TopicEmbedder

from expertrag_common.cores import available_cores
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders.load import load
from expertrag_index.store.index import Index
from expertrag_index.types import Document, LoadFailure
from expertrag_index.upkeep.compact import compact
from expertrag_retriever.base import Embedder
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.search import Searcher
from expertrag_retriever.types import Passage, SearchMode

WARM_UP, MEASURED, COLD = 200, 500, 100
"""Questions: to warm up with, to measure, and to measure first of all with a cold page cache."""
REMEMBERED = 1_000
"""Searches before memory is read."""
EXACT = "exact.json"
"""In the folder of a corpus: the exact ten best cosines of the first questions."""

_TOP = 10
_ROUNDING = 1e-4  # of a cosine: stored vectors may have 16 bits
_CHANGED = 0.01  # share of the documents that the large upsert replaces
_SMALL = 5  # single documents
_ELSEWHERE = 1 << 30  # number of documents that no corpus reaches


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--embedder", nargs=2, default=["topics", "topics-1"])
    given = parser.parse_args()
    figures = PARTS[given.part](given.folder, TopicEmbedder(*given.embedder))
    print(json.dumps(figures))


def build(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Build the store from the file of documents, as `expertrag index build` does."""
    store = folder / "store"
    failures: list[LoadFailure] = []
    documents = load([folder / "corpus" / DOCUMENTS], on_failure=failures.append)
    before, started = written(), time.perf_counter()
    settings = WriterSettings(threads=available_cores())
    with _writer(store, embedder, progress=Shown(), settings=settings) as writer:
        report = writer.build(documents, failures)
    seconds = time.perf_counter() - started
    if report.failures:
        raise RuntimeError(f"{report.failures[0].source}: {report.failures[0].reason}")
    times = os.times()
    size, bytes_written = folder_bytes(store), written() - before
    return {
        "chunks": report.chunks,
        "documents": report.added,
        "seconds": round(seconds, 2),
        "chunks_per_s": round(report.chunks / seconds, 1),
        "cpu_s": round(times.user + times.system, 2),
        "cpu_s_of_children": round(times.children_user + times.children_system, 2),
        "disk_bytes_a_chunk": round(size / report.chunks, 1),
        "written_bytes_a_chunk": round(bytes_written / report.chunks, 1),
        "write_amplification": round(bytes_written / _corpus_bytes(folder, report.chunks), 2),
    }


def open_store(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Open the store: with its files in the page cache, and without."""
    store = folder / "store"
    found = {}
    for kind, prepare in (("warm", read_files), ("cold", drop_page_cache)):
        prepare(store)
        started = time.perf_counter()
        Index.open(store).close()
        found[f"{kind}_s"] = round(time.perf_counter() - started, 3)
    return found


def search(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Search in each mode, the process and the page cache warmed up with other questions."""
    read_files(folder / "store")
    asked = read_questions(folder / "corpus")
    with Index.open(folder / "store") as index:
        searcher = Searcher(index, embedder)
        found: dict[str, Any] = {}
        for mode in SearchMode:
            for item in asked[:WARM_UP]:
                searcher.search(item.text, k=_TOP, mode=mode)
            hits: list[Sequence[Passage]] = []
            figures = timed([_call(searcher, item, mode, hits) for item in _measured(asked)])
            found[mode.value] = {**figures, "found": _found(hits, _measured(asked))}
            if mode is SearchMode.DENSE:
                found["recall_at_10"] = _recall(folder, embedder, hits, _measured(asked))
    return found


def cold(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Search right after opening, the page cache without the store's files."""
    drop_page_cache(folder / "store")
    asked = read_questions(folder / "corpus")[-COLD:]
    with Index.open(folder / "store") as index:
        # opening reads some of the files; searches have to read them again
        drop_page_cache(folder / "store")
        searcher = Searcher(index, embedder)
        return {"hybrid": timed([_call(searcher, item) for item in asked])}


def filters(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Search with filters: the first search with one, and others, beside searches without one."""
    read_files(folder / "store")
    asked = read_questions(folder / "corpus")
    found = {}
    with Index.open(folder / "store") as index:
        searcher = Searcher(index, embedder)
        for item in asked[:WARM_UP]:
            searcher.search(item.text, k=_TOP)
        for name, wanted in FILTERS.items():
            seconds = [_seconds(_call(searcher, asked[0], wanted=wanted))]
            figures = timed([_call(searcher, item, wanted=wanted) for item in _measured(asked)])
            found[name] = {**figures, "first_ms": percentiles(seconds)["first_ms"]}
    for figures in found.values():
        figures["ratio"] = round(figures["p50_ms"] / found["none"]["p50_ms"], 3)
        figures["ratio_p95"] = round(figures["p95_ms"] / found["none"]["p95_ms"], 3)
        figures["ratio_cpu"] = round(figures["cpu_ms"] / found["none"]["cpu_ms"], 3)
    return found


def resident(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Read what the store adds to the memory of a process: opened, and after searches."""
    asked = read_questions(folder / "corpus")
    embedder.encode_query(asked[0].text)
    before = memory()
    with Index.open(folder / "store") as index:
        opened = memory()
        searcher = Searcher(index, embedder)
        for number in range(REMEMBERED):
            searcher.search(asked[number % len(asked)].text, k=_TOP)
        after = memory()
        chunks = index.size
    rows = sum(path.stat().st_size for path in (folder / "store").rglob("*.rows"))
    return {
        "read_bytes_a_chunk": round(rows / chunks, 1),
    } | {
        f"{name}_bytes_a_chunk{when}": round((now[name] - before[name]) / chunks, 1)
        for when, now in ((", opened", opened), ("", after))
        for name in before
    }


def writes(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Upsert into a copy, as a server that has the store open does, and compact it."""
    store = folder / "copy"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(folder / "store", store)
    index = Index.open(store)
    found: dict[str, Any] = {}
    changes = []
    for number in range(_SMALL + 1):  # the first warms up
        note = Document(f"note-{number}", f"Berth quay{number}x of the harbour is free today.")
        figures, index = upsert(store, index, embedder, [note], f"quay{number}x")
        changes.append(figures)
    found["one document"] = {
        name: round(statistics.median(figures[name] for figures in changes[1:]), 3)
        for name in changes[0]
    }
    documents = _replacing(folder, max(1, round(_CHANGED * index.manifest.documents)))
    word = documents[-1].title
    figures, index = upsert(store, index, embedder, documents, word)
    found["1 % of the documents"] = {**figures, "documents": len(documents)}
    index.close()
    before = written()
    report = compact(store)
    done = written() - before
    changed = figures["change_bytes"] + sum(each["change_bytes"] for each in changes)
    found["compaction"] = {
        "seconds": round(report.seconds, 3),
        "written_bytes": done,
        "write_amplification": round(done / changed, 2),
        "written_of_the_store": round(done / report.bytes_after, 3),
    }
    shutil.rmtree(store)
    return found


def exact(folder: Path, embedder: TopicEmbedder) -> Mapping[str, Any]:
    """Find the ten best cosines of the first questions by comparing all chunks."""
    asked = read_questions(folder / "corpus")[: WARM_UP + MEASURED]
    queries = embedder.encode_queries([item.text for item in asked])  # [Q, D]
    best = np.full((len(asked), _TOP), -1, np.float32)
    texts = (f"{record['title']}\n{text}" for record, text in paragraphs_of(folder / "corpus"))
    while some := list(islice(texts, 4096)):
        scores = queries @ embedder.encode_documents(some).T  # [Q, B]
        best = np.partition(np.hstack([best, scores]), -_TOP, axis=1)[:, -_TOP:]
    best = -np.sort(-best, axis=1)
    (folder / "corpus" / EXACT).write_text(json.dumps(best.round(6).tolist()))
    return {"questions": len(asked)}


class Shown:
    """Prints the progress of a build, at most every ten seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Print a stage; the arguments are those of ``Progress``."""
        if (now := time.monotonic()) >= self._next:
            self._next = now + 10
            of = f" of {total:,}" if total else ""
            print(f"  {stage}: {done:,}{of}", file=sys.stderr, flush=True)


def _writer(store: Path, embedder: TopicEmbedder, **options: Any) -> IndexWriter:
    # calibration asks for no more than TopicEmbedder has
    calibrate = calibrator(cast(Embedder, embedder))
    return IndexWriter.open(store, embedder, calibrate=calibrate, **options)


def _measured(asked: Sequence[Asked]) -> Sequence[Asked]:
    return asked[WARM_UP : WARM_UP + MEASURED]


def _call(
    searcher: Searcher,
    item: Asked,
    mode: SearchMode = SearchMode.HYBRID,
    hits: list[Sequence[Passage]] | None = None,
    wanted: Mapping[str, object] | None = None,
) -> Callable[[], None]:
    def call() -> None:
        found = searcher.search(item.text, k=_TOP, mode=mode, filter=wanted)
        if hits is not None:
            hits.append(found.passages)

    return call


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _found(hits: Sequence[Sequence[Passage]], asked: Sequence[Asked]) -> float:
    """Share of the questions whose document is among the ten best."""
    right = sum(
        any(passage.document_id == item.document for passage in passages)
        for passages, item in zip(hits, asked, strict=True)
    )
    return round(right / len(asked), 3)


def _recall(
    folder: Path,
    embedder: TopicEmbedder,
    hits: Sequence[Sequence[Passage]],
    asked: Sequence[Asked],
) -> float:
    """Share of hits that are no farther than the last true one: of equal chunks, any are right."""
    best = json.loads((folder / "corpus" / EXACT).read_text())[WARM_UP:]
    right = wanted = 0
    for passages, item, scores in zip(hits, asked, best, strict=True):
        texts = [f"{passage.title}\n{passage.text}" for passage in passages]
        found = embedder.encode_documents(texts) @ embedder.encode_query(item.text)
        right += int((found >= scores[-1] - _ROUNDING).sum())
        wanted += len(scores)
    return round(right / wanted, 4)


def upsert(
    store: Path, index: Index, embedder: TopicEmbedder, documents: list[Document], word: str
) -> tuple[dict[str, float], Index]:
    """Write documents, and open the new generation; return what it cost, and the new index."""
    before, started = written(), time.perf_counter()
    with _writer(store, embedder, reuse=index.open_parts) as writer:
        writer.trust(index.seal)
        report = writer.add(documents)
        seal = writer.seal
    opened = Index.open(store, known=seal, reuse=index.open_parts)
    hits = Searcher(opened, embedder).search(word, k=_TOP, mode=SearchMode.BM25)
    seconds = time.perf_counter() - started
    index.close()
    if documents[-1].id not in {passage.document_id for passage in hits.passages}:
        raise RuntimeError(f"the search for {word!r} does not find {documents[-1].id}")
    change = sum(len(f"{each.title}\n{each.text}".encode()) for each in documents)
    change += 4 * DIMENSION * report.chunks_embedded
    done = written() - before
    return {
        "visible_s": seconds,
        "change_bytes": change,
        "written_bytes": done,
        "write_amplification": round(done / change, 2),
    }, opened


def _replacing(folder: Path, count: int) -> list[Document]:
    """Return the first documents of the store with other texts."""
    stored = load([folder / "corpus" / DOCUMENTS], on_failure=lambda failure: None)
    first = list(islice(stored, count))
    others = entries(8 * count, first=_ELSEWHERE)
    return [
        replace(document, title=f"{other.title} {document.id}x", text="\n\n".join(other.paragraphs))
        for document, other in zip(first, others, strict=False)
    ]


def _corpus_bytes(folder: Path, chunks: int) -> int:
    return (folder / "corpus" / DOCUMENTS).stat().st_size + 4 * DIMENSION * chunks


PARTS: Mapping[str, Callable[[Path, TopicEmbedder], Mapping[str, Any]]] = {
    "exact": exact,
    "build": build,
    "open": open_store,
    "search": search,
    "cold": cold,
    "filters": filters,
    "memory": resident,
    "writes": writes,
}


if __name__ == "__main__":
    main()
