"""Choose the doubt at which STRICT withholds an answer, on train questions over the mixed store.

    python benchmarks/strict_threshold.py --data DATA --json FILE

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
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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
from served_answers import PASSAGES, TOKENS, SourcedQuestion

from expertrag.answer.abstain import VERDICT_STRICT_FROM
from expertrag.answer.assemble import open_embedder
from expertrag.answer.ground import SUPPORTED
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.wording import wording
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode, Sampling
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag.data.datasets import Dataset, Query, load_dataset
from expertrag.data.resume import appending, read_results
from expertrag.data.types import JSON
from expertrag.eval.manifest import inputs_id
from expertrag.llm.load.loading import quiet
from expertrag.llm.probe import STRICT_FROM
from expertrag.metrics import squad
from expertrag.models.choice import LARGE
from expertrag_index.types import Progress

TRAIN = "train"
QUESTIONS = 40
"""Questions per data set."""
UNANSWERABLE = {"squad2": 60, "medquad": 20, "cosqa": 20}
DOUBTS = (0.25, 0.2, 0.15, 0.1, 0.08, 0.05)
CODE = (
    *results_file.ANSWERS,
    "benchmarks/strict_threshold.py",
    "benchmarks/eval_mixed.py",
    "benchmarks/mixed_store.py",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in mode ALWAYS, with the accepted answers.

    ``doubt``: probability that no passage holds the answer, 1 for an abstention. ``grounding``:
    share of the answer that the passages support, 0 for an abstention.
    """

    text: str
    accepted: tuple[str, ...]
    doubt: float
    grounding: float

    @property
    def answerable(self) -> bool:
        """Whether the store holds an answer."""
        return bool(self.accepted)

    @property
    def right(self) -> bool:
        """Whether it is an accepted answer, not an abstention."""
        return self.doubt < 1.0 and squad.right(self.text, self.accepted)

    @property
    def verdict(self) -> bool:
        """Whether the answer is a yes or no."""
        return self.doubt < 1.0 and bool(wording(self.text).verdict)


def main() -> int:
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
            inputs: dict[str, JSON] = {**described(pipeline, store), "questions": len(asked)}
            path = work / "strict" / f"{inputs_id(inputs)}.jsonl"
            kept = answered(pipeline, asked, path, report)
    pairs = [(doubt, doubt) for doubt in DOUBTS]
    rows = [row(kept, *pair) for pair in (*pairs, (STRICT_FROM, VERDICT_STRICT_FROM))]
    print(json.dumps(rows, indent=1))
    results_file.write(given.json, {"inputs": inputs, "rows": rows}, CODE)
    return 0


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


def answered(
    pipeline: Pipeline, asked: Sequence[SourcedQuestion], path: Path, report: Progress
) -> list[Kept]:
    """Answer questions from the documents; cached answers are reused."""
    with appending(path) as file:
        known = read_results(path, _parsed)
        for done, item in enumerate(asked):
            report("strict threshold", done, len(asked))
            if _key(item) not in known:
                known[_key(item)] = kept = _ask(pipeline, item)
                file.write(json.dumps({"key": _key(item), **asdict(kept)}) + "\n")
                file.flush()
    return [known[_key(item)] for item in asked]


def _ask(pipeline: Pipeline, asked: SourcedQuestion) -> Kept:
    request = AnswerRequest(
        asked.query.text, GateMode.ALWAYS, k=PASSAGES, sampling=Sampling(max_tokens=TOKENS)
    )
    answer = fold(pipeline.answer(request))
    accepted = tuple(asked.query.answers or ())
    if answer.abstained or not answer.p_sufficient or answer.support is None:
        return Kept(answer.text, accepted, 1.0, 0.0)
    grounding = answer.support / answer.p_sufficient
    return Kept(answer.text, accepted, 1 - answer.p_sufficient, grounding)


def _key(asked: SourcedQuestion) -> str:
    return f"{asked.source}/{asked.query.id}"


def _parsed(item: Mapping[str, Any]) -> tuple[str, Kept]:
    fields = {name: value for name, value in item.items() if name != "key"}
    return item["key"], Kept(**{**fields, "accepted": tuple(fields["accepted"])})


def row(kept: Sequence[Kept], doubt: float, of_verdicts: float) -> dict[str, float]:
    """Return the figures of STRICT for a threshold on doubt, and another one for a yes or no."""

    def is_given(item: Kept) -> bool:
        most = of_verdicts if item.verdict else doubt
        return item.grounding >= SUPPORTED and item.doubt < most

    given = [item for item in kept if is_given(item)]
    answerable = [item for item in kept if item.answerable]
    verdicts = [item for item in answerable if item.verdict and item.right]
    lacking = len(kept) - len(answerable)
    return {
        "doubt": doubt,
        "doubt of a verdict": of_verdicts,
        "right, of those given": sum(item.right for item in given) / len(given),
        "right, of the answerable": sum(item.right for item in given) / len(answerable),
        "abstains, unanswerable": 1 - sum(not item.answerable for item in given) / lacking,
        "abstains, answerable": 1 - sum(item.answerable for item in given) / len(answerable),
        "given, of the right verdicts": sum(map(is_given, verdicts)) / len(verdicts),
    }


if __name__ == "__main__":
    sys.exit(main())
