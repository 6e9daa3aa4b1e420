"""Tables that answer a question about a set of documents, and how complete they are."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_retriever.types import Scalar


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """The rows that an answer lists or counts.

    ``sources``: for each row, the ids of the documents that it comes from. ``query``: how the rows
    were selected, as SQL over the tables of the store, or in words for documents that were read one
    by one.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar | None, ...], ...]
    sources: tuple[tuple[str, ...], ...] = ()
    query: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an answer about a set of documents was counted from; numbers of documents or rows.

    ``searched``: in the tables or documents that may match. ``matched``: match the question.
    ``read``: were read for this answer or an earlier one. ``left_out``: may match, and were not
    read. ``complete``: None if it is unknown; ``reason`` says why it is not True.
    """

    searched: int
    matched: int
    read: int
    left_out: int = 0
    complete: bool | None = None
    reason: str = ""
