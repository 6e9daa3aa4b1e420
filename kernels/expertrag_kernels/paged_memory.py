"""Memory of the KV cache on the CPU: allocated when it is touched, released by pages."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

from expertrag_kernels import layout
from expertrag_kernels.steps import CacheShape


class PagedMemory:
    """``bytes``: initially zeros; the pages of each layer, layer by layer."""

    def __init__(self, shape: CacheShape, pages: int) -> None:
        self._area, self.bytes, self._start = layout.map_zeros(pages * shape.page_bytes())
        self._layers, self._pages = shape.layers, pages
        self._piece = shape.page_bytes() // shape.layers  # of a page, in a layer

    def give_back(self, pages: Sequence[int]) -> None:
        """Return the memory of pages to the system; they are zeros when they are touched again."""
        if not hasattr(mmap, "MADV_DONTNEED"):  # the system does not support it
            return
        for layer in range(self._layers):
            for first, stop in _runs(pages):
                at = self._start + layer * self._pages * self._piece
                # keep what shares a system page with a neighbour
                begin = -(-(at + first * self._piece) // mmap.PAGESIZE) * mmap.PAGESIZE
                end = (at + stop * self._piece) // mmap.PAGESIZE * mmap.PAGESIZE
                if begin < end:
                    self._area.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _runs(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last + 1 of runs of consecutive pages."""
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
