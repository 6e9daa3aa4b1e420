"""``expertrag doctor``: check the installation, and print the command that fixes each fault."""

from __future__ import annotations

from itertools import groupby

import click

from expertrag.cli.exits import ExitCode
from expertrag.cli.options import json_flag
from expertrag.cli.output import emit_json


@click.command()
@json_flag
def doctor(as_json: bool) -> None:
    """Check versions, hardware, kernels, models and extras.

    Exits with 9 if a required part is missing or damaged; its line shows the command that fixes it.
    """
    from expertrag.cli.installation import diagnose

    diagnosis = diagnose()
    if as_json:
        emit_json({"healthy": diagnosis.healthy, "findings": diagnosis.findings})
    else:
        for area, findings in groupby(diagnosis.findings, key=lambda finding: finding.area):
            click.echo(f"{area}")
            for finding in findings:
                cure = f"  ->  {finding.cure}" if finding.cure else ""
                click.echo(f"  {finding.status:<8}{finding.name:<28}{finding.detail}{cure}")
        click.echo("all well" if diagnosis.healthy else "a required part is missing or damaged")
    if not diagnosis.healthy:
        click.get_current_context().exit(ExitCode.MISSING_PART)
