"""The report on answers: quality and cost of each policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from expertrag.api.types import STAGES
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.blocks import (
    Bar,
    Bars,
    Block,
    Curves,
    Figure,
    Line,
    Note,
    ReportSection,
    ShownExample,
    ShownPassage,
    Stack,
    Table,
)
from expertrag_lab.eval.report.reading import interval, items, mapping, number, points, string
from expertrag_lab.eval.report.sections.gate import (
    ACCURACY,
    frontier,
    frontier_figure,
    gate_sections,
    note_left_out,
)
from expertrag_lab.eval.report.sections.run import comparison_sections
from expertrag_lab.eval.report.wording import (
    ABSENT,
    amount,
    count,
    give_or_take,
    in_order,
    share,
    span,
)

_Writer = Callable[[float | None], str]
_Column = tuple[str, str, _Writer]

_QUALITY: tuple[_Column, ...] = (
    ("exact_match", "exact match", share),
    ("f1", "F1", share),
    ("containment", "containment", share),
    ("rate", "rate", share),
    ("answerable", "answerable", count),
    ("n", "questions", count),
)
_COSTS: tuple[_Column, ...] = (
    ("seconds", "seconds", amount),
    ("retrieval_calls", "retrieval calls", amount),
    ("lm_calls", "LM calls", amount),
    ("prompt_tokens", "prompt tokens", count),
    ("completion_tokens", "answer tokens", count),
)
_TRUST: tuple[_Column, ...] = (
    ("citation_precision", "citation precision", share),
    ("citation_recall", "citation recall", share),
    ("relevant_support", "relevant support", share),
    ("abstention_auroc", "abstention AUROC", share),
    ("aurc", "AURC", share),
)


def sections(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    """Build the sections of a report on answers."""
    pooled, sets = mapping(report, "pooled"), mapping(report, "sets")
    gate = mapping(report, "gate")
    yield ReportSection("Quality by policy", tuple(_answers(pooled, mapping(gate, "pooled"))))
    if len(sets) > 1:
        yield ReportSection("Accuracy by set", tuple(_by_set(sets)))
        yield ReportSection(
            "Support by the relevant documents, by set", tuple(_support_by_set(sets))
        )
    yield ReportSection("Cost per question", tuple(_cost(pooled)))
    yield ReportSection("Citations and abstention", tuple(_trust(pooled)))
    yield from comparison_sections(report)
    if judge := mapping(report, "judge"):
        yield ReportSection(f"Judged by {string(judge, 'name')}", tuple(_judge_blocks(judge)))
    yield from gate_sections(gate, *note_left_out(gate))
    yield ReportSection("Sizes", tuple(_sizes(report)))
    if len(sets) > 1:
        yield ReportSection("Every figure by set", tuple(_all_figures(sets)), detail=True)
    for name in mapping(report, "worst"):
        examples = tuple(_example(item) for item in items(report, "worst", name))
        yield ReportSection(f"Worst answers on {name}", examples, detail=True)


def headline(report: Mapping[str, JSON]) -> str:
    """Return accuracy and rate of the gate's policy, or else of the last policy."""
    pooled = mapping(report, "pooled")
    name = "auto" if "auto" in pooled else next(reversed(in_order(pooled)), "")
    accuracy, rate = number(pooled, name, "accuracy"), number(pooled, name, "rate")
    return f"{name} {share(accuracy)} at rate {share(rate)}" if accuracy is not None else ""


def _answers(pooled: Mapping[str, JSON], gate: Mapping[str, JSON]) -> Iterator[Block]:
    rows = tuple(
        (
            name,
            share(number(pooled, name, "accuracy")),
            span(interval(pooled, name, "interval")),
            *_cells(pooled[name], _QUALITY),
        )
        for name in in_order(pooled)
    )
    titles = tuple(title for _, title, _ in _QUALITY)
    yield Table(("policy", "accuracy", "95 % interval", *titles), rows)
    yield Note(
        "All sets pooled. Rate, the share of questions with retrieval, and cost are over all "
        "questions; accuracy, exact match, F1, containment and the plot are over the answerable "
        "ones. Accuracy is the share whose output contains an accepted answer; auto follows the "
        "gate, oracle retrieves only where it helps."
    )
    yield from frontier_figure(frontier(gate or pooled, gate="auto"), "answerable questions")


def _by_set(sets: Mapping[str, JSON]) -> Iterator[Block]:
    names = tuple(in_order({name for figures in sets.values() for name in mapping(figures)}))
    rows = tuple(
        (
            title,
            *(
                give_or_take(number(figures, name, "accuracy"), interval(figures, name, "interval"))
                for name in names
            ),
            share(number(figures, "auto", "rate")),
            count(max((number(figures, name, "answerable") or 0 for name in names), default=0)),
        )
        for title, figures in sets.items()
    )
    yield Table(("set", *names, "auto's rate", "answerable"), rows)
    yield Note(
        f"± is half the width of the 95 % bootstrap interval; {ABSENT} marks a set without short "
        "answers."
    )
    scored = [
        title
        for title, figures in sets.items()
        if any(number(figures, name, "accuracy") is not None for name in names)
    ]
    values = tuple(tuple(_bar(sets[title], name) for title in scored) for name in names)
    if scored:
        caption = "Accuracy of each policy by set, with 95 % bootstrap intervals over questions."
        yield Figure(Bars(ACCURACY, tuple(scored), names, values), caption)


