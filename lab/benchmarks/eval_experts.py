"""Embedding experts compared with rivals: nDCG@10 on test splits, dense and hybrid.

    python lab/benchmarks/eval_experts.py --data DATA --bundle BUNDLE --json FILE

Systems, each over whole documents of 14 test sets of six domains:

    base        the base model
    all-domain  one expert trained on the pairs of all domains, for as many steps as all experts
    specialist  the base model with its upper feed-forward layers fully fine-tuned on one domain
    label       the bundle, each data set by the expert of its domain
    router      the bundle as a store uses it: the router chooses by the documents

Missing rivals are trained first, with the recipe of the bundle, into --work. Rivals, stores and
measurements are kept, so an interrupted run can be resumed. A rival is the checkpoint with the best
mean over its dev sets, regardless of harm. Differences have paired randomisation tests.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import results_file

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.llm.load.loading import quiet
from expertrag_common.durable import write_durably
from expertrag_index.store.index import Index
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.pairs import domain_sources
from expertrag_lab.embedder.base import base_model
from expertrag_lab.embedder.bundle import train_bundle
from expertrag_lab.embedder.recipe import Recipe
from expertrag_lab.eval.one_expert import OneExpert
from expertrag_lab.eval.retrieval import RetrievalSettings, evaluate
from expertrag_lab.eval.stores import read_corpus, store_folder
from expertrag_lab.metrics import stats
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.settings import ExpertForm

BASE = "all-minilm-l6-v2"
TRAINED_ON = {
    "science": ("scifact",),
    "biomedicine": ("bioasq", "medquad"),
    "finance": ("fiqa_small", "tatqa"),
    "legal": ("policyqa",),
    "technical": ("cosqa", "pydocs"),
    "encyclopedia": ("squad2", "hotpotqa", "popqa"),
}
TESTED_ON = TRAINED_ON | {
    "science": ("scifact", "cranfield"),
    "biomedicine": ("bioasq", "medquad", "liveqa"),
    "legal": ("policyqa", "legalsum"),
}
SPLITS = {"liveqa": ("medquad", "liveqa")}  # folder and split if not NAME and "test"
SYSTEMS = ("base", "all-domain", "specialist", "router", "label")
MODES = ("dense", "hybrid")
METRIC = "nDCG@10"

Values = dict[str, dict[str, dict[str, float]]]
"""nDCG@10 by mode, system and query."""
CODE = (*results_file.SEARCH, "lab/benchmarks/eval_experts.py")


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--sets", nargs="*", help="only these data sets")
    given = parser.parse_args()
    with progress() as report, quiet():
        rivals = Rivals(given.data, given.bundle, given.work, report)
        rows = []
        for domain, names in TESTED_ON.items():
            for name in names:
                if given.sets is None or name in given.sets:
                    found = measure(given.data, name, domain, given.systems, rivals, report)
                    rows.append(row_of(name, domain, *found))
                    print(described(rows[-1]), flush=True)
    body = {
        "sets": rows,
        "macro": macro(rows),
        "against_base": against(rows, "base") if "base" in given.systems else {},
        "rivals_without_gain": rivals.without_gain,
    }
    print(json.dumps({key: body[key] for key in ("macro", "against_base")}, indent=1))
    results_file.write(given.json, body, CODE)


class Rivals:
    """The systems, loaded or trained on demand."""

    def __init__(self, data: Path, bundle: Path, work: Path, report: Progress) -> None:
        self._data = data
        self._bundle = bundle
        self._report = report
        settings = json.loads((bundle / "experts.json").read_bytes())
        self._trained = settings["training"]["experts"]
        recipe = settings["training"]["recipe"]
        self._recipe = Recipe(**{**recipe, "form": ExpertForm(recipe["form"]), "most_harm": 1.0})
        self.without_gain: list[str] = []
        """Rivals that never beat the base on dev sets; the base is used instead."""
        digest = hashlib.sha256((bundle / "experts.safetensors").read_bytes()).hexdigest()[:8]
        self.stores = work
        self._work = work / "rivals" / digest
        self._base = models.ensure(BASE)

    def system(self, name: str, domain: str) -> SentenceTransformerEmbedder:
        """Load a system for the test sets of a domain."""
        if name == "base":
            return load_embedder(self._base)
        if name == "router":
            return load_embedder(self._base, experts=self._bundle)
        if name == "label":
            return OneExpert(load_embedder(self._base, experts=self._bundle), domain)
        if name == "all-domain":
            folder, domain = self._all_domain(), "all"
        else:
            folder = self._specialist(domain)
        if not (folder / "experts.json").is_file():
            self.without_gain = sorted({*self.without_gain, folder.name})
            return load_embedder(self._base)
        return OneExpert(load_embedder(self._base, experts=folder), domain)

    def _all_domain(self) -> Path:
        pairs = sum(int(expert["pairs"]) for expert in self._trained)
        folders = [self._data / name for names in TRAINED_ON.values() for name in names]
        return self._train("all", folders, replace(self._recipe, most_pairs=pairs))

    def _specialist(self, domain: str) -> Path:
        # full weights need a smaller learning rate than updates that start at zero
        recipe = replace(self._recipe, form=ExpertForm.FULL, learning_rate=5e-5)
        return self._train(domain, [self._data / name for name in TRAINED_ON[domain]], recipe)

    def _train(self, name: str, folders: Sequence[Path], recipe: Recipe) -> Path:
        return trained(self._work / name, name, folders, recipe, self._report)


def trained(
    folder: Path, domain: str, sets: Sequence[Path], recipe: Recipe, report: Progress
) -> Path:
    """Train an expert once; if none beats the base, the folder has no ``experts.json``."""
    if folder.exists():
        return folder
    base = base_model(models.ensure(BASE), BASE)
    try:
        train_bundle(domain_sources({domain: sets}), base.base, base.load, recipe, folder, report)
    except TrainingError as error:
        folder.mkdir(parents=True)
        (folder / "no-gain.txt").write_text(f"{error}\n")
    return folder


def measure(
    data: Path, name: str, domain: str, systems: Sequence[str], rivals: Rivals, report: Progress
) -> tuple[Values, dict[str, int]]:
    """Score every system on one test set; also count the chunks of the bundle's store by expert."""
    folder, split = SPLITS.get(name, (name, "test"))
    values: Values = {mode: {} for mode in MODES}
    partitions: dict[str, int] = {}
    for system in sorted(systems, key=SYSTEMS.index):
        if system == "label" and set(partitions) == {domain}:
            for mode in MODES:  # with the same vectors in the same store
                values[mode][system] = values[mode]["router"]
            continue
        embedder = rivals.system(system, domain)
        found = measured(data / folder, split, embedder, rivals.stores, report)
        for mode in MODES:
            values[mode][system] = found["values"][mode]
        if system == "router":
            partitions = found["partitions"]
    return values, partitions


