"""Rank the tables that a question may be about: by the words that it shares, and by a search.

A search finds rows and documents by their meaning, so that "kit being repaired" leads to the
register of equipment. Each row or document that it finds is a vote for the tables it is in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expertrag.queries.linking import TableLink
from expertrag.queries.periods import find_years
from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.families import DOCUMENTS, FILE, TITLE

SEARCHED = 30
"""Passages whose documents vote."""

_BEST_RANKS = 4
"""Ranks whose votes weigh about the same; later ones weigh less."""

_WORDS, _MOST_WORDS, _LEAST_WORDS = 0.3, 6.0, -1.0
"""Weight of the score of a link, to which the votes are added, and the bounds of the score."""


_NAMED, _VALUED = 0.5, 0.3
"""Weights of a word that names a table, and of one that is a value in it."""

_AUTHOR = "author"
"""A property of Word and PDF files, which says little of what they are about."""

_OF_PATH, _OF_YEAR = 0.3, 0.005
"""Weights of a year that the question has and a path has or lacks, and of each later year."""

_OUT_OF_TIME = 0.6
"""Weight of a period that the question names, if all dates of the table are outside."""

_RETIRED = re.compile(
    r"(?<![^\W_])(?:archived?|archiv|old|alte?|superseded|obsolete|former)(?![^\W_])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A table that a question may be about, linked with it; a higher ``score`` is better."""

    link: TableLink
    score: float


def rank_tables(
    links: Sequence[TableLink], database: TableDatabase, documents: Iterable[str]
) -> list[Candidate]:
    """Return the tables of a store, the likeliest first, without the table of all documents.

    :param links: the question linked with each table.
    :param documents: the documents of the passages that a search finds, best first.
    """
    votes = _count_votes(database, documents)
    years = find_years(links[0].parts.question) if links else []
    candidates = [
        Candidate(
            link,
            votes[link.table.name]
            + _weigh_words(link)
            + _weigh_path(path, years)
            - _OUT_OF_TIME * _is_out_of_time(link),
        )
        for link in links
        if not (link.table.is_family and link.table.names == DOCUMENTS)
        for path in [database.first_document(link.table.name)]
    ]
    return sorted(candidates, key=lambda candidate: candidate.score, reverse=True)


def _weigh_words(link: TableLink) -> float:
    named = any(not word.asks for word in link.named)
    valued = any(one.exact and one.column.name not in (FILE, TITLE) for one in link.values)
    words = max(_LEAST_WORDS, min(link.score, _MOST_WORDS))
    return _WORDS * words + _NAMED * named + _VALUED * valued


def _is_out_of_time(link: TableLink) -> bool:
    """Return whether a question names periods, and no date of the table is in one of them."""
    spans = [column.span for column in link.table.columns if column.kind == "date"]
    periods = [period for period in link.parts.periods if period.first]
    if not spans or not periods:
        return False
    return not any(
        first <= period.last and period.first <= last for first, last in spans for period in periods
    )


def _weigh_path(path: str, years: Sequence[str]) -> float:
    """Weigh the year of a file by the years of the question; without any, the newer is better."""
    own = find_years(path)
    retired = _OF_PATH * bool(_RETIRED.search(path))
    if not own:
        return -retired
    if years:
        return (_OF_PATH if set(own) & set(years) else -_OF_PATH) - retired
    return _OF_YEAR * (int(max(own)) - 2000) - retired


def _count_votes(database: TableDatabase, documents: Iterable[str]) -> dict[str, float]:
    """Return the votes for each table; a document of a family votes once, a row each time."""
    votes: dict[str, float] = defaultdict(float)
    voted: set[tuple[str, str]] = set()
    for rank, document in enumerate(documents):
        for table in database.tables_of(document):
            vote = (table.name, document)
            if table.is_family and vote in voted:
                continue
            voted.add(vote)
            votes[table.name] += 1 / (rank + _BEST_RANKS)
    return votes


def has_fields(link: TableLink) -> bool:
    """Return whether a table tells more of a document than its file, title and author."""
    columns = [column for column in link.table.columns if column.name not in (FILE, TITLE, _AUTHOR)]
    return not link.table.is_family or any(
        column.kind != "text" or len(column.values) != 1 for column in columns
    )
