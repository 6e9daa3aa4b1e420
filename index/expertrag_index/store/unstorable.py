"""Tells what of a document the database or a filter cannot hold."""

from __future__ import annotations

import math

from expertrag_index.store.metadata import LABEL, scalars_of
from expertrag_index.store.schema import RESERVED
from expertrag_index.types import Document, LoadFailure


def _is_storable(number: float) -> bool:
    """Whether SQLite can compare a number: finite, an integer of at most 64 bits."""
    return abs(number) < 1 << 63 if isinstance(number, int) else math.isfinite(number)


def unstorable(document: Document, source: str) -> LoadFailure | None:
    """Return why a document of a source cannot be stored; None if it can."""
    for name in sorted(RESERVED & document.metadata.keys()):
        return LoadFailure(
            source,
            f"metadata field {name!r} is reserved",
            "rename the field",
            document.id,
        )
    texts = [document.id, document.text, document.title, document.domain or "", document.source]
    strange = [label for label in document.labels if not LABEL.fullmatch(label)]
    if strange:
        return LoadFailure(
            source,
            f"access label {strange[0]!r:.80} is not 1 to 64 letters, digits and . _ : @ -",
            "rename the label",
            document.id,
        )
    for name, value in document.metadata.items():
        texts.append(str(name))
        for scalar in scalars_of(value):
            if isinstance(scalar, str):
                texts.append(scalar)
            elif not isinstance(scalar, int | float) or not _is_storable(scalar):
                return LoadFailure(
                    source,
                    f"metadata field {name!r} is not a string, finite number, boolean or list of "
                    "them",
                    "change or remove the field",
                    document.id,
                )
    try:
        nul = b"\0" in "".join(texts).encode()
    except UnicodeEncodeError:
        nul = True
    if nul:
        reason = "the document contains a NUL or a lone surrogate, which are not valid text"
        return LoadFailure(source, reason, "remove the character", document.id)
    return None
