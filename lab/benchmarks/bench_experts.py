"""Encoding speed of a bundle of embedding experts, compared with its base model.

    python lab/benchmarks/bench_experts.py --data DATA --bundle BUNDLE --json FILE

Documents per second on one core, for texts of four domains in mixed batches: the base model, the
bundle with the experts that its router chooses, and plain ``SentenceTransformer.encode`` of the
base model in float32, in turn in one process.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import results_file
import torch

from expertrag import models
from expertrag_lab.data.datasets import load_dataset
from expertrag_retriever.encoder import load_embedder, load_model
from expertrag_retriever.experts.bundle import base_of

SETS = ("fiqa_small", "pydocs", "scifact", "squad2")
TEXTS, ROUNDS = 256, 5
CODE = ("retriever/expertrag_retriever", "lab/benchmarks/bench_experts.py")


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--bundle", type=Path, required=True)
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # the same core for all
    torch.set_num_threads(1)
    report = measure(ways(given.bundle), texts(given.data))
    for name, ratio in report["relative_to_base"].items():
        print(f"{name:<8} {report['documents_per_s'][name]:7.1f} documents/s, {ratio:.3f} x base")
    results_file.write(given.json, report, CODE)


def texts(data: Path) -> list[str]:
    """Return the first documents of each data set."""
    return [
        item.text
        for name in SETS
        for item in itertools.islice(load_dataset(data / name).documents(), TEXTS // len(SETS))
    ]


def ways(bundle: Path) -> dict[str, Callable[[Sequence[str]], Any]]:
    """Load the three encoders to compare."""
    source = models.ensure(base_of(bundle).name)
    base, experts = load_embedder(source), load_embedder(source, experts=bundle)
    plain = load_model(source)
    return {
        "base": base.encode_documents,
        "router": experts.encode_documents,
        "plain": lambda some: plain.encode(list(some)),
    }


def measure(
    encoders: dict[str, Callable[[Sequence[str]], Any]], some: Sequence[str]
) -> dict[str, Any]:
    """Encode the texts with every encoder in turn; medians exclude the first round."""
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS):
        for name, encode in encoders.items():
            started = time.perf_counter()
            encode(some)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    return {
        "documents": len(some),
        "documents_per_s": {name: len(some) / median for name, median in medians.items()},
        "relative_to_base": {name: medians["base"] / median for name, median in medians.items()},
    }


if __name__ == "__main__":
    main()
