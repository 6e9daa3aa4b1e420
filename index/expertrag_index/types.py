"""Value objects of the document store, and the embedder interface that it requires."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Scalar = str | int | float | bool
MetadataValue = Scalar | Sequence[Scalar]
FloatArray = NDArray[np.float32]
KeyArray = NDArray[np.int64]

Filter = Mapping[str, object]
"""A metadata filter: ``{"year": 2024, "lang": {"$in": ["en", "de"]}, "size": {"$gte": 10}}``.

Fields are joined by AND. Operators: ``$eq $ne $in $gt $gte $lt $lte``. ``domain`` and ``source``
are fields of every document. A field that no document of the store has is an error. A list matches
if one of its values does.
"""

Query = FloatArray | Mapping[str, FloatArray]
"""A query's vector [D] for all partitions, or its vectors by expert of the partitions to search."""

Progress = Callable[[str, int, int | None], None]
"""Called with ``(stage, done, total)``; ``total`` is None while it is unknown."""


def silent(stage: str, done: int, total: int | None) -> None:
    """Discard progress."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document as returned by a loader: whole, not yet chunked.

    ``labels``: access labels; a restricted reader sees it if it has one of them, or if there are
    none (see ``Index.restrict``).
    ``page_starts``: character offsets where its pages begin; empty without pages.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    domain: str | None = None
    source: str = ""
    labels: Sequence[str] = ()
    page_starts: Sequence[int] = ()

    @property
    def embedding_text(self) -> str:
        """The text to embed if the document is a single chunk: the title, then the text."""
        return add_title(self.title, self.text)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document, ``text == document.text[start:end]`` (character offsets).

    ``page``: the page on which it begins, from 1; None in a document without pages.
    ``page_starts``: where further pages begin in it (character offsets into the document).
    """

    document_id: str
    ordinal: int
    text: str
    start: int
    end: int
    title: str = ""
    domain: str | None = None
    source: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    page: int | None = None
    page_starts: tuple[int, ...] = ()

    @property
    def embedding_text(self) -> str:
        """The text to embed: the title, then the chunk."""
        return add_title(self.title, self.text)


def add_title(title: str, text: str) -> str:
    """Return a text below its title, as it is embedded."""
    return f"{title}\n{text}" if title else text


@dataclass(frozen=True, slots=True)
class Group:
    """Documents that one expert serves.

    ``share``: the expert's share of the smoothed posterior, 1 if the label names the expert.
    ``documents``: number of documents that the router read, 0 if the label decided.
    ``evidence``: their mean posterior by expert, not smoothed, empty if the label decided.
    """

    name: str
    expert: str
    share: float = 1.0
    documents: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChunkHit:
    """A chunk found by a search: its key in the store and its score (higher is better)."""

    key: int
    score: float


@dataclass(frozen=True, slots=True)
class TermStatistics:
    """A word of a query: how many chunks contain it, and its inverse document frequency.

    ``idf`` is ln(1 + (N - n + 0.5) / (n + 0.5)), never negative; the highest for an unseen word.
    """

    term: str
    document_frequency: int
    idf: float


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A file or record that could not be read or stored, and what to do about it.

    ``document_id`` is set if the document already had an id. A ``notice`` does not mean a loss,
    such as files of unsupported types in a folder.
    """

    source: str
    reason: str
    cure: str
    document_id: str = ""
    notice: bool = False


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build or an update did. Counts are documents unless named otherwise."""

    generation: int
    added: int
    changed: int
    unchanged: int
    removed: int
    chunks: int
    chunks_embedded: int
    failures: tuple[LoadFailure, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification checked and found.

    ``problems``: those that remain; ``repaired``: what a repair did about the others.
    ``repairable`` is False if the database itself is lost.
    """

    generation: int
    documents: int
    chunks: int
    files: int
    problems: tuple[str, ...]
    repaired: tuple[str, ...] = ()
    repairable: bool = True


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup or a restored store holds, its size in bytes and the time it took."""

    generation: int
    documents: int
    chunks: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction published, the bytes on disk before and after, and the time it took."""

    generation: int
    bytes_before: int
    bytes_after: int
    seconds: float


class DocumentEmbedder(Protocol):
    """The embedder interface of the store. Vectors are float32 and L2-normalised."""

    @property
    def name(self) -> str:
        """The name that the user gave: a folder, a hub id or a model installed as a package."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything that changes a vector: weights, pooling, prefixes, expert set."""
        ...

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; the rest is truncated."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included."""
        ...

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of its embedding experts; empty for an embedder without any. Never "general"."""
        ...

    def fingerprint_of_expert(self, expert: str) -> str:
        """Hash of the base model and one expert, independent of the other experts.

        For "general" it is the base model's. Equal hashes give equal vectors.
        """
        ...

    def assign(
        self, samples: Mapping[str, Sequence[str]], known: Collection[Group], progress: Progress
    ) -> list[Group]:
        """Choose the expert of each new group; asked only of an embedder with experts.

        :param samples: beginnings of some of its documents by group, at least one each.
        :param known: groups that were assigned before.
        """
        ...

    def encode_documents(self, texts: Sequence[str], domain: str | None = None) -> FloatArray:
        """Vectors of shape [N, D] by the expert ``domain``; "general" is the base model."""
        ...
