"""How likely an answer is right, from what is known once it is written: ``probe.Support``.

    python benchmarks/fit_support.py --data DATA --json FILE [--write FOLDER]

The default language model answers train questions over the mixed store (``mixed_store.py``) from
the five best passages, as it is served: questions of the sets whose answers can be judged, those of
the office that eval_mixed.py does not ask, and some that the store does not answer. A logistic
regression tells right answers in few words from all others; figures are of each source by a fit
that has not seen it, what is written is the fit of all. Answers are kept, so that a killed run goes
on.
``--write`` puts the fit into the folder of a probe.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from eval_answers import judged
from eval_mixed import described, opened
from mixed_answers import PASSAGES, TOKENS
from mixed_store import (
    LEFT_OUT,
    OFFICE,
    SETS,
    Asked,
    answerable_of,
    build,
    documents_of,
    office_questions,
    write_documents,
)
from numpy.typing import NDArray

from expertrag.assemble import open_embedder
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag.eval.calibration import auc
from expertrag.eval.datasets import Dataset, Query, load_dataset
from expertrag.eval.manifest import inputs_id, make_manifest
from expertrag.eval.resume import appending, read_results
from expertrag.eval.stores import default_work
from expertrag.eval.types import JSON
from expertrag.folding import fold
from expertrag.generation.loading import quiet
from expertrag.generation.probe import Support, scale_probe
from expertrag.models.choice import LARGE
from expertrag.pipeline import Pipeline
from expertrag.prompt import asks_to_explain
from expertrag.types import AnswerRequest, GateMode, Sampling
from expertrag.wording import wording
from expertrag_index.types import Progress

TRAIN = "train"
JUDGED = ("squad2", "hotpotqa", "popqa", "pubmedqa", "bioasq", "tatqa")
"""Sets with train questions whose answers can be judged."""
QUESTIONS = 40
"""Of each set."""
UNANSWERABLE = {"squad2": 60, "medquad": 20, "cosqa": 20}
WITHHELD = 0.85
"""Share of the questions that the store does not answer from which STRICT is to abstain."""

_STRENGTH = 10.0  # inverse of the penalty
_FREE = 3.0  # of a source's own level, which is hardly punished


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, and what is known of it; one that the model abstained from has no features.

    ``features``: those of ``Support.features``.
    """

    source: str
    answerable: bool
    right: bool
    features: tuple[float, float, float] | None


