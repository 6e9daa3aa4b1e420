"""``expertrag gate feedback``, ``replay`` and ``annotate``: learn from use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.options import configured, flag, json_flag
from expertrag.cli.output import note, print_found, printable
from expertrag.cli.server_options import ServerOptions, targeted

if TYPE_CHECKING:
    from expertrag.api.decisions import Replay
    from expertrag.audit.annotate import Annotations, Question
    from expertrag.audit.reading import Log

log_argument = click.argument("log", type=click.Path(path_type=Path))

STOP = "q"


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
@configured("index", "audit.path")
@json_flag
@targeted(collection=False)
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


@click.command()
@log_argument
@flag(
    "--out",
    env="EXPERTRAG_ANNOTATE_OUT",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DATASET",
    help="Folder of questions to create, or to continue.",
)
@json_flag
def annotate(log: Path, out: Path, as_json: bool) -> None:
    """Prompt for correct answers to the questions of LOG.

    They come in random order, so that what is labelled is a sample of all.

    Type the accepted answers to each question, separated by ' | '; press Enter to skip it, q to
    stop. Answers from feedback are added without asking. Questions already in DATASET are not asked
    again. Then run `expertrag eval record DATASET --index STORE --out ROWS.jsonl`.
    """
    from expertrag.audit import annotate as annotating
    from expertrag.audit.reading import read_log

    read = read_log(log)
    annotating.check_texts(read)
    with annotating.open_dataset(out) as dataset:
        taken = _take_feedback(read, dataset)
        waiting = [item for item in annotating.to_label(read) if item not in dataset]
        answered = sum(1 for _ in _asked(waiting, dataset))
        total = len(dataset)
    left = len(waiting) - answered
    counts = {
        "dataset": out,
        "questions": total,
        "annotated": answered,
        "from_feedback": taken,
        "left": left,
        "torn": read.torn,
    }
    line = (
        f"{total:,} questions in {out}: {answered:,} answered now, {taken:,} from feedback; "
        f"{left:,} left{_torn(read.torn)}"
    )
    print_found(counts, as_json, (line,))


def _take_feedback(log: Log, dataset: Annotations) -> int:
    from expertrag.audit.annotate import FROM_FEEDBACK, corrected

    new = [item for item in corrected(log) if item not in dataset]
    for item in new:
        dataset.add(item, item.answers, FROM_FEEDBACK)
    return len(new)


def _asked(questions: list[Question], dataset: Annotations) -> Iterator[Question]:
    """Ask the questions in order, and yield those that were answered."""
    from expertrag.audit.annotate import ANNOTATED, split_answers

    for number, question in enumerate(questions, 1):
        entry = question.entry
        assert entry is not None, "it comes from the log"
        note(
            f"\n{number}/{len(questions)}  p_benefit {entry.p_benefit:.2f} against "
            f"{entry.threshold:.2f}, {entry.action}"
        )
        note(printable(question.text))
        click.echo("answers> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line or line.strip() == STOP:
            note("")
            return
        if answers := split_answers(line):
            dataset.add(question, answers, ANNOTATED)
            yield question


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
        f"{left_out}{_torn(replayed.torn)}"
    )
    if replayed.replayed.seconds is None:
        yield "the log has no finished answer of a kind the policy chooses: its cost is unknown"
    if len(replayed.gates) > 1:
        yield (
            f"the log is of several gates ({', '.join(map(printable, replayed.gates))}), whose "
            "probabilities may not be comparable"
        )


def _torn(count: int) -> str:
    return f"; skipped: {count:,} torn lines" if count else ""


def _number(value: float | None, form: str = ",.0f") -> str:
    return "unknown" if value is None else format(value, form)
