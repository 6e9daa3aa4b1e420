"""Parts that every report has: the run, skipped queries, and tests between systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from expertrag_lab.data.types import JSON, POOLED
from expertrag_lab.eval.report.blocks import Note, ReportSection, Table
from expertrag_lab.eval.report.reading import flat, items, mapping, number, string
from expertrag_lab.eval.report.wording import count, format_signed, p_value, span

EXAMPLES = 3
"""Number of skipped ids listed per reason; report.json has all."""

TESTS = (
    "The difference is the second minus the first, with its 95 % bootstrap interval. p-values are "
    "two-sided, from the paired t-test and from Fisher's randomisation test; Holm: "
    "corrected for all comparisons made together."
)

P_VALUES = ("p t", "Holm", "p Fisher", "Holm")

_NAMED = ("embedder", "gate", "generator", "judge", "seed")

_COMPARED = ("systems", "metric", "n", "difference", "95 % interval", *P_VALUES)


def facts(report: Mapping[str, JSON]) -> str:
    """Return the line about a run: command, version, commit, date, machine, seed, models."""
    manifest = mapping(report, "manifest")
    commit, cores = string(manifest, "commit"), string(manifest, "machine", "cores")
    parts = [
        f"expertrag eval {string(manifest, 'command')}" if string(manifest, "command") else "",
        f"version {string(manifest, 'version')}" if string(manifest, "version") else "",
        f"commit {commit}" if commit else "no commit",
        string(manifest, "created_at"),
        string(manifest, "machine", "cpu"),
        f"{cores} cores" if cores else "",
        *(f"{name} {value}" for name, value in _names_of(manifest.get("inputs"))),
        f"manifest {string(manifest, 'id')}" if string(manifest, "id") else "",
    ]
    return " · ".join(filter(None, parts))


def manifest_section(report: Mapping[str, JSON]) -> ReportSection:
    """Return a section with everything that the figures depend on."""
    rows = tuple((name, value) for name, value in flat(mapping(report, "manifest")))
    table = Table(("field", "value"), rows, labels=2)
    return ReportSection("Manifest", (table,), detail=True)


def make_skipped_section(report: Mapping[str, JSON]) -> ReportSection:
    """Return a section with the number of skipped queries by reason."""
    rows = []
    for name in mapping(report, "skipped"):
        entries = items(report, "skipped", name)
        reasons = Counter(map(_reason, entries))
        for reason, times in reasons.most_common():
            ids = [string(entry, "id") for entry in entries if _reason(entry) == reason]
            more = ", …" if len(ids) > EXAMPLES else ""
            rows.append((name, reason, ", ".join(ids[:EXAMPLES]) + more, count(times)))
    if not rows:
        return ReportSection("Skipped", (Note("Nothing was skipped."),))
    return ReportSection(
        "Skipped", (Table(("set", "reason", "such as", "skipped"), tuple(rows), 3),)
    )


def _reason(entry: JSON) -> str:
    again = mapping(entry).get("retry") is True
    return string(entry, "reason") + (" (asked again by the next run)" if again else "")


def comparison_sections(report: Mapping[str, JSON]) -> Iterator[ReportSection]:
    """Build the sections on a report's tests: over all queries, then for each set."""
    comparisons = mapping(report, "comparisons")
    pooled = tuple(_comparison(item) for item in items(comparisons, POOLED))
    by_set = tuple(
        (name, *_comparison(item))
        for name in comparisons
        if name != POOLED
        for item in items(comparisons, name)
    )
    if pooled:
        yield ReportSection("Comparisons", (Table(_COMPARED, pooled, labels=2), Note(TESTS)))
    if by_set:
        table = Table(("set", *_COMPARED), by_set, labels=3)
        yield ReportSection("Comparisons by set", (table, Note(TESTS)), detail=True)


def _comparison(item: JSON) -> tuple[str, ...]:
    return (
        f"{string(item, 'a')} → {string(item, 'b')}",
        string(item, "metric"),
        count(number(item, "n")),
        format_signed(number(item, "difference")),
        span(_ends(item)),
        *p_values(item),
    )


def p_values(item: JSON) -> tuple[str, ...]:
    """Format the p-values of a comparison, in the order of ``P_VALUES``."""
    keys = ("p_t", "p_t_holm", "p_fisher", "p_fisher_holm")
    return tuple(p_value(number(item, key)) for key in keys)


def _names_of(inputs: JSON) -> Iterator[tuple[str, str]]:
    """Yield names of models, gate and seed, once each, from anywhere in the inputs."""
    names: dict[tuple[str, str], None] = {}
    for path, value in flat(inputs):
        name = path.removesuffix(".name").rpartition(".")[2]
        if name in _NAMED and value not in {"", "none"}:
            names[name, value.rpartition("/")[2]] = None
    yield from sorted(names)


def _ends(item: JSON) -> tuple[float, float] | None:
    low, high = number(item, "low"), number(item, "high")
    return None if low is None or high is None else (low, high)
