"""Leave-one-set-out evaluation of embedding experts: data sets of their domain not trained on.

    python lab/benchmarks/experts_left_out.py --data DATA --json FILE

For every domain with several data sets, an expert is trained on all but one, as by ``train
embedder``, and evaluated on the test split of the left-out one: nDCG@10 of dense and hybrid search
over whole documents, all encoded by the expert, compared with the base model. Trained experts and
values are kept in ``--work``, so an interrupted run can be resumed. The file of ``--json`` keeps
the figures of domains that are not run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import results_file
from eval_experts import BASE, MODES, TRAINED_ON, measured, trained
from reader_figures import HEADER, Figure, mean, means

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.llm.load.loading import quiet
from expertrag_index.types import Progress
from expertrag_lab.embedder.recipe import PROFILES
from expertrag_lab.eval.one_expert import OneExpert
from expertrag_retriever.encoder import load_embedder

DOMAINS = {domain: names for domain, names in TRAINED_ON.items() if len(names) > 1}
MOST_HARM = 0.003
CODE = (
    *results_file.SEARCH,
    "lab/benchmarks/experts_left_out.py",
    "lab/benchmarks/eval_experts.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--domains", nargs="*", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--profile", choices=PROFILES, default="full")
    given = parser.parse_args()
    figures: list[Figure] = []
    with progress() as report, quiet():
        for domain in given.domains:
            for name in DOMAINS[domain]:
                others = [given.data / other for other in DOMAINS[domain] if other != name]
                folder = given.work / "left_out" / given.profile / f"{domain}-without-{name}"
                bundle = trained(folder, domain, others, PROFILES[given.profile], report)
                for figure in compared(given, domain, name, bundle, report):
                    figures.append(figure.losing_at_most(MOST_HARM))
                    print(figures[-1].row, flush=True)
    figures += kept(given.json, given.domains)
    for mode in MODES:
        changes = [item.change.mean for item in figures if item.change and mode in item.name]
        figures.append(mean(f"{mode}: mean of the changes", changes).at_least(0.0))
    print("\n".join((HEADER, *(figure.row for figure in figures))))
    body = {"inputs": {"profile": given.profile}, "figures": list(map(asdict, figures))}
    results_file.write(given.json, body, CODE, given.domains)


def kept(target: str | None, domains: Sequence[str]) -> list[Figure]:
    """Read the existing figures of the other domains."""
    known = map(Figure.parsed, results_file.read(target).get("figures", ()))
    return [item for item in known if item.change and item.name.split(", ")[0] not in domains]


def compared(
    given: argparse.Namespace, domain: str, name: str, bundle: Path, report: Progress
) -> Sequence[Figure]:
    """Compare the expert with the base on a data set's test questions, by mode.

    If training found no gain on the other data sets, there is no expert and the base is used.
    """
    base = load_embedder(models.ensure(BASE))
    before = measured(given.data / name, "test", base, given.work, report)["values"]
    after = before
    if (bundle / "experts.json").is_file():
        expert = OneExpert(load_embedder(models.ensure(BASE), experts=bundle), domain)
        after = measured(given.data / name, "test", expert, given.work, report)["values"]
    return [
        means(
            f"{domain}, {name}, {mode}",
            [before[mode][query] for query in before[mode]],
            [after[mode][query] for query in before[mode]],
        )
        for mode in MODES
    ]


if __name__ == "__main__":
    main()
