"""nDCG@10 of dense, BM25 and hybrid search on every test split of a folder of BEIR data sets.

    python lab/benchmarks/bench_search.py --data ../shared/data --json lab/results/search.json

Each data set is evaluated as by ``expertrag eval retrieval --unit chunk``. The report adds the
criteria for hybrid search, the BM25 weight chosen for each corpus, and documents per second
compared with plain ``encode``. Stores are kept in --cache: an interrupted run can be resumed, and a
second run takes minutes; the first one embeds about 61,000 documents. The table goes to stdout,
progress to stderr.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import results_file

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.runtime.threads import share_cores
from expertrag_index import Index
from expertrag_index.loaders import load
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.qrels import splits
from expertrag_lab.eval.retrieval import RetrievalSettings, evaluate
from expertrag_lab.eval.stores import build_store
from expertrag_retriever import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.fusion import Fusion

METRIC = "nDCG@10"
MODES = ("dense", "bm25", "hybrid")
SLACK = 0.01  # hybrid may be this much below the better half on a data set
GAIN = 0.015  # its mean must be this much above that of the better half
SPEED_DOCUMENTS = 256
CODE = (*results_file.SEARCH, "lab/benchmarks/bench_search.py")


@dataclass(frozen=True, slots=True)
class Row:
    """nDCG@10 on one test split, and the BM25 weight chosen for the corpus."""

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
        """Difference between hybrid and the better half."""
        return self.hybrid - max(self.dense, self.bm25)


def main() -> int:
    """Run the benchmark; the exit code is 1 if a criterion is not met."""
    options = parse_arguments()
    share_cores()
    embedder = load_embedder(models.ensure("all-minilm-l6-v2"))
    names = options.sets or sorted(path.parent.name for path in options.data.glob("*/qrels"))
    folders = [options.data / name for name in names]
    rows: list[Row] = []
    with progress() as report:
        for folder in folders:
            rows.extend(
                measure(folder, split, embedder, options, report)
                for split in splits(folder)
                if options.split == split or (not options.split and split != "train")
            )
    speed = None if options.no_speed else measure_speed(embedder, folders)
    summary = summarise(rows, speed)
    print_table(rows, summary)
    results_file.write(options.json, summary, CODE)
    return 0 if summary["passed"] else 1


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--limit", type=int, help="queries per split, drawn at random")
    parser.add_argument("--sets", type=lambda names: names.split(","), help="comma-separated names")
    parser.add_argument("--split", default="", help="evaluate this split instead (train)")
    parser.add_argument("--no-speed", action="store_true", help="do not measure encoding speed")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench_search"))
    return parser.parse_args()


def measure(
    folder: Path,
    split: str,
    embedder: SentenceTransformerEmbedder,
    options: argparse.Namespace,
    report: Progress,
) -> Row:
    """Score the modes on one split."""
    dataset = load_dataset(folder, split)
    settings = RetrievalSettings(MODES, (METRIC,), unit="chunk", split=split, limit=options.limit)
    found: Mapping[str, Any] = evaluate([folder], embedder, settings, options.cache, report)
    store, _ = build_store(dataset, embedder, "chunk", options.cache, report)
    with Index.open(store) as index:
        weight = Fusion.of(index.manifest.calibration).weight
    sizes = found["sizes"][dataset.name]
    scores = {mode: round(found["datasets"][dataset.name][mode][METRIC], 4) for mode in MODES}
    return Row(dataset.name, split, sizes["queries"], sizes["chunks"], weight, **scores)


def measure_speed(
    embedder: SentenceTransformerEmbedder, folders: Sequence[Path]
) -> dict[str, float]:
    """Documents embedded per second, ours and plain ``encode``: interleaved, median of five."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(embedder.name, device="cpu")
    share = -(-SPEED_DOCUMENTS // len(folders))  # the same number from every data set
    texts = [text for folder in folders for text in islice(texts_of(folder), share)]
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


def texts_of(folder: Path) -> Iterator[str]:
    """Read the documents of a data set, as embedded without chunking."""
    return (item.embedding_text for item in load([folder], on_failure=lambda failure: None))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a call in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def summarise(rows: Sequence[Row], speed: dict[str, float] | None) -> dict[str, object]:
    """Return means and criteria."""
    means = {mode: round(float(np.mean([getattr(row, mode) for row in rows])), 4) for mode in MODES}
    gain = round(means["hybrid"] - max(means["dense"], means["bm25"]), 4)
    worst = round(min(row.margin for row in rows), 4)
    return {
        "measure": METRIC,
        "rows": [asdict(row) for row in rows],
        "means": means,
        "mean_gain_over_better_half": gain,
        "worst_margin": worst,
        "passed": gain >= GAIN and worst >= -SLACK,
        "speed": speed,
    }


def print_table(rows: Sequence[Row], report: dict[str, object]) -> None:
    """Print the results as a table."""
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


if __name__ == "__main__":
    sys.exit(main())
