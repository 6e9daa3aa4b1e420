"""Other engines on the texts, vectors and questions of ``bench_scale.py``.

    .rivals/NAME/bin/python lab/benchmarks/scale_rivals.py NAME build|search FOLDER --limit SECONDS

Each runs in an environment of its own, without our packages. ``FOLDER`` has ``corpus``; the engine
keeps its files in ``FOLDER/NAME``. Time is that of the engine's calls: reading the corpus and
computing vectors are left out. All fuse a hundred hits of each half by reciprocal rank, without
stop words in the question. IVF engines probe the fewest lists with a recall@10 of at least .95 on
questions that are not measured, more of them under a filter.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from scale_engines import ENGINES, Engine, Hit, Row
from scale_measures import folder_bytes, memory, read_files, timed
from synthetic_corpus import FILTERS, STOP_WORDS, Asked, paragraphs_of, read_questions
from topic_embedder import TopicEmbedder, Vectors

Found = Mapping[str, Any]
WARM_UP, MEASURED = 200, 500
BATCH = 1_000
_FEW = 5  # questions to an engine that takes seconds for each
_RECALL = 0.95
_ROUNDING = 1e-4  # of a cosine: stored vectors may have 16 bits
_WORD = re.compile(r"\w+")


def main() -> None:
    """Build or search with one engine; print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("step", choices=("build", "search"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of a step")
    given = parser.parse_args()
    step = build if given.step == "build" else search
    print(json.dumps(step(ENGINES[given.engine], given.folder, given.engine, given.limit)))


def build(make: type[Engine], folder: Path, name: str, limit_s: float) -> Found:
    """Store all chunks of a corpus."""
    engine = make(folder / name)
    seconds, done = 0.0, 0
    for rows, vectors in batches(folder / "corpus"):
        started = time.perf_counter()
        engine.add(rows, vectors)
        seconds += time.perf_counter() - started
        done += len(rows)
        if seconds > limit_s:
            return {"finished": False, "limit_s": limit_s, "chunks": done}
        if done % 50_000 == 0:
            print(f"  {name}: {done:,} chunks, {seconds:.0f} s", file=sys.stderr, flush=True)
    started = time.perf_counter()
    engine.finish()
    seconds += time.perf_counter() - started
    return {
        "finished": True,
        "versions": {package: version(package) for package in engine.packages},
        "seconds": round(seconds, 2),
        "chunks_per_s": round(done / seconds, 1),
        "disk_bytes_a_chunk": round(folder_bytes(folder / name) / done, 1),
        "chunks": done,
    }


def search(make: type[Engine], folder: Path, name: str, limit_s: float) -> Found:
    """Open the engine, and ask it the questions that are measured."""
    read_files(folder / name)
    asked, embedder = read_questions(folder / "corpus"), TopicEmbedder()
    best = json.loads((folder / "corpus" / "exact.json").read_text())
    embedder.encode_query(asked[0].text)
    for module in make.modules:
        import_module(module)
    before, started = memory(), time.perf_counter()
    engine = make(folder / name)
    engine.open()
    opened = time.perf_counter() - started
    tune(engine, embedder, asked[:WARM_UP], best)
    for item in asked[: WARM_UP if engine.probes else _FEW]:
        engine.hybrid(plain(item.text), embedder.encode_query(item.text), "none")
    some = asked[WARM_UP : WARM_UP + MEASURED]
    hits: list[list[Hit]] = []
    share = limit_s / (2 * len(FILTERS))
    found: dict[str, Any] = {"open_s": round(opened, 3), "probes": engine.probes}
    found["hybrid"] = timed([_call(engine, embedder, item, "none", hits) for item in some], share)
    right = sum(
        any(hit.document == item.document for hit in each)
        for each, item in zip(hits, some, strict=False)
    )
    found["hybrid"]["found"] = round(right / len(hits), 3)
    now, chunks = memory(), sum(1 for _ in paragraphs_of(folder / "corpus"))
    for kind in before:
        found[f"{kind}_bytes_a_chunk"] = round((now[kind] - before[kind]) / chunks, 1)
    found["filters"] = {
        kind: timed([_call(engine, embedder, item, kind) for item in some], share)
        for kind in FILTERS
    }
    measured = range(WARM_UP, WARM_UP + (MEASURED if engine.probes else _FEW))
    found["recall_at_10"] = recall(engine, embedder, [(asked[at], best[at]) for at in measured])
    return found


def tune(engine: Engine, embedder: TopicEmbedder, asked: Sequence[Asked], best: Any) -> None:
    """Double the lists to probe until the recall suffices."""
    pairs = list(zip(asked, best, strict=False))
    while engine.probes and recall(engine, embedder, pairs) < _RECALL and engine.probes < 1 << 12:
        engine.probes *= 2


def recall(
    engine: Engine, embedder: TopicEmbedder, pairs: Sequence[tuple[Asked, Sequence[float]]]
) -> float:
    """Share of the ten nearest found that are no farther than the last true one."""
    right = wanted = 0
    for item, scores in pairs:
        vector = embedder.encode_query(item.text)
        if texts := [hit.text for hit in engine.dense(vector)]:
            cosines = embedder.encode_documents(texts) @ vector
            right += int((cosines >= scores[-1] - _ROUNDING).sum())
        wanted += len(scores)
    return round(right / wanted, 4)


def batches(corpus: Path) -> Iterator[tuple[list[Row], Vectors]]:
    """Yield chunks and their vectors, a thousand at a time."""
    embedder = TopicEmbedder()
    rows = (
        Row(key, record["_id"], f"{record['title']}\n{text}", record["metadata"])
        for key, (record, text) in enumerate(paragraphs_of(corpus))
    )
    while some := list(islice(rows, BATCH)):
        yield some, embedder.encode_documents([row.text for row in some])


def plain(question: str) -> str:
    """Return the words of a question without stop words."""
    words = _WORD.findall(question.lower())
    return " ".join(word for word in words if word not in STOP_WORDS)


def _call(
    engine: Engine,
    embedder: TopicEmbedder,
    item: Asked,
    name: str,
    hits: list[list[Hit]] | None = None,
) -> Callable[[], None]:
    def call() -> None:
        found = engine.hybrid(plain(item.text), embedder.encode_query(item.text), name)
        if hits is not None:
            hits.append(found)

    return call


if __name__ == "__main__":
    main()
