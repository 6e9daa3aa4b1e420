"""Units by their spellings."""

from __future__ import annotations

from decimal import Decimal

import pytest

from expertrag.grounding.values.units import MONEY, SCALES, UNITS, Unit, unit_of


@pytest.mark.parametrize(
    ("spelling", "factor", "base"),
    [
        ("hours", "3600", "s"),
        ("Stunden", "3600", "s"),
        ("quarters", "3", "mo"),
        ("kg", "1000", "g"),
        ("µm", ".000001", "m"),
        ("pence", ".01", "gbp"),
        ("MHz", "1000000", "hz"),
        ("CZK", "1", "czk"),
    ],
)
def test_a_spelling_is_a_multiple_of_its_base(spelling: str, factor: str, base: str) -> None:
    unit = unit_of(spelling)
    assert unit is not None
    assert (unit.factor, unit.base) == (Decimal(factor), base)


def test_symbols_are_case_sensitive_and_names_are_not() -> None:
    assert unit_of("Minutes") == unit_of("minutes")
    assert unit_of("Mb") is None  # neither a megabyte nor a megabit for sure
    assert unit_of("mb") is None
    assert unit_of("furlong") is None


def test_sizes_of_bytes_are_not_converted() -> None:
    """A megabyte has two sizes."""
    sizes = [unit_of(name) for name in ("KB", "MB", "KiB", "MiB")]
    assert len({unit.base for unit in sizes if unit}) == 4


def test_every_currency_has_a_unit_of_itself() -> None:
    assert {unit.base for unit in UNITS.values()} >= MONEY
    assert UNITS["eurocents"] == Unit(Decimal(".01"), "eur", "eurocent")


def test_scales_are_powers_of_ten_in_both_languages() -> None:
    assert SCALES["mrd"] == SCALES["billion"] == 10**9
    assert SCALES["mio"] == SCALES["mn"] == 10**6
