"""How well grounding separates supported from unsupported claims, on squad2's train split.

    python lab/benchmarks/bench_grounding.py --data ../shared/data --json grounding.json

Each answerable question gives three claims: the bare gold answer, the question turned into a
sentence with it, and the gold sentence without every fifth word. Each claim is scored against the
gold paragraph among four found by term overlap (supported), against the paragraph of another
article (``swapped``), against the found paragraphs without the gold one and without the answer
(``near``), and with the answer replaced by that of another question (``wrong``).

``office`` are claims about office texts (``written_claims``).
"""

from __future__ import annotations

import gzip
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results_file
import written_claims

from expertrag.api.types import Passage
from expertrag.grounding.ground import SUPPORTED, ground, sentence_scores
from expertrag.grounding.wording import wording
from expertrag_index.words.sentences import spans

QUESTION_WORD = re.compile(
    r"^(what|who|when|where|which|how many|how|why)\b( (is|was|were|are|did|do|does))?", re.I
)
CODE = (
    "expertrag/grounding/ground.py",
    "expertrag/grounding/values",
    "expertrag/grounding/wording.py",
    "lab/benchmarks/bench_grounding.py",
    "lab/benchmarks/grounding/claims.jsonl",
    "lab/benchmarks/written_claims.py",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A question with its gold answer, gold paragraph, and the nearest other paragraphs."""

    question: str
    answer: str
    gold: Passage
    near: Sequence[Passage]


def main() -> None:
    """Score the claims and report."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--limit", type=int, default=400, help="questions")
    arguments = parser.parse_args()

    cases = list(load(arguments.data / "squad2", arguments.limit))
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for case, other in zip(cases, [*cases[7:], *cases[:7]], strict=True):
        for kind, claim, wrong in claims(case, other.answer):
            against = {
                "supported": (claim, (case.gold, *case.near)),
                "swapped": (claim, (other.gold,)),
                "near": (claim, case.near),
                "wrong": (wrong, (case.gold, *case.near)),
            }
            for relation, (text, passages) in against.items():
                if relation == "swapped" and _same_article(case, other):
                    continue
                if text:
                    score = np.mean(sentence_scores(text, passages, case.question))
                    scores[kind][relation].append(float(score))
    report = summary(scores)
    report["office"] = written_claims.summary(list(written_claims.load()))
    report["milliseconds"] = {"per answer of one sentence, 5 passages": milliseconds(cases)}
    print(json.dumps(report, indent=2))
    results_file.write(arguments.json, report, CODE)


def load(folder: Path, limit: int) -> Iterator[Case]:
    """Read answerable train questions, with their nearest paragraphs by shared words."""
    passages = {
        row["_id"]: Passage(
            row["_id"], 0, row["text"], 0, len(row["text"]), 1.0, title=row["title"]
        )
        for row in _rows(folder / "corpus.jsonl.gz")
    }
    words = {key: wording(passage.text).words for key, passage in passages.items()}
    lines = (folder / "qrels" / "train.tsv").read_text().splitlines()[1:]
    gold = dict(line.split("\t")[:2] for line in lines)
    rows = [row for row in _rows(folder / "queries.jsonl.gz") if row["_id"] in gold]
    rows = [row for row in rows if row["answers"]]
    for row in random.Random(2).sample(rows, min(limit, len(rows))):
        asked = wording(row["text"]).words
        ranked = sorted(words, key=lambda key: -len(words[key] & asked))
        answer = row["answers"][0]
        near = [
            passages[key]
            for key in ranked[:6]
            if key != gold[row["_id"]] and answer.lower() not in passages[key].text.lower()
        ]
        yield Case(row["text"], answer, passages[gold[row["_id"]]], near[:4])


def claims(case: Case, wrong: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, right claim and wrong claim; no wrong claim if it would also be right."""
    if wrong.lower() in case.gold.text.lower():
        wrong = ""
    stem = QUESTION_WORD.sub("", case.question).rstrip("?").strip()
    yield "bare answer", case.answer, wrong
    yield "sentence", f"{stem} {case.answer}.", wrong and f"{stem} {wrong}."
    text = case.gold.text
    for start, end in spans(text):
        if case.answer in text[start:end]:
            kept = [word for place, word in enumerate(text[start:end].split()) if place % 5 != 4]
            yield "shortened sentence", " ".join(kept), ""
            return


def summary(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
) -> dict[str, Any]:
    """Return AUROC of supported claims against each other kind, and the rates at ``SUPPORTED``."""
    report: dict[str, Any] = {}
    everything: dict[bool, list[float]] = {True: [], False: []}
    for kind, relations in scores.items():
        report[kind] = {}
        for relation, values in relations.items():
            everything[relation == "supported"] += values
            report[kind][f"{relation}: called supported"] = _rate(values)
            if relation != "supported":
                report[kind][f"{relation}: AUROC"] = written_claims.auroc(
                    relations["supported"], values
                )
    right, wrong = (sum(score >= SUPPORTED for score in everything[key]) for key in (True, False))
    report["all"] = {
        "AUROC": written_claims.auroc(everything[True], everything[False]),
        "precision": round(right / (right + wrong), 4),
        "recall": _rate(everything[True]),
        "threshold": SUPPORTED,
    }
    return report


def milliseconds(cases: Sequence[Case]) -> float:
    """Return the mean CPU time to ground one answer."""
    started = time.process_time()
    for case in cases:
        ground(case.answer, (case.gold, *case.near), case.question)
    return round(1_000 * (time.process_time() - started) / len(cases), 2)


def _same_article(case: Case, other: Case) -> bool:
    return case.gold.title == other.gold.title


def _rate(values: Sequence[float]) -> float:
    return round(float(np.mean(np.array(values) >= SUPPORTED)), 4)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    main()
