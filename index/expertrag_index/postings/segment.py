"""A segment of postings that is mapped into memory, read-only."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.file_format import BLOCK, MalformedFileError, parse
from expertrag_index.types import KeyArray


@dataclass(frozen=True, slots=True, eq=False)
class PostingSegment:
    """The sections of a segment's file (see ``file_format``). Immutable.

    Offsets are checked at opening. Rows are not, which are most of the file: who reads them must.
    """

    name: str
    keys: KeyArray
    lengths: NDArray[np.uint32]
    vocabulary: NDArray[np.uint8]
    term_starts: NDArray[np.uint64]
    posting_starts: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    block_counts: NDArray[np.uint16]
    block_lengths: NDArray[np.uint32]

    @classmethod
    def open(cls, path: Path) -> PostingSegment:
        """Map a file, which must not change while it is mapped.

        :raises StoreCorruptError: it is not a segment of postings, or a damaged one.
        """
        try:
            with path.open("rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            sections: dict[str, Any] = parse(data)
            segment = cls(path.name, **sections)
            segment._check()
        except ValueError as error:  # also for an empty file
            raise StoreCorruptError(f"{path.name} is damaged: {error}") from error
        except FileNotFoundError as error:
            raise StoreCorruptError(f"{path.name} is missing") from error
        return segment

    @property
    def count(self) -> int:
        """Number of rows (chunks), including tombstones."""
        return len(self.keys)

    @property
    def terms(self) -> int:
        """Number of terms."""
        return len(self.term_starts) - 1

    def term(self, place: int) -> bytes:
        """Return a term in UTF-8, by its place in the vocabulary."""
        start, end = self.term_starts[place : place + 2]
        return self.vocabulary[int(start) : int(end)].tobytes()

    def postings(self, place: int) -> tuple[int, int]:
        """Return where the postings of a term begin and end."""
        start, end = self.posting_starts[place : place + 2]
        return int(start), int(end)

    def make_damage_error(self) -> StoreCorruptError:
        """Return the error for rows that are not rows of the segment."""
        return StoreCorruptError(f"{self.name} is damaged: a term has rows that do not exist")

    def _check(self) -> None:
        _require(len(self.lengths) == self.count, "lengths and keys differ in number")
        _require(bool(np.all(self.keys[1:] > self.keys[:-1])), "its keys do not ascend")
        _require(len(self.term_starts) > 0, "it has no vocabulary")
        _require(len(self.counts) == len(self.rows), "rows and counts differ in number")
        blocks = -(-len(self.rows) // BLOCK)
        for part in (self.block_counts, self.block_lengths):
            _require(len(part) == blocks, "rows and blocks do not fit together")
        ends = {
            "term_starts": len(self.vocabulary),
            "posting_starts": len(self.rows),
        }
        for name, end in ends.items():
            starts = getattr(self, name)
            _require(len(starts) == len(self.term_starts), f"{name} has another size")
            sound = starts[0] == 0 and starts[-1] == end and np.all(starts[1:] >= starts[:-1])
            _require(bool(sound), f"{name} does not ascend to the end")


def _require(sound: bool, reason: str) -> None:
    if not sound:
        raise MalformedFileError(reason)
