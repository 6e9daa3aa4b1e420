"""A bundle of embedding experts against its base model: nDCG@10 by domain, and encoding speed.

    expertrag train experts --data finance=DATA/tatqa --data finance=DATA/fiqa_small … --out BUNDLE
    python benchmarks/bench_experts.py --data DATA --bundle BUNDLE --json FILE

Test splits, dense search over whole documents: the base model, every text by the expert of its
domain, and every text as the router chooses. Differences have paired tests. Documents a second
are of one thread, in batches that mix all domains, interleaved with the base.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from expertrag import models
from expertrag.eval import stats
from expertrag.eval.datasets import Dataset, load_dataset
from expertrag.eval.measures import Measures
from expertrag_index.types import FloatArray, LoadFailure
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.experts.bundle import base_of
from expertrag_retriever.experts.settings import GENERAL

SETS = {
    "science": ("scifact", "cranfield"),
    "biomedicine": ("bioasq", "medquad"),
    "finance": ("fiqa_small", "tatqa"),
    "legal": ("policyqa", "legalsum"),
    "technical": ("cosqa", "pydocs"),
    "encyclopedia": ("squad2", "hotpotqa", "popqa"),
}
DEPTH = 10
SPEED_TEXTS, SPEED_ROUNDS = 256, 5

Encode = Callable[[Sequence[str]], FloatArray]


def main() -> int:
    """Measure, print, and write JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", help="of these sets alone")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    base = models.resolve(base_of(given.bundle).name)
    embedder = load_embedder(base, experts=given.bundle)
    speed = measure_speed(load_embedder(base), embedder, given.data)
    print(f"documents/s beside the base model's: {speed['ratio']:.3f}", flush=True)
    rows = []
    for domain, names in SETS.items():
        for name in names:
            if given.sets is None or name in given.sets:
                rows.append(measure_set(load_dataset(given.data / name), domain, embedder))
                print(described(rows[-1]), flush=True)
    means = macro(rows)
    report = {"speed": speed, "sets": rows, "macro": means}
    print("\n".join(f"{key:<12} {value:.4f}" for key, value in means.items()))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measure_set(
    dataset: Dataset, domain: str, embedder: SentenceTransformerEmbedder
) -> dict[str, Any]:
    """Score one test set by the base, by true domains and by the router."""
    failures: list[LoadFailure] = []
    documents = {
        item.id: f"{item.title}\n{item.text}".strip() for item in dataset.documents(failures)
    }
    queries = {query.id: query.text for query in dataset.judged}
    values = {}
    for way, chosen in (("base", GENERAL), ("label", domain), ("router", None)):
        found = rank(
            list(documents),
            embedder.encode_documents(list(documents.values()), chosen),
            list(queries),
            embedder.encode_queries(list(queries.values()), chosen),
        )
        qrels = {query: dataset.qrels[query] for query in queries}
        values[way] = list(Measures(("nDCG@10",)).per_query(qrels, found)["nDCG@10"].values())
    compared = stats.adjust(
        [
            stats.compare("nDCG@10", "base", values["base"], way, values[way])
            for way in ("label", "router")
        ]
    )
    return {
        "set": dataset.name,
        "domain": domain,
        "queries": len(queries),
        **{way: float(np.mean(some)) for way, some in values.items()},
        "comparisons": [asdict(item) for item in compared],
    }


def rank(
    documents: Sequence[str], vectors: FloatArray, queries: Sequence[str], asked: FloatArray
) -> dict[str, list[str]]:
    """Return the nearest documents of each query, best first."""
    found = {}
    for query, vector in zip(queries, asked, strict=True):
        scores = vectors @ vector  # [N]
        top = np.argsort(-scores, kind="stable")[:DEPTH]
        found[query] = [documents[row] for row in top.tolist()]
    return found


def macro(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean over domains of the mean over their sets."""
    ways = ("base", "label", "router")
    domains = [
        list(some) for _, some in itertools.groupby(rows, key=lambda row: str(row["domain"]))
    ]
    return {
        way: statistics.fmean(statistics.fmean(row[way] for row in some) for some in domains)
        for way in ways
    }


def measure_speed(
    base: SentenceTransformerEmbedder, embedder: SentenceTransformerEmbedder, data: Path
) -> dict[str, Any]:
    """Encode documents of many domains by the base and, routed, by the bundle, in turn."""
    texts = []
    failures: list[LoadFailure] = []
    for name in ("fiqa_small", "pydocs", "scifact", "squad2"):
        corpus = load_dataset(data / name).documents(failures)
        texts += [item.text for item in itertools.islice(corpus, SPEED_TEXTS // 4)]
    seconds: dict[str, list[float]] = {"base": [], "bundle": []}
    for _ in range(SPEED_ROUNDS):
        for name, model in (("base", base), ("bundle", embedder)):
            started = time.perf_counter()
            model.encode_documents(texts)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(some[1:]) for name, some in seconds.items()}
    return {
        "documents_per_s": {name: len(texts) / median for name, median in medians.items()},
        "ratio": medians["base"] / medians["bundle"],
        "documents": len(texts),
    }


def described(row: dict[str, Any]) -> str:
    """Return a row as a line."""
    gains = ", ".join(
        f"{item['b']} {row[item['b']]:.4f} ({item['difference']:+.4f}, p {item['p_t_holm']:.3g})"
        for item in row["comparisons"]
    )
    return f"{row['domain']:<13} {row['set']:<11} base {row['base']:.4f}, {gains}"


if __name__ == "__main__":
    sys.exit(main())
