"""``expertrag eval``: one file per command, or per few that belong together."""

from __future__ import annotations

import click


@click.group("eval")
def evaluation() -> None:
    """Measure retrieval, gate and answers on your own data, with intervals and significance.

    Figures need no judge: the same manifest gives the same numbers. A report goes to stdout (JSON
    with --json) and, with --out DIR, to report.json, report.md and report.html in that folder.
    """
