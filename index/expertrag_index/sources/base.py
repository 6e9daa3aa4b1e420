"""What a source of documents offers: a list of items with versions, which are read on demand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from expertrag_index.loaders import DEFAULT_MAX_FILE_BYTES, DEFAULT_MAX_FILE_S
from expertrag_index.loaders.base import SourceFile
from expertrag_index.types import LoadFailure


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How the items of a source are read: limits of a document, and its access labels."""

    max_file_bytes: int = DEFAULT_MAX_FILE_BYTES
    max_file_s: float = DEFAULT_MAX_FILE_S
    labels: Sequence[str] = ()
    labels_field: str = ""
    ocr: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash of the limits: items that were read with others are read again."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A file, page or object.

    ``source``: ``Document.source`` of its documents. ``version``: changes with its content.
    ``fetch``: returns a local file with the content; may raise ``Unreadable`` or ``OSError``.
    ``changed_at``: when it was last written (seconds since 1970); 0 if that need not be looked at.
    """

    source: str
    version: str
    fetch: Callable[[], SourceFile]
    changed_at: float = 0.0


@dataclass(slots=True)
class SourceItems:
    """What a source holds now.

    ``items``: by their sources. ``failures``: what could not be listed; documents of these sources,
    and of those below them, are kept. ``marks``: versions to record of items that are kept as they
    are. ``unavailable``: why nothing could be listed, then all documents are kept.
    """

    items: dict[str, SourceItem] = field(default_factory=dict)
    failures: list[LoadFailure] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    unavailable: str = ""


class DocumentSource(Protocol):
    """A folder, a page or a folder of an object store."""

    @property
    def key(self) -> str:
        """Identifies the source in a ledger; without credentials."""
        ...

    @property
    def limits(self) -> ReadLimits:
        """How its items are read."""
        ...

    def covers(self, source: str) -> bool:
        """Return whether a document of this ``Document.source`` can have come from here."""
        ...

    def listing(self, known: Mapping[str, str]) -> SourceItems:
        """List the items.

        :param known: versions of the items that were read before, by their sources.
        """
        ...
