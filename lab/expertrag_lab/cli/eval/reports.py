"""``expertrag eval report | compare | ls | validate``: commands that need no model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.exits import ExitCode
from expertrag.cli.options import json_flag
from expertrag.cli.output import emit_json, note, printable
from expertrag.cli.progress import progress
from expertrag_lab.cli.eval.options import out_option, publish

if TYPE_CHECKING:
    from expertrag_lab.eval.library import Listing
    from expertrag_lab.eval.report.blocks import Table

NO_TERMINAL = (1000, 24)
"""Size without a terminal, so wide that paths are not cut."""

reports_argument = click.argument(
    "reports", nargs=-1, required=True, metavar="REPORT...", type=click.Path(path_type=Path)
)


@click.command()
@reports_argument
@out_option
@json_flag
def report(reports: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Show reports, or combine them on one page with --out DIR.

    REPORT is a report.json, or the folder that holds it. A combined page stands for its reports.
    """
    from expertrag_lab.eval.report import parts_of, read_report, text, together, write

    parts = [part for path in reports for part in parts_of(read_report(path))]
    if as_json:
        emit_json(together(parts))
    elif out is None:
        click.echo("\n".join(map(text.render, parts)), nl=False)
    if out is not None:
        for path in write(parts, out):
            note(f"wrote {path}")


@click.command()
@click.argument("first", metavar="A", type=click.Path(path_type=Path))
@click.argument("second", metavar="B", type=click.Path(path_type=Path))
@out_option
@json_flag
def compare(first: Path, second: Path, out: Path | None, as_json: bool) -> None:
    """Compare report A with report B of the same kind, with p-values.

    Values are paired by query, for every set, system and metric that both have. A and B are
    report.json files or their folders.
    """
    from expertrag_lab.eval.compare import compare_reports
    from expertrag_lab.eval.report import read_report

    reports = read_report(first), read_report(second)
    with progress() as shown:
        comparison = compare_reports(*reports, (str(first), str(second)), shown)
    publish(comparison, out, as_json)


@click.command("ls")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@json_flag
def ls(paths: tuple[Path, ...], as_json: bool) -> None:
    """List data sets, row files and reports below PATH.

    The default is the current folder.
    """
    from expertrag_lab.eval.library import list_library
    from expertrag_lab.eval.report import text

    listing = list_library(paths or (Path(),))
    if as_json:
        emit_json(listing)
        return
    columns = shutil.get_terminal_size(fallback=NO_TERMINAL).columns
    for table in _tables(listing):
        click.echo("".join(f"{line}\n" for line in text.table(table, max(columns, text.WIDTH))))
    for entry in listing.unreadable:
        click.echo(printable(f"unreadable: {entry.reason}"))
    if not any((listing.datasets, listing.rows, listing.reports, listing.unreadable)):
        click.echo("no data sets, rows or reports found")


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@json_flag
def validate(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check data sets, row files and reports at PATH and below.

    Every fault is printed.

    Exits with 2 if there is a fault. Notes, such as queries without judgements, are not faults.
    """
    from expertrag_lab.eval.checks import check

    with progress() as shown:
        checked = check(paths, shown)
    if as_json:
        emit_json(checked)
    else:
        for item in checked:
            for problem in item.problems:
                click.echo(printable(str(problem)).replace("\n", " "))
        for item in checked:
            counts = ", ".join(
                f"{count:,} {name.replace('_', ' ')}" for name, count in item.counts.items()
            )
            faults = f"faults: {item.faults:,}" if item.faults else "no fault"
            about = f" ({item.what}: {counts})" if item.what else ""
            click.echo(printable(f"{item.path}{about}: {faults}"))
    if any(item.faults for item in checked):
        click.get_current_context().exit(ExitCode.USAGE)


def _tables(listing: Listing) -> Iterator[Table]:
    from expertrag_lab.eval.report.blocks import Table
    from expertrag_lab.eval.report.wording import ABSENT, count

    if listing.datasets:
        rows = tuple(
            (
                str(entry.path),
                ", ".join(f"{name} {judged:,}" for name, judged in entry.splits.items()) or ABSENT,
                *map(count, (entry.documents, entry.queries, entry.answered, entry.unanswerable)),
            )
            for entry in listing.datasets
        )
        columns = ("data set", "judged", "documents", "queries", "answered", "unanswerable")
        yield Table(columns, rows, labels=2)
    if listing.rows:
        rows = tuple(
            (str(entry.path), ", ".join(entry.fields), count(entry.rows)) for entry in listing.rows
        )
        yield Table(("rows", "fields", "rows"), rows, labels=2)
    if listing.reports:
        rows = tuple(
            (
                str(entry.path),
                entry.kind,
                entry.headline or ABSENT,
                entry.created_at[:10] or ABSENT,
                entry.commit or ABSENT,
                f"{len(entry.sets)} sets" if len(entry.sets) > 1 else "".join(entry.sets) or ABSENT,
            )
            for entry in listing.reports
        )
        yield Table(("report", "kind", "figure", "made on", "commit", "sets"), rows, labels=6)
