"""The report on retrieval: metrics by set and mode, their tests, the worst queries."""

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
from expertrag_lab.eval.report.reading import interval, items, mapping, number, string
from expertrag_lab.eval.report.sections.run import comparison_sections
from expertrag_lab.eval.report.wording import count, give_or_take, share

SIGNIFICANT = 0.05
BEST = "*"


def sections(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    """Build the sections of a retrieval report."""
    yield ReportSection("Metrics by set and mode", tuple(_headline(report)))
    yield ReportSection("Sizes", tuple(_sizes(report)))
    yield from comparison_sections(report)
    yield from _worst(report)


def headline(report: Mapping[str, JSON]) -> str:
    """Return the best mode by the first metric, over all sets."""
    means = mapping(report, "mean") or mapping(
        report, "datasets", next(iter(mapping(report, "datasets")), "")
    )
    metric = next(iter(_metrics(report)), "")
    best = max(means, key=lambda mode: number(means, mode, metric) or 0.0, default="")
    return f"{metric} {share(number(means, best, metric))} ({best})" if best else ""


def _headline(report: Mapping[str, JSON]) -> Iterator[Block]:
    datasets, metrics = mapping(report, "datasets"), _metrics(report)
    rows = [
        (name, mode, *(_cell(report, name, mode, metric) for metric in metrics))
        for name in datasets
        for mode in mapping(datasets, name)
    ]
    if len(datasets) > 1:
        rows += [
            ("mean of sets", mode, *(share(number(report, "mean", mode, m)) for m in metrics))
            for mode in mapping(report, "mean")
        ]
    yield Table(("set", "mode", *metrics), tuple(rows), labels=2)
    yield Note("± is half the width of the 95 % bootstrap interval over queries.")
    if any(cell.endswith(BEST) for row in rows for cell in row[2:]):
        yield Note(
            f"{BEST} better than every other mode on this set: p below {SIGNIFICANT} in the paired "
            "t-test and in Fisher's randomisation test, both Holm-corrected."
        )
    if metrics and datasets:
        yield _bars(report, metrics[0])


def _metrics(report: Mapping[str, JSON]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for modes in mapping(report, "datasets").values():
        for metrics in mapping(modes).values():
            names.update(dict.fromkeys(mapping(metrics)))
    return tuple(names)


def _cell(report: Mapping[str, JSON], name: str, mode: str, metric: str) -> str:
    value = number(report, "datasets", name, mode, metric)
    mark = BEST if _is_best(report, name, mode, metric) else ""
    return give_or_take(value, interval(report, "intervals", name, mode, metric)) + mark


def _is_best(report: Mapping[str, JSON], name: str, mode: str, metric: str) -> bool:
    """Whether ``mode`` is better than every other mode on the set, significantly by both tests."""
    others = set(mapping(report, "datasets", name)) - {mode}
    beaten = set()
    for item in items(report, "comparisons", name):
        a, b, difference = string(item, "a"), string(item, "b"), number(item, "difference") or 0.0
        tests = [number(item, "p_t_holm"), number(item, "p_fisher_holm")]
        if string(item, "metric") != metric or any(p is None or p >= SIGNIFICANT for p in tests):
            continue
        if mode in (a, b) and (difference > 0) == (mode == b):
            beaten.add(a if mode == b else b)
    return bool(others) and beaten == others


def _bars(report: Mapping[str, JSON], metric: str) -> Figure:
    datasets = mapping(report, "datasets")
    modes = tuple(dict.fromkeys(mode for name in datasets for mode in mapping(datasets, name)))
    values = tuple(tuple(_bar(report, name, mode, metric) for name in datasets) for mode in modes)
    caption = f"{metric} of each mode by set, with 95 % bootstrap intervals over queries."
    return Figure(Bars(metric, tuple(datasets), modes, values), caption)


def _bar(report: Mapping[str, JSON], name: str, mode: str, metric: str) -> Bar:
    ends = interval(report, "intervals", name, mode, metric)
    value = number(report, "datasets", name, mode, metric)
    return Bar(value, *(ends or (None, None)))


def _sizes(report: Mapping[str, JSON]) -> Iterator[Block]:
    sizes = mapping(report, "sizes")
    columns = ["documents", "chunks", "queries", "judgements"]
    missing = any(number(size, "judged_missing") for size in sizes.values())
    columns += ["judged_missing"] if missing else []
    rows = tuple(
        (name, *(count(number(size, column)) for column in columns)) for name, size in sizes.items()
    )
    if rows:
        yield Table(("set", *(column.replace("_", " ") for column in columns)), rows)
    if missing:
        yield Note("Judged missing: judged documents that are not in the corpus.")


def _worst(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    for name in mapping(report, "worst"):
        examples = tuple(_example(item) for item in items(report, "worst", name))
        yield ReportSection(f"Worst queries of {name}", examples, detail=True)


def _example(item: JSON) -> ShownExample:
    relevant = ", ".join(string(document) for document in items(item, "relevant"))
    return ShownExample(
        query=string(item, "query"),
        facts=(
            ("query id", string(item, "query_id")),
            (f"{string(item, 'metric')}, {string(item, 'mode')}", share(number(item, "value"))),
            ("relevant documents", relevant or "none"),
        ),
        passages=tuple(_passage(passage) for passage in items(item, "passages")),
    )


def _passage(item: JSON) -> Shown:
    relevant = mapping(item).get("relevant") is True
    document, title = string(item, "document_id"), string(item, "title")
    return Shown(
        title=title or document,
        text=string(item, "text"),
        marks=(
            "relevant" if relevant else "not judged relevant",
            f"document {document}",
            f"score {share(number(item, 'score'))}",
        ),
        good=relevant,
    )
