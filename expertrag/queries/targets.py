"""What a query returns: rows, a count, or a value that is computed from rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from expertrag.queries.linking import TableLink
from expertrag.queries.vocabulary import Word
from expertrag_index.tables.database import Column
from expertrag_retriever.types import QuestionScope

_OPERATIONS = (
    ("AVG", r"average|avg|mean|on average|durchschnitt\w*|im schnitt|moyenne|promedio"),
    (
        "SUM",
        r"total|sum|altogether|in all|overall|combined|spen[dt]\w*|insgesamt|gesamt\w*|summe"
        r"|ausgegeben|how much|wie ?viel\b|combien",
    ),
)
_MOST = re.compile(
    r"\b((?<!at )most|top|highest|largest|biggest|greatest|longest|maximum|max|priciest|dearest"
    r"|costliest|slowest|latest|newest|most recent|last|youngest|meisten?|höchste\w*|größte\w*"
    r"|längste\w*|teuerste\w*|neueste\w*|jüngste\w*|letzte\w*)\b",
    re.IGNORECASE,
)
_LEAST = re.compile(
    r"\b((?<!at )least|fewest|lowest|smallest|shortest|minimum|min|earliest|oldest|first|cheapest"
    r"|quickest|fastest|wenigsten?|niedrigste\w*|kleinste\w*|kürzeste\w*|billigste\w*"
    r"|günstigste\w*|älteste\w*|erste\w*|früheste\w*)\b",
    re.IGNORECASE,
)
_BY_DATE = re.compile(
    r"\b(latest|newest|most recent|last|earliest|oldest|first|youngest|neueste\w*|jüngste\w*|"
    r"letzte\w*|älteste\w*|erste\w*|früheste\w*)\b",
    re.IGNORECASE,
)
_SUMMED = re.compile(
    r"\b(?:spen[dt]\w*|total|in total|altogether|overall|combined|insgesamt|ausgegeben|the most"
    r"|am meisten)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\W*(?:\w+\s+)?(?:(?P<who>who|wer)\b|(?:which|what|whose|welche\w*|quel\w*)\s+(?P<noun>[^\W\d_]+))",
    re.IGNORECASE,
)
_MOST_OF = re.compile(r"\b(?:most|fewest|least|meisten|wenigsten)\b", re.IGNORECASE)
_HOW_MUCH = re.compile(r"\W*(?:how (?:many|much|long)|wie ?(?:viel|lang))", re.IGNORECASE)
_GROUPS = re.compile(
    r"\b(?:per|by|for each|for every|each|pro|je|nach)\s+([^\W\d_]+)", re.IGNORECASE
)
_COUNTED = re.compile(r"\b(?:how many|number of|count(?: of)?|wie ?viele|anzahl)\b", re.IGNORECASE)
_IDENTIFIERS = re.compile(
    r"(?:^|[_ .-])(?:id|no|nr|number|year|jahr|code|zip|plz|phone)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class QueryTarget:
    """What to select. ``operation``: COUNT, SUM, AVG, MAX, MIN, or "" for the rows themselves.

    ``measure``: column that is computed, or by which the rows are ordered. ``group``: column whose
    values are compared. ``descending`` and ``limit``: the order and number of rows or groups.
    """

    operation: str = ""
    measure: str = ""
    group: str = ""
    distinct: bool = False
    descending: bool = True
    limit: int | None = None


def find_targets(link: TableLink, scope: QuestionScope, limit: int | None) -> list[QueryTarget]:
    """Return the targets that a question may have, the likeliest first."""
    question = link.parts.question
    group = _group(link)
    if scope is QuestionScope.EXISTS:
        return [QueryTarget("COUNT")]
    if scope is QuestionScope.COUNT:
        return list(_counts(link, group))
    most, least = _MOST.search(question), _LEAST.search(question)
    if (most or least) and not _HOW_MUCH.match(question):  # "how long did it last"
        extremes = _extremes(link, limit, descending=bool(most and not _only_least(most, least)))
        if targets := list(extremes):
            return targets
    if scope is QuestionScope.LIST:
        asked = _find_asked(link)
        return [QueryTarget("COUNT", group=asked.name) if asked else QueryTarget(limit=limit)]
    operation = next(
        (
            name
            for name, words in _OPERATIONS
            if re.search(rf"\b(?:{words})", question, re.IGNORECASE)
        ),
        "SUM",
    )
    return [QueryTarget(operation, column.name, group) for column in measures(link)]


def asks_for_extreme(question: str) -> bool:
    """Return whether a question asks for the largest or the smallest of something."""
    return bool(_MOST.search(question) or _LEAST.search(question))


def _only_least(most: re.Match[str], least: re.Match[str] | None) -> bool:
    return least is not None and least.start() < most.start()


def _counts(link: TableLink, group: str) -> Iterator[QueryTarget]:
    """Yield how to count: rows, the distinct values of a column, or the sum of a column."""
    if group:
        yield QueryTarget("COUNT", group=group)
        return
    noun = _find_counted(link)
    if noun is not None and noun not in link.named:
        for column, words in link.columns:
            if noun not in words:
                continue
            if column in measures(link):
                yield QueryTarget("SUM", column.name)
                return
            if column.kind == "text" and not column.is_key:
                yield QueryTarget("COUNT", column.name, distinct=True)
                return
    yield QueryTarget("COUNT")


def _find_counted(link: TableLink) -> Word | None:
    """Return the word that says what is counted: the first after "how many" that does not ask."""
    match = _COUNTED.search(link.parts.question)
    after = match.end() if match else 0
    return next((word for word in link.parts.words if word.start >= after and not word.asks), None)


def _extremes(link: TableLink, limit: int | None, *, descending: bool) -> Iterator[QueryTarget]:
    """Yield targets for "which … most": the row, or the group, with the largest value."""
    question = link.parts.question
    who = _find_asked(link)
    linked = [column for column, _ in link.columns]
    if _BY_DATE.search(question):
        dates = [column for column in linked if column.kind == "date"]
        dates = dates or [column for column in link.table.columns if column.kind == "date"]
        for column in dates:
            # "latest" is the largest date, "oldest" the smallest
            yield QueryTarget("", column.name, descending=descending, limit=limit or 1)
        return
    numbers = measures(link)
    wanted = [column for column in numbers if column in linked] or numbers
    if who and _counts_rows(link):
        yield QueryTarget("COUNT", group=who.name, descending=descending, limit=limit or 1)
        return
    for column in wanted:
        if who and (_SUMMED.search(question)):
            yield QueryTarget("SUM", column.name, who.name, descending=descending, limit=limit or 1)
        else:
            yield QueryTarget("", column.name, descending=descending, limit=limit or 1)
    if not wanted and who:
        yield QueryTarget("COUNT", group=who.name, descending=descending, limit=limit or 1)


def _counts_rows(link: TableLink) -> bool:
    """Return whether "most" is followed by a name of the table: "wrote the most incidents"."""
    match = _MOST_OF.search(link.parts.question)
    if match is None:
        return False
    next_words = [word for word in link.parts.words if word.start >= match.end()][:3]
    return any(word in link.named for word in next_words)


def _find_asked(link: TableLink) -> Column | None:
    """Return the text column that "which …" or "who" asks for, if its values repeat."""
    asked = _ASKED.match(link.parts.question)
    if asked is None:
        return None
    wanted = {"who", "wer"} if asked["who"] else {asked["noun"].casefold()}
    for column, words in link.columns:
        if column.kind == "text" and wanted & {word.text.casefold() for word in words}:
            return None if column.is_key else column
    return None


def _group(link: TableLink) -> str:
    """Return the column of "per employee" or "by month"; "" without one."""
    match = _GROUPS.search(link.parts.question)
    if match is None:
        return ""
    word = match[1]
    for column, words in link.columns:
        if column.kind == "text" and any(own.text == word for own in words):
            return column.name
    return ""


def measures(link: TableLink) -> list[Column]:
    """Return the numeric columns that may be computed; only the linked ones, if there are any."""
    numeric = [
        column
        for column in link.table.columns
        if column.kind == "number" and not column.is_key and not _IDENTIFIERS.search(column.name)
    ]
    return [column for column, _ in link.columns if column in numeric] or numeric
