"""``expertrag gate feedback`` and ``replay``: learn from use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.options import flag, json_flag, with_config
from expertrag.cli.output import note, print_found, printable
from expertrag.cli.server_options import ServerOptions, with_server

if TYPE_CHECKING:
    from expertrag.api.decisions import Replay

log_argument = click.argument("log", type=click.Path(path_type=Path))


@click.command()
@click.argument("answer_id", metavar="ID")
@flag(
    "--helpful/--not-helpful",
    env="EXPERTRAG_FEEDBACK_HELPFUL",
    default=None,
    help="Whether the answer helped.",
)
@flag("--answer", env="EXPERTRAG_FEEDBACK_ANSWER", help="The correct answer.")
@flag(
    "--query",
    env="EXPERTRAG_FEEDBACK_QUERY",
    help="The question, if it may be stored and the log has no texts.",
)
@with_config("index", "audit.path")
@json_flag
@with_server(collection=False)
def feedback(
    answer_id: str,
    helpful: bool | None,
    answer: str | None,
    query: str | None,
    server: ServerOptions,
    as_json: bool,
) -> None:
    """Rate or correct the answer ID.

    The feedback is stored next to the audit log.

    ID is the decision id that `ask` prints.
    """
    with server.open(ready=False) as client:
        client.feedback(
            answer_id, helpful=helpful, correct_answer=answer, query=query, **server.deadline
        )
    stored = {"answer_id": answer_id, "helpful": helpful, "correct_answer": answer}
    print_found(stored, as_json, (f"stored feedback on {answer_id}",))


@click.command()
@log_argument
@flag(
    "--policy",
    env="EXPERTRAG_REPLAY_POLICY",
    required=True,
    metavar="SPEC",
    help="threshold:T retrieves if p_benefit is at least T; never; always; rate:R uses the "
    "threshold that retrieves for at most the share R of the log.",
)
@json_flag
def replay(log: Path, policy: str, as_json: bool) -> None:
    """Replay the AUTO decisions of LOG under another policy.

    Its cost is estimated.

    LOG is the file of --audit-path; rotated files are read too. Decisions are exact; costs are
    estimated from the mean costs of the log's own answers, closed book and with retrieval.
    """
    from expertrag.audit.reading import read_log
    from expertrag.audit.replay import replay as run

    replayed = run(read_log(log), policy)
    print_found(replayed, as_json, _replay_lines(replayed))
    for line in () if as_json else _remarks(replayed):
        note(line)


def _replay_lines(replayed: Replay) -> Iterator[str]:
    logged, other = replayed.logged, replayed.replayed
    rows = [
        ("", "logged", "replayed"),
        ("decisions", f"{logged.decisions:,}", f"{other.decisions:,}"),
        ("retrieval rate", f"{logged.rate:.3f}", f"{other.rate:.3f}"),
        ("lm calls", _number(logged.lm_calls), _number(other.lm_calls)),
        ("retrieval calls", _number(logged.retrieval_calls), _number(other.retrieval_calls)),
        ("seconds", _number(logged.seconds, ",.2f"), _number(other.seconds, ",.2f")),
    ]
    for name, left, right in rows:
        yield f"{name:<16}{left:>12}{right:>12}"
    if replayed.threshold is not None:
        yield f"threshold {replayed.threshold!r}"
    changed = replayed.changed
    yield (
        f"{changed.total:,} decisions change: {changed.to_retrieve:,} to retrieve, "
        f"{changed.to_closed_book:,} to closed book"
    )
    if replayed.rated:
        yield (
            f"of these, users had called {changed.helpful:,} helpful and "
            f"{changed.not_helpful:,} not (rated: {replayed.rated:,} of {logged.decisions:,})"
        )


def _remarks(replayed: Replay) -> Iterator[str]:
    """Yield notes on what the figures are based on."""
    counts = {"forced": replayed.forced, "not judged by the gate": replayed.unjudged}
    excluded = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    left_out = f"; left out: {excluded}" if excluded else ""
    yield (
        f"{replayed.basis}, of {replayed.logged.answers:,} finished answers"
        f"{left_out}{describe_torn_lines(replayed.torn)}"
    )
    if replayed.replayed.seconds is None:
        yield "the log has no finished answer of a kind the policy chooses: its cost is unknown"
    if len(replayed.gates) > 1:
        yield (
            f"the log is of several gates ({', '.join(map(printable, replayed.gates))}), whose "
            "probabilities may not be comparable"
        )


def describe_torn_lines(count: int) -> str:
    """Return a remark on the lines of a log that could not be read."""
    return f"; skipped: {count:,} torn lines" if count else ""


def _number(value: float | None, form: str = ",.0f") -> str:
    return "unknown" if value is None else format(value, form)