def _support_by_set(sets: Mapping[str, JSON]) -> Iterator[Block]:
    """Show the one figure of quality that sets without short answers also have."""
    names = tuple(in_order({name for figures in sets.values() for name in mapping(figures)}))
    rows = tuple(
        (title, *(share(number(figures, name, "relevant_support")) for name in names))
        for title, figures in sets.items()
    )
    if any(cell != ABSENT for row in rows for cell in row[1:]):
        yield Table(("set", *names), rows)
        yield Note(
            "Share of the output that relevant documents support, also for sets without short "
            f"answers; {ABSENT} marks a set without relevant documents."
        )


def _bar(figures: JSON, name: str) -> Bar:
    ends = interval(figures, name, "interval") or (None, None)
    return Bar(number(figures, name, "accuracy"), *ends)


def _cost(pooled: Mapping[str, JSON]) -> Iterator[Block]:
    names = tuple(in_order(pooled))
    yield _table(pooled, _COSTS)
    yield Note("Means over all questions.")
    used = {stage for name in names for stage in mapping(pooled, name, "stage_seconds")}
    stages = tuple(
        sorted(used, key=lambda stage: (STAGES.index(stage) if stage in STAGES else 99, stage))
    )
    values = tuple(
        tuple(number(pooled, name, "stage_seconds", stage) or 0.0 for name in names)
        for stage in stages
    )
    if stages:
        caption = "Mean time per question by stage and policy."
        yield Figure(Stack("seconds per question", names, stages, values), caption)


def _trust(pooled: Mapping[str, JSON]) -> Iterator[Block]:
    yield _table(pooled, _TRUST)
    yield Note(
        "Citations are compared with the judged documents. AUROC: how well the confidence "
        "separates answerable from unanswerable questions. AURC: area under the risk-coverage "
        "curve, lower is better. Relevant support: share of the output that relevant documents "
        "support."
    )
    lines = tuple(
        Line(name, curve)
        for name in in_order(pooled)
        if (curve := points(pooled, name, "risk_coverage"))
    )
    if lines:
        yield Figure(
            Curves(
                "coverage (share of questions answered, most confident first)",
                "risk (share of these answers that are wrong)",
                lines,
                from_zero=True,
            ),
            "Risk-coverage curves: risk if the least confident answers are withheld.",
        )


def _judge_blocks(judge: Mapping[str, JSON]) -> Iterator[Block]:
    by_set = {"all": mapping(judge, "pooled"), **mapping(judge, "sets")}
    rows = tuple(
        (
            title,
            name,
            share(number(policies, name, "accuracy")),
            share(number(policies, name, "agreement")),
            count(number(policies, name, "n")),
            count(number(policies, name, "unparsed")),
        )
        for title, policies in by_set.items()
        for name in in_order(mapping(policies))
    )
    columns = ("set", "policy", "judged right", "agrees with accuracy", "judged", "unparsed")
    yield Table(columns, rows, labels=2)
    yield Note("Verdicts of a language model, shown in addition to the exact figures.")


def _sizes(report: Mapping[str, JSON]) -> Iterator[Block]:
    columns = ("questions", "answerable", "unanswerable", "without_short_answers")
    rows = tuple(
        (name, *(count(number(size, column)) for column in columns))
        for name, size in mapping(report, "sizes").items()
    )
    if rows:
        yield Table(("set", *(column.replace("_", " ") for column in columns)), rows)


def _all_figures(sets: Mapping[str, JSON]) -> Iterator[Block]:
    for columns in (_QUALITY, _COSTS, _TRUST):
        rows = tuple(
            (title, name, *_cells(mapping(policies)[name], columns))
            for title, policies in sets.items()
            for name in in_order(mapping(policies))
        )
        yield Table(("set", "policy", *(title for _, title, _ in columns)), rows, labels=2)


def _table(pooled: Mapping[str, JSON], columns: tuple[_Column, ...]) -> Table:
    rows = tuple((name, *_cells(pooled[name], columns)) for name in in_order(pooled))
    return Table(("policy", *(title for _, title, _ in columns)), rows)


def _cells(figures: JSON, columns: tuple[_Column, ...]) -> tuple[str, ...]:
    return tuple(write(number(figures, key)) for key, _, write in columns)


def _example(item: JSON) -> ShownExample:
    relevant = {string(document) for document in items(item, "relevant")}
    documents = [string(document) for document in items(item, "documents")]
    shown = ", ".join(f"{name} (relevant)" if name in relevant else name for name in documents)
    accepted = ", ".join(string(answer) for answer in items(item, "answers"))
    return ShownExample(
        query=string(item, "query"),
        facts=(
            ("query id", string(item, "query_id")),
            ("policy", string(item, "policy")),
            ("accepted answers", accepted or "none: the question cannot be answered"),
            ("documents", shown or "none"),
            ("relevant documents", ", ".join(sorted(relevant)) or "none"),
        ),
        passages=(ShownPassage("Output", string(item, "output")),),
    )
