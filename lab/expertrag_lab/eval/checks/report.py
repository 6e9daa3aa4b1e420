"""Check a report: its structure, and that every figure is a finite number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from expertrag_lab.eval.checks.findings import Findings
from expertrag_lab.eval.report import parts_of
from expertrag_lab.eval.report.schema import faults, numbers


def check_report(path: Path, findings: Findings) -> Mapping[str, int]:
    """Find the faults of a report, or of each report in a combined one."""
    try:
        report = json.loads(path.read_bytes())
        problems = list(faults(report))
    except json.JSONDecodeError as error:
        findings.fault(path, error.lineno, f"is not JSON: {error.msg}")
        return {}
    except (ValueError, RecursionError) as error:
        findings.fault(path, None, f"is not JSON: {str(error).splitlines()[0]}")
        return {}
    for fault in problems:
        findings.fault(path, None, fault)
    figures = sum(1 for _ in numbers(report))
    parts = parts_of(report)
    return {"figures": figures} if len(parts) == 1 else {"reports": len(parts), "figures": figures}
