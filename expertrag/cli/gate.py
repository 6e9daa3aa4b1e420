"""``expertrag gate``: explain the retrieval gate's decisions; the lab adds its fitting."""

from __future__ import annotations

import itertools

import click

from expertrag.cli.answer_lines import decision_lines, evidence_lines
from expertrag.cli.answering import ANSWERING, JUDGED, asking
from expertrag.cli.extensions import ExtensibleGroup
from expertrag.cli.output import print_found
from expertrag.cli.server_options import ServerOptions


@click.group(cls=ExtensibleGroup, extensions="gate")
def gate() -> None:
    """Explain, refit and replay the retrieval gate."""


@gate.command()
@click.argument("question")
@asking("model.generator", "gate.mode", "request.domain", settable=ANSWERING, sent=JUDGED)
def explain(question: str, server: ServerOptions, as_json: bool) -> None:
    """Print whether the gate would retrieve for a question, and why."""
    policy, domain = server.config.gate, server.config.request.domain
    with server.open() as client:
        decision = client.decide(
            question,
            mode=policy.mode,
            threshold=policy.threshold,
            domain=domain,
            **server.deadline,
        )
    lines = itertools.chain(decision_lines(decision), evidence_lines(decision))
    print_found(decision, as_json, lines)
