"""What the commands of ``expertrag eval`` share: options, and how a report is given out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, cast

import click

from expertrag.cli.exits import ExitCode
from expertrag.cli.options import flag
from expertrag.cli.output import emit_json, note, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from expertrag.data.types import JSON


def _writable(
    _context: click.Context, _parameter: click.Parameter, folder: Path | None
) -> Path | None:
    """Make the folder of the report, so that no work is done for one that cannot be written."""
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise click.BadParameter(f"{folder} cannot be written: {error.strerror}") from None
    return folder


class Names(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of choices."""

    name = "list"

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = choices

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Read the list."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(filter(None, map(str.strip, str(value).split(",")))))
        for name in names:
            if name not in self._choices:
                self.fail(f"{name!r} is none of {', '.join(self._choices)}", param, ctx)
        return names


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
    callback=_writable,
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
    """Print a report, and write it to ``out`` where that is given.

    Ends the command with 3 if questions failed, which are then in no figure.
    """
    from expertrag.eval.report import text, write

    if as_json:
        emit_json(report)
    else:
        click.echo(text.render(report), nl=False)
    if out is not None:
        for path in write([report], out):
            note(f"wrote {path}")
    skipped = cast("Mapping[str, Sequence[Mapping[str, JSON]]]", report.get("skipped", {}))
    end_with_failures([item for items in skipped.values() for item in items])


def end_with_failures(skipped: Sequence[Mapping[str, JSON]]) -> None:
    """End the command with 3 if some of the skipped would be tried again, and say so."""
    failed = [item for item in skipped if item.get("retry")]
    if failed:
        note(
            printable(
                f"in no figure, since they failed: {len(failed)} questions, the last with: "
                f"{failed[-1]['reason']}; run again to ask them"
            )
        )
        click.get_current_context().exit(ExitCode.PARTIAL)
