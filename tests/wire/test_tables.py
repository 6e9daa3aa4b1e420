"""Cells of a table keep their types on the wire."""

from __future__ import annotations

import pytest

from expertrag.api.tables import AnswerTable
from expertrag.v1 import answer_pb2
from expertrag.wire.tables import table_from_proto, table_to_proto


def sent(*cells: object) -> str:
    """Return a row after it was sent, with the types of its cells."""
    table = AnswerTable(("a",) * len(cells), (cells,))  # type: ignore[arg-type]  # any cells
    data = table_to_proto(table).SerializeToString()
    return repr(table_from_proto(answer_pb2.AnswerTable.FromString(data)).rows[0])


def test_cells_keep_their_types() -> None:
    assert sent(1, 1.0, True, False, 0, 0.0, "", "1", None, 2**63 - 1) == (
        "(1, 1.0, True, False, 0, 0.0, '', '1', None, 9223372036854775807)"
    )


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_sent_as_its_digits(number: int) -> None:
    assert sent(number) == f"('{number}',)"
