"""Draw texts of domains from data sets: equally many queries and documents of each.

A document belongs to the split whose judgements name it; if several do, to another split rather
than "train". A document that no judgement names is assigned by a hash of its id. So no text is both
trained and evaluated on.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag_lab.data.datasets import Dataset, load_dataset
from expertrag_lab.data.named_sets import TRAIN, Data
from expertrag_lab.data.pair_files import is_pair_file, read_pairs
from expertrag_lab.data.qrels import qrels_path, read_qrels, splits

if TYPE_CHECKING:
    from expertrag_index.types import Document

_TRAIN_SHARE = 0.7
"""Share of the documents without judgements that belong to the train split."""


def domain_texts(data: Data, split: str, most: int, seed: int) -> dict[str, list[str]]:
    """Draw at most ``most`` queries and ``most`` documents per domain, evenly from its data sets.

    A data set without judgements of the train split gives documents only. A pair file gives the
    queries and documents of its records of the split.

    :raises ExpertRAGError: a data set is missing or damaged.
    """
    return {
        domain: [
            text for path in paths for text in _draw(path, split, max(1, most // len(paths)), seed)
        ]
        for domain, paths in data.items()
    }


def _draw(path: Path, split: str, most: int, seed: int) -> list[str]:
    queries, documents = _of_file(path, split) if is_pair_file(path) else _of_folder(path, split)
    rng = random.Random(seed)
    return [
        text for some in (queries, documents) for text in rng.sample(some, min(most, len(some)))
    ]


def _of_file(path: Path, split: str) -> tuple[list[str], list[str]]:
    source = read_pairs(path, split)
    queries = dict.fromkeys(pair.query for pair in source.pairs)
    return list(queries), list(source.corpus.values())


def _of_folder(folder: Path, split: str) -> tuple[list[str], list[str]]:
    names = splits(folder)
    queries: list[str] = []
    if split in names or split != TRAIN or not names:
        dataset = load_dataset(folder, split)
        queries = [query.text for query in dataset.queries]
    else:
        dataset = load_dataset(folder, names[0])
    return queries, [document.embedding_text for document in _documents(dataset, split)]


def _documents(dataset: Dataset, split: str) -> list[Document]:
    judged = {name: _read_judged(dataset.folder, name) for name in splits(dataset.folder)}
    elsewhere = {document for name, some in judged.items() if name != split for document in some}
    own = judged.get(split, frozenset())
    if split != TRAIN:
        elsewhere -= own
    return [
        document
        for document in dataset.documents()  # unreadable ones are reported when they are indexed
        if document.id not in elsewhere
        and (document.id in own or _dealt_to_train(document.id) == (split == TRAIN))
    ]


def _read_judged(folder: Path, split: str) -> frozenset[str]:
    grades: Mapping[str, Mapping[str, int]] = read_qrels(qrels_path(folder, split))
    return frozenset(document for relevant in grades.values() for document in relevant)


def _dealt_to_train(identifier: str) -> bool:
    return zlib.crc32(identifier.encode()) % 1000 < 1000 * _TRAIN_SHARE
