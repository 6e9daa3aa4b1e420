"""Answer with a number that must be calculated from numbers of tables in the passages.

The language model writes the expression, code finds its quantities and computes. A percentage
change that a model of this size calculates on its own is seldom right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.answer.sessions import write_draft
from expertrag.api.events import CitationEvent, DeltaEvent, DoneEvent, PassagesEvent
from expertrag.api.types import Citation, Constraint, FinishReason, QuestionScope, Sampling
from expertrag.calculations.cells import NumberCell, read_cells
from expertrag.calculations.expression import (
    DRAFT_TOKENS,
    GRAMMAR,
    Calculation,
    read_calculation,
    write_messages,
)
from expertrag.calculations.quantities import find_quantities, list_row
from expertrag.llm.prompt import INSTRUCT
from expertrag.queries.wording import format_number

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.api.events import AnswerEvent
    from expertrag.api.types import Passage
    from expertrag.llm.base import Generator

LIKELY = 0.5
"""Probability from which a question is taken for one that asks for a calculation."""

_NOT_CALCULATED = frozenset({QuestionScope.EXISTS, QuestionScope.LATEST, QuestionScope.DOCUMENT})
"""Scopes whose answer is not calculated."""
_DECIMALS = 2
_UNSURE = "The question may be about other numbers than these."


@dataclass(frozen=True, slots=True)
class CalculatedAnswer:
    """A calculation, its value, and the cells of its quantities by name.

    ``is_sure``: whether no other table is likely to be meant.
    """

    calculation: Calculation
    value: float
    cells: dict[str, NumberCell]
    is_sure: bool

    @property
    def lines(self) -> list[tuple[str, NumberCell | None]]:
        """The lines of the answer's text, and the cell that each one is about."""
        unit = "%" if self._is_percentage else ""
        head = f"{_write(self.value)}{unit}"
        texts = {name: cell.written for name, cell in self.cells.items()}
        if self.calculation.averages_row:
            how = f"= average of {', '.join(texts.values())}"
        else:
            how = f"= {self.calculation.write(texts)}"
        return [
            (head, None),
            (how, None),
            *((f"- {name}: {_describe(cell)}", cell) for name, cell in self.cells.items()),
        ]

    @property
    def _is_percentage(self) -> bool:
        every = all(cell.is_percentage for cell in self.cells.values())
        return self.calculation.is_percentage or (every and "] / [" not in self.calculation.text)


def asks_to_calculate(context: AnswerContext, generator: Generator) -> bool:
    """Return whether a question probably asks for a calculation, and the model can write it.

    STRICT gives no calculated number: nothing checks that the right cells were found.
    """
    return (
        context.is_plain
        and not context.is_strict
        and context.request.scope is None
        and context.scope not in _NOT_CALCULATED
        and context.recognised.p_calculation >= LIKELY
        and generator.family == INSTRUCT.name
    )


def calculate(
    context: AnswerContext, passages: Sequence[Passage], generator: Generator
) -> CalculatedAnswer | None:
    """Calculate what a question asks for; None if it does not, or a quantity is not found.

    :param passages: what a search for the question has found, best first.
    """
    if not asks_to_calculate(context, generator):
        return None
    cells = read_cells(passages)
    calculation = _draft(context, generator) if cells else None
    if calculation is None:
        return None
    chosen = find_quantities(calculation.quantities, cells)
    if chosen is None:
        return None
    if calculation.averages_row:
        (quantity,) = calculation.quantities
        row = list_row(chosen.cells[quantity], cells)
        value = sum(cell.number for cell in row) / len(row)
        named = {f"{quantity}, {cell.column or at}": cell for at, cell in enumerate(row, 1)}
        return CalculatedAnswer(calculation, value, named, chosen.is_sure)
    result = calculation.compute({name: cell.number for name, cell in chosen.cells.items()})
    if result is None:
        return None
    return CalculatedAnswer(calculation, result, chosen.cells, chosen.is_sure)


def answer_by_calculation(
    context: AnswerContext, answer: CalculatedAnswer, passages: Sequence[Passage]
) -> Iterator[AnswerEvent]:
    """Yield the events of an answer: its value, the expression, and a citation for each cell."""
    yield PassagesEvent(tuple(passages), context.view.index.generation)
    lines = answer.lines
    yield DeltaEvent("\n".join(text for text, _ in lines))
    start = 0
    for text, cell in lines:
        if cell is not None:
            yield CitationEvent(_cite(cell, passages[cell.passage], start, start + len(text)))
        start += len(text) + 1
    reason = "" if answer.is_sure else _UNSURE
    yield DoneEvent(FinishReason.STOP, 1.0, from_documents=True, unsupported_reason=reason)


def _draft(context: AnswerContext, generator: Generator) -> Calculation | None:
    """Let the language model write the calculation."""
    sampling = Sampling(
        DRAFT_TOKENS, frequency_penalty=0.0, stop=("\n",), constraint=Constraint(grammar=GRAMMAR)
    )
    messages = write_messages(context.request.question)
    return read_calculation(write_draft(context, generator, messages, sampling))


def _write(value: float) -> str:
    """Write a number with separators of thousands, and decimals only if it has any."""
    rounded = round(float(value), _DECIMALS)
    return format_number(rounded, 0 if rounded == int(rounded) else _DECIMALS)


def _describe(cell: NumberCell) -> str:
    names = ", ".join(filter(None, (cell.section, cell.row, cell.column)))
    return f"{cell.written} ({names})" if names else cell.written


def _cite(cell: NumberCell, passage: Passage, start: int, end: int) -> Citation:
    at = passage.start + cell.start
    return Citation(
        start,
        end,
        cell.passage + 1,
        passage.document_id,
        at,
        passage.start + cell.end,
        1.0,
        passage.page_at(at),
    )
