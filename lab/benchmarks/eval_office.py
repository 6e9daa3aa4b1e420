"""Evaluate answers, abstentions and their notes over the share of an invented company.

    python lab/benchmarks/eval_office.py --half choose --json FILE

Writes the share (``office_share.py``), builds its store, and asks the questions of
``office/questions.jsonl`` in AUTO and STRICT with the defaults of a request. Choose with the half
``choose``; the half ``test`` is for reports. Everyday requests are asked in AUTO alone. Rows are
kept below ``--work`` (``office_answers.py``), so an interrupted run can be resumed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

import results_file
from office_answers import SHARE, Row, RowCache, opened, prepare
from office_figures import figures
from office_questions import GENERAL, KINDS, OfficeQuestion, questions
from office_share import HALVES
from reader_figures import HEADER

from expertrag.api.types import GateMode
from expertrag.cli.progress import progress
from expertrag.llm.load.loading import quiet

MODEL = "qwen2.5-coder-1.5b-instruct"
MODES = (GateMode.AUTO, GateMode.STRICT)
CODE = (
    *results_file.ANSWERS,
    "expertrag/conversation",
    *SHARE,
    "lab/benchmarks/eval_office.py",
    "lab/benchmarks/office_answers.py",
    "lab/benchmarks/office_figures.py",
    "lab/benchmarks/office_questions.py",
)


def main() -> None:
    """Ask, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--work")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--half", choices=HALVES, help="one half of the documents; default: both")
    parser.add_argument("--modes", nargs="+", type=GateMode, choices=MODES, default=MODES)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--limit", type=int, help="maximum per kind, drawn at random")
    parser.add_argument("--show", action="store_true", help="print the answers that are not right")
    given = parser.parse_args()
    halves = (given.half,) if given.half else HALVES
    asked = chosen(questions(), halves, given.kinds, given.limit)
    work = given.work / "office"
    rows = {}
    with progress() as report, quiet():
        store = prepare(work, report)
        with closing(opened(given.model, store)) as pipeline:
            cache = RowCache(pipeline, given.model, store, work)
            for mode in given.modes:
                some = [item for item in asked if mode is GateMode.AUTO or item.kind != GENERAL]
                rows[str(mode)] = list(zip(some, cache.ask(some, mode, report), strict=True))
    result = figures(rows)
    if given.show:
        print("\n".join(line for some in rows.values() for line in shown(some)))
    print("\n".join((HEADER, *(figure.row for figure in result))))
    print(f"\nrows: {cache.path}")
    body = {
        "inputs": {**cache.inputs, "questions": len(asked), "halves": list(halves)},
        "figures": list(map(asdict, result)),
    }
    results_file.write(given.json, body, CODE)


def chosen(
    every: Sequence[OfficeQuestion], halves: Sequence[str], kinds: Sequence[str], limit: int | None
) -> list[OfficeQuestion]:
    """Select questions; with a limit, draw that many of each kind."""
    result = []
    for kind in kinds:
        some = [item for item in every if item.kind == kind and item.half in halves]
        result += some if limit is None else random.Random(0).sample(some, min(limit, len(some)))
    return result


def shown(judged: Sequence[tuple[OfficeQuestion, Row]]) -> list[str]:
    """Return a line for each answer that is not right."""
    return [
        f"{row.mode} {item.id} {item.text!r}: {row.answer!r} (right: {item.answers},"
        f" shown: {row.shows(item)}, warned: {row.warned}, cited: {len(row.citations)})"
        for item, row in judged
        if not row.right(item)
    ]


if __name__ == "__main__":
    main()
