"""What the commands of ``expertrag eval`` share: options, and how a report is given out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.options import flag
from expertrag.cli.output import emit_json, note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from expertrag.eval.types import JSON

datasets_argument = click.argument(
    "datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path(path_type=Path)
)
rows_argument = click.argument(
    "rows", nargs=-1, required=True, metavar="ROWS...", type=click.Path(path_type=Path)
)
out_option = flag(
    "--out",
    env="EXPERTRAG_EVAL_OUT",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write report.json, report.md and report.html to this folder.",
)
seed_option = flag(
    "--seed",
    env="EXPERTRAG_EVAL_SEED",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of every sample, resample and draw.",
)
split_option = flag(
    "--split",
    env="EXPERTRAG_EVAL_SPLIT",
    default="test",
    show_default=True,
    help="Split whose judgements count: the file qrels/SPLIT.tsv.",
)
limit_option = flag(
    "--limit",
    env="EXPERTRAG_EVAL_LIMIT",
    type=click.IntRange(min=1),
    help="Queries of each set, drawn at random by --seed; all unless given.",
)
work_option = flag(
    "--work",
    env="EXPERTRAG_EVAL_WORK",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of stores and answers that a later run uses again [default: the user's cache].",
)


def publish(report: Mapping[str, JSON], out: Path | None, as_json: bool) -> None:
    """Print a report, and write it to ``out`` where that is given."""
    from expertrag.eval.report import text, write

    if out is not None:
        for path in write([report], out):
            note(f"wrote {path}")
    if as_json:
        emit_json(report)
    else:
        click.echo(text.render(report), nl=False)
