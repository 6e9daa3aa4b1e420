"""The same question in other words: one answer, or several? As asked, and in canonical form.

    python lab/benchmarks/eval_paraphrases.py --data DATA --json FILE

Every wording is answered as served: AUTO, five passages, greedy, 32 tokens. ``lab.wording`` is
as_asked before and canonical after, on the same questions. Measures are those of ``expertrag eval
consistency``; wordings come from ``paraphrase_questions.py``. Replies are kept in --work, so an
interrupted run resumes; models that are not named keep their figures in the file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import results_file
from eval_answers import MODELS, config_of
from paraphrase_questions import KINDS, reworded
from reader_figures import HEADER, Figure, means

from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag.llm.load.loading import quiet
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.consistency import MEASURES, measure
from expertrag_lab.eval.manifest import inputs_id
from expertrag_lab.eval.questions import Asked
from expertrag_lab.eval.record import Recording
from expertrag_lab.eval.replies import Asking, Replies, ask_wordings
from expertrag_lab.eval.serving import open_pipeline_for

QUESTIONS = 40
SPELT = 10
"""Questions of each set for "spelling", which has six or seven wordings of each."""
TARGET = 0.35
WORDINGS = ("as_asked", "canonical")
SETS = tuple(dict.fromkeys(name for _, names in KINDS.values() for name in names))
CODE = (
    *results_file.ANSWERS,
    "lab/expertrag_lab/eval",
    "lab/expertrag_lab/metrics",
    "lab/benchmarks/eval_paraphrases.py",
    "lab/benchmarks/paraphrase_questions.py",
)

Answered = dict[str, list[Replies]]
"""Replies by kind of wording."""


def main() -> None:
    """Ask the wordings, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="of each kind and set")
    given = parser.parse_args()
    known = results_file.read(given.json)
    figures: dict[str, Any] = dict(known.get("figures", {}))
    with progress() as report, quiet():
        for model in given.models:
            found = [asked(model, wording, given, report) for wording in WORDINGS]
            figures[model] = compared(*found)
            print("\n".join(rows(model, figures[model])))
    body = {"questions": given.questions, "sets": given.sets, "figures": figures}
    results_file.write(given.json, body, CODE, given.models)


def asked(model: str, wording: str, given: argparse.Namespace, report: Progress) -> Answered:
    """Ask a model all wordings of all questions."""
    plain = config_of(model)
    config = replace(plain, lab=replace(plain.lab, wording=wording))
    found: Answered = {kind: [] for kind in given.kinds}
    for name in given.sets:
        for kind, replies in _asked_of(name, config, given, report):
            found[kind] += replies
    return found


def _asked_of(
    name: str, config: Config, given: argparse.Namespace, report: Progress
) -> Iterator[tuple[str, Sequence[Replies]]]:
    kinds = [kind for kind in given.kinds if name in KINDS[kind][1]]
    if not kinds:
        return
    dataset = load_dataset(given.data / name, "test")
    with open_pipeline_for(dataset, config, given.work, report) as opened:
        for kind in kinds:
            count = min(given.questions, SPELT) if kind == "spelling" else given.questions
            queries = reworded(dataset, kind, count)
            asking = Asking(Recording(), rewrites=kind == "spelling")
            digest = inputs_id({"queries": [asdict(query) for query in queries]})
            drawn = replace(dataset, name=f"{name}-{kind}", sha256=digest)
            replies, failed = ask_wordings(
                Asked(drawn, queries, opened, given.work), asking, report
            )
            if failed:
                raise SystemExit(f"{name}: {failed[0].reason}")
            yield kind, replies


def compared(before: Answered, after: Answered) -> dict[str, Any]:
    """Compare the replies by kind of wording."""
    return {
        kind: {
            "questions": len(replies),
            "wordings": sum(len(question.replies) for question in replies),
            "measures": _measures(list(map(measure, replies)), list(map(measure, after[kind]))),
        }
        for kind, replies in before.items()
    }


def _measures(
    before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]
) -> dict[str, JSON]:
    """Compare each measure over the questions that have it in both."""
    found: dict[str, JSON] = {}
    for name in MEASURES:
        pairs = [
            (a[name], b[name])
            for a, b in zip(before, after, strict=True)
            if name in a and name in b
        ]
        figure = means(name, [a for a, _ in pairs], [b for _, b in pairs])
        if name == "answer_consistency":
            figure = figure.at_least(TARGET)
        found[name] = asdict(figure)
    return found


def rows(model: str, figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures of a model as Markdown."""
    for kind, found in figures.items():
        yield f"\n{model}, {kind}: {found['questions']} questions, {found['wordings']} wordings\n"
        yield HEADER
        yield from (Figure.parsed(item).row for item in found["measures"].values())


if __name__ == "__main__":
    main()
