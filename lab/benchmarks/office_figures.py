"""Figures of ``eval_office.py`` from rows of answers, with Wilson intervals of 95 %."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from office_answers import Row
from office_questions import (
    ANSWERABLE,
    GENERAL,
    KINDS,
    US_MISSING,
    VERSION,
    WITHOUT_ANSWER,
    OfficeQuestion,
    gives_wrong,
)
from reader_figures import Figure, area
from scipy import stats

from expertrag_lab.metrics.types import Estimate

AUTO, STRICT = "auto", "strict"
FORMATS = ("docx", "pptx", "pdf", "xlsx", "html", "md", "csv")

Judged = tuple[OfficeQuestion, Row]
Rows = Mapping[str, Sequence[Judged]]
"""Questions and their answers by mode."""


def share(name: str, values: Iterable[bool]) -> Figure:
    """Estimate a share with its Wilson interval."""
    flags = list(values)
    if not flags:
        return Figure(name, None)
    right = sum(flags)
    interval = stats.binomtest(right, len(flags)).proportion_ci(method="wilson")
    return Figure(
        name, Estimate(right / len(flags), float(interval.low), float(interval.high), len(flags))
    )


def figures(rows: Rows) -> list[Figure]:
    """Return the figures of the modes and kinds that were asked, with their targets."""
    result = [figure for mode, some in rows.items() for figure in by_kind(mode, some)]
    if auto := rows.get(AUTO):
        result += of_auto(auto, rows.get(STRICT, auto))
        result += [*of_tables(auto), *of_support(auto), seconds(auto)]
    if strict := rows.get(STRICT):
        result += of_strict(strict)
    return [figure for figure in result if figure.after]


def by_kind(mode: str, judged: Sequence[Judged]) -> list[Figure]:
    """Return the right answers of each kind; where there is no answer, the abstentions."""
    return [
        share(f"{mode}: {kind}: right", _right(some))
        for kind in KINDS
        if (some := [pair for pair in judged if pair[0].kind == kind])
    ]


def of_auto(auto: Sequence[Judged], searched: Sequence[Judged]) -> list[Figure]:
    """Return the figures of AUTO.

    :param searched: the same questions in a mode that always searches.
    """
    answerable = [pair for pair in auto if pair[0].kind in ANSWERABLE]
    shown = {item.id for item, row in [*auto, *searched] if row.shows(item)}
    given = [(item, row) for item, row in auto if item.kind != GENERAL and not row.abstained]
    unwarned = [
        not row.right(item) and bool(row.citations) and not row.warned for item, row in given
    ]
    outdated = [gives_wrong(item, row.answer) for item, row in auto if item.kind == VERSION]
    general = [pair for pair in auto if pair[0].kind == GENERAL]
    return [
        share("auto: the document is among the passages", (i.id in shown for i, _ in answerable)),
        share("auto: right, answerable", _right(answerable)),
        share(
            "auto: right where the document is found",
            _right(pair for pair in answerable if pair[0].id in shown),
        ).at_least(0.85),
        share("auto: wrong with a citation and no warning", unwarned).at_most(0.05),
        share("auto: superseded value given", outdated).at_most(0.0),
        share(
            "auto: follow-ups right", _right(pair for pair in auto if pair[0].kind == "followup")
        ).at_least(0.80),
        share(
            "auto: abstains, about us and not in the documents",
            (row.abstained for item, row in auto if item.kind == US_MISSING),
        ).at_least(0.95),
        share("auto: everyday requests answered", (not row.abstained for _, row in general)),
        share("auto: everyday requests right", _right(general)).at_least(0.95),
    ]


def of_tables(auto: Sequence[Judged]) -> list[Figure]:
    """Return the right answers from tables by the type of their file."""
    tables = [pair for pair in auto if pair[0].kind == "table"]
    return [
        share("auto: tables right", _right(tables)).at_least(0.85),
        *(
            share(f"auto: tables right, {name}", _right(some)).at_least(0.75)
            for name in FORMATS
            if (some := [pair for pair in tables if pair[0].format == name])
        ),
    ]


def seconds(auto: Sequence[Judged]) -> Figure:
    """Return the median seconds of an answer from documents; the interval is its quartiles."""
    name = "auto: median seconds of an answer from documents [quartiles]"
    spent = [row.seconds for _, row in auto if row.from_documents and not row.abstained]
    if not spent:
        return Figure(name, None)
    low, middle, high = np.quantile(spent, (0.25, 0.5, 0.75)).tolist()
    return Figure(name, Estimate(middle, low, high, len(spent))).at_most(2.0)


def of_support(auto: Sequence[Judged]) -> list[Figure]:
    """Return how well the support of AUTO's answers from documents tells right from wrong."""
    given = [
        (row, row.right(item)) for item, row in auto if row.from_documents and not row.abstained
    ]
    rated = [(row.support, right) for row, right in given if row.support is not None]
    labels = [right for _, right in rated]
    return [
        Figure(
            "support: AUROC of right against wrong",
            area([value for value, _ in rated], labels) if len({*labels}) == 2 else None,
        ).at_least(0.85),
        share(
            "support: warned, right answers", (row.warned for row, right in given if right)
        ).at_most(0.08),
        share("support: warned, wrong answers", (row.warned for row, right in given if not right)),
    ]


def of_strict(strict: Sequence[Judged]) -> list[Figure]:
    """Return the precision of STRICT, and the share of answerable questions that it answers."""
    answerable = [pair for pair in strict if pair[0].kind in ANSWERABLE]
    nothing = [pair for pair in strict if pair[0].kind in WITHOUT_ANSWER]
    given = [row.right(item) for item, row in [*answerable, *nothing] if not row.abstained]
    return [
        share("strict: right, of the answers given", given).at_least(0.95),
        share(
            "strict: the same of answerable questions alone",
            _right(pair for pair in answerable if not pair[1].abstained),
        ),
        share(
            "strict: answered, answerable", (not row.abstained for _, row in answerable)
        ).at_least(0.70),
        share("strict: right, answerable", _right(answerable)),
        share("strict: abstains, no answer in the share", (row.abstained for _, row in nothing)),
    ]


def _right(judged: Iterable[Judged]) -> list[bool]:
    return [row.right(item) for item, row in judged]
