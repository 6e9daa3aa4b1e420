"""Drop the rows of totals at the end of tables: they repeat what the other rows say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from expertrag_index.tables.cells import amount_of
from expertrag_index.types import Scalar

_LEAST_ROWS = 3
"""Rows above a row of totals; with fewer, a row may be the sum of the others by chance."""

_PRECISION = 0.005
"""Largest difference of a written total from the sum."""


def without_totals(
    rows: list[tuple[str, dict[str, Scalar]]],
) -> list[tuple[str, dict[str, Scalar]]]:
    """Return rows without a last one that adds up those above it.

    Such a row lacks cells that the others have, and a number of it is the sum of its column.

    :param rows: pairs of a document's id and the cells of a row, by column.
    """
    above = [cells for _, cells in rows[:-1]]
    if len(above) < _LEAST_ROWS:
        return rows
    last = rows[-1][1]
    lacking = [name for name in _full_columns(above) if last.get(name) in (None, "", "-")]
    is_total = bool(lacking) and any(_adds_up(above, last, name) for name in last)
    return rows[:-1] if is_total else rows


def _full_columns(rows: Sequence[Mapping[str, Scalar]]) -> Iterable[str]:
    return (name for name in rows[0] if all(row.get(name) not in (None, "") for row in rows))


def _adds_up(rows: Iterable[Mapping[str, Scalar]], last: Mapping[str, Scalar], name: str) -> bool:
    total = amount_of(last[name]) if last[name] is not None else None
    amounts = [amount_of(row[name]) for row in rows if row.get(name) not in (None, "")]
    if total is None or len(amounts) < _LEAST_ROWS or not all(amounts):
        return False
    numbers = [amount.number for amount in amounts if amount]
    return abs(sum(numbers) - total.number) <= _PRECISION and any(numbers)
