"""Memory of the keys and values on the CPU: it comes where it is touched, and goes by pages."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

from expertrag_kernels import layout
from expertrag_kernels.steps import CacheShape


class PagedMemory:
    """``bytes``: zeros at first, layer by layer its pages."""

    def __init__(self, shape: CacheShape, pages: int) -> None:
        self._area, self.bytes, self._start = layout.mapped_zeros(pages * shape.page_bytes())
        self._layers, self._pages = shape.layers, pages
        self._piece = shape.page_bytes() // shape.layers  # of a page, in a layer

    def give_back(self, pages: Sequence[int]) -> None:
        """Give the memory of pages to the system; they are zeros when they are touched again."""
        if not hasattr(mmap, "MADV_DONTNEED"):  # a system that has no such call
            return
        for layer in range(self._layers):
            for first, stop in _runs(pages):
                at = self._start + layer * self._pages * self._piece
                # what shares a page of the system with a neighbour stays
                begin = -(-(at + first * self._piece) // mmap.PAGESIZE) * mmap.PAGESIZE
                end = (at + stop * self._piece) // mmap.PAGESIZE * mmap.PAGESIZE
                if begin < end:
                    self._area.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _runs(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last + 1 of pages that follow each other."""
    first = last = None
    for page in sorted(pages):
        if first is None or last is None:
            first = page
        elif page != last + 1:
            yield first, last + 1
            first = page
        last = page
    if first is not None and last is not None:
        yield first, last + 1
