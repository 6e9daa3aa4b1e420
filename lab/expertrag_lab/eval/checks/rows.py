"""Check a file of counterfactual rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from expertrag_lab.data.rows import parse_row
from expertrag_lab.data.types import Row
from expertrag_lab.eval.checks.findings import Findings, Ids


def check_rows(path: Path, findings: Findings) -> Mapping[str, int]:
    """Find the faults of a file of rows; return the numbers of rows by kind."""
    ids = Ids(path, findings)
    rows = []
    for number, item in findings.objects(path):
        row = parse_row(item)
        if isinstance(row, Row):
            ids.add(row.id, number)
            rows.append(row)
        else:
            findings.fault(path, number, row)
    counts = {
        "rows": len(rows),
        "answerable": sum(bool(row.answers) for row in rows),
        "with_multi_step": sum(row.multi_step is not None for row in rows),
        "recorded": sum(row.recorded is not None for row in rows),
    }
    for name in ("with_multi_step", "recorded"):
        if 0 < counts[name] < len(rows):
            only = f"only {counts[name]:,} of {len(rows):,} rows are {name.replace('_', ' ')}"
            findings.note(path, only)
    return counts
