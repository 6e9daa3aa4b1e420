"""``expertrag gate annotate``: label the questions of a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.gate_use import describe_torn_lines, log_argument
from expertrag.cli.options import flag, json_flag
from expertrag.cli.output import note, print_found, printable

if TYPE_CHECKING:
    from expertrag.audit.questions import QuestionRecord
    from expertrag.audit.reading import Log
    from expertrag_lab.data.annotations import Annotations

STOP = "q"


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
    from expertrag.audit.questions import to_label
    from expertrag.audit.reading import read_log
    from expertrag_lab.data import annotations

    read = read_log(log)
    annotations.check_texts(read)
    with annotations.open_dataset(out) as dataset:
        taken = _take_feedback(read, dataset)
        waiting = [item for item in to_label(read) if item not in dataset]
        answered = sum(1 for _ in _ask(waiting, dataset))
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
        f"{left:,} left{describe_torn_lines(read.torn)}"
    )
    print_found(counts, as_json, (line,))


def _take_feedback(log: Log, dataset: Annotations) -> int:
    from expertrag.audit.questions import collect_corrected
    from expertrag_lab.data.annotations import FROM_FEEDBACK

    new = [item for item in collect_corrected(log) if item not in dataset]
    for item in new:
        dataset.add(item, item.answers, FROM_FEEDBACK)
    return len(new)


def _ask(questions: list[QuestionRecord], dataset: Annotations) -> Iterator[QuestionRecord]:
    """Ask the questions in order, and yield those that were answered."""
    from expertrag_lab.data.annotations import ANNOTATED, split_answers

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
