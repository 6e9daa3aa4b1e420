from __future__ import annotations

import pytest

from expertrag_index.manifest import FileEntry, SegmentEntry
from expertrag_index.segments import must_merge
from expertrag_index.settings import WriterSettings

SETTINGS = WriterSettings(flat_limit=50_000, small=5_000, max_segments=8)


def entries(*counts: int, ivf: int = 0) -> tuple[SegmentEntry, ...]:
    file = FileEntry("x.faiss", 1, "0")
    flat = tuple(SegmentEntry(file, "flat", count) for count in counts)
    return (SegmentEntry(file, "ivf_sq8", ivf, 8, 900), *flat) if ivf else flat


@pytest.mark.parametrize(
    ("existing", "live", "new", "merged"),
    [
        ((), 10, 10, True),  # the first generation
        (entries(4_000), 4_100, 100, True),  # small: one segment costs nothing
        (entries(20_000), 20_100, 100, False),  # an update adds a segment of its own
        (entries(20_000, *[10] * 6), 20_070, 10, False),  # the eighth segment
        (entries(20_000, *[10] * 7), 20_080, 10, True),  # the ninth
        (entries(20_000, *[10] * 7), 20_000, 0, False),  # a delete adds none
        (entries(20_000), 15_100, 0, False),  # 24.5 % dead
        (entries(20_000), 14_900, 0, True),  # 25.5 % dead
        (entries(50_000), 50_001, 1, True),  # beyond the limit of exact search
        (entries(ivf=60_000), 61_000, 1_000, False),
        (entries(10_000, ivf=60_000), 80_000, 10_000, False),  # a quarter is flat
        (entries(10_000, ivf=60_000), 80_001, 10_001, True),  # and one more
    ],
)
def test_when_segments_are_merged(
    existing: tuple[SegmentEntry, ...], live: int, new: int, merged: bool
) -> None:
    assert must_merge(existing, live, new, SETTINGS) is merged
