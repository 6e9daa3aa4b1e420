"""Time to rerank the candidates of a search, beside the search itself, on this machine's cores.

    python lab/benchmarks/bench_reranker.py --data ../shared/data --json FILE

For queries of test splits: hybrid search with its embedding, and the reranking of its 20 best
chunks; median and 90th percentile in milliseconds, of wall time and of the CPU on all cores, which
tells more where the machine has other work. Stores are kept in --cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import results_file

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.runtime.threads import share_cores
from expertrag_common.cores import available_cores
from expertrag_index import Index
from expertrag_lab.data.datasets import load_dataset, sample
from expertrag_lab.eval.stores import build_store
from expertrag_retriever import Searcher, load_embedder
from expertrag_retriever.rerank.loading import load_reranker
from expertrag_retriever.rerank.reranking import CANDIDATES, embedding_text_of

T = TypeVar("T")
Clock = tuple[float, float]
"""Milliseconds of wall time, and of the CPU on all cores."""
LIMIT_MS = 250.0
CODE = (*results_file.SEARCH, "lab/benchmarks/bench_reranker.py")


def main() -> int:
    """Run the benchmark; the exit code is 1 if reranking takes longer than asked."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--reranker", default=models.SHIPPED_RERANKERS[0], help="name or folder")
    parser.add_argument("--sets", type=lambda names: names.split(","), default=["squad2", "tatqa"])
    parser.add_argument("--queries", type=int, default=40, help="of each data set")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench_search"))
    options = parser.parse_args()
    share_cores()
    search, rerank, tokens = timed(options)
    wall_ms = [wall for wall, _ in rerank]
    summary = {
        "reranker": options.reranker,
        "candidates": CANDIDATES,
        "cores": available_cores(),
        "load": round(os.getloadavg()[0], 1),
        "queries": len(search),
        "tokens": round(float(np.mean(tokens))),
        "search_ms": percentiles([wall for wall, _ in search]),
        "search_cpu_ms": percentiles([cpu for _, cpu in search]),
        "rerank_ms": percentiles(wall_ms),
        "rerank_cpu_ms": percentiles([cpu for _, cpu in rerank]),
        "passed": float(np.median(wall_ms)) <= LIMIT_MS,
    }
    for name, value in summary.items():
        print(f"{name:<14} {value}")
    results_file.write(options.json, summary, CODE)
    return 0 if summary["passed"] else 1


def timed(options: argparse.Namespace) -> tuple[list[Clock], list[Clock], list[int]]:
    """Clock each search and each reranking, and count the tokens that were reranked."""
    embedder = load_embedder(models.ensure("all-minilm-l6-v2"))
    name = options.reranker
    reranker = load_reranker(models.reranker_source(name), name=name, resolve=models.resolve)
    searches: list[Clock] = []
    reranks: list[Clock] = []
    tokens = []
    with progress() as report:
        for folder in (options.data / name for name in options.sets):
            dataset = load_dataset(folder, "test")
            store, _ = build_store(dataset, embedder, "chunk", options.cache, report)
            with Index.open(store) as index:
                searcher = Searcher(index, embedder)
                for number, query in enumerate(sample(dataset.judged, options.queries + 1, 0)):
                    found, first = clocked(lambda: searcher.search(query.text, k=CANDIDATES))  # noqa: B023
                    texts = [embedding_text_of(passage) for passage in found.passages]
                    _, second = clocked(lambda: reranker.score(query.text, texts))  # noqa: B023
                    if number:  # the first loads code
                        searches.append(first)
                        reranks.append(second)
                        counted = reranker.count_tokens(query.text, texts)
                        tokens.append(sum(min(reranker.max_tokens, one) for one in counted))
    return searches, reranks, tokens


def clocked(work: Callable[[], T]) -> tuple[T, Clock]:
    """Return what a call returns, and its milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, ((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)


def percentiles(values: list[float]) -> dict[str, float]:
    """Median and 90th percentile."""
    return {
        "median": round(float(np.median(values)), 1),
        "p90": round(float(np.percentile(values, 90)), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