def measured(
    folder: Path, split: str, embedder: SentenceTransformerEmbedder, work: Path, report: Progress
) -> dict[str, Any]:
    """Values of a system by mode and query, and chunks of its store by expert; cached on disk."""
    dataset = load_dataset(folder, split)
    store = store_folder(dataset, read_corpus(dataset), embedder, "document", work)
    kept = work / "measured" / f"{store.name}-{split}-{dataset.sha256[:8]}.json"
    if kept.is_file():
        known: dict[str, Any] = json.loads(kept.read_bytes())
        return known
    settings = RetrievalSettings(modes=MODES, metrics=(METRIC,), split=split)
    body: Any = evaluate([folder], embedder, settings, work, report)
    (queries,) = body["per_query"].values()
    with Index.open(store) as index:
        found = {
            "values": {mode: queries[mode][METRIC] for mode in MODES},
            "partitions": dict(index.partitions()),
        }
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_durably(kept, json.dumps(found).encode())
    return found


def row_of(name: str, domain: str, values: Values, partitions: Mapping[str, int]) -> dict[str, Any]:
    """Means of a data set, and tests of every system against the base, Holm-corrected."""
    tests = {}
    for mode, systems in values.items():
        rows = {system: list(some.values()) for system, some in systems.items()}
        tests[mode] = [
            asdict(item)
            for item in stats.adjust(
                [
                    stats.compare(METRIC, "base", rows["base"], system, some)
                    for system, some in rows.items()
                    if system != "base" and "base" in rows
                ]
            )
        ]
    return {
        "set": name,
        "domain": domain,
        "trained_on": name in TRAINED_ON[domain],
        "partitions": dict(partitions),
        "means": {
            mode: {system: statistics.fmean(some.values()) for system, some in systems.items()}
            for mode, systems in values.items()
        },
        "comparisons": tests,
        "per_query": values,
    }


def described(row: Mapping[str, Any]) -> str:
    """Format the row of a data set as one line."""
    means = "  |  ".join(
        f"{mode} " + " ".join(f"{system} {mean:.3f}" for system, mean in systems.items())
        for mode, systems in row["means"].items()
    )
    return f"{row['domain']:<13} {row['set']:<11} {means}  {row['partitions']}"


def macro(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean over domains of the mean over their data sets, by mode and system."""
    domains = [
        list(some) for _, some in itertools.groupby(rows, key=lambda row: str(row["domain"]))
    ]
    return {
        mode: {
            system: statistics.fmean(
                statistics.fmean(row["means"][mode][system] for row in some) for some in domains
            )
            for system in rows[0]["means"][mode]
        }
        for mode in MODES
    }


def against(
    rows: Sequence[Mapping[str, Any]], rival: str
) -> dict[str, dict[str, dict[str, float]]]:
    """Differences of the macro means, with p of a paired randomisation test (Smucker et al. 2007).

    Queries are weighted as in the macro mean; under the null hypothesis the sign of each difference
    is random.
    """
    domains = Counter(row["domain"] for row in rows)

    def weighted(mode: str, system: str) -> list[float]:
        return [
            value / len(values) / domains[row["domain"]] / len(domains)
            for row in rows
            for values in (row["per_query"][mode][system].values(),)
            for value in values
        ]

    found: dict[str, dict[str, dict[str, float]]] = {mode: {} for mode in MODES}
    for mode in MODES:
        base = weighted(mode, rival)
        for system in rows[0]["means"][mode]:
            if system != rival:
                values = weighted(mode, system)
                found[mode][system] = {
                    "difference": sum(values) - sum(base),
                    "p": stats.compare(METRIC, rival, base, system, values).p_fisher,
                }
    return found


if __name__ == "__main__":
    main()
