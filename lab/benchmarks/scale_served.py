"""Parts of ``bench_scale.py`` that measure a server: its throughput, upserts, and a compaction."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from bench_server_start import Served, served
from scale_measures import folder_bytes, written
from service_load import Load, load
from synthetic_corpus import DOCUMENTS, read_questions

from expertrag import DocumentInput

GENERATOR = "smollm2-135m-reader"
CALLERS = 16
FEW_CALLERS = 4
UPSERTS = 5

_DELETED = 0.25  # share of the documents: a fifth is what a server compacts for
_DELETED_TOGETHER = 1_000
_WINDOW_S = 2.0
_LONGEST_S = 1_800.0


def throughput(folder: Path, seconds: float) -> Mapping[str, Any]:
    """Measure searches/s of 16 callers, and upserts of one short document."""
    with _copied(folder) as (server, _, asked):
        pid = server.process.pid
        found = {"ready_s": round(server.seconds["ready"], 2)}
        found |= load(server.address, pid, CALLERS, seconds, asked=asked).figures()
        waits, sizes = [], []
        for number in range(UPSERTS + 1):  # the first warms up
            word = f"quay{number}x"
            before, started = written(pid), time.perf_counter()
            text = f"Berth {word} of the harbour is free today."
            server.client.upsert([DocumentInput(id=f"note-{number}", text=text)])
            hits = server.client.retrieve(word, k=5)
            waits.append(time.perf_counter() - started)
            sizes.append(written(pid) - before)
            if f"note-{number}" not in {passage.document_id for passage in hits.passages}:
                raise RuntimeError(f"the search for {word} does not find the document")
    return {
        **found,
        "upsert_visible_s": round(statistics.median(waits[1:]), 3),
        "upsert_visible_worst_s": round(max(waits[1:]), 3),
        "upsert_written_mb": round(statistics.median(sizes[1:]) / 1e6, 1),
    }


def compacting(folder: Path, seconds: float) -> Mapping[str, Any]:
    """Measure the searches of four callers before and while a server compacts its store.

    A quarter of the documents is deleted first.
    """
    with _copied(folder, "--set", "service.compact_after_s=1") as (server, store, asked):
        pid = server.process.pid
        quiet = load(server.address, pid, FEW_CALLERS, seconds, asked=asked)
        for ids in _batches(folder / "corpus" / DOCUMENTS):
            generation = server.client.delete(ids).generation
        before, started = written(pid), time.perf_counter()
        busy, ends = Load(), False
        while not ends:
            window = load(server.address, pid, FEW_CALLERS, _WINDOW_S, asked=asked)
            ends = server.client.stats().generation != generation
            if not ends:  # the last window may have time after the compaction
                busy.latencies += window.latencies
                busy.seconds += window.seconds
                busy.cpu_s += window.cpu_s
            if time.perf_counter() - started > _LONGEST_S:
                raise TimeoutError(f"the store is not compacted after {_LONGEST_S:.0f} s")
        took, size = time.perf_counter() - started, folder_bytes(store)
        return {
            "before": quiet.figures(),
            "meanwhile": busy.figures() if busy.latencies else None,
            "compacted_s": round(took, 1),
            "written_of_the_store": round((written(pid) - before) / size, 3),
        }


@contextmanager
def _copied(folder: Path, *options: str) -> Iterator[tuple[Served, Path, Sequence[str]]]:
    """Serve a copy of the store; also yield its folder, and the questions."""
    store = folder / "served"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(folder / "store", store)
    serve = ["serve", "--index", str(store), "--generator", GENERATOR, "--allow-writes", *options]
    asked = [item.text for item in read_questions(folder / "corpus")]
    with served(sys.executable, serve) as server:
        yield server, store, asked
    shutil.rmtree(store)


def _batches(documents: Path) -> Iterator[list[str]]:
    """Yield the ids of the first documents."""
    with documents.open(encoding="utf-8") as file:
        ids = [str(json.loads(line)["_id"]) for line in file]
    rest = iter(ids[: round(_DELETED * len(ids))])
    while some := list(islice(rest, _DELETED_TOGETHER)):
        yield some
