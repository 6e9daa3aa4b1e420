"""Find the cells that the quantities of a calculation name, if possible all in one table.

"tax fees in 2019" is the cell whose row shares "tax fees" and whose column shares "2019". A word
counts more the fewer rows have it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from expertrag.calculations.cells import NumberCell
from expertrag_index.words.analysis import tokens
from expertrag_index.words.query_words import STOP_WORDS

LEAST_SCORE = 1.0
"""Score of a cell below which a quantity is not found. Of the calculations on 100 train questions
of TAT-QA, 39 are right without a bound and 38 with this one, and 16 fewer are wrong."""

SURE_SCORE = 1.3
"""Score below which another table may be meant. Of the same calculations, 34 of 57 are right from
it, and 4 of 16 below it."""

_PRECISION = 0.3
"""Weight of the share of a row's name that the quantity says."""
_COLUMN, _CAPTION = 0.9, 0.3
"""Weights of a word that the column or section has, or the caption, instead of the row."""
_YEAR, _OTHER_YEAR, _NO_YEAR = 0.6, -0.6, -0.1
"""Scores of a cell of the year that a quantity names, of another year, and without one."""
_EXTRA = 0.05
"""Deduction for a word of the column that the quantity lacks and other columns lack as well."""
_LATER_COLUMN, _LATER_PASSAGE = 0.02, 0.06
_APART = 0.5
"""Score for each quantity that it costs to take cells of several tables."""

_IS_YEAR = re.compile(r"(?:19|20)\d\d")


class QuantityCells(NamedTuple):
    """The cell of each quantity, and the lowest score of one."""

    cells: dict[str, NumberCell]
    score: float

    @property
    def is_sure(self) -> bool:
        """Whether no other table is likely to be meant."""
        return self.score >= SURE_SCORE


def find_quantities(quantities: Sequence[str], cells: Sequence[NumberCell]) -> QuantityCells | None:
    """Find the cell of each quantity; None if one of them is not found.

    :param cells: of passages, the best first.
    """
    if not cells:
        return None
    scores = {quantity: _score_cells(quantity, cells) for quantity in quantities}
    places: list[int | None] = [None, *dict.fromkeys(cell.passage for cell in cells)]
    every = [
        {quantity: _best(ranked, cells, place) for quantity, ranked in scores.items()}
        for place in places
    ]
    # a table that has one cell for two quantities does not tell them apart
    choices = [chosen for chosen in every if len(set(chosen.values())) == len(chosen)]
    if not choices:
        return None

    def weigh(chosen: Mapping[str, int]) -> float:
        are_together = len({cells[at].passage for at in chosen.values()}) == 1
        total = sum(scores[quantity][at] for quantity, at in chosen.items())
        return total - (0.0 if are_together else _APART * len(quantities))

    chosen = max(choices, key=weigh)
    least = min(scores[quantity][at] for quantity, at in chosen.items())
    if least < LEAST_SCORE:
        return None
    return QuantityCells({quantity: cells[at] for quantity, at in chosen.items()}, least)


def list_row(cell: NumberCell, cells: Iterable[NumberCell]) -> list[NumberCell]:
    """Return the cells of a cell's row that have its unit."""
    return [
        other
        for other in cells
        if (other.passage, other.row, other.section, other.is_percentage)
        == (cell.passage, cell.row, cell.section, cell.is_percentage)
    ]


def _best(scores: Sequence[float], cells: Sequence[NumberCell], passage: int | None = None) -> int:
    """Return the index of the cell with the highest score, if need be of one passage."""
    among = [at for at, cell in enumerate(cells) if passage is None or cell.passage == passage]
    return max(among, key=lambda at: (scores[at], -at))


def _score_cells(quantity: str, cells: Sequence[NumberCell]) -> list[float]:
    """Return how well each cell fits a quantity, about 0 to 1.9."""
    asked = _words(quantity)
    years = {word for word in asked if _IS_YEAR.fullmatch(word)}
    rows = {(cell.passage, cell.row, cell.section) for cell in cells}
    counts = Counter(word for _, row, section in rows for word in _words(f"{row} {section}"))
    weights = {
        word: math.log(1 + (len(rows) + 1) / (counts[word] + 0.5)) for word in asked | set(counts)
    }
    common = _common_words(cells)
    scores, ranks = [], Counter[tuple[int, str, str]]()
    for cell in cells:
        row = (cell.passage, cell.row, cell.section)
        score = _score_names(asked - years, cell, weights)
        score += _score_year(years, cell)
        others = _words(cell.column) - asked - common[cell.passage]
        score -= _EXTRA * min(4, len(others))
        score -= _LATER_COLUMN * ranks[row] + _LATER_PASSAGE * cell.passage
        ranks[row] += 1
        scores.append(score)
    return scores


def _score_names(asked: frozenset[str], cell: NumberCell, weights: Mapping[str, float]) -> float:
    """Return the share of the quantity's words that the cell's names say, and the reverse."""
    row = _words(cell.row)
    around = _words(f"{cell.section} {cell.column}") - row
    above = _words(cell.caption) - row - around
    said = sum(weights[word] for word in asked & row)
    total = sum(weights[word] for word in asked) or 1.0
    more = _COLUMN * sum(weights[word] for word in asked & around)
    more += _CAPTION * sum(weights[word] for word in asked & above)
    own = sum(weights[word] for word in row)
    return (said + more) / total + _PRECISION * (said / own if own else 0.0)


def _score_year(years: set[str], cell: NumberCell) -> float:
    if not years:
        return 0.0
    own = {word for word in _words(f"{cell.column} {cell.row}") if _IS_YEAR.fullmatch(word)}
    if not own:
        return _NO_YEAR
    return _YEAR if years & own else _OTHER_YEAR


def _common_words(cells: Sequence[NumberCell]) -> dict[int, frozenset[str]]:
    """Return the words that all columns of a passage's tables have."""
    columns: dict[int, list[frozenset[str]]] = {}
    for cell in cells:
        columns.setdefault(cell.passage, []).append(_words(cell.column))
    return {passage: frozenset.intersection(*words) for passage, words in columns.items()}


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in tokens(text) if word not in STOP_WORDS)
