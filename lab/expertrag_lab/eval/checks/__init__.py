"""``eval validate``: list all faults of data sets, rows and reports, not only the first.

findings.py   collects the faults
dataset.py, rows.py, report.py   one checker each
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag_lab.eval.checks.dataset import check_dataset
from expertrag_lab.eval.checks.findings import Checked, Findings
from expertrag_lab.eval.checks.report import check_report
from expertrag_lab.eval.checks.rows import check_rows
from expertrag_lab.eval.library import Found, UnreadableFile, What, find

if TYPE_CHECKING:
    from expertrag_index.types import Progress

__all__ = ["Checked", "check"]

_CHECKERS: Mapping[What, Callable[[Path, Findings], Mapping[str, int]]] = {
    What.DATASET: check_dataset,
    What.ROWS: check_rows,
    What.REPORT: check_report,
}


def check(paths: Sequence[Path], progress: Progress) -> tuple[Checked, ...]:
    """Check everything at ``paths`` and up to three levels below.

    A path that is missing, or contains nothing that ``eval`` can read, is also a fault.
    """
    work = [(path, tuple(find([path]))) for path in paths]
    total = sum(len(items) for _, items in work)
    done = 0
    checked = []
    for path, items in work:
        if not items:
            findings = Findings()
            findings.fault(path, None, _nothing(path))
            checked.append(Checked(path, "", {}, findings.problems))
        for item in items:
            progress("checking", done, total)
            checked.append(_check(item))
            done += 1
    progress("checking", done, total)
    return tuple(checked)


def _check(item: Found | UnreadableFile) -> Checked:
    findings = Findings()
    if isinstance(item, UnreadableFile):
        findings.fault(item.path, None, item.reason.removeprefix(f"{item.path} "))
        return Checked(item.path, "", {}, findings.problems)
    try:
        counts = _CHECKERS[item.what](item.path, findings)
    except OSError as error:
        findings.fault(item.path, None, f"cannot be read: {error.strerror or error}")
        counts = {}
    return Checked(item.path, item.what, counts, findings.problems)


def _nothing(path: Path) -> str:
    if path.is_dir():
        return "contains no data set (corpus.jsonl, queries.jsonl), rows or report"
    return "is neither a file of rows nor a report of expertrag eval"
