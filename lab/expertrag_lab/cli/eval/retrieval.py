"""``expertrag eval retrieval``: evaluate each search mode on judged queries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from expertrag.cli.options import flags_of, json_flag, list_typed, with_config
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag_lab.cli.eval.options import (
    datasets_argument,
    limit_option,
    out_option,
    publish,
    seed_option,
    split_option,
    work_option,
)

if TYPE_CHECKING:
    from expertrag_lab.eval.stores import Unit

flag = flags_of("EVAL")


@click.command()
@datasets_argument
@flag(
    "--modes",
    default="bm25,dense,hybrid",
    help="Comma-separated search modes, compared in pairs. One more is experts: dense search with "
    "the embedder's domain experts; the other modes then use its base model.",
)
@flag(
    "--k",
    type=click.IntRange(1, 1000),
    default=10,
    help="Cut-off of the default metrics, and passages shown per query.",
)
@flag(
    "--metrics",
    help="Comma-separated metrics, such as nDCG@10,P@5,Success@1 [default: "
    "nDCG@k,R@100,MRR@k,MAP].",
)
@flag(
    "--unit",
    type=click.Choice(["document", "chunk"]),
    default="document",
    help="Search whole documents, as published figures do, or chunks, as a served store does.",
)
@split_option
@limit_option
@seed_option
@work_option
@with_config("index", "model.embedder", "model.device")
@out_option
@json_flag
def retrieval(
    datasets: tuple[Path, ...],
    modes: str,
    k: int,
    metrics: str | None,
    unit: str,
    split: str,
    limit: int | None,
    seed: int,
    work: Path | None,
    config: Config,
    out: Path | None,
    as_json: bool,
) -> None:
    """Evaluate BM25, dense and hybrid search on BEIR folders.

    DATASET is a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, plain or gzipped. Its
    store is built in --work, with vectors whatever the modes, and reused by later runs; --index
    searches an existing store of its documents instead. Ranks beyond 100 count only for metrics
    with a larger cut-off.
    """
    from expertrag.stores.embedders import open_embedder
    from expertrag_lab.eval.retrieval import RetrievalSettings, evaluate
    from expertrag_lab.eval.stores import default_work

    store = Path(config.index) if config.index else None
    if store and (options := list_typed({"unit": "--unit", "work": "--work"})):
        raise click.UsageError(
            f"{options[0]} is for stores that are built; leave out it or --index"
        )
    settings = RetrievalSettings(
        modes=tuple(modes.split(",")),
        metrics=() if metrics is None else tuple(metrics.split(",")),
        k=k,
        unit=cast("Unit", unit),
        split=split,
        limit=limit,
        seed=seed,
        index=store,
    )
    embedder = open_embedder(config.model, store)
    with progress() as report:
        evaluation = evaluate(datasets, embedder, settings, work or default_work(), report)
    publish(evaluation, out, as_json)
