"""Turn each kind of report into sections, with one module per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from expertrag.data.types import JSON
from expertrag.eval.report.blocks import Part, Section
from expertrag.eval.report.reading import string
from expertrag.eval.report.sections import answer, compare, consistency, cost, gate, retrieval
from expertrag.eval.report.sections.run import facts, manifest_section, skipped_section

_Report = Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Kind:
    """How reports of one kind are presented."""

    title: str
    sections: Callable[[_Report], Iterable[Section]]
    headline: Callable[[_Report], str]


KINDS: Mapping[str, Kind] = {
    "retrieval": Kind("Retrieval", retrieval.sections, retrieval.headline),
    "gate": Kind("Retrieval gate", gate.sections, gate.headline),
    "answer": Kind("Answers", answer.sections, answer.headline),
    "cost": Kind("Cost model", cost.sections, cost.headline),
    "consistency": Kind("Consistency", consistency.sections, consistency.headline),
    "compare": Kind("Comparison of two reports", compare.sections, compare.headline),
}


def build(report: _Report) -> Part:
    """Turn a report into a part with its sections."""
    kind = KINDS[string(report, "kind")]
    return Part(kind.title, kind.headline(report), facts(report), tuple(_filled(report, kind)))


def headline(report: _Report) -> str:
    """Return the figure that a list of reports shows; empty if there is none."""
    return KINDS[string(report, "kind")].headline(report)


def _filled(report: _Report, kind: Kind) -> Iterator[Section]:
    for section in (*kind.sections(report), skipped_section(report), manifest_section(report)):
        if section.blocks:
            yield section
