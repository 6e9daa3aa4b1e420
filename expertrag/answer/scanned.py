"""Answer a question about a set from documents that are read one by one.

The model reads a value of each document, and code compares and counts. See ``answer/scan``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.answer.scan.result import ScannedDocument, ScanResult
from expertrag.answer.scan.totals import Total, to_table, totals, write_normal
from expertrag.answer.set_answer import MOST_PASSAGES, SetAnswer, stream_set_answer
from expertrag.api.types import Citation, Passage, QuestionScope
from expertrag.queries.wording import LISTED, format_number
from expertrag_retriever.search import to_passage

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.answer.scan.scanner import Scanner
    from expertrag.api.events import AnswerEvent
    from expertrag_index.store.index import Index


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """A passage, and the place in its document that a line of the answer rests on."""

    passage: Passage
    start: int
    end: int


def answer_by_scan(context: AnswerContext, scanner: Scanner) -> Iterator[AnswerEvent]:
    """Read the documents, then answer; the last event is a ``DoneEvent``."""
    index, scope = context.view.index, context.scope
    result = yield from scanner.stream(context, scope)
    cited = dict(_find_passages(index, result.matched[:MOST_PASSAGES]))
    table, coverage = to_table(result)
    head, bullets = _write_head(result, scope), _write_bullets(result.matched)
    answer = SetAnswer(
        tuple(one.passage for one in cited.values()),
        table,
        coverage,
        "\n".join([head, *bullets]),
        tuple(_citations(head, bullets, result.matched, cited)),
    )
    yield from stream_set_answer(context, answer)


def _find_passages(
    index: Index, documents: Sequence[ScannedDocument]
) -> Iterator[tuple[str, CitedPassage]]:
    """Yield the passage of each document in which its values stand."""
    catalog = index.catalog
    for document in documents:
        readings = [item.reading for item in document.read if item.reading.has_place]
        start = readings[0].start if readings else 0
        chunks = catalog.chunks(document.id)
        if chunks:
            chunk = next((one for one in chunks if one.start <= start < one.end), chunks[0])
            end = readings[0].end if readings else chunk.end
            yield document.id, CitedPassage(to_passage(chunk), start or chunk.start, end)


def _write_head(result: ScanResult, scope: QuestionScope) -> str:
    """Write the answer in one line; what it rests on follows."""
    matched, read = len(result.matched), len(result.documents)
    source = f"of {read:,} documents ({result.family})"
    if scope is QuestionScope.EXISTS:
        return f"Yes, {matched:,} {source}:" if matched else f"No, none {source}."
    computed = totals(result)
    if scope is QuestionScope.AGGREGATE and computed:
        return f"{' and '.join(map(_write_total, computed))}, from {matched:,} {source}:"
    return f"{matched:,} {source}:" if matched else f"0: none {source} matches."


def _write_total(total: Total) -> str:
    value = total.value
    shown = format_number(value, 2) if isinstance(value, int | float) else str(value)
    if total.documents and total.computed in ("largest", "smallest"):
        return f"{', '.join(total.documents)}: {shown} {total.unit}".strip()
    return f"{shown} {total.unit}".strip()


def _write_bullets(documents: Sequence[ScannedDocument]) -> list[str]:
    lines = []
    for document in documents[:LISTED]:
        values = [
            f"{item.attribute.name}: {value}"
            for item in document.read
            if (value := write_normal(item.reading.normal)) not in (None, "yes", "no")
        ]
        name = document.title or document.id
        lines.append(f"- {name} ({', '.join(values)})" if values else f"- {name}")
    if len(documents) > LISTED:
        lines.append(f"- and {len(documents) - LISTED:,} more, in the table")
    return lines


def _citations(
    head: str,
    bullets: Sequence[str],
    documents: Sequence[ScannedDocument],
    cited: dict[str, CitedPassage],
) -> Iterator[Citation]:
    ranks = {document: rank for rank, document in enumerate(cited, 1)}
    start = len(head) + 1
    for bullet, document in zip(bullets, documents, strict=False):
        if one := cited.get(document.id):
            page = one.passage.page_at(one.start)
            end = start + len(bullet)
            rank = ranks[document.id]
            yield Citation(start, end, rank, document.id, one.start, one.end, 1.0, page)
        start += len(bullet) + 1
