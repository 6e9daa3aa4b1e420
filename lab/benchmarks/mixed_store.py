"""A store of many sources, one folder each, and the questions on it.

    WORK/mixed/documents/SOURCE/     a corpus of an open data set, or the office's files
    WORK/mixed/store                 the store of all sources
    WORK/mixed/own/SOURCE            the store of one source

Questions are of three kinds: ``answerable`` by the store; ``general``, which need no documents; and
``unanswerable``, about its documents or similar ones, which it does not answer. ``SMALL`` are the
small sources, where one file among thousands of others holds the answer.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from served_answers import SourcedQuestion

from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders import load
from expertrag_lab.data.datasets import Dataset, Query, load_dataset, sample
from expertrag_lab.json_lines import read_lines, write_lines
from expertrag_retriever.calibrate import calibrator

if TYPE_CHECKING:
    from expertrag_index.types import LoadFailure, Progress
    from expertrag_retriever.base import Embedder

MATERIAL = Path(__file__).parent / "mixed"
OFFICE, GENERAL, UNANSWERABLE = "office", "general", "unanswerable"
SETS = {
    "squad2": 40,
    "hotpotqa": 30,
    "popqa": 30,
    "pubmedqa": 30,
    "bioasq": 30,
    "tatqa": 30,
    "policyqa": 25,
    "fiqa_small": 20,
    "legalsum": 20,
    "pydocs": 15,
}
"""Data sets in the store, and the number of their questions to ask."""
OFFICE_QUESTIONS = 110
MANUALS = ("postgresql", "tldr")
"""Documents without judged questions; the questions on them are in ``mixed/manuals.jsonl``."""
SMALL = (OFFICE, "legalsum")
LEFT_OUT = {"medquad": 20, "cranfield": 20, "cosqa": 10}
"""Data sets that are not in the store, and the number of their questions to ask."""
UNSCORED = ("policyqa",)
"""Data sets whose accepted answers are spans of evidence ("information"), often not answers."""
NEAR_MISSES = 40
"""Number of questions of squad2 that a paragraph of the store seems to answer but does not."""
MOST_DOCUMENTS = 3_000


def questions(data: Path, split: str) -> dict[str, list[SourcedQuestion]]:
    """Return questions by kind; for ``train``, only those of the data sets."""
    answerable = list(_of_sets(data, split))
    near = load_dataset(data / "squad2", split).queries
    unanswerable = [
        SourcedQuestion("squad2", query)
        for query in sample([q for q in near if q.answers == ()], NEAR_MISSES, 0)
    ]
    for name, count in LEFT_OUT.items():
        dataset = load_dataset(data / name, split_of(data / name, split))
        unanswerable += [
            SourcedQuestion(name, replace(query, answers=()))
            for query in sample(dataset.judged, count, 0)
        ]
    if split == "train":
        everyday = load_dataset(Path(__file__).parent / "everyday", "train")
        general = [SourcedQuestion(GENERAL, query) for query in everyday.queries]
        return {"answerable": answerable, GENERAL: general, UNANSWERABLE: unanswerable}
    answerable += office_questions(dev=False)
    answerable += _read(MATERIAL / "manuals.jsonl")
    unanswerable += [asked for asked in _office() if asked.query.answers == ()]
    general = list(_read(MATERIAL / "general.jsonl", GENERAL))
    return {"answerable": answerable, GENERAL: general, UNANSWERABLE: unanswerable}


def office_questions(*, dev: bool) -> list[SourcedQuestion]:
    """Return the office's questions with an answer: test questions, or those for choices (dev)."""
    answered = [asked for asked in _office() if asked.query.answers]
    test = random.Random(0).sample(answered, OFFICE_QUESTIONS)
    return [asked for asked in answered if asked not in test] if dev else test


def scored(asked: SourcedQuestion) -> bool:
    """Whether an answer can be scored, which PubMedQA's maybes cannot."""
    accepted = asked.query.answers
    return accepted is not None and accepted != ("maybe",) and asked.source not in UNSCORED


def write_documents(data: Path, folder: Path) -> None:
    """Write the documents of every source, one folder each, including those that answer."""
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    asked = [item for split in ("train", "test") for item in _of_sets(data, split)]
    wanted = {document for item in asked for document in item.documents}
    for name in SETS:
        _write(data / name / "corpus.jsonl.gz", folder / name, name, wanted)
    for name in MANUALS:
        _write(data / "demo_docs" / f"{name}.jsonl.gz", folder / name, name, None)
    shutil.copytree(MATERIAL / OFFICE / "documents", folder / OFFICE)
    (folder / "complete").touch()


def build(documents: Path, store: Path, embedder: Embedder, progress: Progress) -> Path:
    """Build the store of a folder, as ``expertrag index build`` does."""
    failures: list[LoadFailure] = []
    store.parent.mkdir(parents=True, exist_ok=True)
    with (
        translate_errors(),
        IndexWriter.open(
            store, embedder, calibrate=calibrator(embedder), progress=progress
        ) as writer,
    ):
        writer.build(load([documents], on_failure=failures.append), failures)
    return store


def documents_of(folder: Path) -> set[str]:
    """Ids of the written documents of a source."""
    return {item["_id"] for _, item in read_lines(folder / "corpus.jsonl")[0]}


def split_of(folder: Path, split: str) -> str:
    """Return the split to use of a data set; some have only a test split."""
    return split if (folder / "qrels" / f"{split}.tsv").exists() else "test"


def answerable_of(dataset: Dataset) -> Sequence[Query]:
    """Judged questions: with accepted answers if the set has them, for tables only with spans."""
    spans = [q for q in dataset.judged if q.metadata.get("answer_type", "span") == "span"]
    return [query for query in spans if query.answers] or spans


def _office() -> list[SourcedQuestion]:
    return list(_read(MATERIAL / OFFICE / "questions.jsonl", OFFICE))


def _of_sets(data: Path, split: str) -> Iterator[SourcedQuestion]:
    """Draw questions of every data set that its corpus answers."""
    for name, count in SETS.items():
        dataset = load_dataset(data / name, split_of(data / name, split))
        for query in sample(answerable_of(dataset), count, 0):
            found = frozenset(f"{name}/{item}" for item in dataset.relevant(query.id))
            yield SourcedQuestion(name, query, found)


def _read(path: Path, source: str | None = None) -> Iterator[SourcedQuestion]:
    for _, item in read_lines(path)[0]:
        metadata = item.get("metadata", {})
        name = source or metadata["source"]
        answers = None if item.get("answers") is None else tuple(item["answers"])
        yield SourcedQuestion(
            name,
            Query(item["_id"], item["text"], answers, metadata),
            frozenset(_document(name, each) for each in item.get("documents", ())),
        )


def _document(source: str, name: str) -> str:
    """Id of a document in the store; the office's files keep their paths."""
    return name if name.startswith(f"{source}/") else f"{source}/{name}"


def _write(path: Path, folder: Path, source: str, wanted: set[str] | None) -> None:
    """Write at most ``MOST_DOCUMENTS`` of a corpus, with ids that name the source."""
    folder.mkdir(parents=True)
    lines, _ = read_lines(path)
    records = [{**record, "_id": _document(source, record["_id"])} for _, record in lines]
    if wanted is not None:
        records.sort(key=lambda record: record["_id"] not in wanted)  # stable
        records = records[:MOST_DOCUMENTS]
    write_lines(folder / "corpus.jsonl", records)
