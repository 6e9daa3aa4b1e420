"""The report on cost: the terms of the paper's formula, compared with measured time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.blocks import Block, Figure, Note, ReportSection, Stack, Table
from expertrag_lab.eval.report.reading import interval, mapping, number
from expertrag_lab.eval.report.wording import ABSENT, amount, count, share

FORMULA = "C = C_gate + p · (C_retrieve + C_generate(long)) + (1 - p) · C_generate(short)"

_STAGES = (
    ("gate", "gate"),
    ("retrieve", "retrieve"),
    ("generate_long", "generate long"),
    ("generate_short", "generate short"),
    ("prefill", "prefill reused"),
)
_MEASURED = ("never", "always", "auto")


def sections(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    """Build the sections of a report on cost."""
    pooled, sets = mapping(report, "pooled"), mapping(report, "sets")
    figures = {"all": pooled, **sets} if len(sets) > 1 else sets or {"all": pooled}
    yield ReportSection("Predicted and measured time", tuple(_errors(figures, pooled)))
    yield ReportSection("Stages", tuple(_stages(figures)))


def headline(report: Mapping[str, JSON]) -> str:
    """Return the relative error of the formula."""
    error = number(report, "pooled", "error", "formula")
    return "" if error is None else f"formula error {_percent(error)}"


def _errors(figures: Mapping[str, JSON], pooled: Mapping[str, JSON]) -> Iterator[Block]:
    yield Note(f"{FORMULA}, in seconds per question; p is the share that auto retrieved.")
    columns = (
        "set", "p", "auto, measured", "formula", "error", "95 % interval",
        "with reuse", "error", "n",
    )  # fmt: skip
    rows = tuple(
        (
            name,
            share(number(values, "rate")),
            amount(number(values, "measured", "auto")),
            amount(number(values, "predicted", "formula")),
            _percent(number(values, "error", "formula")),
            _percents(interval(values, "error_interval")),
            amount(number(values, "predicted", "with_reuse")),
            _percent(number(values, "error", "with_reuse")),
            count(number(values, "n")),
        )
        for name, values in figures.items()
    )
    yield Table(columns, rows)
    yield Note(
        "The formula counts the prefill of both the gate and a closed-book answer. In fact the "
        'answer continues from the gate\'s prefill; "with reuse" subtracts it once.'
    )
    if mapping(pooled, "stages"):
        caption = "The formula's terms and the measured means, all questions."
        yield Figure(_stack(pooled), caption)


def _stages(figures: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple(
        (
            name,
            *(amount(number(values, "stages", key)) for key, _ in _STAGES),
            *(amount(number(values, "measured", policy)) for policy in _MEASURED),
        )
        for name, values in figures.items()
    )
    yield Table(("set", *(title for _, title in _STAGES), *_MEASURED), rows)
    yield Note("Seconds: stages on the left; never, always and auto are end to end.")


def _stack(values: Mapping[str, JSON]) -> Stack:
    p = number(values, "rate") or 0.0
    weights = {"gate": 1.0, "retrieve": p, "generate_long": p, "generate_short": 1 - p}
    terms = {
        key: weight * (number(values, "stages", key) or 0.0) for key, weight in weights.items()
    }
    titles = ("gate", "p · retrieve", "p · generate long", "(1 - p) · generate short")
    nothing = (0.0,) * len(_MEASURED)
    measured = tuple(number(values, "measured", policy) or 0.0 for policy in _MEASURED)
    return Stack(
        "seconds per question",
        ("formula", *(f"{policy}, measured" for policy in _MEASURED)),
        (*titles, "measured end to end"),
        (*((term, *nothing) for term in terms.values()), (0.0, *measured)),
    )


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value:+.1%}"


def _percents(ends: tuple[float, float] | None) -> str:
    return ABSENT if ends is None else f"[{ends[0]:+.1%}, {ends[1]:+.1%}]"
