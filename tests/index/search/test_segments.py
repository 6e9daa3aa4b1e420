from __future__ import annotations

import pytest

from expertrag_index.build.settings import WriterSettings
from expertrag_index.search.segments import larger, must_merge
from expertrag_index.store.manifest import FileEntry, SegmentEntry

SETTINGS = WriterSettings(flat_limit=50_000, small=5_000, max_segments=8)
STEPS = (78_125, 15_625, 3_125, 625, 125, 25, 5)  # each more than four times all that follow


def entries(*counts: int, ivf: int = 0) -> tuple[SegmentEntry, ...]:
    file = FileEntry("x.faiss", 1, "0")
    flat = tuple(SegmentEntry(file, file, "flat", count) for count in counts)
    return (SegmentEntry(file, file, "ivf_sq8", ivf, 8, 900), *flat) if ivf else flat


@pytest.mark.parametrize(
    ("existing", "live", "new", "merged"),
    [
        ((), 10, 10, True),  # the first generation
        (entries(4_000), 4_100, 100, True),  # small: one segment costs nothing
        (entries(20_000), 20_100, 100, False),  # an update adds a segment of its own
        (entries(20_000, *[10] * 7), 20_080, 10, False),  # takes in the seven small ones
        (entries(*STEPS[1:], ivf=STEPS[0]), sum(STEPS) + 1, 1, False),  # the eighth segment
        (entries(*STEPS, ivf=390_625), 390_625 + sum(STEPS) + 1, 1, True),  # the ninth
        (entries(*STEPS, ivf=390_625), 390_625 + sum(STEPS) - 1, 0, False),  # a delete adds none
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


@pytest.mark.parametrize(
    ("counts", "new", "kept"),
    [
        ((4_000,), 1, (4_000,)),
        ((4_000, 1), 1, (4_000,)),
        ((4_000, 4), 1, (4_000,)),
        ((4_000, 5), 1, (4_000, 5)),
        ((4_000, 20, 4), 1, (4_000,)),  # 4 and 1 are 5, which takes in 20
        ((4_000, 21, 4), 1, (4_000, 21)),
        ((4_000,), 1_000, ()),
        ((4_000, 1), 0, (4_000, 1)),  # nothing to write
    ],
)
def test_which_segments_an_update_takes_in(
    counts: tuple[int, ...], new: int, kept: tuple[int, ...]
) -> None:
    assert tuple(entry.count for entry in larger(entries(*counts), new)) == kept
