"""``expertrag eval``: one file per command or group of related commands."""

from __future__ import annotations

import click

from expertrag_lab.cli.eval.answer import answer, cost, record
from expertrag_lab.cli.eval.consistency import consistency
from expertrag_lab.cli.eval.gate import gate
from expertrag_lab.cli.eval.reports import compare, ls, report, validate
from expertrag_lab.cli.eval.retrieval import retrieval


@click.group("eval")
def evaluation() -> None:
    """Evaluate retrieval, gate and answers on your data.

    Metrics need no LLM judge: the same manifest gives the same numbers. A report goes to stdout
    (JSON with --json) and, with --out DIR, to report.json, report.md and report.html in that
    folder.
    """


for command in (answer, compare, consistency, cost, gate, ls, record, report, retrieval, validate):
    evaluation.add_command(command)
