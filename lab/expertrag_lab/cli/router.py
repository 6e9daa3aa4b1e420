"""``expertrag router``: train, explain and evaluate the router of the embedding experts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.options import flags_of, json_flag, out_folder
from expertrag.cli.output import print_found, printable
from expertrag.cli.progress import progress
from expertrag_lab.cli.options import seed_flag
from expertrag_lab.cli.output import print_made

if TYPE_CHECKING:
    from expertrag_lab.train.router import Measured
    from expertrag_retriever.router.types import RouterFigures

flag = flags_of("ROUTER")

BASE = "all-minilm-l6-v2"
"""Default of ``--base``: the base of the default embedder. A test checks it, since importing that
module is heavy."""

MOST_TEXTS = 400

data_option = flag(
    "--data",
    multiple=True,
    required=True,
    metavar="[DOMAIN=]DATASET",
    help="BEIR folder or .jsonl[.gz] file of pairs, and the domain of its texts (default: its "
    "name). Repeatable.",
)
texts_option = flag(
    "--texts",
    type=click.IntRange(min=1),
    default=MOST_TEXTS,
    help="Queries, and as many documents, to sample from each domain.",
)
seed_option = seed_flag("EXPERTRAG_ROUTER_SEED", "Random seed.")
router_option = flag(
    "--router",
    "folder",
    env="EXPERTRAG_ROUTER",
    required=True,
    metavar="FOLDER",
    help="Folder from `train router`, or a bundle of experts (a shipped one by its name).",
)
other_base_option = flag(
    "--base", metavar="MODEL", help="Base model, if it has moved since training."
)


@click.group()
def router() -> None:
    """Explain and evaluate the router that assigns a domain to a text."""


def _clusters(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Parse a number of at least 2; "auto" becomes 0."""
    if text is None or text == "auto":
        return None if text is None else 0
    if not text.isdecimal() or int(text) < 2:
        raise click.BadParameter(f"{text!r} is neither 'auto' nor a number of at least 2")
    return int(text)


@click.command("router")
@data_option
@flag("--base", metavar="MODEL", default=BASE, help="Embedder whose middle layer the router reads.")
@out_folder("EXPERTRAG_ROUTER_OUT", "FOLDER")
@flag(
    "--clusters",
    metavar="auto|N",
    callback=_clusters,
    help="Ignore the given domains and find N by clustering the texts, named by their words.",
)
@texts_option
@seed_option
@json_flag
def train(
    data: tuple[str, ...],
    base: str,
    out: Path,
    clusters: int | None,
    texts: int,
    seed: int,
    as_json: bool,
) -> None:
    """Train a router on the train splits of data sets.

    Its figures are measured on held-out texts (four-fold cross-validation).
    """
    from expertrag_lab.data.named_sets import parse_data
    from expertrag_lab.train.router import train as train_router

    sets = parse_data(data)
    with progress() as report:
        trained = train_router(
            sets,
            base,
            out,
            most=texts,
            clusters=clusters or None,
            labelled=clusters is None,
            seed=seed,
            progress=report,
        )
    lines = [printable(f"{domain}  {count:,} texts") for domain, count in trained.texts.items()]
    print_made(trained, trained.out, as_json, [*lines, _describe(trained.figures)])


@router.command()
@click.argument("text")
@router_option
@flag(
    "--allow", metavar="DOMAIN,...", help="Allowed domains; the others are masked out. Unset: all."
)
@other_base_option
@json_flag
def explain(text: str, folder: str, allow: str | None, base: str | None, as_json: bool) -> None:
    """Print the domain of a text, and the words that explain it.

    The router decides by the text's hidden states; the words only explain the decision.
    """
    from expertrag_lab.train.router import open_router

    allowed = None
    if allow is not None:
        allowed = [name.strip() for name in allow.split(",") if name.strip()]
    explanation = open_router(folder, base).explain(text, allowed)
    ranked = sorted(explanation.posterior.items(), key=lambda item: -item[1])
    lines = (
        explanation.sentence,
        *(f"  {probability:.3f}  {domain}" for domain, probability in ranked),
    )
    print_found(explanation, as_json, map(printable, lines))


@router.command("eval")
@router_option
@data_option
@flag("--split", default="test", help="Split whose queries and documents are routed.")
@texts_option
@seed_option
@other_base_option
@json_flag
def evaluate(
    folder: str,
    data: tuple[str, ...],
    split: str,
    texts: int,
    seed: int,
    base: str | None,
    as_json: bool,
) -> None:
    """Evaluate a router: accuracy, calibration, assignments.

    For a domain that the router does not have, report the share of its texts assigned to none.
    """
    from expertrag_lab.data.named_sets import parse_data
    from expertrag_lab.train.router import open_router

    sets = parse_data(data)
    opened = open_router(folder, base)
    with progress() as report:
        measured = opened.measure(sets, split, texts, seed, report)
    print_found(measured, as_json, _measure_lines(measured))


def _measure_lines(measured: Measured) -> Iterator[str]:
    if measured.known is not None:
        yield _describe(measured.known)
    for domain, taken in measured.confusion.items():
        counts = ", ".join(f"{name} {count:,}" for name, count in taken.items() if count)
        yield printable(f"{domain}  assigned to {counts}")
    for domain, share in measured.foreign.items():
        yield printable(f"{domain}  not a domain of the router: {share:.3f} assigned to none")


def _describe(figures: RouterFigures) -> str:
    return (
        f"accuracy {figures.accuracy:.3f}, calibration error {figures.ece:.3f}, "
        f"known {figures.known:.3f} of {figures.texts:,} texts"
    )