def main() -> int:
    """Ask, fit, print, and write JSON and the fit where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--work", type=Path, default=default_work())
    parser.add_argument("--write", type=Path, help="folder of a probe")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    work = given.work / "mixed"
    with progress() as report, quiet():
        write_documents(given.data, work / "documents")
        embedder = open_embedder(Config().model, None)
        store = build(work / "documents", work / "store", embedder, report)
        drawn = questions(given.data, work / "documents")
        asked = [item for item in drawn if not asks_to_explain(item.query.text)]
        with closing(opened(LARGE, store)) as pipeline:
            inputs: dict[str, JSON] = {**described(pipeline, store), "questions": len(asked)}
            path = work / "support" / f"{inputs_id(inputs)}.jsonl"
            kept = answered(pipeline, asked, path, report)
    support, unseen = fitted([item for item in kept if item.features])
    support = replace(support, strict_from=strict_from(kept, support))
    body: dict[str, JSON] = {
        "manifest": asdict(make_manifest("support", inputs)),
        "support": dict(asdict(support)),
        **figures(kept, support, unseen),
    }
    print(json.dumps({name: body[name] for name in body if name != "manifest"}, indent=1))
    if given.write:
        scale_probe(given.write, support)
    if given.json:
        given.json.write_text(json.dumps(body, indent=1) + "\n")
    return 0


def questions(data: Path, documents: Path) -> Iterator[Asked]:
    """Draw train questions: answerable ones of sets and office, and unanswerable ones."""
    rng = random.Random(1)
    for name in SETS:
        if (data / name / "qrels" / f"{TRAIN}.tsv").exists():
            dataset = load_dataset(data / name, TRAIN)
            held = documents_of(documents / name)
            some = [q for q in answerable_of(dataset) if q.answers and _holds(dataset, q, held)]
            rng.shuffle(some)
            if name in JUDGED:
                yield from (Asked(name, query) for query in some[:QUESTIONS])
    for name, count in UNANSWERABLE.items():
        lacking = _lacking(data / name, documents / name)
        rng.shuffle(lacking)
        yield from (Asked(name, query) for query in lacking[:count])
    yield from office_questions(dev=True)


def _holds(dataset: Dataset, query: Query, held: set[str]) -> bool:
    return any(f"{dataset.name}/{item}" in held for item in dataset.relevant(query.id))


def _lacking(folder: Path, documents: Path) -> list[Query]:
    """Questions without an answer in the store: of a set that is not in it, all."""
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
    pipeline: Pipeline, asked: Sequence[Asked], path: Path, report: Progress
) -> list[Kept]:
    """Answer questions from the documents; what was answered before is not asked again."""
    with appending(path) as file:
        known = read_results(path, _parsed)
        for done, item in enumerate(asked):
            report("support", done, len(asked))
            if _key(item) not in known:
                known[_key(item)] = kept = _ask(pipeline, item)
                file.write(json.dumps({"key": _key(item), **asdict(kept)}) + "\n")
                file.flush()
    return [known[_key(item)] for item in asked]


def _ask(pipeline: Pipeline, asked: Asked) -> Kept:
    sampling = Sampling(max_tokens=TOKENS, logprobs=0)
    request = AnswerRequest(asked.query.text, GateMode.ALWAYS, k=PASSAGES, sampling=sampling)
    answer = fold(pipeline.answer(request))
    answerable = bool(asked.query.answers)
    if answer.abstained or answer.p_sufficient is None or not answer.logprobs:
        return Kept(asked.source, answerable, False, None)
    least = math.exp(min(token.logprob for token in answer.logprobs))
    right = answerable and judged(answer, asked.query)
    verdict = bool(wording(answer.text).verdict)
    features = Support.features(answer.p_sufficient, least, verdict=verdict)
    return Kept(asked.source, answerable, right, features)


def _key(asked: Asked) -> str:
    return f"{asked.source}/{asked.query.id}"


def _parsed(item: Mapping[str, Any]) -> tuple[str, Kept]:
    features = tuple(item["features"]) if item["features"] else None
    return item["key"], Kept(item["source"], item["answerable"], item["right"], features)


def fitted(told: Sequence[Kept]) -> tuple[Support, NDArray[np.float64]]:
    """Fit on the answers that were given.

    Each source has a level of its own, so that what is learned tells right from wrong answers to
    questions of one kind, and not one kind from another.

    :returns: the fit, and log odds [N] by fits that have not seen the answer's source.
    """
    from sklearn.linear_model import LogisticRegression

    columns = np.array([item.features for item in told])
    levels = sorted({(item.source, item.answerable) for item in told})
    level = np.array(
        [[_FREE * ((item.source, item.answerable) == each) for each in levels] for item in told]
    )
    right = np.array([item.right for item in told])
    sources = np.array([item.source for item in told])

    def weights(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        spread = columns[rows].std(0)
        model = LogisticRegression(C=_STRENGTH, max_iter=1000, fit_intercept=False)
        model.fit(np.hstack([columns / spread, level])[rows], right[rows])
        found: NDArray[np.float64] = model.coef_[0][: columns.shape[1]] / spread
        return found

    unseen = np.zeros(len(told))
    for source in set(sources.tolist()):
        unseen[sources == source] = columns[sources == source] @ weights(sources != source)
    slope, shift = platt(unseen, right)
    sufficient, token, verdict = (slope * weights(np.ones(len(told), bool))).round(3).tolist()
    support = Support(round(shift, 3), (sufficient, token, verdict), strict_from=0.0)
    return support, slope * unseen + shift


def platt(odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit slope and shift of log odds [N]."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(odds[:, None], right)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def strict_from(kept: Sequence[Kept], support: Support) -> float:
    """Return the least probability from which on few enough unanswerable questions are answered."""
    lacking = [probability(item, support) for item in kept if not item.answerable]
    given = sorted(lacking, reverse=True)[int((1 - WITHHELD) * len(lacking))]
    return math.ceil(given * 100) / 100


def probability(item: Kept, support: Support) -> float:
    """Probability that an answer is right; 0 of an abstention."""
    return support.probability(item.features) if item.features else 0.0


def figures(kept: Sequence[Kept], support: Support, unseen: NDArray[np.float64]) -> dict[str, JSON]:
    """Say how well right answers are told from others, and what STRICT would give."""
    told = [item for item in kept if item.features]
    right = [item.right for item in told]
    office = np.array([item.source == OFFICE for item in told])
    held = np.array([item.features[0] for item in told if item.features])
    ways = {"p_sufficient": held, "unseen": unseen}
    ways["fit"] = np.array([probability(item, support) for item in told])
    given = [item for item in kept if probability(item, support) >= support.strict_from]
    answerable = [item for item in kept if item.answerable]
    return {
        "questions": {
            "answerable": len(answerable),
            "unanswerable": len(kept) - len(answerable),
            "answered": len(told),
        },
        "auroc": {name: auc(values.tolist(), right) for name, values in ways.items()},
        "auroc, office": {
            name: auc(values[office].tolist(), np.array(right)[office].tolist())
            for name, values in ways.items()
        },
        "strict": {
            "right, of those given": sum(item.right for item in given) / len(given),
            "abstains, unanswerable": 1
            - sum(not item.answerable for item in given) / (len(kept) - len(answerable)),
            "abstains, answerable": 1 - sum(item.answerable for item in given) / len(answerable),
            "right, of the answerable": sum(item.right for item in given) / len(answerable),
        },
    }


if __name__ == "__main__":
    sys.exit(main())
