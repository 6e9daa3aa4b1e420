"""What a source of documents offers: a list of items with versions, which are read on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.types import LoadFailure


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
