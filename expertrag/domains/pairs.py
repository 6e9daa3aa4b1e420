"""Pairs of domains, from data sets: what embedding experts are trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from expertrag.domains.data import TRAIN, Data
from expertrag.domains.records import is_pair_file, read_pairs
from expertrag.eval.datasets import load_dataset
from expertrag.eval.files import existing
from expertrag.eval.qrels import splits
from expertrag_index.loaders import load
from expertrag_index.types import LoadFailure
from expertrag_retriever.training.data import FEWEST_PAIRS
from expertrag_retriever.training.documents import Text, from_documents
from expertrag_retriever.training.types import Pair, Source

_FEW_QUERIES = 200


def domain_sources(data: Data) -> dict[str, list[Source]]:
    """Read the pairs of every domain.

    A data set without a `train` split gives pairs made from its documents alone, one with few
    judged queries gives these as well, as a source of their own; a pair file gives its own.

    :raises NotFound: a folder is no data set, or there is no such file.
    :raises InvalidArgument: a damaged data set.
    """
    return {
        domain: _numbered([source for path in paths for source in _sources(path)])
        for domain, paths in data.items()
    }


def _numbered(sources: Sequence[Source]) -> list[Source]:
    """Tell sources of one name apart: two folders of different places may have the same."""
    seen: Counter[str] = Counter()
    found = []
    for source in sources:
        seen[source.name] += 1
        number = f" ({seen[source.name]})" if seen[source.name] > 1 else ""
        collection = f"{source.collection}{number}" if source.collection else ""
        found.append(replace(source, name=f"{source.name}{number}", collection=collection))
    return found


def _sources(path: Path) -> Iterator[Source]:
    if is_pair_file(path):
        yield read_pairs(path)
        return
    judged = not path.is_dir() or TRAIN in splits(path)
    if judged:
        source = _judged(path)
        yield source
        if len(source.answers()) >= _FEW_QUERIES:
            return
    failures: list[LoadFailure] = []  # what cannot be read is for those who index it
    documents = load([existing(path / "corpus.jsonl")], on_failure=failures.append)
    made = from_documents(
        f"{path.name}, titles" if judged else path.name,
        (Text(item.id, item.title, item.text) for item in documents),
    )
    if not judged or len(made.pairs) >= FEWEST_PAIRS:
        yield replace(made, collection=path.name)


def _judged(folder: Path) -> Source:
    dataset = load_dataset(folder, TRAIN)
    failures: list[LoadFailure] = []
    corpus = {document.id: document.embedding_text for document in dataset.documents(failures)}
    return Source(
        dataset.name,
        corpus,
        tuple(
            Pair(query.text, document)
            for query in dataset.judged
            for document in dataset.relevant(query.id)
        ),
        tested=frozenset(
            query.text
            for split in splits(folder)
            if split != TRAIN
            for query in load_dataset(folder, split).judged
        ),
    )
