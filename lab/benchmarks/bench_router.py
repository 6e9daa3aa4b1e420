"""The domain router on six domains: accuracy, calibration, left-out sets and domains, clustering.

    python lab/benchmarks/bench_router.py --data FOLDER_OF_DATA_SETS [--compare] [--json FILE]

Trains on train splits and evaluates on test splits, both with queries and documents. Documents of a
whole data set are placed as in a store, by a router trained without the set or its domain. With
--compare, shapes of the router are compared as well, on train splits only.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import results_file

from expertrag import models
from expertrag_index.store.manifest import GENERAL
from expertrag_index.types import FloatArray
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.domain_texts import domain_texts
from expertrag_lab.data.qrels import splits
from expertrag_lab.router.fit import fit_router
from expertrag_lab.router.measure import figures
from expertrag_lab.router.pooling import pool_states
from expertrag_lab.router.settings import RouterSettings
from expertrag_lab.router.unlabelled import cluster_texts
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.router.groups import decide
from expertrag_retriever.router.router import DomainRouter

SETS = {
    "science": ("scifact", "cranfield"),
    "biomedicine": ("bioasq", "medquad"),
    "finance": ("fiqa_small", "tatqa"),
    "legal": ("policyqa",),
    "technical": ("cosqa", "pydocs"),
    "encyclopedia": ("squad2", "hotpotqa", "popqa"),
}
SHAPES = (
    *((count, 32, 0.1) for count in (1, 2, 4, 8, 16)),
    *((8, dimensions, 0.1) for dimensions in (16, 64, 128, 256)),
    *((8, 32, shrinkage) for shrinkage in (0.01, 0.03, 0.3)),
)
"""Number of prototypes per domain, whitened dimensions, shrinkage."""

GROUP = 100
"""Number of documents used to place a data set, as when a store is built."""

BASE = "all-minilm-l6-v2"
EVERYDAY = Path(__file__).parent / "everyday_requests.txt"

Texts = dict[str, list[str]]
CODE = (
    "retriever/expertrag_retriever/router",
    "index/expertrag_index/store/groups.py",
    "lab/benchmarks/bench_router.py",
    "lab/benchmarks/everyday_requests.txt",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compare", action="store_true")
    given = parser.parse_args()
    sets = {name: [given.data / each for each in some] for name, some in SETS.items()}
    train, test = (domain_texts(sets, s, given.texts, given.seed) for s in ("train", "test"))
    everyday = [line for line in EVERYDAY.read_text(encoding="utf-8").splitlines() if line.strip()]
    by_set = {
        name: {
            each: domain_texts({each: [given.data / each]}, "train", given.texts // len(some), 0)[
                each
            ]
            for each in some
        }
        for name, some in SETS.items()
    }
    documents = {
        name: _documents(given.data / name, given.seed) for some in SETS.values() for name in some
    }
    states = States([*_flat(train), *_flat(test), *_flat(documents), *everyday])
    report = _measure(states, train, test, everyday, given.seed)
    report["placed"] = _placed(states, by_set, documents, given.seed)
    if given.compare:
        report["shapes"] = [_shape(states, train, given.seed, *shape) for shape in SHAPES]
    print(json.dumps(report, indent=2))
    results_file.write(given.json, report, CODE)


class States:
    """Mean hidden states of texts, each computed once."""

    def __init__(self, texts: list[str]) -> None:
        different = list(dict.fromkeys(text.strip() for text in texts))
        start = time.perf_counter()
        pooled = pool_states(load_embedder(models.ensure(BASE)).model, different)
        self.seconds = time.perf_counter() - start
        self._rows = dict(zip(different, pooled, strict=True))

    def __call__(self, texts: Any) -> FloatArray:
        """Return the states (N, H) of texts."""
        return np.stack([self._rows[text.strip()] for text in texts])


def _measure(states: States, train: Texts, test: Texts, everyday: list[str], seed: int) -> Any:
    start = time.perf_counter()
    router, held_out = fit_router(train, states, seed)
    seconds = time.perf_counter() - start
    names = list(router.domains)
    labels = np.array([names.index(name) for name, some in test.items() for _ in some])
    tested = figures(_posterior(router, states, _flat(test)), labels)
    left_out = {}
    for name in train:
        other, _ = fit_router({n: t for n, t in train.items() if n != name}, states, seed)
        known = _none(other, states, _flat({n: t for n, t in test.items() if n != name}))
        left_out[name] = {
            "none_of_left_out": _none(other, states, test[name]),
            "none_of_others": known,
        }
    clusters = cluster_texts(_flat(train), states, seed=seed)
    return {
        "seconds": {"states": round(states.seconds, 1), "training": round(seconds, 1)},
        "cross_validation": _plain(held_out),
        "test": _plain(tested),
        "everyday_requests_none": _none(router, states, everyday),
        "left_out": left_out,
        "left_out_mean": {
            key: round(float(np.mean([item[key] for item in left_out.values()])), 3)
            for key in ("none_of_left_out", "none_of_others")
        },
        "clusters": {name: _domains(some, train) for name, some in clusters.items()},
        "clusters_purity": _purity(clusters, train),
    }


def _documents(folder: Path, seed: int) -> list[str]:
    """Draw the documents used to place a data set."""
    dataset = load_dataset(folder, splits(folder)[0])
    texts = [document.embedding_text for document in dataset.documents([])]
    return random.Random(seed).sample(texts, min(GROUP, len(texts)))


def _placed(
    states: States, by_set: dict[str, Texts], documents: Texts, seed: int
) -> dict[str, dict[str, Any]]:
    """Place each data set by a router trained without it, and by one without its domain."""
    report: dict[str, dict[str, Any]] = {"set_left_out": {}, "domain_left_out": {}}
    for domain, some in by_set.items():
        for name in some:
            for kind, left_out in (("set_left_out", {name}), ("domain_left_out", set(some))):
                texts = {
                    other: [text for each in sets if each not in left_out for text in sets[each]]
                    for other, sets in by_set.items()
                    if sets.keys() - left_out
                }
                if kind == "set_left_out" and domain not in texts:
                    continue  # a domain with a single data set
                router, _ = fit_router(texts, states, seed)
                posterior = _posterior(router, states, documents[name])
                (group,) = decide({name: posterior}, router.domains, ())
                experts = {key: value for key, value in group.evidence.items() if key != GENERAL}
                best = max(experts, key=experts.__getitem__)
                report[kind][name] = {
                    "expert": group.expert,
                    "best": best,
                    "share": round(experts[best], 3),
                }
    return report


def _shape(
    states: States, train: Texts, seed: int, prototypes: int, dimensions: int, shrinkage: float
) -> dict[str, float]:
    """Cross-validated accuracy, and how well a left-out domain is separated from the others.

    Both use texts that the router was not trained on: three quarters of the others' texts train it.
    """
    settings = RouterSettings(prototypes, dimensions, shrinkage)
    _, held_out = fit_router(train, states, seed, settings)
    areas = []
    for name in train:
        others = {other: some for other, some in train.items() if other != name}
        rest = {other: [t for i, t in enumerate(some) if i % 4] for other, some in others.items()}
        kept = [text for some in others.values() for text in some[::4]]
        router, _ = fit_router(rest, states, seed, settings)
        inside, outside = (_nearest(router, states, some) for some in (kept, train[name]))
        areas.append(float((outside[:, None] > inside).mean()))  # distances have no ties
    return {
        "prototypes": prototypes,
        "dimensions": dimensions,
        "shrinkage": shrinkage,
        "accuracy": round(held_out.accuracy, 4),
        "ece": round(held_out.ece, 4),
        "left_out_auc": round(float(np.mean(areas)), 3),
    }


def _nearest(router: DomainRouter, states: States, texts: list[str]) -> FloatArray:
    import torch

    nearest: FloatArray = router.distances(torch.from_numpy(states(texts))).amin(dim=1).numpy()
    return nearest


def _flat(texts: Texts) -> list[str]:
    return [text for some in texts.values() for text in some]


def _posterior(router: DomainRouter, states: States, texts: list[str]) -> FloatArray:
    import torch

    rows: FloatArray = router.posterior(torch.from_numpy(states(texts))).numpy()
    return rows


def _none(router: DomainRouter, states: States, texts: list[str]) -> float:
    """Share of texts that are routed to no domain."""
    posterior = _posterior(router, states, texts)
    return round(float((posterior.argmax(axis=1) == len(router.domains)).mean()), 3)


def _domains(cluster: list[str], texts: Texts) -> dict[str, int]:
    own = {text.strip(): name for name, some in texts.items() for text in some}
    return dict(Counter(own[text] for text in cluster).most_common())


def _purity(clusters: Texts, texts: Texts) -> float:
    """Share of texts that belong to the majority domain of their cluster."""
    best = sum(max(_domains(some, texts).values()) for some in clusters.values())
    return round(best / len(_flat(clusters)), 3)


def _plain(found: Any) -> dict[str, float]:
    return {
        "accuracy": round(found.accuracy, 3),
        "ece": round(found.ece, 4),
        "known": round(found.known, 3),
        "texts": found.texts,
    }


if __name__ == "__main__":
    main()
