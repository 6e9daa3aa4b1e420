"""Turn each kind of report into sections, with one module per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.blocks import ReportPart, ReportSection
from expertrag_lab.eval.report.reading import string
from expertrag_lab.eval.report.sections import answer, compare, consistency, cost, gate, retrieval
from expertrag_lab.eval.report.sections.run import facts, make_skipped_section, manifest_section

_Report = Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class ReportKind:
    """How reports of one kind are presented."""

    title: str
    sections: Callable[[_Report], Iterable[ReportSection]]
    headline: Callable[[_Report], str]


KINDS: Mapping[str, ReportKind] = {
    "retrieval": ReportKind("Retrieval", retrieval.sections, retrieval.headline),
    "gate": ReportKind("Retrieval gate", gate.sections, gate.headline),
    "answer": ReportKind("Answers", answer.sections, answer.headline),
    "cost": ReportKind("Cost model", cost.sections, cost.headline),
    "consistency": ReportKind("Consistency", consistency.sections, consistency.headline),
    "compare": ReportKind("Comparison of two reports", compare.sections, compare.headline),
}


def build(report: _Report) -> ReportPart:
    """Turn a report into a part with its sections."""
    kind = KINDS[string(report, "kind")]
    return ReportPart(kind.title, kind.headline(report), facts(report), tuple(_fill(report, kind)))


def headline(report: _Report) -> str:
    """Return the figure that a list of reports shows; empty if there is none."""
    return KINDS[string(report, "kind")].headline(report)


def _fill(report: _Report, kind: ReportKind) -> Iterator[ReportSection]:
    for section in (*kind.sections(report), make_skipped_section(report), manifest_section(report)):
        if section.blocks:
            yield section
