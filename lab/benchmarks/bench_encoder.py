"""Speed of the compiled encoder beside the same model in torch.

    make lab-bench-encoder DATA=... ARGS="--json FILE"

The default embedder with its experts, on one core: queries alone and in batches, each by an expert
of its own, and documents, whose experts the router chooses. In torch the same encoder runs in
bfloat16, too. The two take turns in one process; of their times the least counts. ``cold`` is with
32 MiB of other memory read before each call, as between the calls of a server. ``cosine`` is the
least of a text's vector with that of torch in float32.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import results_file
import torch
from bench_experts import SETS, texts

from expertrag import models
from expertrag.stores.embedders import DEFAULT_EMBEDDER
from expertrag_index.types import FloatArray
from expertrag_kernels.encoder import ISAS
from expertrag_lab.data.datasets import load_dataset
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.experts.bundle import attach, base_of
from expertrag_retriever.fingerprint import fingerprint_of
from expertrag_retriever.module_pass import ModulePass
from expertrag_retriever.plain_encoder import plain_encoder

BATCHES = (1, 2, 4, 8, 16, 32)
ROUNDS, DOCUMENT_ROUNDS = 40, 5
COMPARED_EVERY = 8
OTHER_BYTES = 32 << 20
CODE = (
    *results_file.KERNELS,
    "retriever/expertrag_retriever",
    "lab/benchmarks/bench_encoder.py",
    "lab/benchmarks/bench_experts.py",
)

Encode = Callable[[], Any]


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    given = results_file.parser(__doc__, "--data").parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    torch.set_num_threads(1)
    fused, in_torch, exact = (
        embedder(None),
        embedder(torch.bfloat16),
        embedder(torch.float32),
    )
    queries, documents = questions(given.data), texts(given.data)
    report: dict[str, Any] = {
        "isa": ISAS[0],
        "rounds": ROUNDS,
        "queries": {str(n): batch(fused, in_torch, queries[:n]) for n in BATCHES},
        "documents": of_documents(fused, in_torch, documents),
        "cosine": {
            "compiled": cosine(fused, exact, documents[::COMPARED_EVERY]),
            "torch": cosine(in_torch, exact, documents[::COMPARED_EVERY]),
        },
    }
    for number, found in report["queries"].items():
        print(f"{number:>3} queries: {found['compiled_ms']:.2f} ms, torch {found['torch_ms']:.2f}")
    print({name: report[name] for name in ("documents", "cosine")})
    results_file.write(given.json, report, CODE)


def embedder(dtype: torch.dtype | None) -> SentenceTransformerEmbedder:
    """Load the default embedder; with a type, it runs in torch in that type."""
    folder = Path(models.ensure(DEFAULT_EMBEDDER))
    base = models.ensure(base_of(folder).name)
    if dtype is None:
        return load_embedder(base, experts=folder)
    model: Any = plain_encoder(Path(base))
    attach(model, folder, fingerprint_of(base))
    model[0].to(dtype)
    return SentenceTransformerEmbedder(base, model, "", forward=ModulePass(model))


def questions(data: Path) -> list[str]:
    """Return questions of every data set."""
    each = max(BATCHES) // len(SETS)
    return [item.text for name in SETS for item in islice(load_dataset(data / name).queries, each)]


def batch(
    fused: SentenceTransformerEmbedder,
    in_torch: SentenceTransformerEmbedder,
    some: Sequence[str],
) -> Mapping[str, float]:
    """Milliseconds of a batch of queries, each by one expert after the other, warm and cold."""
    experts = [fused.experts[number % len(fused.experts)] for number in range(len(some))]
    other = np.zeros(OTHER_BYTES, np.uint8)
    ways = [partial(by_experts, model, some, experts) for model in (fused, in_torch)]
    warm = in_turn(ways, ROUNDS)
    cold = in_turn(ways, ROUNDS, other.sum)
    return {
        "compiled_ms": round(1e3 * warm[0], 3),
        "torch_ms": round(1e3 * warm[1], 3),
        "ratio": round(warm[1] / warm[0], 2),
        "compiled_cold_ms": round(1e3 * cold[0], 3),
        "torch_cold_ms": round(1e3 * cold[1], 3),
        "ratio_cold": round(cold[1] / cold[0], 2),
    }


def of_documents(
    fused: SentenceTransformerEmbedder,
    in_torch: SentenceTransformerEmbedder,
    some: Sequence[str],
) -> Mapping[str, float]:
    """Documents and tokens a second."""
    ways = [partial(model.encode_documents, some) for model in (fused, in_torch)]
    compiled, plain = in_turn(ways, DOCUMENT_ROUNDS)
    tokens = sum(fused.tokens_read(some, "document"))
    return {
        "documents": len(some),
        "tokens": tokens,
        "compiled_per_s": round(len(some) / compiled, 1),
        "torch_per_s": round(len(some) / plain, 1),
        "compiled_tokens_per_s": round(tokens / compiled),
        "ratio": round(plain / compiled, 2),
    }


def by_experts(
    model: SentenceTransformerEmbedder, some: Sequence[str], experts: Sequence[str]
) -> FloatArray:
    """Encode queries, each by its own expert, in one batch."""
    return np.array(model._encode_pairs(list(zip(some, experts, strict=True))))


def in_turn(
    ways: Sequence[Encode], rounds: int, between: Callable[[], object] = lambda: None
) -> list[float]:
    """Least seconds of each way; the first round warms up."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, seconds in zip(ways, taken, strict=True):
            between()
            started = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - started)
    return [min(seconds[1:]) for seconds in taken]


def cosine(
    model: SentenceTransformerEmbedder, exact: SentenceTransformerEmbedder, some: Sequence[str]
) -> float:
    """Least cosine of the vectors of two models, by the base model and by each expert."""
    least = 1.0
    for expert in ("general", *model.experts):
        own, wanted = (each.encode_documents(some, expert) for each in (model, exact))
        least = min(least, float((own * wanted).sum(axis=1).min()))
    return round(least, 6)


if __name__ == "__main__":
    main()
