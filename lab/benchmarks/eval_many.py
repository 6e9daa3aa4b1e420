"""Evaluate answers about sets of documents: lists, counts, sums, versions, two hops, summaries.

    python lab/benchmarks/eval_many.py --split choose --json FILE

Writes the folders of ``many/`` below ``--work``, builds their stores, and asks their questions.
Choose with the half ``choose``; the half ``test`` is for reports. Answers are kept (``many/
stores.py``), so an interrupted run can be resumed. With ``--json FILE.json``, the answers and
verdicts are written to FILE.jsonl, one a line.

Part ``access`` asks over a store whose other half carries an access label (``many/access.py``).
``--external DIR`` asks about a folder that somebody else wrote instead (``many/external.py``).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import results_file
from many import access
from many.answer import Given
from many.external import external_folder
from many.figures import Judged, figures, seconds
from many.folders import FOLDERS, Folder, questions
from many.question import KINDS, OVER_SETS, SPLITS, STYLES, Question
from many.stores import SERVICE, Answers, prepare
from reader_figures import HEADER

from expertrag.api.types import GateMode
from expertrag.cli.progress import progress
from expertrag.llm.load.loading import quiet
from expertrag_index.types import Progress

MODEL = "qwen2.5-coder-1.5b-instruct"
MODES = (GateMode.AUTO, GateMode.STRICT)
QUESTIONS, ACCESS = PARTS = ("questions", "access")
CODE = (*SERVICE, "lab/benchmarks/many", "lab/benchmarks/eval_many.py")


def main() -> None:
    """Ask, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--work")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[QUESTIONS])
    parser.add_argument("--split", choices=SPLITS, help="one half of the questions; default: both")
    parser.add_argument("--modes", nargs="+", type=GateMode, choices=MODES, default=MODES[:1])
    parser.add_argument("--folders", nargs="+", choices=[*FOLDERS], default=[*FOLDERS])
    parser.add_argument("--external", nargs="+", type=Path, metavar="DIR", help="ask about these")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--styles", nargs="+", choices=STYLES)
    parser.add_argument("--limit", type=int, help="maximum per kind, drawn at random")
    parser.add_argument("--show", action="store_true", help="print the answers that are not right")
    parser.add_argument("--list", action="store_true", help="print the questions, and ask nothing")
    given = parser.parse_args()
    splits = (given.split,) if given.split else SPLITS
    folders = {path.name: external_folder(path) for path in given.external or ()}
    every = [item for folder in folders.values() for item in folder.questions()] or [
        item for item in questions() if item.folder in given.folders
    ]
    every = [item for item in every if item.style in (given.styles or (item.style,))]
    asked = chosen([item for item in every if item.split in splits], given.kinds, given.limit)
    folders = folders or dict(FOLDERS)
    if given.list:
        print("\n".join(f"{item.id}: {item.text} {item.expected}" for item in asked))
        return
    answers = Answers(given.work / "many", given.model)
    body: dict[str, object] = {"inputs": _inputs(given.model, splits, asked)}
    judged: dict[str, list[Judged]] = {}
    with progress() as report, quiet():
        if QUESTIONS in given.parts:
            judged = ask(answers, folders, given.work / "many", asked, given.modes, report)
        if ACCESS in given.parts:
            body["access"] = ask_restricted(answers, folders, given.work / "many", asked, report)
    if given.show:
        print("\n".join(line for some in judged.values() for line in shown(some)))
    body |= tables(judged)
    if ACCESS in given.parts:
        print(f"\naccess: {json.dumps(body['access'], ensure_ascii=False, default=str)[:2000]}")
    print(f"\nanswers: {answers.path}")
    write_answers(given.json, judged)
    results_file.write(given.json, body, CODE)


def chosen(every: Sequence[Question], kinds: Sequence[str], limit: int | None) -> list[Question]:
    """Select questions; with a limit, draw that many of each kind."""
    result = []
    for kind in kinds:
        some = [item for item in every if item.kind == kind]
        result += some if limit is None else random.Random(0).sample(some, min(limit, len(some)))
    return result


