"""How documents are read: limits of a document, and its access labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

DEFAULT_MAX_FILE_BYTES = 32 * 2**20
DEFAULT_MAX_FILE_S = 120.0


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How documents are read.

    ``max_file_bytes``: limit of one document; ``.jsonl`` and ``.csv`` files are streamed and may be
    larger. ``max_file_s``: seconds that reading one document may take. ``labels``: access labels of
    every document. ``labels_field``: metadata field that holds more labels of a document, a string
    or a list. ``ocr``: read the pages of PDF files that have no text from their pictures;
    ``max_file_s`` is then ``pool.OCR_TIMES_AS_LONG`` times as long; without the extra it is a
    failure.
    """

    max_file_bytes: int = DEFAULT_MAX_FILE_BYTES
    max_file_s: float = DEFAULT_MAX_FILE_S
    labels: Sequence[str] = ()
    labels_field: str = ""
    ocr: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash of the limits: items that were read with others are read again."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]


DEFAULT_LIMITS = ReadLimits()
