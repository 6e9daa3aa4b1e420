"""The day on which a file says that it was changed last."""

from __future__ import annotations

import pytest

from expertrag_index.loaders.stamps import last_change


@pytest.mark.parametrize(
    ("stamps", "day"),
    [
        (("2025-03-04T10:15:00Z", "2024-01-01T00:00:00Z"), "2025-03-04"),
        (("D:20250304101500+01'00'",), "2025-03-04"),
        (("20250304",), "2025-03-04"),
        (("", "2024-01-01"), "2024-01-01"),
        ((None, "2024-01-01"), "2024-01-01"),
        (("yesterday", None), ""),
        (("2025-13-40",), ""),
        (("2013-12-23T23:15:00Z", "2013-12-23T23:15:00Z"), ""),  # python-docx's template
        ((), ""),
    ],
)
def test_the_first_stamp_with_a_day_counts(stamps: tuple[str | None, ...], day: str) -> None:
    assert last_change(*stamps) == day
