"""The store of a data set's corpus, cached in a work folder for the next run.

It is ``WORK/stores/NAME-HASH``, where HASH covers the corpus, the embedder, the unit and the
format.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from expertrag import models
from expertrag.api.errors import InvalidArgument
from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.build.chunk_size import default_chunk_tokens
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.manifest import FORMAT_VERSION
from expertrag_lab.data.datasets import Dataset
from expertrag_lab.data.types import Skipped
from expertrag_lab.json_lines import find_file
from expertrag_retriever.calibrate import calibrator

if TYPE_CHECKING:
    from expertrag_index.types import LoadFailure, Progress
    from expertrag_retriever.base import Embedder

Unit = Literal["document", "chunk"]
"""Unit that is embedded and searched.

``document``: whole documents, title and text, truncated by the embedder; the protocol of BEIR
(Thakur et al. 2021), comparable with published figures. ``chunk``: chunks as in a store of
``expertrag index build``.
"""

_WHOLE = 1 << 40  # tokens, more than any document has
_STAGES = {
    "read": "reading",
    "embed": "embedding",
    "write": "writing",
    "calibrate": "calibrating",
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """The corpus of a data set: number of records, and hash of its uncompressed text."""

    records: int
    sha256: str


def default_work() -> Path:
    """Folder where evaluations cache stores and answers."""
    return models.cache_folder() / "eval"


def read_corpus(dataset: Dataset) -> Corpus:
    """Count and hash a corpus.

    :raises InvalidArgument: the gzip file is damaged; a truncated corpus would give wrong figures.
    """
    path = find_file(dataset.folder / "corpus.jsonl")
    digest, records = hashlib.sha256(), 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                digest.update(line)
                records += bool(line.strip())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidArgument(f"{path} is a damaged gzip file ({error}); fetch it again") from None
    return Corpus(records, digest.hexdigest())


def store_folder(
    dataset: Dataset, corpus: Corpus, embedder: Embedder, unit: Unit, work: Path
) -> Path:
    """Path of the store of a corpus."""
    chunks = default_chunk_tokens(embedder) if unit == "chunk" else "whole"
    content = f"{corpus.sha256} {embedder.fingerprint} {unit} {chunks} {FORMAT_VERSION}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return work / "stores" / f"{dataset.name}-{digest}"


def build_store(
    dataset: Dataset,
    embedder: Embedder,
    unit: Unit,
    work: Path,
    progress: Progress,
) -> tuple[Path, tuple[Skipped, ...]]:
    """Build the store of a corpus, or complete an existing one.

    :return: its folder, and the documents that could not be read.
    :raises InvalidArgument: no document of the corpus could be read.
    :raises Conflict: another process is building it.
    """
    corpus = read_corpus(dataset)
    folder = store_folder(dataset, corpus, embedder, unit, work)
    folder.parent.mkdir(parents=True, exist_ok=True)

    def report(stage: str, done: int, total: int | None) -> None:
        if stage in _STAGES:
            known = corpus.records if stage == "read" else total
            progress(f"{dataset.name}: {_STAGES[stage]}", done, known)

    failures: list[LoadFailure] = []
    with (
        translate_errors(),
        IndexWriter.open(
            folder,
            embedder,
            calibrate=calibrator(embedder),
            progress=report,
            settings=WriterSettings(chunk_tokens=_WHOLE if unit == "document" else None),
        ) as writer,
    ):
        done = writer.build(dataset.documents(failures), failures)
    skipped = tuple(
        Skipped(
            failure.document_id or Path(failure.source).name, f"{failure.reason}; {failure.cure}"
        )
        for failure in done.failures
        if not failure.notice
    )
    if not done.chunks:
        why = f": {skipped[0].reason}" if skipped else ""
        raise InvalidArgument(f"no document of {dataset.folder} can be searched{why}")
    return folder, skipped
