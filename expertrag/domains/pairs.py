"""Pairs of domains, from data sets: what embedding experts are trained on."""

from __future__ import annotations

from pathlib import Path

from expertrag.domains.data import TRAIN, Data, text_of
from expertrag.domains.records import is_pair_file, read_pairs
from expertrag.eval.datasets import load_dataset
from expertrag.eval.files import existing
from expertrag.eval.qrels import splits
from expertrag_index.loaders import load
from expertrag_index.types import LoadFailure
from expertrag_retriever.training.documents import Text, from_documents
from expertrag_retriever.training.types import Pair, Source


def domain_sources(data: Data) -> dict[str, list[Source]]:
    """Read the pairs of every domain.

    A data set without a `train` split gives pairs made from its documents alone; a pair file gives
    its own.

    :raises NotFound: a folder is no data set, or there is no such file.
    :raises InvalidArgument: a damaged data set.
    """
    return {domain: [_source(path) for path in paths] for domain, paths in data.items()}


def _source(folder: Path) -> Source:
    if is_pair_file(folder):
        return read_pairs(folder)
    if not folder.is_dir() or TRAIN in splits(folder):
        return _judged(folder)
    failures: list[LoadFailure] = []  # what cannot be read is for those who index it
    documents = load([existing(folder / "corpus.jsonl")], on_failure=failures.append)
    return from_documents(folder.name, (Text(item.id, item.title, item.text) for item in documents))


def _judged(folder: Path) -> Source:
    dataset = load_dataset(folder, TRAIN)
    failures: list[LoadFailure] = []
    corpus = {document.id: text_of(document) for document in dataset.documents(failures)}
    return Source(
        dataset.name,
        corpus,
        tuple(
            Pair(query.text, document)
            for query in dataset.judged
            for document in dataset.relevant(query.id)
        ),
    )
