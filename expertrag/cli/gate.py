"""``expertrag gate``: the retrieval gate by hand."""

from __future__ import annotations

import click

from expertrag.cli.answering import asking, mode_option, open_client, timeout_argument
from expertrag.cli.output import emit_json, print_decision
from expertrag.config import Config


@click.group()
def gate() -> None:
    """Explain the retrieval gate's decisions, fit gates of your own, and learn from use."""


@gate.command()
@click.argument("question")
@mode_option
@asking("gate")
def explain(
    question: str,
    mode: str,
    domain: str | None,
    timeout: float | None,
    server: str | None,
    config: Config,
    as_json: bool,
) -> None:
    """Print whether the documents would be consulted for a question, and why."""
    with open_client(server, config) as client:
        decision = client.decide(
            question,
            mode=mode,
            threshold=config.gate.threshold,
            domain=domain,
            **timeout_argument(timeout),
        )
    if as_json:
        emit_json(decision)
        return
    print_decision(decision)
    for name, value in decision.signals.items():
        click.echo(f"  {name} {value:.3f}")
