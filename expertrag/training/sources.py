"""What `--data DOMAIN=DATASET` names, as sources of pairs by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from expertrag.errors import InvalidArgument
from expertrag.eval.datasets import load_dataset
from expertrag.eval.qrels import splits
from expertrag_index.types import Document, LoadFailure
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.training.documents import Text, from_documents
from expertrag_retriever.training.types import Pair, Source

TRAIN = "train"


def parse_data(named: Sequence[str]) -> Mapping[str, tuple[Path, ...]]:
    """Read `DOMAIN=FOLDER`, or `FOLDER` for a domain that is called like its folder.

    :raises InvalidArgument: a domain without a name, or called like the base model.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for item in named:
        before, sign, after = item.partition("=")
        domain, path = (before.strip(), Path(after)) if sign else (Path(item).name, Path(item))
        if not domain or domain == GENERAL:
            raise InvalidArgument(
                f"data: {item!r} names no domain of its own; write DOMAIN=FOLDER, such as "
                f"legal=contracts ({GENERAL!r} is the base model)"
            )
        found[domain] = (*found.get(domain, ()), path)
    return found


def load_sources(data: Mapping[str, Sequence[Path]]) -> dict[str, list[Source]]:
    """Read the pairs of every domain.

    A data set without a `train` split gives pairs made from its documents alone.

    :raises NotFound: a folder is no data set.
    :raises InvalidArgument: a damaged data set.
    """
    return {domain: [_source(folder) for folder in folders] for domain, folders in data.items()}


def _source(folder: Path) -> Source:
    if not folder.is_dir() or TRAIN in splits(folder):
        return _judged(folder)
    failures: list[LoadFailure] = []
    from expertrag.eval.files import existing
    from expertrag_index.loaders import load

    documents = load([existing(folder / "corpus.jsonl")], on_failure=failures.append)
    return from_documents(folder.name, (Text(item.id, item.title, item.text) for item in documents))


def _judged(folder: Path) -> Source:
    dataset = load_dataset(folder, TRAIN)
    failures: list[LoadFailure] = []
    corpus = {document.id: _text(document) for document in dataset.documents(failures)}
    return Source(
        dataset.name,
        corpus,
        tuple(
            Pair(query.text, document)
            for query in dataset.judged
            for document in dataset.relevant(query.id)
        ),
    )


def _text(document: Document) -> str:
    """Text as the store embeds it: the title above it."""
    return f"{document.title}\n{document.text}" if document.title else document.text