def ask(
    answers: Answers,
    folders: Mapping[str, Folder],
    work: Path,
    asked: Sequence[Question],
    modes: Sequence[GateMode],
    report: Progress,
) -> dict[str, list[Judged]]:
    """Ask the questions of each folder on its store; return the judged answers by mode."""
    result: dict[str, list[Judged]] = {str(mode): [] for mode in modes}
    for name in dict.fromkeys(item.folder for item in asked):
        store = prepare(work, name, folders[name].write(), report)
        pairs = [(item, mode) for mode in modes for item in asked if item.folder == name]
        for (item, mode), given in zip(pairs, answers.ask(store, pairs, report), strict=True):
            result[str(mode)].append(Judged.of(item, given))
    return result


def ask_restricted(
    answers: Answers,
    folders: Mapping[str, Folder],
    work: Path,
    asked: Sequence[Question],
    report: Progress,
) -> dict[str, object]:
    """Ask as a caller who must not see half of the documents; count what it learns of them."""
    result: list[tuple[Question, Given, Given | None]] = []
    for name in dict.fromkeys(item.folder for item in asked):
        files = folders[name].write()
        hidden = access.twins(files, folders[name].questions())
        both = prepare(work, f"{name}_access", files, report, hidden=hidden)
        plain = prepare(work, name, files, report)
        some = [item for item in asked if item.folder == name and item.kind in OVER_SETS]
        pairs = [(item, GateMode.AUTO) for item in (*some, *access.attacks(name))]
        given = answers.ask(both, pairs, report, access.RESTRICTED)
        known = [
            *answers.ask(plain, pairs[: len(some)], report),
            *[None] * (len(pairs) - len(some)),
        ]
        result += zip((item for item, _ in pairs), given, known, strict=True)
    return access.summary(result)


def tables(judged: Mapping[str, Sequence[Judged]]) -> dict[str, object]:
    """Print the figures of each mode; return them for the file."""
    result: dict[str, object] = {}
    for mode, some in judged.items():
        rows, spent = figures(some), seconds(some)
        print(f"\n{mode}\n\n{HEADER}")
        print("\n".join(figure.row for figure in rows))
        print("\n| kind | over | n | median s | 95th percentile s |\n|---|---|---|---|---|")
        for row in spent:
            print(
                f"| {row['kind']} | {row['over']} | {row['n']} | {row['median']:.2f} |"
                f" {row['p95']:.2f} |"
            )
        result[mode] = {"figures": [asdict(figure) for figure in rows], "seconds": spent}
    return result


def write_answers(target: str | None, judged: Mapping[str, Sequence[Judged]]) -> None:
    """Write each answer with its question and verdict next to the file of figures."""
    if target in (None, "-") or not judged:
        return
    lines = [
        json.dumps(
            {
                "question": item.question.text,
                "expected": item.question.expected,
                **{
                    name: getattr(item.question, name)
                    for name in ("kind", "basis", "style", "split")
                },
                **asdict(item.verdict),
                "class": item.given.scope in item.question.scopes,
                "unwarned": item.given.unwarned,
                **asdict(item.given),
            },
            ensure_ascii=False,
            default=str,
        )
        for some in judged.values()
        for item in some
    ]
    Path(target or "").with_suffix(".jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def shown(judged: Sequence[Judged]) -> list[str]:
    """Return a line for each answer that is not right."""
    return [
        f"{item.given.mode} {item.question.id} {item.question.text!r}: {item.given.text!r}"
        f" {item.given.rows!r} (right: {item.question.expected}, class: {item.given.scope},"
        f" complete: {item.given.complete}, unwarned: {item.given.unwarned})"
        for item in judged
        if not item.verdict.right
    ]


def _inputs(model: str, splits: Sequence[str], asked: Sequence[Question]) -> dict[str, object]:
    counts = {kind: sum(item.kind == kind for item in asked) for kind in KINDS}
    return {"model": model, "splits": [*splits], "questions": len(asked), "kinds": counts}


if __name__ == "__main__":
    main()
