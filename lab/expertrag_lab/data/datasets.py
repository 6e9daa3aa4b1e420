"""Data sets in the BEIR layout: a corpus, queries, and relevance judgements of each split.

    SET/corpus.jsonl[.gz]      {"_id", "title", "text"}
    SET/queries.jsonl[.gz]     {"_id", "text", "answers": [...], "metadata": {...}}
    SET/qrels/SPLIT.tsv[.gz]   query-id, corpus-id, score

``answers`` lists the accepted short answers. It is absent if the data set has none, and empty if
the corpus does not answer the question. ``metadata.needs_documents`` is false for a request that no
document helps with (small talk); a gate can learn from it. A query without judgements belongs to
the split in ``metadata.split`` or, without that, to every split.

A data set may consist of questions only, without corpus and ``qrels``, as written by ``expertrag
gate annotate``. Then the questions with ``answers`` are used, and a store must be given as well.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.data.qrels import Qrels, qrels_path, read_qrels, splits
from expertrag_lab.data.types import POOLED, Skipped
from expertrag_lab.json_lines import find_file, is_encodable, is_string_list, read_bytes, read_lines

if TYPE_CHECKING:
    from expertrag_index.types import Document, LoadFailure

UNJUDGED = "no judgement in this split"


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a data set; ``answers`` as in ``Row``."""

    id: str
    text: str
    answers: tuple[str, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The usable queries of one split, ordered by id.

    ``qrels`` maps query id to document id to grade; a query whose grades are all 0 counts as not
    judged. ``skipped`` lists judged ids without a query, and unusable queries.
    ``sha256`` covers queries and judgements.
    """

    name: str
    folder: Path
    split: str
    queries: tuple[Query, ...]
    qrels: Qrels
    skipped: tuple[Skipped, ...]
    sha256: str

    @property
    def questions_only(self) -> bool:
        """Whether the data set has no documents of its own."""
        return is_questions_only(self.folder)

    @property
    def judged(self) -> tuple[Query, ...]:
        """The queries that have a relevant document."""
        return tuple(query for query in self.queries if query.id in self.qrels)

    def documents(self, failures: list[LoadFailure] | None = None) -> Iterator[Document]:
        """Read the corpus; unreadable documents are added to ``failures``, if given."""
        from expertrag_index.loaders import load

        sink = [] if failures is None else failures
        return load([find_file(self.folder / "corpus.jsonl")], on_failure=sink.append)

    def relevant(self, query_id: str) -> tuple[str, ...]:
        """Ids of the relevant documents, best grade first."""
        grades = self.qrels.get(query_id, {})
        return tuple(sorted(grades, key=lambda document: (-grades[document], document)))


def sample(queries: Sequence[Query], limit: int | None, seed: int) -> tuple[Query, ...]:
    """Draw ``limit`` queries at random. A larger limit contains the draw of a smaller one."""
    shuffled = random.Random(seed).sample(list(queries), len(queries))
    return tuple(shuffled[:limit])


def load_dataset(folder: Path, split: str = "test") -> Dataset:
    """Read one split of a data set.

    :raises NotFound: the folder, its corpus, its queries or the split's judgements are missing.
    :raises InvalidArgument: a file is damaged, or the split has no usable query.
    """
    if not folder.is_dir():
        raise NotFound(f"no data set at {folder}: not a folder", reason="DATASET_NOT_FOUND")
    if is_questions_only(folder):
        return _load_questions(folder, split)
    find_file(folder / "corpus.jsonl")
    everything, repeated, digest = _read_queries(folder)
    path = qrels_path(folder, split)
    grades = read_qrels(path)
    qrels = {
        query: relevant
        for query, judged in grades.items()
        if query in everything
        and (relevant := {name: grade for name, grade in judged.items() if grade > 0})
    }
    elsewhere = {
        query
        for other in splits(folder)
        if other != split
        for query in read_qrels(qrels_path(folder, other))
    }
    own = {
        query.id: query
        for query in everything.values()
        if query.id in grades
        or query.metadata.get("split", None if query.id in elsewhere else split) == split
    }
    queries = {name: query for name, query in own.items() if name in qrels or query.answers == ()}
    if not queries:
        raise InvalidArgument(
            f"split {split} of {folder} is empty: no query of queries.jsonl has a relevant document"
        )
    return Dataset(
        name=Path(os.path.abspath(folder)).name,  # as given: symbolic links are not resolved
        folder=folder,
        split=split,
        queries=tuple(queries[name] for name in sorted(queries)),
        qrels=qrels,
        skipped=(*repeated, *_find_skipped(own, grades, queries)),
        sha256=hashlib.sha256(digest.encode() + read_bytes(path)).hexdigest(),
    )


def is_questions_only(folder: Path) -> bool:
    """Whether a folder contains questions with answers, but neither corpus nor judgements."""
    if (folder / "qrels").exists() or any(folder.glob("corpus.jsonl*")):
        return False
    try:
        return b'"answers"' in read_bytes(find_file(folder / "queries.jsonl"))
    except (NotFound, InvalidArgument):  # reported when the file is read for its content
        return False


def _load_questions(folder: Path, split: str) -> Dataset:
    everything, repeated, digest = _read_queries(folder)
    own = [query for query in everything.values() if query.metadata.get("split", split) == split]
    asked = sorted((query for query in own if _scorable(query)), key=lambda query: query.id)
    if not asked:
        raise InvalidArgument(
            f"split {split} of {folder} is empty: none of its questions has answers"
        )
    skipped = (Skipped(query.id, "has no answers") for query in own if not _scorable(query))
    return Dataset(
        name=Path(os.path.abspath(folder)).name,
        folder=folder,
        split=split,
        queries=tuple(asked),
        qrels={},
        skipped=(*repeated, *skipped),
        sha256=digest,
    )


def _scorable(query: Query) -> bool:
    """Whether a query has answers to score against, or needs none (``Row.needs_documents``)."""
    return query.answers is not None or query.metadata.get("needs_documents") is False


def load_datasets(folders: Sequence[Path], split: str) -> list[Dataset]:
    """Read several data sets; reports identify them by folder name.

    :raises InvalidArgument: two data sets have the same name.
    """
    loaded: dict[str, Dataset] = {}
    for folder in folders:
        dataset = load_dataset(folder, split)
        if dataset.name == POOLED:
            raise InvalidArgument(
                f"{folder}: {POOLED} is reserved for all sets together; rename the folder"
            )
        if dataset.name in loaded:
            raise InvalidArgument(
                f"two data sets are named {dataset.name}: {loaded[dataset.name].folder} and "
                f"{folder}; rename one folder, or evaluate them separately"
            )
        loaded[dataset.name] = dataset
    return list(loaded.values())


def query_fault(item: Mapping[str, Any]) -> str:
    """Return why a line of ``queries.jsonl`` is not a valid query; empty if it is valid."""
    identifier, text, answers = item.get("_id"), item.get("text"), item.get("answers")
    if not isinstance(identifier, str) or not identifier:
        return "has no _id"
    if not isinstance(text, str) or not text.strip():
        return "has no text"
    if not (is_encodable(identifier) and is_encodable(text)):
        return "contains a lone surrogate, which is not valid text"
    if answers is not None and not is_string_list(answers):
        return "has answers that are not a list of strings"
    return ""


def _read_queries(folder: Path) -> tuple[dict[str, Query], list[Skipped], str]:
    """Return all queries by id, the queries with a repeated id, and the hash of the file."""
    items, digest = read_lines(find_file(folder / "queries.jsonl"))
    queries: dict[str, Query] = {}
    repeated = []
    for number, item in items:
        query = _query(folder, number, item)
        if queries.setdefault(query.id, query) is not query:
            repeated.append(Skipped(query.id, f"line {number} has the _id of an earlier query"))
    return queries, repeated, digest


def _query(folder: Path, number: int, item: Mapping[str, Any]) -> Query:
    if fault := query_fault(item):
        raise InvalidArgument(f"{folder / 'queries.jsonl'} line {number} {fault}; fix it")
    answers, metadata = item.get("answers"), item.get("metadata")
    return Query(
        id=item["_id"],
        text=item["text"],
        answers=None if answers is None else tuple(answers),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _find_skipped(
    own: Mapping[str, Query], grades: Qrels, queries: Mapping[str, Query]
) -> Iterator[Skipped]:
    """List the queries of the split that cannot be used."""
    for name in sorted(grades.keys() - queries.keys()):
        known = name in own
        yield Skipped(name, "judged, but no document is relevant" if known else "not in queries")
    for name in sorted(own.keys() - queries.keys() - grades.keys()):
        yield Skipped(name, UNJUDGED)
