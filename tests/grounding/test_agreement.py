"""Whether two answers say the same."""

from __future__ import annotations

import pytest

from expertrag.grounding.agreement import agree


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Yes.", "Yes, it is free of charge.", True),
        ("Yes.", "No.", False),
        ("Yes.", "It is free of charge.", False),
        ("27", "27 days.", True),
        ("€640,000", "640,000 euros", True),
        ("€640,000", "€685,000", False),
        ("September 2025.", "In October 2025", False),
        ("at 02:15", "2:15 am", True),
        ("Jorun Taft", "The auditor is Jorun Taft.", True),
        ("Jorun Taft", "Wim Castellan", False),
        ("Jorun Taft", "28 days", False),
    ],
)
def test_answers_agree_by_verdict_value_or_words(one: str, other: str, expected: bool) -> None:
    assert agree(one, other) is expected
    assert agree(other, one) is expected
