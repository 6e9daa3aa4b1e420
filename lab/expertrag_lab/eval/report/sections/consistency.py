"""The report on consistency of decisions and answers across wordings of a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.blocks import (
    Bar,
    Bars,
    Block,
    Figure,
    Note,
    ReportSection,
    ShownExample,
    Table,
)
from expertrag_lab.eval.report.blocks import ShownPassage as Shown
from expertrag_lab.eval.report.reading import items, mapping, number, string
from expertrag_lab.eval.report.wording import (
    ABSENT,
    count,
    format_signed,
    give_or_take,
    share,
    span,
)

_MEASURES = (
    ("decision_consistency", "same decision", "share of pairs of wordings"),
    ("p_benefit_gap", "gap in p(benefit)", "mean over pairs of wordings, 0 is best"),
    ("answer_consistency", "same answer", "share of pairs of wordings"),
    ("text_consistency", "same text", "to the letter, share of pairs"),
    ("answer_f1", "answer F1", "of the two answers, mean over pairs"),
    ("passage_consistency", "same passages", "in the same order, share of pairs"),
    ("answer_same_passages", "same answer, alike", "of pairs with the same passages"),
    ("changed_by_decision", "changed by decision", "differs first, share of pairs"),
    ("changed_by_expert", "changed by expert", "differs first, share of pairs"),
    ("changed_by_passages", "changed by passages", "differ first, share of pairs"),
    ("changed_by_words", "changed by words", "of the question, share of pairs"),
    ("accuracy", "accuracy", "share of wordings answered right"),
    ("accuracy_consistency", "all right or all wrong", "share of questions"),
    ("consistent_and_correct", "all right", "share of questions"),
)
_DRAWN = ("decision_consistency", "answer_consistency", "consistent_and_correct")


def sections(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    """Build the sections of a report on consistency."""
    pooled, sets = mapping(report, "pooled"), mapping(report, "sets")
    yield ReportSection("Measures", tuple(_measures(pooled, sets)))
    if len(sets) > 1:
        yield ReportSection("Measures by set", tuple(_by_set(sets)))
    yield ReportSection("Changes by rewrite", tuple(_rewrites(report)))
    yield ReportSection("Sizes", tuple(_sizes(report)))
    for name in mapping(report, "least_consistent"):
        examples = tuple(_example(item) for item in items(report, "least_consistent", name))
        yield ReportSection(f"Least consistent questions of {name}", examples, detail=True)


def headline(report: Mapping[str, JSON]) -> str:
    """Return how often the decision stays the same."""
    value = number(report, "pooled", "decision_consistency", "mean")
    return "" if value is None else f"same decision {share(value)}"


def _measures(pooled: Mapping[str, JSON], sets: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple(
        (
            title,
            meaning,
            share(number(pooled, key, "mean")),
            span(_ends(pooled, key)),
            count(number(pooled, key, "n")),
        )
        for key, title, meaning in _MEASURES
    )
    yield Table(("measure", "meaning", "mean", "95 % interval", "questions"), rows, labels=2)
    yield Note(
        "A pair is two wordings of one question; each question has the same weight (Newman et al. "
        "2022)."
    )
    shown = {**sets, "all": pooled} if len(sets) > 1 else sets or {"all": pooled}
    titles = {key: title for key, title, _ in _MEASURES}
    drawn = [
        key for key in _DRAWN if any(_mean(figures, key) is not None for figures in shown.values())
    ]
    if drawn:
        yield Figure(
            Bars(
                "share of pairs (same …), of questions (all right)",
                tuple(shown),
                tuple(titles[key] for key in drawn),
                tuple(tuple(_bar(figures, key) for figures in shown.values()) for key in drawn),
            ),
            "Consistency by set, with 95 % bootstrap intervals over questions.",
        )


def _by_set(sets: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple(
        (name, *(give_or_take(_mean(figures, key), _ends(figures, key)) for key, _, _ in _MEASURES))
        for name, figures in sets.items()
    )
    yield Table(("set", *(title for _, title, _ in _MEASURES)), rows)
    yield Note("± is half the width of the 95 % bootstrap interval over questions.")


def _rewrites(report: Mapping[str, JSON]) -> Iterator[Block]:
    rewrites = mapping(report, "rewrites", "pooled")
    rows = tuple(
        (
            name,
            share(number(rewrites, name, "decision_changed")),
            share(number(rewrites, name, "answer_changed")),
            format_signed(number(rewrites, name, "p_benefit_change")),
            count(number(rewrites, name, "n")),
        )
        for name in rewrites
    )
    if rows:
        columns = ("rewrite", "decision changed", "answer changed", "change in p(benefit)", "n")
        yield Table(columns, rows)
        yield Note("Shares of wordings, each compared with the original question; all sets.")


def _sizes(report: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple(
        (name, count(number(size, "questions")), count(number(size, "wordings")))
        for name, size in mapping(report, "sizes").items()
    )
    if rows:
        yield Table(("set", "questions", "wordings"), rows)


def _example(item: JSON) -> ShownExample:
    accepted = ", ".join(string(answer) for answer in items(item, "answers"))
    return ShownExample(
        query=string(item, "query"),
        facts=(
            ("query id", string(item, "query_id")),
            ("accepted answers", accepted or "none"),
            ("same decision", share(number(item, "decision_consistency"))),
            ("same answer", share(number(item, "answer_consistency"))),
        ),
        passages=tuple(_wording(wording) for wording in items(item, "wordings")),
    )


def _wording(item: JSON) -> Shown:
    fields = mapping(item)
    correct = fields.get("correct")
    verdict = () if correct is None else ("right" if correct is True else "wrong",)
    return Shown(
        title=f"{string(item, 'text')} ({string(item, 'rewrite').replace('_', ' ')})",
        text=string(item, "answer") or ABSENT,
        marks=(
            *verdict,
            "retrieved" if fields.get("retrieved") is True else "not retrieved",
            f"p(benefit) {share(number(item, 'p_benefit'))}",
        ),
        good=correct is True,
    )


def _mean(figures: JSON, key: str) -> float | None:
    return number(figures, key, "mean")


def _ends(figures: JSON, key: str) -> tuple[float, float] | None:
    low, high = number(figures, key, "low"), number(figures, key, "high")
    return None if low is None or high is None else (low, high)


def _bar(figures: JSON, key: str) -> Bar:
    return Bar(_mean(figures, key), *(_ends(figures, key) or (None, None)))
