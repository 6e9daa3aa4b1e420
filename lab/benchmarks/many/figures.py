"""Figures of ``eval_many.py``, with 95 % intervals: of shares Wilson's, of means by bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from many.answer import Given
from many.judge import Verdict, judge
from many.question import (
    AGGREGATE,
    COMPARE,
    COUNT,
    DOCUMENT,
    EXISTS,
    GERMAN,
    KINDS,
    LATEST,
    LIST,
    LOOKUP,
    OVER_SETS,
    PLAIN,
    PROSE,
    TWO_HOPS,
    TYPOS,
    Question,
)
from office_figures import share
from reader_figures import Figure, mean

FASTEST = {LIST: 3.0, COUNT: 3.0, AGGREGATE: 3.0, EXISTS: 3.0}
"""Bars of the median seconds of answers from tables."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A question, its answer in one mode, and the verdict."""

    question: Question
    given: Given
    verdict: Verdict

    @classmethod
    def of(cls, question: Question, given: Given) -> Judged:
        """Judge an answer."""
        return cls(question, given, judge(question, given))


def figures(judged: Sequence[Judged]) -> list[Figure]:
    """Return the figures of the answers of one mode; those without questions are left out."""
    result = [*_sets(judged), *_warnings(judged), *_others(judged), *_classes(judged)]
    result += [_median(judged, kind) for kind in KINDS]
    return [figure for figure in result if figure.after]


def _sets(judged: Sequence[Judged]) -> list[Figure]:
    lists = [item for item in judged if item.question.kind == LIST]
    result = [
        mean("list: F1 of items", [item.verdict.share or 0.0 for item in lists]).at_least(0.85),
        share("list: exactly complete", _right(lists)).at_least(0.60),
    ]
    for name, prose in (("tables and fields", False), ("prose", True)):
        some = [item for item in judged if (item.question.basis == PROSE) is prose]
        own = [item for item in some if item.question.kind == LIST]
        numbers = [item for item in some if item.question.kind in (COUNT, AGGREGATE)]
        bar = 0.70 if prose else 0.85
        result += [
            mean(f"list, {name}: F1 of items", [item.verdict.share or 0.0 for item in own]),
            share(f"list, {name}: exactly complete", _right(own)),
            share(f"count, sum, average, most, {name}: right", _right(numbers)).at_least(bar),
            *(
                share(f"{kind}, {name}: right", _right(i for i in some if i.question.kind == kind))
                for kind in (COUNT, AGGREGATE)
            ),
        ]
    yes_no = [item for item in judged if item.question.kind == EXISTS]
    return [*result, share("exists: right", _right(yes_no))]


def _warnings(judged: Sequence[Judged]) -> list[Figure]:
    over = [item for item in judged if item.question.kind in OVER_SETS]
    counts = [item for item in over if item.question.kind in (COUNT, AGGREGATE)]
    wrong = [item for item in over if not item.verdict.right]
    return [
        share(
            "over sets: says that it is incomplete, of the wrong or incomplete",
            (item.given.admits for item in wrong),
        ).at_least(0.95),
        share(
            "over sets: warns or abstains, of the wrong or incomplete",
            (not item.given.unwarned for item in wrong),
        ),
        share("over sets: wrong without a warning", map(_unwarned, over)).at_most(0.03),
        share("count, sum, average, most: wrong without a warning", map(_unwarned, counts)).at_most(
            0.03
        ),
        share(
            "over sets: complete, of the right",
            (item.given.complete is True for item in over if item.verdict.right),
        ),
        share("over sets: abstained", (item.given.abstained for item in over)),
    ]


def _others(judged: Sequence[Judged]) -> list[Figure]:
    def of(kind: str) -> list[Judged]:
        return [item for item in judged if item.question.kind == kind]

    documents = of(DOCUMENT)
    return [
        share("two hops: right", _right(of(TWO_HOPS))).at_least(0.60),
        share("latest: right", _right(of(LATEST))).at_least(0.95),
        share("latest: older value given", (i.verdict.stale for i in of(LATEST))).at_most(0.0),
        mean(
            "document: key facts covered", [item.verdict.share or 0.0 for item in documents]
        ).at_least(0.70),
        mean(
            "document: key facts covered and cited",
            [item.verdict.cited or 0.0 for item in documents],
        ).at_least(0.70),
        share("document: has citations", (item.given.citations > 0 for item in documents)),
        share("compare: right", _right(of(COMPARE))),
        share("lookup: right", _right(of(LOOKUP))),
        share("lookup: abstained", (item.given.abstained for item in of(LOOKUP))),
        share("error", (bool(item.given.error) for item in judged)).at_most(0.0),
    ]


def _classes(judged: Sequence[Judged]) -> list[Figure]:
    def matches(some: Iterable[Judged]) -> list[bool]:
        return [item.given.scope in item.question.scopes for item in some]

    tests: tuple[tuple[str, Callable[[Judged], bool], float | None], ...] = (
        ("all", lambda _: True, 0.95),
        ("plain English", lambda item: item.question.style == PLAIN, None),
        ("in German", lambda item: item.question.style == GERMAN, 0.85),
        ("with typos", lambda item: item.question.style == TYPOS, 0.85),
        *((kind, lambda item, kind=kind: item.question.kind == kind, None) for kind in KINDS),
    )
    result = []
    for name, test, bar in tests:
        figure = share(f"class recognised: {name}", matches(filter(test, judged)))
        result.append(figure if bar is None else figure.at_least(bar))
    return result


def _median(judged: Sequence[Judged], kind: str) -> Figure:
    spent = [item.given.seconds for item in judged if item.question.kind == kind]
    return mean(f"{kind}: mean seconds", spent)


def seconds(judged: Sequence[Judged]) -> list[dict[str, object]]:
    """Return the median and the 95th percentile of the seconds of each kind, by basis."""
    result: list[dict[str, object]] = []
    for kind in KINDS:
        for prose in (False, True):
            spent = [
                item.given.seconds
                for item in judged
                if item.question.kind == kind and (item.question.basis == PROSE) is prose
            ]
            if spent:
                middle, high = np.quantile(spent, (0.5, 0.95)).tolist()
                over = "prose" if prose else "tables and fields"
                result.append(
                    {"kind": kind, "over": over, "n": len(spent), "median": middle, "p95": high}
                )
    return result


def _right(some: Iterable[Judged]) -> list[bool]:
    return [item.verdict.right for item in some]


def _unwarned(item: Judged) -> bool:
    return not item.verdict.right and item.given.unwarned
