"""The report on the gate: policies, frontier, calibration, budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.blocks import (
    Block,
    Curves,
    Figure,
    Line,
    Mark,
    Note,
    Reliability,
    ReliabilityBin,
    ReportSection,
    Table,
)
from expertrag_lab.eval.report.reading import interval, items, mapping, number, points, string
from expertrag_lab.eval.report.sections.run import comparison_sections
from expertrag_lab.eval.report.wording import amount, count, in_order, share, span

RATE = "retrieval rate (share of questions)"
ACCURACY = "accuracy (share of questions)"

_FIGURES = (
    ("threshold", "threshold", "retrieve if p(benefit) is at least this"),
    ("auc_benefit", "AUC(benefit)", "0.5 is chance, 1 is perfect"),
    ("area_over_random", "area over random", "0 is chance"),
    ("ece", "ECE", "0 is perfectly calibrated"),
    ("harm", "harm", "retrieved, but only the closed-book answer was right"),
    ("missed", "missed", "not retrieved, but only the answer with retrieval was right"),
)


def sections(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    """Build the sections of a gate report."""
    pooled, sets = mapping(report, "pooled"), mapping(report, "sets")
    yield ReportSection("Policies", (*_policies(pooled), *note_left_out(report)))
    if len(sets) > 1:
        yield ReportSection("Policies by set", tuple(_by_set(sets)))
    yield from gate_sections(report)
    yield from comparison_sections(report)


def gate_sections(report: Mapping[str, JSON], *notes: Note) -> Iterator[ReportSection]:
    """Build the sections on the gate itself; none without a gate.

    :param notes: further notes on its figures.
    """
    pooled, sets = mapping(report, "pooled"), mapping(report, "sets")
    gate = mapping(pooled, "gate")
    if gate:
        yield ReportSection(f"Gate {string(gate, 'name')}".strip(), (*_gate(gate), *notes))
    by_set = {name: mapping(policies, "gate") for name, policies in sets.items()}
    if len(sets) > 1 and any(by_set.values()):
        rows = tuple(
            (name, *(share(number(figures, key)) for key, _, _ in _FIGURES))
            for name, figures in by_set.items()
        )
        yield ReportSection(
            "Gate by set", (Table(("set", *(title for _, title, _ in _FIGURES)), rows),)
        )
    if len(sets) > 1:
        curves = {name: frontier(mapping(policies)) for name, policies in sets.items()}
        small = tuple(Figure(item, name, small=True) for name, item in curves.items() if item.marks)
        note = Note("Lines and markers are as in the plot of all questions.")
        yield ReportSection("Frontier by set", (note, *small), detail=True)


def note_left_out(report: Mapping[str, JSON]) -> Iterator[Note]:
    """Note how many unanswerable questions are left out, and which outputs are not scored."""
    by_set = mapping(report, "unanswerable")
    if n := sum(number(by_set, name) or 0.0 for name in by_set):
        yield Note(f"{count(n)} questions that the corpus cannot answer are left out.")
    lacking = mapping(report, "without_multi_step")
    for name in lacking:
        rows = count(number(lacking, name))
        yield Note(f"multi_step is not scored on {name}: {rows} of its rows lack that output.")


def headline(report: Mapping[str, JSON]) -> str:
    """Return accuracy and rate of the gate, or else of always retrieving."""
    pooled = mapping(report, "pooled")
    name = "gate" if "gate" in pooled else "always"
    accuracy, rate = number(pooled, name, "accuracy"), number(pooled, name, "rate")
    return f"{name} {share(accuracy)} at rate {share(rate)}" if accuracy is not None else ""


def frontier(policies: Mapping[str, JSON], gate: str = "gate") -> Curves:
    """Build a plot with policies as points, the gate's thresholds as a curve, chance as a line.

    :param gate: label of the gate's own point.
    """
    marks = []
    for name in in_order(policies):
        rate, accuracy = number(policies, name, "rate"), number(policies, name, "accuracy")
        if rate is not None and accuracy is not None and name != "random":
            ends = interval(policies, name, "interval") or (None, None)
            marks.append(Mark(gate if name == "gate" else name, rate, accuracy, *ends))
    lines = []
    if curve := points(policies, "gate", "frontier"):
        lines.append(Line("gate, any threshold", curve))
    chance = tuple((mark.x, mark.y) for mark in marks if mark.name in ("never", "always"))
    if len(chance) == 2:
        lines.append(Line("random, equal rate", chance, dashed=True))
    return Curves(RATE, ACCURACY, tuple(lines), tuple(marks))


def frontier_figure(curves: Curves, questions: str) -> Iterator[Figure]:
    """Yield the figure of a frontier, if there is a point on it."""
    if curves.marks:
        yield Figure(
            curves,
            f"Accuracy against retrieval rate, {questions} of all sets, with 95 % intervals of "
            "accuracy. Above the dotted line, a gate is better than chance.",
        )


def _policies(pooled: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple(
        (
            name,
            share(number(pooled, name, "accuracy")),
            span(interval(pooled, name, "interval")),
            share(number(pooled, name, "rate")),
            amount(number(pooled, name, "lm_calls")),
            count(number(pooled, name, "n")),
        )
        for name in in_order(pooled)
    )
    columns = ("policy", "accuracy", "95 % interval", "retrieval rate", "LM calls", "n")
    yield Table(columns, rows)
    blindly = "as often as the gate" if "gate" in pooled else "for half of the questions"
    yield Note(
        "Accuracy is the share of outputs that contain an accepted answer. random retrieves "
        f"{blindly}, at random; oracle retrieves only where it helps."
    )
    if "gate" not in pooled:
        yield Note("No gate was given; name one with --gate.")
    yield from frontier_figure(frontier(pooled), "questions")


def _by_set(sets: Mapping[str, JSON]) -> Iterator[Block]:
    names = in_order({name for policies in sets.values() for name in mapping(policies)})
    columns = [*names, *(["gate's rate"] if "gate" in names else []), "n"]
    rows = []
    for title, policies in sets.items():
        cells = [share(number(policies, name, "accuracy")) for name in names]
        if "gate" in names:
            cells.append(share(number(policies, "gate", "rate")))
        rows.append((title, *cells, count(number(policies, "never", "n"))))
    yield Table(("set", *columns), tuple(rows))


def _gate(gate: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple((title, share(number(gate, key)), meaning) for key, title, meaning in _FIGURES)
    yield Table(("figure", "value", "meaning"), rows, labels=3)
    if bins := _bins(gate):
        yield Figure(
            Reliability("predicted p(benefit)", "observed share of benefit", bins),
            f"Reliability: observed benefit of retrieval against predicted p(benefit). "
            f"ECE {share(number(gate, 'ece'))}; predictions on the diagonal are perfectly "
            "calibrated.",
        )
    if budget := items(gate, "budget"):
        columns = ("target rate", "rule", "realised", "95 % range", "over target", "accuracy")
        yield Table(columns, tuple(_budget(item) for item in budget))
        yield Note(
            "Budget: the threshold for a target rate is chosen on one half of the rows and applied "
            "to the other, over repeated splits; over target is the share of splits that exceed "
            "the target by more than 0.02. Nominal: the threshold with that rate on the first "
            "half. Guaranteed: the threshold that keeps the target with probability 0.9."
        )


def _budget(item: JSON) -> tuple[str, ...]:
    low, high = number(item, "realised_low"), number(item, "realised_high")
    return (
        share(number(item, "target")),
        string(item, "rule"),
        share(number(item, "realised")),
        span(None if low is None or high is None else (low, high)),
        share(number(item, "violations")),
        share(number(item, "accuracy")),
    )


def _bins(gate: Mapping[str, JSON]) -> tuple[ReliabilityBin, ...]:
    bins = []
    for item in items(gate, "reliability"):
        predicted, observed = number(item, "predicted"), number(item, "observed")
        if predicted is not None and observed is not None:
            bins.append(ReliabilityBin(predicted, observed, int(number(item, "n") or 0)))
    return tuple(bins)
