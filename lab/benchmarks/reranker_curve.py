"""What a reranker gains on data sets it has not seen, by the queries it has learnt from.

    python lab/benchmarks/reranker_curve.py --data ../shared/data --json FILE

A cross-encoder is trained as by ``expertrag train reranker`` on the train splits of some data sets.
At several points, it reranks the candidates of test queries of others: nDCG@10 of the candidates,
in which the first point, before any step, is the search. Stores are kept in --cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import results_file
import torch

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.runtime.threads import share_cores
from expertrag_index import Index
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import load_dataset, sample
from expertrag_lab.eval.stores import build_store
from expertrag_lab.reranker.groups import CandidateGroup, candidate_groups
from expertrag_lab.reranker.train import RerankPoint, RerankRecipe, RerankTrainer
from expertrag_retriever import Searcher, SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.encoder import number_format
from expertrag_retriever.rerank.bundle import open_network

BASE = "all-minilm-l6-v2"
LEARNT = "hotpotqa,popqa,policyqa,fiqa_small,pydocs"
LEFT_OUT = "squad2,tatqa,scifact,legalsum"
CODE = ("retriever/expertrag_retriever", "lab/benchmarks/reranker_curve.py")


def main() -> int:
    """Train, and write the curve."""
    options = parse_arguments()
    share_cores()
    embedder = load_embedder(models.ensure(BASE))
    recipe = RerankRecipe(
        most_groups=options.queries,
        epochs=1,
        negatives=5,
        max_tokens=128,
        evaluations=4,
        patience=99,
    )
    with progress() as report:
        found = [
            groups(options, name, "train", options.queries // len(options.learnt), embedder, report)
            for name in options.learnt
        ]
        train = [group for some in found for group in some]
        dev = {
            name: groups(options, name, "test", options.dev, embedder, report)
            for name in options.left_out
        }
        points = curve(train, dev, recipe, report)
    body = {
        "base": BASE,
        "learnt": list(options.learnt),
        "recipe": asdict(recipe),
        "dev_queries": {name: len(some) for name, some in dev.items()},
        "points": [
            {"queries": point.step * recipe.batch, "loss": point.loss, "dev": point.dev}
            for point in points
        ],
    }
    for point in points:
        print(
            f"{point.step * recipe.batch:>6} queries  mean {fmean(point.dev.values()):.4f}", point
        )
    results_file.write(options.json, body, CODE)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--learnt", type=names_of, default=LEARNT, help="data sets to learn from")
    parser.add_argument("--left-out", type=names_of, default=LEFT_OUT, help="data sets to test on")
    parser.add_argument("--queries", type=int, default=480, help="to learn from")
    parser.add_argument("--dev", type=int, default=40, help="test queries of each set left out")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench_search"))
    return parser.parse_args()


def names_of(text: str) -> tuple[str, ...]:
    """Split names at commas."""
    return tuple(text.split(","))


def groups(
    options: argparse.Namespace,
    name: str,
    split: str,
    most: int,
    embedder: SentenceTransformerEmbedder,
    report: Progress,
) -> list[CandidateGroup]:
    """Search for the queries of a data set."""
    dataset = load_dataset(options.data / name, split)
    store, _ = build_store(dataset, embedder, "chunk", options.cache, report)
    queries = sample(dataset.judged, 3 * most, 0)
    answers = {query.text: frozenset(dataset.qrels[query.id]) for query in queries}
    with Index.open(store) as index:
        searcher = Searcher(index, embedder)
        found = candidate_groups(
            searcher,
            list(answers),
            answers,
            lambda done, total: report(f"{name}: searching", done, total),
        )
        return [group for _, (_, group) in zip(range(most), found, strict=False)]


def curve(
    train: Sequence[CandidateGroup],
    dev: dict[str, list[CandidateGroup]],
    recipe: RerankRecipe,
    report: Progress,
) -> Sequence[RerankPoint]:
    """Train, and return the evaluations on the sets left out."""
    torch.manual_seed(recipe.seed)
    network, tokens = open_network(Path(models.ensure(BASE)), recipe.rank, recipe.max_tokens)
    network.bert.to(number_format("cpu"))
    for parameter in network.trainable_parameters().values():
        parameter.data = parameter.data.float()
    with tempfile.TemporaryDirectory() as work:
        trainer = RerankTrainer(network, tokens, train, dev, recipe)
        return trainer.run(Path(work), report).points


if __name__ == "__main__":
    sys.exit(main())
