"""The comparison of two reports: differences of the runs, then of the figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from expertrag_lab.data.types import JSON, POOLED
from expertrag_lab.eval.report.blocks import Block, Note, ReportSection, Table
from expertrag_lab.eval.report.reading import items, mapping, number, string
from expertrag_lab.eval.report.sections.run import P_VALUES, TESTS, p_values
from expertrag_lab.eval.report.wording import ABSENT, amount, count, format_signed, share, span

SIGNIFICANT = 0.05


def sections(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    """Build the sections of a comparison."""
    yield ReportSection("Runs", tuple(_runs(report)))
    for name in mapping(report, "comparisons"):
        yield ReportSection(
            f"Differences on {name}", (_differences(items(report, "comparisons", name)),)
        )
    yield ReportSection("How to read it", (Note(TESTS), Note(_verdict(report))))
    figures = mapping(report, "figures")
    yield ReportSection("Figures of the gate, without test", tuple(_figures(figures, (POOLED,))))
    sets = tuple(name for name in figures if name != POOLED)
    by_set = tuple(_figures(figures, sets))
    yield ReportSection("Figures of the gate by set, without test", by_set, detail=True)
    yield ReportSection("In one report only", tuple(_list_unpaired(report)))


def headline(report: Mapping[str, JSON]) -> str:
    """Return how many comparisons are significant."""
    return _verdict(report).partition(":")[0]


def _runs(report: Mapping[str, JSON]) -> Iterator[Block]:
    fields = ("name", "commit", "version", "created_at")
    rows = tuple(
        (title, *(string(report, key, field) or ABSENT for field in fields))
        for key, title in (("a", "first"), ("b", "second"))
    )
    yield Table(("report", "name", "commit", "version", "made at"), rows, labels=5)
    differs = items(report, "differs")
    if not differs:
        yield Note("The manifests are the same, so the figures should be the same.")
        return
    rows = tuple(
        (string(item, "field"), string(item, "a") or ABSENT, string(item, "b") or ABSENT)
        for item in differs
    )
    yield Table(("what differs", "first", "second"), rows, labels=3)


def _differences(comparisons: object) -> Table:
    columns = (
        "system", "metric", "first", "second", "change", "95 % interval",
        *P_VALUES, "n",
    )  # fmt: skip
    rows = []
    for item in comparisons if isinstance(comparisons, list | tuple) else ():
        metric, seconds = string(item, "metric"), string(item, "metric") == "seconds"
        low, high = number(item, "low"), number(item, "high")
        rows.append(
            (
                string(item, "system") or ABSENT,
                metric,
                (amount if seconds else share)(number(item, "mean_a")),
                (amount if seconds else share)(number(item, "mean_b")),
                format_signed(number(item, "difference")),
                span(None if low is None or high is None else (low, high)),
                *p_values(item),
                count(number(item, "n")),
            )
        )
    return Table(columns, tuple(rows), labels=2)


def _verdict(report: Mapping[str, JSON]) -> str:
    pairs = [
        [number(item, key) for key in ("p_t_holm", "p_fisher_holm")]
        for name in mapping(report, "comparisons")
        for item in items(report, "comparisons", name)
    ]
    significant = sum(all(p is not None and p < SIGNIFICANT for p in pair) for pair in pairs)
    count_all = f"{significant} of {len(pairs)} differences significant"
    return f"{count_all}: p below {SIGNIFICANT} in both tests after Holm's correction."


def _figures(figures: Mapping[str, JSON], names: Sequence[str]) -> Iterator[Block]:
    rows = tuple(
        (
            name,
            string(item, "figure"),
            share(number(item, "a")),
            share(number(item, "b")),
            format_signed(number(item, "difference")),
        )
        for name in names
        for item in items(figures, name)
    )
    if rows:
        yield Table(("set", "figure", "first", "second", "change"), rows, labels=2)


def _list_unpaired(report: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple(
        (string(item, "measure"), string(item, "only_in")) for item in items(report, "unpaired")
    )
    if rows:
        yield Table(("measure", "only in"), rows, labels=2)
