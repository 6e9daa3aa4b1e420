"""nDCG@10 of hybrid search, reranked and under ``auto``, on every test split of a folder.

    python lab/benchmarks/eval_reranker.py --data ../shared/data --json lab/results/reranker.json

The best chunks of hybrid search are reranked; a document is ranked by its best chunk, and documents
beyond the candidates keep their place. ``auto`` uses the reranker where the estimate of the store's
own questions, which a build makes, is for it. Stores are kept in --cache. The table goes to stdout,
progress to stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import results_file

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.runtime.threads import share_cores
from expertrag_index import Index
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import Dataset, load_dataset, sample
from expertrag_lab.data.qrels import splits
from expertrag_lab.eval.stores import build_store
from expertrag_lab.metrics.measures import Measures
from expertrag_retriever import Searcher, SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.rerank.base import Reranker
from expertrag_retriever.rerank.estimate import estimate_gain
from expertrag_retriever.rerank.loading import load_reranker
from expertrag_retriever.rerank.reranking import CANDIDATES, Reranking
from expertrag_retriever.types import Passage

METRIC = "nDCG@10"
DEPTH = 100
GAIN = 0.02  # asked of the mean
HARM = 0.005  # most that a set may lose under auto
CODE = (*results_file.SEARCH, "lab/benchmarks/eval_reranker.py")


@dataclass(frozen=True, slots=True)
class RerankRow:
    """One split: nDCG@10 of each, the estimated gain, and standard error of the gain."""

    name: str
    split: str
    queries: int
    hybrid: float
    reranked: float
    error: float
    estimate: float
    helps: bool

    @property
    def auto(self) -> float:
        """nDCG@10 if the estimate decides."""
        return self.reranked if self.helps else self.hybrid


def main() -> int:
    """Run the evaluation; the exit code is 1 if a criterion is not met."""
    options = parse_arguments()
    share_cores()
    embedder = load_embedder(models.ensure("all-minilm-l6-v2"))
    name = options.reranker
    reranker = load_reranker(models.reranker_source(name), name=name, resolve=models.resolve)
    names = options.sets or sorted(path.parent.name for path in options.data.glob("*/qrels"))
    rows: list[RerankRow] = []
    with progress() as report:
        for folder in (options.data / name for name in names):
            for split in splits(folder):
                if split == options.split or (not options.split and split != "train"):
                    dataset = load_dataset(folder, split)
                    rows.append(measure(dataset, embedder, reranker, options, report))
                    print(rows[-1], file=sys.stderr)
    summary = summarise(rows, name)
    print_table(rows, summary)
    results_file.write(options.json, summary, CODE)
    return 0 if summary["passed"] else 1


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--reranker", default=models.SHIPPED_RERANKERS[0], help="name or folder")
    parser.add_argument("--limit", type=int, help="queries per split, drawn at random")
    parser.add_argument("--sets", type=lambda names: names.split(","), help="comma-separated names")
    parser.add_argument("--split", default="", help="evaluate this split instead (train)")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench_search"))
    return parser.parse_args()


def measure(
    dataset: Dataset,
    embedder: SentenceTransformerEmbedder,
    reranker: Reranker,
    options: argparse.Namespace,
    report: Progress,
) -> RerankRow:
    """Search, rerank and score the queries of one split."""
    store, _ = build_store(dataset, embedder, "chunk", options.cache, report)
    queries = sample(dataset.judged, options.limit, 0)
    reranking = Reranking(reranker, deadline_s=60.0)
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    with Index.open(store) as index:
        searcher = Searcher(index, embedder)
        for done, query in enumerate(queries):
            found = searcher.search(query.text, k=DEPTH)
            before[query.id] = documents(found.passages)
            after[query.id] = documents(reranking.apply(query.text, found).result.passages)
            report(f"{dataset.name}: reranking", done, len(queries))
        estimate = estimate_gain(index, embedder, reranker)
    qrels = {query.id: dataset.qrels[query.id] for query in queries}
    scores = [Measures((METRIC,)).per_query(qrels, run)[METRIC] for run in (before, after)]
    gains = np.array([scores[1][query.id] - scores[0][query.id] for query in queries])
    hybrid, reranked = (round(float(np.mean(list(some.values()))), 4) for some in scores)
    error = round(float(gains.std() / len(gains) ** 0.5), 4)
    gain = round(estimate.gain, 4)
    return RerankRow(
        dataset.name, dataset.split, len(queries), hybrid, reranked, error, gain, estimate.helps
    )


def documents(passages: Sequence[Passage]) -> list[str]:
    """Return the documents of passages, by the best passage of each."""
    return list(dict.fromkeys(passage.document_id for passage in passages))


def summarise(rows: Sequence[RerankRow], reranker: str) -> dict[str, object]:
    """Return means and criteria."""
    gain = round(float(np.mean([row.reranked - row.hybrid for row in rows])), 4)
    auto = round(float(np.mean([row.auto - row.hybrid for row in rows])), 4)
    worst = round(min(row.auto - row.hybrid for row in rows), 4)
    return {
        "measure": METRIC,
        "reranker": reranker,
        "candidates": CANDIDATES,
        "rows": [{**asdict(row), "auto": row.auto} for row in rows],
        "mean_gain": gain,
        "mean_gain_of_auto": auto,
        "worst_of_auto": worst,
        "passed": auto >= GAIN and worst >= -HARM,
    }


def print_table(rows: Sequence[RerankRow], summary: dict[str, object]) -> None:
    """Print the results as a table."""
    print(f"{'set':<20} {'queries':>7} {'hybrid':>7} {'reranked':>8} {'gain':>15} {'estimate':>8}")
    for row in rows:
        gain = f"{row.reranked - row.hybrid:+.3f} ± {row.error:.3f}"
        print(
            f"{row.name + '/' + row.split:<20} {row.queries:>7} {row.hybrid:>7.3f} "
            f"{row.reranked:>8.3f} {gain:>15} {row.estimate:>+8.3f} {'auto' if row.helps else ''}"
        )
    mean, auto = summary["mean_gain"], summary["mean_gain_of_auto"]
    print(f"mean gain {mean}, of auto {auto} (wanted {GAIN})")
    print(f"worst set under auto {summary['worst_of_auto']} (wanted at least {-HARM})")
    print("PASSED" if summary["passed"] else "MISSED")


if __name__ == "__main__":
    sys.exit(main())
