"""The manifest of a generation: its contents, and size and sha256 of every file it needs.

The file is canonical JSON (sorted keys, two spaces) with a sha256 over its own fields. Reading
requires the canonical form byte for byte, so that every flipped bit is detected, also in white
space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from expertrag_common.extras import install_command
from expertrag_index.errors import StoreCorruptError, StoreFormatError

FORMAT_VERSION = 5
LABELLED_FORMAT = 6
"""Version of a generation that has documents with access labels.

A version of this program that does not know labels would show these documents to everyone.
"""

_EARLIER, _EARLIER_LABELLED = 3, 4
"""Formats whose full-text index was in the database: a writer upgrades them."""

READABLE_FORMATS = (_EARLIER, _EARLIER_LABELLED, FORMAT_VERSION, LABELLED_FORMAT)

GENERAL = "general"
"""The expert of texts without a domain expert: the unmodified base model."""

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A derived file: its name under ``segments/``, its size and checksum."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A FAISS segment: chunks encoded by ``expert``; ``rows`` is the file of their vectors by row.

    ``kind`` is ``flat``, ``ivf_sq8`` or ``ivf_rabitq``; ``nprobe`` is 0 for flat. ``recall`` is
    recall@10 against exact search (see ``tuning``).
    """

    entry: FileEntry
    rows: FileEntry
    kind: str
    count: int
    nprobe: int = 0
    nlist: int = 0
    expert: str = GENERAL
    recall: float = 1.0


@dataclass(frozen=True, slots=True)
class PostingsEntry:
    """A segment of postings of ``count`` chunks.

    ``analysis``: the version of the terms in it (``words.analysis.ANALYSIS_VERSION``).
    """

    entry: FileEntry
    count: int
    analysis: int = 0


@dataclass(frozen=True, slots=True)
class EmbedderEntry:
    """The embedder of the vectors. ``fingerprint`` covers the base model and all its experts."""

    name: str
    fingerprint: str
    dimension: int


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """The engine that holds the vectors, by its address without a password (see ``engines``).

    ``store``: which store they are of; made when it moved there.
    """

    url: str
    store: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that a reader must know about one generation.

    ``chunker`` names what split the documents, with the longest chunk in tokens.
    ``corpus_hash`` covers the ids and hashes of the live documents. ``field_counts`` counts them by
    metadata field and its type. ``engine``: where the vectors are, None if in ``segments``.
    ``partitions`` counts the live chunks by the expert that encoded them. ``recall_at_10`` is the
    recall of the vector index against exact search (see ``tuning``). It is 0 in an engine, where
    ``index verify --deep`` measures it.
    ``calibration`` belongs to the caller; the store reads only its field ``partitions`` (see
    ``scales``).
    """

    generation: int
    created_at: str
    documents: int
    chunks: int
    embedder: EmbedderEntry
    chunker: str
    corpus_hash: str
    faiss_version: str
    segments: tuple[SegmentEntry, ...] = ()
    postings: tuple[PostingsEntry, ...] = ()
    partitions: Mapping[str, int] = field(default_factory=dict)
    field_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    domains: Mapping[str, int] = field(default_factory=dict)
    recall_at_10: float = 1.0
    calibration: Mapping[str, JSON] = field(default_factory=dict)
    engine: EngineEntry | None = None
    metric: str = "inner_product"
    normalised: bool = True
    format_version: int = FORMAT_VERSION

    @property
    def fields(self) -> dict[str, str]:
        """The type of each metadata field by its name; "mixed" for several."""
        return {
            name: next(iter(types)) if len(types) == 1 else "mixed"
            for name, types in self.field_counts.items()
        }

    @property
    def chunk_tokens(self) -> int | None:
        """Longest chunk in tokens; None for a store of a version that did not record it."""
        _, colon, tokens = self.chunker.rpartition(":")
        return int(tokens) if colon else None

    @property
    def has_labels(self) -> bool:
        """Whether any document has access labels."""
        return self.format_version in (LABELLED_FORMAT, _EARLIER_LABELLED)

    @property
    def is_outdated(self) -> bool:
        """Whether it is of an earlier format: it can be upgraded, and not be searched."""
        return self.format_version in (_EARLIER, _EARLIER_LABELLED)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every derived file of this generation."""
        vectors = (file for segment in self.segments for file in (segment.entry, segment.rows))
        return (*vectors, *(segment.entry for segment in self.postings))


def dumps(manifest: Manifest) -> bytes:
    """Serialise a manifest to the content of its file."""
    return _canonical(asdict(manifest))


def loads(data: bytes, name: str) -> Manifest:
    """Parse a manifest; ``name`` is its name in error messages.

    :raises StoreCorruptError: not JSON, not canonical, or the checksum differs.
    :raises StoreFormatError: written by a newer or an older version.
    """
    try:
        body = json.loads(data)
        body.pop("checksum")
        intact = _canonical(body) == data
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise StoreCorruptError(f"{name} is damaged")
    if body.get("format_version") not in READABLE_FORMATS:
        raise format_error(name, body.get("format_version"))
    body["embedder"] = EmbedderEntry(**body["embedder"])
    if body.get("engine"):
        body["engine"] = EngineEntry(**body["engine"])
    body["segments"] = tuple(
        SegmentEntry(
            **{
                **segment,
                "entry": FileEntry(**segment["entry"]),
                "rows": FileEntry(**segment["rows"]),
            }
        )
        for segment in body["segments"]
        if "rows" in segment  # not in an earlier format, whose segments are made again
    )
    body.pop("fields", None)  # of an earlier format
    body["postings"] = tuple(
        PostingsEntry(FileEntry(**segment["entry"]), segment["count"], segment.get("analysis", 0))
        for segment in body.get("postings", ())
    )
    return Manifest(**body)


def format_error(name: str, version: object) -> StoreFormatError:
    """Return the error for a store of another format; older formats cannot be read."""
    older = isinstance(version, int) and version < _EARLIER
    cure = (
        "build the store again from its documents, into another folder"
        if older
        else f"upgrade with {install_command('server', option='-U')}"
    )
    return StoreFormatError(
        f"{name} has format {version}, this version reads {LABELLED_FORMAT}: {cure}"
    )


def _canonical(body: Mapping[str, object]) -> bytes:
    checksum = hashlib.sha256(_json(body).encode()).hexdigest()
    return (_json({**body, "checksum": checksum}) + "\n").encode()


def _json(body: Mapping[str, object]) -> str:
    return json.dumps(body, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
