"""nDCG@10 of dense, BM25 and hybrid search on every test split of a folder of BEIR data sets.

    python benchmarks/bench_search.py --data ../shared/data --json benchmarks/results/search.json

Each set goes the real way: IndexWriter builds a store (chunks, vectors, FTS5, FAISS, calibration
without labels), Searcher answers from it. A document scores by its best chunk. Vectors are kept
by content in --cache: an interrupted run resumes and a second one takes minutes; the first embeds
about 61,000 documents. The table goes to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import ir_measures
import numpy as np

from expertrag import models
from expertrag_index import Index, IndexWriter
from expertrag_index.types import Document, FloatArray
from expertrag_retriever import SentenceTransformerEmbedder, calibrate_fusion, load_embedder
from expertrag_retriever.fusion import Fusion
from expertrag_retriever.search import Searcher
from expertrag_retriever.types import SearchMode

DEPTH = 100  # chunks asked for, so that ten different documents are among them
SLACK = 0.01  # hybrid may lie this far below the better half on a set
GAIN = 0.015  # and its mean must lie this far above the better half's
SPEED_DOCUMENTS = 256
MODES = {"dense": SearchMode.DENSE, "bm25": SearchMode.BM25, "hybrid": SearchMode.HYBRID}


@dataclass(frozen=True, slots=True)
class Row:
    """nDCG@10 on one test split, and the weight of BM25 that was chosen for the corpus."""

    name: str
    split: str
    queries: int
    chunks: int
    lexical_weight: float
    dense: float
    bm25: float
    hybrid: float

    @property
    def margin(self) -> float:
        """Hybrid above the better half."""
        return self.hybrid - max(self.dense, self.bm25)


class CachedEmbedder:
    """Vectors of an embedder, kept by content in one SQLite file."""

    def __init__(self, inner: SentenceTransformerEmbedder, path: Path) -> None:
        self._inner = inner
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS v(h BLOB PRIMARY KEY, e BLOB)")
        self.name = inner.name
        self.fingerprint = inner.fingerprint
        self.dimension = inner.dimension
        self.max_tokens = inner.max_tokens
        self.count_tokens = inner.count_tokens

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D]."""
        return self._cached(
            "document", texts, lambda new: self._inner.encode_documents(new, domain)
        )

    def encode_queries(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D]."""
        return self._cached("query", texts, lambda new: self._inner.encode_queries(new, domain))

    def encode_query(self, text: str, domain: str | None = None) -> FloatArray:
        """Vector of shape [D]."""
        vector: FloatArray = self.encode_queries([text], domain)[0]
        return vector

    def _cached(
        self, role: str, texts: Sequence[str], encode: Callable[[Sequence[str]], FloatArray]
    ) -> FloatArray:
        prefix = f"{self.fingerprint}\0{role}\0"
        names = [hashlib.sha256((prefix + text).encode()).digest() for text in texts]
        vectors = np.empty((len(texts), self.dimension), np.float32)
        new: list[int] = []
        for row, name in enumerate(names):
            found = self._db.execute("SELECT e FROM v WHERE h = ?", (name,)).fetchone()
            if found is None:
                new.append(row)
            else:
                vectors[row] = np.frombuffer(found[0], np.float32)
        if new:
            vectors[new] = encode([texts[row] for row in new])
            rows = [(names[row], vectors[row].tobytes()) for row in new]
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO v VALUES (?, ?)", rows)
        return vectors


def main() -> int:
    """Run the benchmark; the exit code is 1 where a criterion is missed."""
    options = parse_arguments()
    options.cache.mkdir(parents=True, exist_ok=True)
    plain = load_embedder(models.ensure("all-minilm-l6-v2"))
    embedder = CachedEmbedder(plain, options.cache / "vectors.db")
    names = options.sets or sorted(path.parent.name for path in options.data.glob("*/qrels"))
    rows = [row for name in names for row in measure_set(options.data / name, embedder, options)]
    speed = (
        None if options.no_speed else measure_speed(plain, [options.data / name for name in names])
    )
    report = summarise(rows, speed)
    print_table(rows, report)
    if options.json == "-":
        print(json.dumps(report, indent=1))
    elif options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0 if report["passed"] else 1


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR data sets")
    parser.add_argument("--json", default="", help="write the report to this file, - for stdout")
    parser.add_argument("--limit", type=int, help="queries a split, the first N")
    parser.add_argument("--sets", type=lambda names: names.split(","), help="names, by comma")
    parser.add_argument("--split", default="", help="measure this split instead (train)")
    parser.add_argument("--no-speed", action="store_true", help="leave out documents a second")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench_search"))
    return parser.parse_args()


def measure_set(
    folder: Path, embedder: CachedEmbedder, options: argparse.Namespace
) -> Iterator[Row]:
    """Build the store of a set and score its test splits."""
    started = time.perf_counter()
    with TemporaryDirectory(dir=options.cache) as temporary:
        store = Path(temporary) / "store"
        build(store, folder, embedder)
        log(f"\r{folder.name}: store ready after {time.perf_counter() - started:.0f} s")
        yield from measure_store(store, folder, embedder, options)
    log(f"{folder.name}: done after {time.perf_counter() - started:.0f} s")


def build(store: Path, folder: Path, embedder: CachedEmbedder) -> None:
    """Build the store of a set, with its calibration."""
    with IndexWriter.open(
        store,
        embedder,
        calibrate=lambda index: {"fusion": calibrate_fusion(index, embedder)},
        progress=lambda stage, done, total: (
            None if done % 512 else log(f"\r{folder.name}: {stage} {done}/{total or '?'}", "")
        ),
    ) as writer:
        writer.build(documents(folder), failures=[])


def measure_store(
    store: Path, folder: Path, embedder: CachedEmbedder, options: argparse.Namespace
) -> Iterator[Row]:
    """Score the splits of a set on its store."""
    texts = {item["_id"]: item["text"] for item in read_lines(folder / "queries.jsonl.gz")}
    with Index.open(store, embedder_fingerprint=embedder.fingerprint) as index:
        searcher = Searcher(index, embedder)
        for path in sorted((folder / "qrels").glob("*.tsv")):
            if options.split != path.stem and (options.split or path.stem == "train"):
                continue
            qrels = read_qrels(path)
            wanted = sorted({judgement.query_id for judgement in qrels})[: options.limit]
            vectors = embedder.encode_queries([texts[name] for name in wanted])
            queries = list(zip(wanted, [texts[name] for name in wanted], vectors, strict=True))
            judged = [judgement for judgement in qrels if judgement.query_id in set(wanted)]
            scores = {mode: score(searcher, queries, judged, MODES[mode]) for mode in MODES}
            weight = Fusion.of(index.manifest.calibration).weight
            yield Row(folder.name, path.stem, len(wanted), index.size, weight, **scores)


def score(
    searcher: Searcher,
    queries: Sequence[tuple[str, str, FloatArray]],
    judged: Sequence[ir_measures.Qrel],
    mode: SearchMode,
) -> float:
    """Mean nDCG@10 of one mode."""
    run = []
    for name, text, vector in queries:
        found = searcher.search(text, k=DEPTH, mode=mode, query_vector=vector)
        best: dict[str, float] = {}
        for passage in found.passages:
            best.setdefault(passage.document_id, passage.score)
        run += [ir_measures.ScoredDoc(name, document, value) for document, value in best.items()]
    if not run:
        return 0.0
    measure = ir_measures.nDCG @ 10
    return round(float(ir_measures.calc_aggregate([measure], judged, run)[measure]), 4)


def measure_speed(
    embedder: SentenceTransformerEmbedder, folders: Sequence[Path]
) -> dict[str, float]:
    """Documents embedded per second beside plain ``encode``: interleaved, median of five."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(embedder.name, device="cpu")
    share = -(-SPEED_DOCUMENTS // len(folders))  # the same number of every set
    texts = [
        f"{document.title}\n{document.text}" if document.title else document.text
        for folder in folders
        for document in islice(documents(folder), share)
    ]
    embedder.encode_documents(texts[:32])
    plain.encode(texts[:32])
    ours, theirs = [], []
    for _ in range(5):
        ours.append(seconds(lambda: embedder.encode_documents(texts)))
        theirs.append(seconds(lambda: plain.encode(texts)))
    cosines = (embedder.encode_documents(texts) * plain.encode(texts)).sum(axis=1)
    return {
        "documents_per_second": round(len(texts) / float(np.median(ours)), 1),
        "plain_encode_documents_per_second": round(len(texts) / float(np.median(theirs)), 1),
        "ratio": round(float(np.median(np.array(theirs) / np.array(ours))), 2),
        "lowest_cosine_with_plain": round(float(cosines.min()), 5),
    }


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def summarise(rows: Sequence[Row], speed: dict[str, float] | None) -> dict[str, object]:
    """Means, criteria, and where and on what they were measured."""
    means = {mode: round(float(np.mean([getattr(row, mode) for row in rows])), 4) for mode in MODES}
    gain = round(means["hybrid"] - max(means["dense"], means["bm25"]), 4)
    worst = round(min(row.margin for row in rows), 4)
    return {
        "commit": commit(),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "measure": "nDCG@10",
        "rows": [asdict(row) for row in rows],
        "means": means,
        "mean_gain_over_better_half": gain,
        "worst_margin": worst,
        "passed": gain >= GAIN and worst >= -SLACK,
        "speed": speed,
    }


def print_table(rows: Sequence[Row], report: dict[str, object]) -> None:
    """Print what a person wants to see."""
    print(
        f"{'set':<20} {'queries':>7} {'dense':>7} {'BM25':>7} {'hybrid':>7} {'margin':>7}  weight"
    )
    for row in rows:
        print(
            f"{row.name + '/' + row.split:<20} {row.queries:>7} {row.dense:>7.3f} {row.bm25:>7.3f}"
            f" {row.hybrid:>7.3f} {row.margin:>+7.3f}  {row.lexical_weight:.4f}"
        )
    print(f"means {report['means']}, gain {report['mean_gain_over_better_half']} (wanted {GAIN})")
    print(f"worst margin {report['worst_margin']} (wanted at least {-SLACK})")
    print(f"speed {report['speed']}")
    print("PASSED" if report["passed"] else "MISSED")


def documents(folder: Path) -> Iterator[Document]:
    """Documents of a BEIR folder."""
    for item in read_lines(folder / "corpus.jsonl.gz"):
        yield Document(item["_id"], item["text"], item["title"], source=f"{folder.name}/corpus")


def read_lines(path: Path) -> Iterator[dict[str, str]]:
    """Objects of a gzipped JSON-lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def read_qrels(path: Path) -> list[ir_measures.Qrel]:
    """Judgements of a BEIR split."""
    lines = path.read_text().splitlines()[1:]
    fields = [line.split("\t") for line in lines]
    return [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in fields]


def commit() -> str:
    """Hash of the checked-out commit, if there is one."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def log(text: str, end: str = "\n") -> None:
    """Tell the person at the terminal."""
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
