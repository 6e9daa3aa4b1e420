"""Choose the doubt at which STRICT withholds an answer, on train questions over the mixed store.

    python lab/benchmarks/strict_threshold.py --data DATA --json FILE

The default language model answers from the five best passages, as served. Questions are from the
data sets whose answers can be scored, the office's questions that eval_mixed.py does not ask, and
questions that the store (``mixed_store.py``) does not answer. Answers that grounding supports are
given if their doubt is below the threshold. The figures show how many given answers are right, and
from which questions STRICT abstains, by threshold, with a separate one for a yes or no. Answers are
cached, so an interrupted run can be resumed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import results_file
from eval_mixed import described, opened
from mixed_store import (
    LEFT_OUT,
    SETS,
    answerable_of,
    build,
    documents_of,
    office_questions,
    scored,
    write_documents,
)
from served_answers import AnswerCache, ServedAnswer, SourcedQuestion

from expertrag.answer.abstain import VERDICT_STRICT_FROM
from expertrag.api.types import GateMode
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag.grounding.ground import SUPPORTED
from expertrag.grounding.wording import wording
from expertrag.llm.load.loading import quiet
from expertrag.llm.probe import STRICT_FROM
from expertrag.models.choice import LARGE
from expertrag.stores.embedders import open_embedder
from expertrag_lab.data.datasets import Dataset, Query, load_dataset
from expertrag_lab.metrics import squad

TRAIN = "train"
QUESTIONS = 40
"""Questions per data set."""
UNANSWERABLE = {"squad2": 60, "medquad": 20, "cosqa": 20}
DOUBTS = (0.25, 0.2, 0.15, 0.1, 0.08, 0.05)
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/strict_threshold.py",
    "lab/benchmarks/eval_mixed.py",
    "lab/benchmarks/mixed_store.py",
    "lab/benchmarks/served_answers.py",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in mode ALWAYS, with the accepted answers.

    ``doubt``: probability that no passage holds the answer, 1 for an abstention. ``grounding``:
    share of the answer that the passages support, 0 for an abstention.
    """

    text: str
    accepted: Sequence[str]
    doubt: float
    grounding: float

    @classmethod
    def of(cls, asked: SourcedQuestion, said: ServedAnswer) -> Kept:
        """Return what counts of an answer."""
        accepted = asked.query.answers or ()
        if said.abstained or not said.p_sufficient or said.support is None:
            return cls(said.text, accepted, 1.0, 0.0)
        grounding = said.support / said.p_sufficient
        return cls(said.text, accepted, 1 - said.p_sufficient, grounding)

    @property
    def right(self) -> bool:
        """Whether it is an accepted answer, not an abstention."""
        return self.doubt < 1.0 and squad.right(self.text, self.accepted)

    @property
    def verdict(self) -> bool:
        """Whether the answer is a yes or no."""
        return self.doubt < 1.0 and bool(wording(self.text).verdict)


def main() -> None:
    """Ask the questions, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    given = parser.parse_args()
    work = given.work / "mixed"
    with progress() as report, quiet():
        write_documents(given.data, work / "documents")
        embedder = open_embedder(Config().model, None)
        store = build(work / "documents", work / "store", embedder, report)
        asked = list(questions(given.data, work / "documents"))
        with closing(opened(LARGE, store)) as pipeline:
            cache = AnswerCache(pipeline, "strict", described(pipeline, store), work / "strict")
            said = cache.ask(asked, (GateMode.ALWAYS,), report)[GateMode.ALWAYS]
    kept = list(map(Kept.of, asked, said))
    pairs = [(doubt, doubt) for doubt in DOUBTS]
    rows = [row(kept, *pair) for pair in (*pairs, (STRICT_FROM, VERDICT_STRICT_FROM))]
    print(json.dumps(rows, indent=1))
    results_file.write(
        given.json, {"inputs": {**cache.inputs, "questions": len(asked)}, "rows": rows}, CODE
    )


def questions(data: Path, documents: Path) -> Iterator[SourcedQuestion]:
    """Draw train questions: answerable ones of data sets and office, and unanswerable ones."""
    rng = random.Random(1)
    for name in SETS:
        if (data / name / "qrels" / f"{TRAIN}.tsv").exists():
            dataset = load_dataset(data / name, TRAIN)
            held = documents_of(documents / name)
            some = [
                SourcedQuestion(name, q) for q in answerable_of(dataset) if _holds(dataset, q, held)
            ]
            some = [asked for asked in some if asked.query.answers and scored(asked)]
            rng.shuffle(some)
            yield from some[:QUESTIONS]
    for name, count in UNANSWERABLE.items():
        lacking = _lacking(data / name, documents / name)
        rng.shuffle(lacking)
        yield from (SourcedQuestion(name, query) for query in lacking[:count])
    yield from office_questions(dev=True)


def _holds(dataset: Dataset, query: Query, held: set[str]) -> bool:
    return any(f"{dataset.name}/{item}" in held for item in dataset.relevant(query.id))


def _lacking(folder: Path, documents: Path) -> list[Query]:
    """Questions without an answer in the store; all questions of a data set that is not in it."""
    dataset = load_dataset(folder, TRAIN)
    if folder.name in LEFT_OUT:
        return [replace(query, answers=()) for query in dataset.judged]
    held = documents_of(documents)
    return [
        query
        for query in dataset.queries
        if query.answers == () and f"{folder.name}/{query.metadata.get('near_doc')}" in held
    ]


def row(kept: Sequence[Kept], doubt: float, of_verdicts: float) -> dict[str, float]:
    """Return the figures of STRICT for a threshold on doubt, and another one for a yes or no."""

    def is_given(item: Kept) -> bool:
        most = of_verdicts if item.verdict else doubt
        return item.grounding >= SUPPORTED and item.doubt < most

    given = [item for item in kept if is_given(item)]
    answerable = [item for item in kept if item.accepted]
    verdicts = [item for item in answerable if item.verdict and item.right]
    lacking = len(kept) - len(answerable)
    return {
        "doubt": doubt,
        "doubt of a verdict": of_verdicts,
        "right, of those given": sum(item.right for item in given) / len(given),
        "right, of the answerable": sum(item.right for item in given) / len(answerable),
        "abstains, unanswerable": 1 - sum(not item.accepted for item in given) / lacking,
        "abstains, answerable": 1 - sum(bool(item.accepted) for item in given) / len(answerable),
        "given, of the right verdicts": sum(map(is_given, verdicts)) / len(verdicts),
    }


if __name__ == "__main__":
    main()
