"""Writes the file of a segment, term by term; only what belongs to rows is held in memory."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from expertrag_index.postings.file_format import BLOCK, SECTIONS, header, padding
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.search.segment_files import adopt_file
from expertrag_index.store.manifest import FileEntry
from expertrag_index.types import KeyArray

SUFFIX = ".postings"
_IN_MEMORY = 1 << 20  # bytes of a section that are kept in memory
_PIECE = 1 << 20
_STARTS = ("term_starts", "posting_starts")
_NO_POSTINGS = np.empty(0, np.uint16), np.empty(0, np.uint32)


class PostingWriter:
    """Writes one segment; use as a context manager."""

    def __init__(self, folder: Path, keys: KeyArray, lengths: NDArray[np.uint32]) -> None:
        """Begin a segment of chunks with ``keys``, ascending, of so many terms each."""
        self._folder = folder
        self._lengths = lengths
        self._rest = _NO_POSTINGS
        self._ends = dict.fromkeys(_STARTS, 0)
        self._sections: dict[str, IO[bytes]] = {
            name: tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))  # noqa: SIM115
            for name in SECTIONS
        }
        self._write("keys", keys)
        self._write("lengths", lengths)
        for name in _STARTS:
            self._write(name, np.zeros(1, np.uint64))

    def __enter__(self) -> PostingWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._sections.values():
            file.close()

    def add(
        self,
        terms: Sequence[bytes],
        sizes: NDArray[np.int64],
        rows: NDArray[np.uint32],
        counts: NDArray[np.uint16],
    ) -> None:
        """Append terms that are greater than all before, each of so many postings, at least one.

        :param rows: rows of the postings, ascending within a term.
        """
        if not len(terms):
            return
        self._sections["vocabulary"].write(b"".join(terms))
        self._write("rows", rows)
        self._write("counts", counts)
        self._add_blocks(counts, self._lengths[rows])
        self._extend("term_starts", np.array([len(term) for term in terms]))
        self._extend("posting_starts", sizes)

    def finish(self) -> FileEntry:
        """Write the file into the folder, durably; it is named by its checksum."""
        temporary = self._temporary()
        try:
            self._copy(temporary)
            return adopt_file(temporary, SUFFIX)
        finally:
            temporary.unlink(missing_ok=True)

    def finish_unnamed(self) -> PostingSegment:
        """Write the file and map it; it has no name, and ends with the mapping."""
        temporary = self._temporary()
        try:
            self._copy(temporary)
            return PostingSegment.open(temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def _temporary(self) -> Path:
        return self._folder / f"{uuid.uuid4().hex}.tmp"

    def _add_blocks(
        self, counts: NDArray[np.uint16], lengths: NDArray[np.uint32], *, last: bool = False
    ) -> None:
        """Write the blocks that are full; the rest waits for further postings."""
        counts = np.concatenate([self._rest[0], counts])
        lengths = np.concatenate([self._rest[1], lengths])
        full = len(counts) if last else len(counts) // BLOCK * BLOCK
        if full:
            starts = np.arange(0, full, BLOCK)
            self._write("block_counts", np.maximum.reduceat(counts[:full], starts))
            self._write("block_lengths", np.minimum.reduceat(lengths[:full], starts))
        self._rest = counts[full:], lengths[full:]

    def _copy(self, path: Path) -> None:
        """Write header and sections."""
        self._add_blocks(*_NO_POSTINGS, last=True)
        sizes = {name: section.tell() for name, section in self._sections.items()}
        with path.open("xb") as file:
            file.write(header(sizes))
            for name, section in self._sections.items():
                section.seek(0)
                while piece := section.read(_PIECE):
                    file.write(piece)
                file.write(bytes(padding(sizes[name])))

    def _extend(self, name: str, sizes: NDArray[np.int64]) -> None:
        ends = self._ends[name] + np.cumsum(sizes)
        self._ends[name] = int(ends[-1])
        self._write(name, ends)

    def _write(self, name: str, values: NDArray[Any]) -> None:
        self._sections[name].write(values.astype(SECTIONS[name], copy=False).tobytes())
