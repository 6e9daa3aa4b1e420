"""Options shared by the commands of ``expertrag eval``, and the output of reports."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, cast

import click

from expertrag.cli.exits import ExitCode
from expertrag.cli.options import Command, flags_of
from expertrag.cli.output import emit_json, note, printable
from expertrag_lab.cli.options import seed_flag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from expertrag_lab.data.types import JSON

flag = flags_of("EVAL")

MODEL_KEYS = (
    "model",
    "lab.passages",
    "lab.wording",
    "lab.routing",
    "lab.expert_patterns",
    "lab.expert_share",
    "lab.weights_mib",
)
"""Settings of a language model, of which evaluations have flags."""


def _writable(
    _context: click.Context, _parameter: click.Parameter, folder: Path | None
) -> Path | None:
    """Create the report's folder first, so that an unwritable one fails before any work."""
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
        """Parse the list."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(filter(None, map(str.strip, str(value).split(",")))))
        for name in names:
            if name not in self._choices:
                self.fail(f"{name!r} is not one of {', '.join(self._choices)}", param, ctx)
        return names


datasets_argument = click.argument(
    "datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path(path_type=Path)
)
rows_argument = click.argument(
    "rows", nargs=-1, required=True, metavar="ROWS...", type=click.Path(path_type=Path)
)
out_option = flag(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    callback=_writable,
    help="Write report.json, report.md and report.html to this folder.",
)
seed_option = seed_flag("EXPERTRAG_EVAL_SEED", "Seed of all sampling and resampling.")
split_option = flag(
    "--split", default="test", help="Split to evaluate: the judgements in qrels/SPLIT.tsv."
)
limit_option = flag(
    "--limit",
    type=click.IntRange(min=1),
    help="Queries per data set, sampled with --seed. Unset: all.",
)
work_option = flag(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of stores and answers that later runs reuse [default: the user's cache].",
)


def questions_option(most: int) -> Callable[[Command], Command]:
    """Return the option of the number of questions, ``most`` by default."""
    return flag(
        "--limit",
        type=click.IntRange(min=1),
        default=most,
        help="Questions per data set, sampled with --seed.",
    )


def publish(report: Mapping[str, JSON], out: Path | None, as_json: bool) -> None:
    """Print a report, and write it to ``out`` if given.

    Exits with 3 if questions failed; they are excluded from all figures.
    """
    from expertrag_lab.eval.report import text, write

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
    """Exit with 3, with a note, if some skipped questions can be retried."""
    failed = [item for item in skipped if item.get("retry")]
    if failed:
        note(
            printable(
                f"excluded from all figures: {len(failed)} failed questions, the last with: "
                f"{failed[-1]['reason']}; run again to retry them"
            )
        )
        click.get_current_context().exit(ExitCode.PARTIAL)
