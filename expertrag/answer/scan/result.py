"""What a scan has read, document by document, and how complete it is."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.answer.scan.plan import Attribute, ScanPlan
from expertrag.answer.scan.values import Normal

READ_BY_MODEL = "a language model has read the documents, and may have misread one"
"""Reason of a scan that nothing else makes incomplete."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that was read of a document.

    ``normal``: None if the document does not give it. ``p`` in [0, 1]: the probability of the
    model's choice; 1 if code has decided. ``start``, ``end``: where it stands in the document; both
    0 if it stands nowhere. ``shares``: the values that it may be with their probabilities. Of yes
    or no, ``p`` is the probability of yes, and the place is the sentence that was most alike.
    """

    written: str = ""
    normal: Normal | None = None
    p: float = 1.0
    start: int = 0
    end: int = 0
    shares: tuple[tuple[Normal | None, float], ...] = ()

    @property
    def has_place(self) -> bool:
        """Whether it can be cited."""
        return self.end > self.start


@dataclass(frozen=True, slots=True)
class AttributeRead:
    """An attribute of a document as it was read; ``holds`` is None if that is not sure.

    ``quote``: the sentence that it stands in. ``certain``: whether ``holds`` is beyond doubt.
    """

    attribute: Attribute
    reading: Reading
    holds: bool | None
    quote: str = ""
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ScannedDocument:
    """A document of the set; ``holds``: whether it matches, None if that is not sure."""

    id: str
    title: str
    read: tuple[AttributeRead, ...] = ()

    @property
    def holds(self) -> bool | None:
        """Whether all conditions hold."""
        each = [item.holds for item in self.read]
        if False in each:
            return False
        return None if None in each else True

    @property
    def certain(self) -> bool:
        """Whether ``holds`` is beyond doubt: one condition that fails for certain is enough."""
        if self.holds is False:
            return any(item.certain for item in self.read if item.holds is False)
        return all(item.certain for item in self.read)


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The documents of a scan in the order of their ids.

    ``searched``: documents that may match. ``left_out``: of those, not read. ``family``: what they
    were chosen by, in words.
    """

    plan: ScanPlan
    documents: tuple[ScannedDocument, ...]
    searched: int
    left_out: int = 0
    family: str = ""

    @property
    def matched(self) -> tuple[ScannedDocument, ...]:
        """The documents that match."""
        return tuple(document for document in self.documents if document.holds)

    @property
    def unsure(self) -> tuple[ScannedDocument, ...]:
        """The documents of which it is not sure whether they match."""
        return tuple(document for document in self.documents if document.holds is None)

    @property
    def doubtful(self) -> tuple[ScannedDocument, ...]:
        """The documents that were decided on, but not beyond doubt."""
        return tuple(
            document
            for document in self.documents
            if document.holds is not None and not document.certain
        )

    @property
    def complete(self) -> bool | None:
        """False if documents were left out, else None: a model has read them, which may be wrong.

        Of 14 counts over prose that strangers asked for, none was right.
        """
        return False if self.left_out else None

    @property
    def reason(self) -> str:
        """Why it may not be complete."""
        if self.left_out:
            return f"{self.left_out} documents were not read"
        reasons = []
        if self.unsure:
            names = ", ".join(document.id for document in self.unsure[:3])
            reasons.append(f"{len(self.unsure)} documents could not be read for sure ({names})")
        if self.doubtful:
            names = ", ".join(document.id for document in self.doubtful[:3])
            reasons.append(f"{len(self.doubtful)} documents were not read beyond doubt ({names})")
        return "; ".join(reasons or [READ_BY_MODEL])

    @property
    def description(self) -> str:
        """What was read and compared, in words."""
        return f"read each of {len(self.documents)} documents ({self.family}); {self.plan}"
