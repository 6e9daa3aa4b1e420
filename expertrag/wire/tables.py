"""Messages of the tables of an answer; a cell keeps its type."""

from __future__ import annotations

from expertrag.api.tables import AnswerTable
from expertrag.v1.answer_pb2 import AnswerTable as TableMessage
from expertrag.v1.answer_pb2 import Cell, Row, RowSources
from expertrag_retriever.types import Scalar

_INT64 = 2**63


def table_to_proto(table: AnswerTable) -> TableMessage:
    """Return the message."""
    return TableMessage(
        columns=table.columns,
        rows=[Row(cells=map(_to_cell, row)) for row in table.rows],
        sources=[RowSources(document_ids=ids) for ids in table.sources],
        query=table.query,
    )


def table_from_proto(table: TableMessage) -> AnswerTable:
    """Return the value."""
    return AnswerTable(
        columns=tuple(table.columns),
        rows=tuple(tuple(map(_from_cell, row.cells)) for row in table.rows),
        sources=tuple(tuple(row.document_ids) for row in table.sources),
        query=table.query,
    )


def _to_cell(value: Scalar | None) -> Cell:
    match value:
        case None:
            return Cell()
        case bool():  # before int, which it is as well
            return Cell(truth=value)
        case int() if -_INT64 <= value < _INT64:
            return Cell(integer=value)
        case float():
            return Cell(number=value)
        case _:  # an integer beyond 64 bits keeps its digits as text
            return Cell(text=str(value))


def _from_cell(cell: Cell) -> Scalar | None:
    match cell.WhichOneof("value"):
        case "text":
            return cell.text
        case "integer":
            return cell.integer
        case "number":
            return cell.number
        case "truth":
            return cell.truth
        case _:
            return None
